package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// parseValue reads the value of a lever as people write it: a name (of a switch
// also yes, true, 1, …), a number, or a number with a unit of the lever's kind:
// 2s and 1m30s of a time, 64k and 1MiB of bytes.
func parseValue(l *feature.Lever, text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, fmt.Errorf("the value is missing: want %s", wants(l))
	}
	if len(text) > 100 {
		return 0, fmt.Errorf("the value has %d bytes: want %s", len(text), wants(l))
	}
	if l.Values != nil {
		return parseName(l, strings.ToLower(text))
	}
	v, ok := parseNumber(text, l.Unit)
	if !ok {
		return 0, fmt.Errorf("%q is no value for it: want %s", text, wants(l))
	}
	if v < float64(l.Min) || v > float64(l.Max) {
		return 0, fmt.Errorf("%s is out of range: want %s", text, wants(l))
	}
	if v != math.Trunc(v) {
		return 0, fmt.Errorf("%s is no whole number of %s: want %s", text, l.Unit, wants(l))
	}
	return int64(v), nil
}

// wants says what a lever takes.
func wants(l *feature.Lever) string {
	if l.Values != nil {
		return strings.Join(l.Values, ", ")
	}
	return rangeOf(l)
}

func parseName(l *feature.Lever, text string) (int64, error) {
	if l.Bool() {
		switch text {
		case "yes", "true", "1":
			text = "on"
		case "no", "false", "0":
			text = "off"
		}
	}
	for i, v := range l.Values {
		if v == text {
			return int64(i), nil
		}
	}
	if near := feature.Nearest(text, l.Values); near != "" {
		return 0, fmt.Errorf("%q is no value for it: did you mean %q? It takes %s", text, near, wants(l))
	}
	return 0, fmt.Errorf("%q is no value for it: want %s", text, wants(l))
}

// parseNumber reads a number in the unit of a lever.
func parseNumber(text, unit string) (v float64, ok bool) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	if rest, found := strings.CutSuffix(text, unit); found && unit != "" {
		if v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64); err == nil {
			return v, !math.IsNaN(v) && !math.IsInf(v, 0)
		}
	}
	switch each, isTime := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "days": 24 * time.Hour,
	}[unit]; {
	case isTime:
		return parseTime(text, each)
	case unit == "bytes":
		return parseBytes(text)
	}
	return 0, false
}

// parseTime reads a duration, days included, in a unit.
func parseTime(text string, unit time.Duration) (float64, bool) {
	if days, found := strings.CutSuffix(text, "d"); found {
		v, err := strconv.ParseFloat(days, 64)
		return v * float64(24*time.Hour) / float64(unit), err == nil && !math.IsNaN(v)
	}
	d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
	return float64(d) / float64(unit), err == nil
}

// parseBytes reads a size: k, M, G and KiB, MiB, GiB are powers of 1,024, kB,
// MB, GB of 1,000.
func parseBytes(text string) (float64, bool) {
	at := strings.LastIndexAny(text, "0123456789.") + 1
	size, known := map[string]float64{
		"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
		"kb": 1e3, "mb": 1e6, "gb": 1e9,
	}[strings.ToLower(strings.TrimSpace(text[at:]))]
	v, err := strconv.ParseFloat(text[:at], 64)
	return v * size, known && err == nil
}
