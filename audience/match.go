package audience

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// Days are counted from 0001-01-01, which is 1; a missing one is not a number,
// so that it is neither before nor after any other.
const epoch = 719163

func dayOf(t time.Time) float64 {
	return math.Floor(float64(t.Unix())/86400) + epoch
}

func civil(day float64) (time.Time, bool) {
	if !(day >= 1 && day <= 3652059) {
		return time.Time{}, false
	}
	return time.Unix((int64(day)-epoch)*86400, 0).UTC(), true
}

// any_ is the kind of an argument that may be a field of any kind.
const any_ Kind = "any"

// helper is a function that rules may call.
type helper struct {
	usage string
	takes []Kind
	gives Kind
	like  any // its type, for the compiler
	run   func(params ...any) (any, error)
}

// helpers by name.
var helpers = map[string]helper{
	"starts_with": {`starts_with(name, "A")`, []Kind{Text, Text}, Bool, new(func(string, string) bool),
		func(p ...any) (any, error) { return strings.HasPrefix(p[0].(string), p[1].(string)), nil }},
	"ends_with": {`ends_with(email, "@example.org")`, []Kind{Text, Text}, Bool, new(func(string, string) bool),
		func(p ...any) (any, error) { return strings.HasSuffix(p[0].(string), p[1].(string)), nil }},
	"lower": {`lower(team) == "ops"`, []Kind{Text}, Text, new(func(string) string),
		func(p ...any) (any, error) { return strings.ToLower(p[0].(string)), nil }},
	"upper": {`upper(team) == "OPS"`, []Kind{Text}, Text, new(func(string) string),
		func(p ...any) (any, error) { return strings.ToUpper(p[0].(string)), nil }},
	"size": {`size(skills) > 2`, []Kind{List}, Number, new(func([]string) float64),
		func(p ...any) (any, error) { return float64(len(p[0].([]string))), nil }},
	"known": {`known(manager)`, []Kind{any_}, Bool, new(func(any) bool),
		func(p ...any) (any, error) { return known(p[0]), nil }},
	"year": {`year(start) == 2026`, []Kind{Date}, Number, new(func(float64) float64),
		func(p ...any) (any, error) { return part(p[0], time.Time.Year), nil }},
	"month": {`month(start) == 4`, []Kind{Date}, Number, new(func(float64) float64),
		func(p ...any) (any, error) { return part(p[0], func(t time.Time) int { return int(t.Month()) }), nil }},
	"day": {`day(start) == 1`, []Kind{Date}, Number, new(func(float64) float64),
		func(p ...any) (any, error) { return part(p[0], time.Time.Day), nil }},
	// Those without run are put into other words before the rule runs, see Visit.
	"date":         {`start < date("2026-01-01")`, []Kind{Date}, Date, nil, nil},
	"days_between": {`days_between(start, today) > 90`, []Kind{Date, Date}, Number, nil, nil},
	"days_since":   {`days_since(start) > 90`, []Kind{Date}, Number, nil, nil},
	"days_until":   {`days_until(contract_end) < 30`, []Kind{Date}, Number, nil, nil},
}

func functions() []expr.Option {
	var list []expr.Option
	for name, h := range helpers {
		if h.run != nil {
			list = append(list, expr.Function(name, h.run, h.like))
		}
	}
	return list
}

func part(day any, of func(time.Time) int) float64 {
	t, ok := civil(day.(float64))
	if !ok {
		return math.NaN()
	}
	return float64(of(t))
}

func known(x any) bool {
	switch x := x.(type) {
	case string:
		return x != ""
	case float64:
		return !math.IsNaN(x)
	case []string:
		return len(x) > 0
	}
	return x != nil
}

// Matcher runs a rule over people on a day. It is for one goroutine.
type Matcher struct {
	rule    *Rule
	today   float64
	machine vm.VM
	env     map[string]any
}

// Matcher makes one; of today only the date counts, as the zone of the value
// shows it.
func (r *Rule) Matcher(now time.Time) *Matcher {
	year, month, day := now.Date()
	m := &Matcher{rule: r, today: dayOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)), env: map[string]any{}}
	m.env[today] = m.today
	return m
}

// Match tells whether a person is meant. Get gives the person's attributes by
// the name of the field, nil for none; it is asked only for what the rule uses.
// A value of another kind is turned into the field's, as CSV and JSON need it
// ("42" for a number, "2026-11-22" for a date, "a;b" for a list); what cannot
// be is missing. The error would be a mistake of this package.
func (m *Matcher) Match(get func(field string) any) (bool, error) {
	for _, f := range m.rule.fields {
		switch {
		case f.Name == tenure && f.Kind == Number:
			m.env[tenure] = m.today - toDay(get(start))
		case f.Kind == Number:
			m.env[f.Name] = toNumber(get(f.Name))
		case f.Kind == Date:
			m.env[f.Name] = toDay(get(f.Name))
		case f.Kind == Bool:
			m.env[f.Name] = toBool(get(f.Name))
		case f.Kind == List:
			m.env[f.Name] = toList(get(f.Name))
		default:
			m.env[f.Name] = toText(get(f.Name))
		}
	}
	out, err := m.machine.Run(m.rule.program, m.env)
	if err != nil {
		return false, fmt.Errorf("run the rule %s: %w", clip(m.rule.text), err)
	}
	yes, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("run the rule %s: it gave %T", clip(m.rule.text), out)
	}
	return yes, nil
}

func toText(x any) string {
	switch x := x.(type) {
	case nil:
		return ""
	case string:
		return x
	case []byte:
		return string(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case int, int64, bool, json.Number, fmt.Stringer:
		return fmt.Sprint(x)
	}
	return ""
}

func toNumber(x any) float64 {
	switch x := x.(type) {
	case float64:
		return x
	case int:
		return float64(x)
	case int64:
		return float64(x)
	case bool:
		return math.NaN()
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(toText(x)), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

func toDay(x any) float64 {
	if t, ok := x.(time.Time); ok {
		if t.IsZero() {
			return math.NaN()
		}
		year, month, day := t.Date()
		return dayOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
	}
	text := strings.TrimSpace(toText(x))
	if len(text) > 10 && text[10] == 'T' {
		text = text[:10]
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return math.NaN()
	}
	return dayOf(t)
}

// truth are the words that are read as yes or no.
var truth = map[string]bool{"true": true, "yes": true, "1": true, "ja": true, "y": true, "false": false, "no": false, "0": false, "nein": false, "nee": false, "n": false}

func toBool(x any) bool {
	if b, ok := x.(bool); ok {
		return b
	}
	return truth[strings.ToLower(strings.TrimSpace(toText(x)))]
}

func toList(x any) []string {
	switch x := x.(type) {
	case []string:
		return x
	case []any:
		var list []string
		for _, v := range x {
			list = append(list, toText(v))
		}
		return list
	}
	var list []string
	for v := range strings.FieldsFuncSeq(toText(x), func(r rune) bool { return r == ';' || r == ',' }) {
		if v = strings.TrimSpace(v); v != "" {
			list = append(list, v)
		}
	}
	return list
}
