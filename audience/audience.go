// Package audience decides who is meant by a rule over people's attributes,
// such as
//
//	team == "Ops" and tenure_days > 90 and country in ["DE", "NL"]
//
// A rule is read and run by expr-lang/expr, but only a small part of that
// language is let through: comparisons of fields with constants, and, or, not,
// in, contains, arithmetic, and the helpers of this package. So each rule ends,
// its cost is bounded by its length, and it says the same for the same person
// and day: there is no loop, no clock, no randomness. Fields have a kind, and a
// rule that compares what cannot be compared is refused with its place.
//
// What is missing is not equal to anything and neither less nor greater; a
// missing text is "". Nothing is kept between calls, there is no lock; a
// Matcher is for one goroutine.
//
// Layout: audience.go fields and rules, check.go what a rule may say,
// match.go one person, survey.go many.
package audience

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Limits of a rule. Past them it is refused.
const (
	MaxText   = 16 << 10 // bytes
	maxNodes  = 2000     // parts in all
	maxDepth  = 100      // parentheses within each other
	maxFields = 500
	maxName   = 64 // bytes of a field's name
)

// Kind is what a field has.
type Kind string

const (
	Text   Kind = "text"
	Number Kind = "number"
	Date   Kind = "date"
	Bool   Kind = "bool"
	List   Kind = "list" // of texts
)

// Field is an attribute that rules may name.
type Field struct {
	Name string `json:"name"` // letters, digits and _, see Name
	Kind Kind   `json:"kind"`
	Doc  string `json:"doc,omitempty"`
}

// Today and Tenure are worked out here; no person has them as attributes.
const (
	today  = "today"
	tenure = "tenure_days"
	start  = "start"
)

// Standard are the fields that every person has.
func Standard() []Field {
	return []Field{
		{"id", Text, "the organisation's own id of the person"},
		{"account", Text, "the address in chat"},
		{"email", Text, "the e-mail address"},
		{"name", Text, "the full name"},
		{"zone", Text, "the time zone, as Europe/Berlin"},
		{"language", Text, "the language, as de"},
		{"manager", Text, "the id of the manager"},
		{"team", Text, "the team"},
		{start, Date, "the first day"},
		{tenure, Number, "days since the first day"},
	}
}

// Fields are the standard fields and those of an organisation. A name that is
// taken or cannot be written in a rule is refused.
func Fields(own []Field) ([]Field, error) {
	list := Standard()
	if len(own) > maxFields {
		return nil, fmt.Errorf("%d fields are too many: at most %d", len(own), maxFields)
	}
	for _, f := range own {
		switch {
		case f.Name != Name(f.Name) || f.Name == "":
			return nil, fmt.Errorf("%q is not a name for a field: %q would be", clip(f.Name), Name(f.Name))
		case slices.ContainsFunc(list, func(g Field) bool { return g.Name == f.Name }):
			return nil, fmt.Errorf("the field %s is there twice", f.Name)
		case !slices.Contains([]Kind{Text, Number, Date, Bool, List}, f.Kind):
			return nil, fmt.Errorf("the kind %q of field %s is not known: write text, number, date, bool or list", clip(string(f.Kind)), f.Name)
		}
		list = append(list, f)
	}
	return list, nil
}

// reserved are words of rules.
var reserved = []string{"and", "or", "not", "in", "contains", "matches", "startswith", "endswith", "let", "if", "else", "true", "false", "nil", today}

// Name makes a name for a field of the heading of a column: "Cost Centre" is
// cost_centre.
func Name(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case unicode.IsLetter(r) || r < utf8.RuneSelf && unicode.IsDigit(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() >= maxName-utf8.UTFMax {
			break
		}
	}
	name := strings.TrimSuffix(b.String(), "_")
	if name == "" {
		return "field"
	}
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsLetter(first) {
		name = "field_" + name
	}
	if _, ok := helpers[name]; ok || slices.Contains(reserved, name) {
		name += "_field"
	}
	return name
}

// Infer is the kind that fits all values that are not empty, of those that a
// column of a table can have.
func Infer(values []string) Kind {
	number, date, yes, some := true, true, true, false
	for _, v := range values {
		if v = strings.TrimSpace(v); v == "" {
			continue
		}
		some = true
		_, err := strconv.ParseFloat(v, 64)
		// A leading zero is of a number that is a name: a post code, an id.
		number = number && err == nil && (len(v) == 1 || v[0] != '0' || v[1] == '.')
		_, err = time.Parse(time.DateOnly, v)
		date = date && err == nil
		_, known := truth[strings.ToLower(v)]
		yes = yes && known && v != "0" && v != "1"
	}
	switch {
	case !some:
		return Text
	case number:
		return Number
	case date:
		return Date
	case yes:
		return Bool
	}
	return Text
}

