// Package people is about the people of an organisation: it reads and writes
// files of them (CSV as organisations have it, from whatever program), imports
// them, and finds whom an audience means. It says of each line that is wrong
// where, what is wrong and what to write instead, and goes on with the next.
//
// A value is text, whatever it looks like: HTML and formulas of spreadsheets are
// kept as they are. What is written for spreadsheets is neutralised (Neutral),
// and reads back as it was.
//
// Layout: people.go columns and what they may hold, read.go files, import.go
// what is done with them, write.go what goes out, resolve.go audiences. Nothing
// is kept between calls; there is no lock.
package people

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on every machine
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// Limits of a file. Past them it is refused.
const (
	MaxBytes    = 128 << 20
	MaxRows     = 250_000
	MaxColumns  = 200
	MaxProblems = 1000 // then reading ends
	maxValue    = 4000 // bytes of an attribute
	maxName     = 1000 // bytes of name and team
	maxKey      = 190  // bytes of id and manager
	maxMail     = 254  // bytes of an e-mail address (RFC 5321 §4.5.3.1.3)
)

// Column is a column that is not a free attribute.
type Column = store.PersonColumn

// The columns of a file. All are optional, but each person needs an id, an
// e-mail address or an account.
const (
	ID       = store.ColumnID
	JID      = store.ColumnAccount
	Email    = store.ColumnEmail
	Name     = store.ColumnName
	Zone     = store.ColumnZone
	Language = store.ColumnLanguage
	Manager  = store.ColumnManager
	Team     = store.ColumnTeam
	Start    = store.ColumnStart
)

// headings are what columns may be called, in small letters.
var headings = map[string]Column{
	"id": ID, "ext": ID, "jid": JID, "account": JID, "email": Email, "e-mail": Email, "mail": Email, "name": Name,
	"zone": Zone, "timezone": Zone, "time zone": Zone, "time_zone": Zone, "language": Language, "lang": Language,
	"manager": Manager, "team": Team, "start": Start, "start date": Start, "start_date": Start,
}

// Row is a person as a line of a file says. Key is the id, else the e-mail
// address, else the address in chat.
type Row struct {
	Line     int               `json:"line"`
	Key      string            `json:"key"`
	Account  string            `json:"account,omitempty"` // the local part
	Email    string            `json:"email,omitempty"`   // in small letters
	Name     string            `json:"name,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Language string            `json:"language,omitempty"`
	Manager  string            `json:"manager,omitempty"`
	Team     string            `json:"team,omitempty"`
	Start    time.Time         `json:"start,omitzero"` // midnight UTC
	Attrs    map[string]string `json:"attrs,omitempty"`
}

// Problem is what is wrong with a line, and what to write instead.
type Problem struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"` // its heading; "" for the whole line
	Value  string `json:"value,omitempty"`  // what stands there, shortened
	Text   string `json:"text"`             // what is wrong
	Write  string `json:"write,omitempty"`  // what to write
}

// String is the problem in a sentence.
func (p Problem) String() string {
	text := fmt.Sprintf("line %d", p.Line)
	if p.Column != "" {
		text += ", column " + p.Column
	}
	if p.Value != "" {
		text += fmt.Sprintf(", %q", p.Value)
	}
	text += ": " + p.Text
	if p.Write != "" {
		text += "; write " + p.Write
	}
	return text
}

// wrong is a value that is refused.
type wrong struct{ text, write string }

func (w *wrong) Error() string { return w.text + "; write " + w.write }

// Checker knows what the columns may hold. It remembers zones and languages that
// it has seen, so it is for one goroutine.
type Checker struct {
	Domain string // of the organisation
	zones  map[string]bool
	langs  map[string]string
}

// Set puts a value into a column of a person; an empty one empties it. The error
// says what is wrong and what to write.
func (c *Checker) Set(r *Row, column Column, value string) error {
	w := c.set(r, column, value)
	if w == nil { // not a nil in an interface
		return nil
	}
	return w
}

func (c *Checker) set(r *Row, column Column, value string) (w *wrong) {
	if w := plain(value, maxOf(column)); w != nil {
		return w
	}
	switch column {
	case ID:
		r.Key = value
	case JID:
		r.Account, w = c.account(value)
	case Email:
		r.Email, w = address(value)
	case Name:
		r.Name = value
	case Zone:
		r.Zone, w = c.zone(value)
	case Language:
		r.Language, w = c.language(value)
	case Manager:
		r.Manager = value
	case Team:
		r.Team = value
	case Start:
		r.Start, w = date(value)
	}
	return w
}

