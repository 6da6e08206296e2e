package people

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bearhug/bearhug/audience"
)

// File is a file of people that was read. Rows has the lines that are right.
type File struct {
	Columns  []Column         // that it has
	Fields   []audience.Field // free attributes that it has; Doc is the heading
	Rows     []Row
	Problems []Problem // by line
	Unread   bool      // reading ended at too many problems: there may be more
	Refused  int       // lines with problems
}

// reader reads one file.
type reader struct {
	Checker
	file  *File
	known map[string]audience.Kind
	heads []head
	first map[string]int // lines by key
}

// head is a column of the file.
type head struct {
	title  string
	column Column // "" for an attribute
	field  int    // of File.Fields
}

// Read reads people of the organisation with a domain. known are the attributes
// that people there have already: their kinds stay. The error is about the file
// as a whole, and says what to do; what is wrong with lines is in the File.
func Read(in io.Reader, domain string, known []audience.Field) (*File, error) {
	r := &reader{Checker: Checker{Domain: domain}, file: &File{}, known: map[string]audience.Kind{}, first: map[string]int{}}
	for _, f := range known {
		r.known[f.Name] = f.Kind
	}
	text, comma, skipped, err := open(in)
	if err != nil {
		return nil, err
	}
	c := csv.NewReader(text)
	c.Comma, c.FieldsPerRecord, c.ReuseRecord = comma, -1, true
	for first := true; ; first = false {
		record, err := c.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && first:
			return nil, errors.New("the file is empty: its first line names the columns, such as id,jid,email,name,zone,language,manager,team,start")
		case errors.Is(err, io.EOF):
			return r.file, r.kinds()
		case errors.As(err, &broken):
			if first {
				return nil, fmt.Errorf("line %d is not CSV: %w", broken.StartLine+skipped, broken.Err)
			}
			r.problem(Problem{Line: broken.StartLine + skipped, Text: "not CSV: " + broken.Err.Error(), Write: `a quotation mark within quotation marks twice: ""`})
		case err != nil:
			return nil, err
		case first:
			err = r.header(record)
		default:
			line, _ := c.FieldPos(0)
			err = r.line(line+skipped, record)
		}
		if err != nil && broken == nil {
			return nil, err
		}
		if len(r.file.Problems) >= MaxProblems {
			r.file.Unread = true
			return r.file, r.kinds()
		}
	}
}

// open looks at the beginning of a file: marks of other programs, the letters,
// the separator. skipped is how many lines it took.
func open(in io.Reader) (text io.Reader, comma rune, skipped int, err error) {
	limited := &io.LimitedReader{R: in, N: MaxBytes + 1}
	b := bufio.NewReaderSize(&guard{limited}, 64<<10)
	head, err := b.Peek(60 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, 0, err
	}
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) || bytes.IndexByte(head, 0) >= 0 {
		return nil, 0, 0, errors.New("the file is UTF-16 or no text: save it as CSV UTF-8")
	}
	if bom := []byte("\xef\xbb\xbf"); bytes.HasPrefix(head, bom) {
		if _, err := b.Discard(len(bom)); err != nil {
			return nil, 0, 0, err
		}
		head = head[len(bom):]
	}
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	if word := strings.ToLower(strings.TrimRight(string(line), "\r")); strings.HasPrefix(word, "sep=") { // as Excel writes
		if _, err := b.Discard(len(head) - len(rest)); err != nil {
			return nil, 0, 0, err
		}
		line, _, _ = bytes.Cut(rest, []byte("\n"))
		skipped = 1
	}
	if i := bytes.IndexByte(line, '\r'); i >= 0 && i < len(line)-1 {
		return nil, 0, 0, errors.New("the lines of the file end in CR alone: save it as CSV UTF-8 with line ends CRLF or LF")
	}
	comma, err = separator(line)
	return b, comma, skipped, err
}

// guard ends reading a file that is too long.
type guard struct{ l *io.LimitedReader }

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.l.Read(p)
	if g.l.N <= 0 {
		return 0, fmt.Errorf("the file has more than %d MiB: split it", MaxBytes>>20)
	}
	return n, err
}

// separator finds what stands between the headings.
func separator(line []byte) (rune, error) {
	count := map[rune]int{}
	quoted := false
	for _, c := range string(line) {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == '\t' || c == '|'):
			count[c]++
		}
	}
	best := ','
	for _, c := range []rune{';', '\t', '|'} {
		if count[c] > count[best] {
			best = c
		}
	}
	for _, c := range []rune{',', ';', '\t', '|'} {
		if c != best && count[c] > 0 && count[c] == count[best] {
			return 0, fmt.Errorf("the first line has as many %q as %q: separate the columns by commas, and put headings with commas in quotation marks", c, best)
		}
	}
	if best == '|' {
		return 0, errors.New("the columns are separated by |: separate them by commas, semicolons or tabs")
	}
	return best, nil
}

