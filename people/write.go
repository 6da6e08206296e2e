package people

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// formula reports whether a spreadsheet might run a text, or would but for
// apostrophes before it.
func formula(text string) bool {
	text = strings.TrimLeft(text, "'")
	return text != "" && strings.ContainsRune("=+-@\t\r|%", rune(text[0]))
}

// Neutral is a text for a spreadsheet: what it might run as a formula gets an
// apostrophe before it. Plain brings it back.
func Neutral(text string) string {
	if formula(text) {
		return "'" + text
	}
	return text
}

// Plain is what was given to Neutral, also for texts that nobody has given to
// it: an apostrophe before what looks like a formula goes.
func Plain(text string) string {
	if strings.HasPrefix(text, "'") && formula(text) {
		return text[1:]
	}
	return text
}

// WriteProblems writes what is wrong with a file as CSV, for whoever mends it.
func WriteProblems(out io.Writer, list []Problem) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"line", "column", "value", "problem", "write"}); err != nil {
		return err
	}
	for _, p := range list {
		if err := w.Write([]string{strconv.Itoa(p.Line), Neutral(p.Column), Neutral(p.Value), Neutral(p.Text), Neutral(p.Write)}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// Writer writes people as a CSV that Read reads.
type Writer struct {
	csv    *csv.Writer
	domain string
	attrs  []string
}

// NewWriter begins a file with the columns and free attributes of an
// organisation's people.
func NewWriter(out io.Writer, domain string, attrs []string) (*Writer, error) {
	w := &Writer{csv.NewWriter(out), domain, attrs}
	head := []string{string(ID), string(JID), string(Email), string(Name), string(Zone), string(Language), string(Manager), string(Team), string(Start)}
	return w, w.csv.Write(append(head, attrs...))
}

// Write writes a person.
func (w *Writer) Write(r *Row) error {
	account, start := "", ""
	if r.Account != "" {
		account = r.Account + "@" + w.domain
	}
	if !r.Start.IsZero() {
		start = r.Start.UTC().Format("2006-01-02")
	}
	record := []string{r.Key, account, r.Email, r.Name, r.Zone, r.Language, r.Manager, r.Team, start}
	for _, name := range w.attrs {
		record = append(record, r.Attrs[name])
	}
	for i := range record {
		record[i] = Neutral(record[i])
	}
	return w.csv.Write(record)
}

// Flush writes what is left.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}