// Problem is what is wrong with a rule, and where.
type Problem struct {
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1, in characters
	Text   string `json:"text"`
}

// Problems are all that was found. It is the error of Compile.
type Problems []Problem

// Error is the problems, one a line.
func (p Problems) Error() string {
	var lines []string
	for _, x := range p {
		lines = append(lines, fmt.Sprintf("line %d, column %d: %s", x.Line, x.Column, x.Text))
	}
	return strings.Join(lines, "\n")
}

// Rule is a compiled rule. It is safe for several goroutines.
type Rule struct {
	text    string
	fields  []Field // that it uses
	program *vm.Program
	parts   []string // what its outermost and joins
	all     []Field
}

// Compile reads a rule over known fields. The error is of type Problems.
func Compile(text string, fields []Field) (*Rule, error) {
	switch {
	case len(text) > MaxText:
		return nil, Problems{{1, 1, fmt.Sprintf("the rule has %d bytes: at most %d", len(text), MaxText)}}
	case !utf8.ValidString(text):
		return nil, Problems{{1, 1, "the rule is not UTF-8"}}
	case strings.TrimSpace(text) == "":
		return nil, Problems{{1, 1, `the rule is empty: write true for everybody, or a condition as team == "Ops"`}}
	}
	if p := tooDeep(text); p != nil {
		return nil, p
	}
	c, err := check(text, fields)
	if err != nil {
		return nil, err
	}
	r := &Rule{text: text, parts: c.parts, all: fields}
	env := types.Map{today: types.Float64}
	for _, f := range fields {
		env[f.Name] = typeOf(f.Kind)
		if c.uses[f.Name] {
			r.fields = append(r.fields, f)
		}
	}
	options := append(functions(), expr.Env(env), expr.AsBool(), expr.DisableAllBuiltins(), expr.MaxNodes(maxNodes), expr.Patch(c))
	if r.program, err = expr.Compile(text, options...); err != nil {
		return nil, problems(text, err)
	}
	return r, nil
}

func typeOf(k Kind) types.Type {
	switch k {
	case Number, Date:
		return types.Float64
	case Bool:
		return types.Bool
	case List:
		return types.TypeOf([]string(nil))
	}
	return types.String
}

// String is the rule as it was written.
func (r *Rule) String() string { return r.text }

// Uses are the names of the fields in the rule.
func (r *Rule) Uses() []string {
	var names []string
	for _, f := range r.fields {
		names = append(names, f.Name)
	}
	return names
}

// tooDeep finds parentheses within parentheses before the parser does, which
// goes as deep as they.
func tooDeep(text string) Problems {
	depth := 0
	for i, r := range []rune(text) {
		switch r {
		case '(', '[', '{':
			if depth++; depth > maxDepth {
				return Problems{at(text, i, fmt.Sprintf("more than %d parentheses within each other", maxDepth))}
			}
		case ')', ']', '}':
			depth--
		}
	}
	return nil
}

// at is a problem at a character of the text.
func at(text string, from int, what string) Problem {
	p := Problem{Line: 1, Column: 1, Text: what}
	for i, r := range []rune(text) {
		if i >= from {
			break
		}
		if p.Column++; r == '\n' {
			p.Line, p.Column = p.Line+1, 1
		}
	}
	return p
}

// problems puts an error of the parser into our words.
func problems(text string, err error) Problems {
	var e *file.Error
	if !errors.As(err, &e) {
		return Problems{{1, 1, clip(err.Error())}}
	}
	what, _, _ := strings.Cut(e.Message, "\n")
	upper := func(word string) bool { return strings.Contains(what, `Identifier("`+word+`")`) }
	switch {
	case strings.Contains(what, `Operator("=")`):
		what = "write == to compare"
	case upper("AND"), upper("And"):
		what = "write and in small letters"
	case upper("OR"), upper("Or"):
		what = "write or in small letters"
	case upper("NOT"), upper("IN"):
		what = "write not and in in small letters"
	case strings.Contains(what, "unexpected token EOF"), strings.Contains(what, "unexpected end"):
		what = "the rule ends too early: something is missing here"
	case strings.Contains(what, "maximum allowed nodes"):
		what = fmt.Sprintf("the rule has more than %d parts", maxNodes)
	case strings.Contains(what, "literal not terminated"):
		what = "the quotation mark is not closed"
	case strings.HasPrefix(what, "unexpected token "):
		token := strings.TrimPrefix(what, "unexpected token ")
		if _, rest, ok := strings.Cut(token, "("); ok {
			token = strings.TrimSuffix(rest, ")")
			if word, err := strconv.Unquote(token); err == nil {
				token = word
			}
		}
		what = clip(token) + " does not belong here"
	}
	return Problems{at(text, e.From, clip(what))}
}

// clip keeps what people wrote short in a sentence about it.
func clip(text string) string {
	const most = 80
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