// header reads the names of the columns.
func (r *reader) header(record []string) error {
	if len(record) > MaxColumns {
		return fmt.Errorf("the file has %d columns: at most %d", len(record), MaxColumns)
	}
	seen := map[string]string{}
	for i, title := range record {
		title = strings.TrimSpace(title)
		switch {
		case !utf8.ValidString(title):
			return errors.New("the first line is not UTF-8: save the file as CSV UTF-8")
		case title == "":
			return fmt.Errorf("column %d has no heading: the first line names the columns, such as id,jid,email,name,zone,language,manager,team,start", i+1)
		case strings.Contains(title, "@"):
			return fmt.Errorf("the first line has %q: it has to name the columns, such as id,jid,email,name,zone,language,manager,team,start", short(title))
		}
		h := head{title: title, column: headings[strings.ToLower(title)], field: -1}
		name := string(h.column)
		if h.column != "" {
			r.file.Columns = append(r.file.Columns, h.column)
		} else {
			name = audience.Name(title)
			h.field = len(r.file.Fields)
			r.file.Fields = append(r.file.Fields, audience.Field{Name: name, Kind: r.known[name], Doc: short(title)})
		}
		if before, twice := seen[name]; twice {
			return fmt.Errorf("the columns %q and %q are the same, %s: rename one, or leave it out", short(before), short(title), name)
		}
		seen[name] = title
		r.heads = append(r.heads, h)
	}
	if !r.has(ID) && !r.has(Email) && !r.has(JID) {
		return errors.New("the file has neither a column id nor email nor jid: people are known by one of them")
	}
	for _, f := range r.file.Fields {
		if slices.ContainsFunc(audience.Standard(), func(s audience.Field) bool { return s.Name == f.Name }) {
			return fmt.Errorf("a column cannot be called %q: that is worked out, give it another name", f.Doc)
		}
	}
	return nil
}

func (r *reader) has(c Column) bool { return slices.Contains(r.file.Columns, c) }

func (r *reader) problem(p Problem) {
	p.Value = short(p.Value)
	f := r.file
	if len(f.Problems) == 0 || f.Problems[len(f.Problems)-1].Line != p.Line {
		f.Refused++
	}
	f.Problems = append(f.Problems, p)
}

// line reads a person. The error ends it all.
func (r *reader) line(line int, record []string) error {
	if len(record) == 1 && strings.TrimSpace(record[0]) == "" {
		return nil
	}
	before := len(r.file.Problems)
	if len(record) > len(r.heads) && strings.TrimSpace(strings.Join(record[len(r.heads):], "")) != "" || len(record) < len(r.heads) {
		r.problem(Problem{Line: line, Text: fmt.Sprintf("%d columns, but the first line names %d", len(record), len(r.heads)),
			Write: "a value with a separator in it within quotation marks"})
		return nil
	}
	row := Row{Line: line}
	for i, h := range r.heads {
		value := Plain(strings.TrimSpace(record[i]))
		if !utf8.ValidString(value) {
			return fmt.Errorf("line %d, column %s is not UTF-8: save the file as CSV UTF-8", line, h.title)
		}
		w := (*wrong)(nil)
		if h.column != "" {
			w = r.set(&row, h.column, value)
		} else if field := r.file.Fields[h.field]; value != "" {
			if w = attribute(value, r.known[field.Name]); w == nil {
				if row.Attrs == nil {
					row.Attrs = map[string]string{}
				}
				row.Attrs[field.Name] = strings.Clone(value)
			}
		}
		if w != nil {
			r.problem(Problem{Line: line, Column: h.title, Value: value, Text: w.text, Write: w.write})
		}
	}
	if len(r.file.Problems) > before {
		return nil
	}
	if p := r.identify(&row); p != nil {
		r.problem(*p)
		return nil
	}
	if len(r.file.Rows) >= MaxRows {
		return fmt.Errorf("the file has more than %d people: split it, and import the parts without --leave-missing", MaxRows)
	}
	r.file.Rows = append(r.file.Rows, row)
	return nil
}

// identify finds the key of a person.
func (r *reader) identify(row *Row) *Problem {
	switch {
	case row.Key != "":
	case row.Email != "":
		row.Key = row.Email
	case row.Account != "":
		row.Key = row.Account + "@" + r.Domain
	default:
		return &Problem{Line: row.Line, Text: "nothing says who this is", Write: "an id, an e-mail address or an address in chat"}
	}
	if len(row.Key) > maxKey {
		return &Problem{Line: row.Line, Value: row.Key, Text: fmt.Sprintf("the person is known by more than %d bytes", maxKey), Write: "a shorter id"}
	}
	if line, twice := r.first[row.Key]; twice {
		return &Problem{Line: row.Line, Value: row.Key, Text: fmt.Sprintf("this person is in line %d already", line), Write: "one line for each person"}
	}
	r.first[row.Key] = row.Line
	return nil
}

// kinds finds out what the new attributes are, of all their values. One that has
// no values yet is no attribute.
func (r *reader) kinds() error {
	values := make([]string, 0, len(r.file.Rows))
	for i := range r.file.Fields {
		f := &r.file.Fields[i]
		if f.Kind != "" {
			continue
		}
		values = values[:0]
		for k := range r.file.Rows {
			if v := r.file.Rows[k].Attrs[f.Name]; v != "" {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			f.Kind = audience.Infer(values)
		}
	}
	r.file.Fields = slices.DeleteFunc(r.file.Fields, func(f audience.Field) bool { return f.Kind == "" })
	if len(r.file.Rows) == 0 && len(r.file.Problems) == 0 {
		return errors.New("the file has no people, only the names of the columns")
	}
	return nil
}