func maxOf(c Column) int {
	switch c {
	case ID, Manager:
		return maxKey
	case Email:
		return maxMail
	case JID:
		return 2047
	}
	return maxName
}

// plain refuses what is no text of a reasonable length.
func plain(value string, most int) *wrong {
	if len(value) > most {
		return &wrong{fmt.Sprintf("%d bytes are too long", len(value)), fmt.Sprintf("at most %d", most)}
	}
	for _, r := range value {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || r == utf8.RuneError {
			return &wrong{"it has characters that cannot be printed", "text only"}
		}
	}
	return nil
}

func (c *Checker) account(value string) (string, *wrong) {
	if value == "" {
		return "", nil
	}
	text := value
	if !strings.Contains(text, "@") {
		text += "@" + c.Domain
	}
	who, err := jid.Parse(text)
	if err != nil || who.Local() == "" || who.Resource() != "" {
		return "", &wrong{"no address in chat", "one such as anna@" + c.Domain + ", or anna alone"}
	}
	if who.Domain() != c.Domain {
		return "", &wrong{"an address of another organisation, " + who.Domain(), "one that ends in @" + c.Domain + ", or import the file there"}
	}
	return who.Local(), nil
}

func address(value string) (string, *wrong) {
	if value == "" {
		return "", nil
	}
	bad := &wrong{"no e-mail address", "one such as anna@example.org"}
	a, err := mail.ParseAddress(value)
	if err != nil || a.Name != "" || a.Address != value || strings.ContainsAny(value, " \t\r\n<>\",;:\\()[]") {
		return "", bad
	}
	local, domain, _ := strings.Cut(value, "@")
	if len(local) > 64 || !strings.Contains(domain, ".") && domain != "localhost" || strings.HasSuffix(domain, ".") {
		return "", bad
	}
	return strings.ToLower(value), nil
}

func (c *Checker) zone(value string) (string, *wrong) {
	if value == "" {
		return "", nil
	}
	known, asked := c.zones[value]
	if !asked {
		_, err := time.LoadLocation(value)
		known = err == nil && value != "Local"
		if c.zones == nil {
			c.zones = map[string]bool{}
		}
		if len(c.zones) < 2000 {
			c.zones[value] = known
		}
	}
	if !known {
		return "", &wrong{"no time zone", "one of the IANA data base, such as Europe/Berlin"}
	}
	return value, nil
}

func (c *Checker) language(value string) (string, *wrong) {
	if value == "" {
		return "", nil
	}
	tag, asked := c.langs[value]
	if !asked {
		if t, err := language.Parse(value); err == nil && t != language.Und {
			tag = t.String()
		}
		if c.langs == nil {
			c.langs = map[string]string{}
		}
		if len(c.langs) < 2000 {
			c.langs[value] = tag
		}
	}
	if tag == "" {
		return "", &wrong{"no language", "its code, such as en, de or nl-BE"}
	}
	return tag, nil
}

// date reads 2026-11-22 and 22.11.2026; 11/22/2026 may be one of two days
// elsewhere.
func date(value string) (time.Time, *wrong) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2.1.2006", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, value); err == nil {
			if y := t.Year(); y < 1900 || y > 2200 {
				break
			}
			return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), nil
		}
	}
	return time.Time{}, &wrong{"no date", "year, month and day, as 2026-11-22"}
}

// attribute refuses a value that does not have the kind which rules of audiences
// rely on.
func attribute(value string, kind audience.Kind) *wrong {
	if w := plain(value, maxValue); w != nil || value == "" {
		return w
	}
	if kind == audience.Text || kind == audience.List || kind == "" || audience.Infer([]string{value}) == kind {
		return nil
	}
	switch kind {
	case audience.Number:
		return &wrong{"no number, as the others of this column are", "a number such as 7.5, or nothing"}
	case audience.Date:
		return &wrong{"no date, as the others of this column are", "year, month and day, as 2026-11-22, or nothing"}
	}
	if value == "0" || value == "1" {
		return nil
	}
	return &wrong{"neither true nor false, as the others of this column are", "true, false, or nothing"}
}

// short keeps a value short for a problem.
func short(value string) string {
	const most = 80
	value = strings.ToValidUTF8(value, "\uFFFD")
	if len(value) <= most {
		return value
	}
	cut := most
	for !utf8.RuneStart(value[cut]) {
		cut--
	}
	return value[:cut] + "…"
}
