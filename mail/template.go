package mail

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// A Text is the words of an e-mail in one language, with {{.field}} where
// something of the person belongs, {{default .field "there"}} where it may be
// missing, and {{if .field}}…{{else}}…{{end}}.
type Text struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html,omitempty"` // "": made from Text
}

// maxTemplate is the greatest part of a template, bytes.
const maxTemplate = 64 << 10

// A Template is an e-mail in several languages. It is safe for many goroutines.
type Template struct {
	languages map[string]*compiled
	fallback  string
}

type compiled struct {
	subject, text *template.Template
	html          *htmltemplate.Template // nil: made from the text
}

// ParseTemplate checks the texts against the fields there are: an unknown one
// is refused with the one that was meant. The fallback language must be among
// the texts.
func ParseTemplate(texts map[string]Text, fallback string, fields []string) (*Template, error) {
	if _, ok := texts[fallback]; !ok {
		return nil, fmt.Errorf("e-mail template: there is no text in the fallback language %q", fallback)
	}
	t := &Template{languages: make(map[string]*compiled, len(texts)), fallback: strings.ToLower(fallback)}
	var problems []error
	for language, text := range texts {
		c, err := compile(text, fields)
		if err != nil {
			problems = append(problems, fmt.Errorf("e-mail template, language %s: %w", language, err))
			continue
		}
		if _, twice := t.languages[strings.ToLower(language)]; twice {
			problems = append(problems, fmt.Errorf("e-mail template: language %s is there twice", strings.ToLower(language)))
		}
		t.languages[strings.ToLower(language)] = c
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(problems...)
	}
	return t, nil
}

// functions are all that a template may call: no printf, which makes a
// gigabyte of one number.
var functions = [...]string{"default", "and", "or", "not", "eq", "ne"}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func compile(text Text, fields []string) (*compiled, error) {
	if strings.TrimSpace(text.Subject) == "" || strings.TrimSpace(text.Text) == "" {
		return nil, errors.New("subject and text are needed")
	}
	if err := header("subject", text.Subject); err != nil {
		return nil, err
	}
	c := new(compiled)
	var err error
	part := func(name, body string) *template.Template {
		if err != nil {
			return nil
		}
		var t *template.Template
		if t, err = parsePart(name, body, fields); err != nil {
			return nil
		}
		return t
	}
	c.subject, c.text = part("subject", text.Subject), part("text", text.Text)
	if text.HTML != "" {
		part("html", text.HTML)
		if err == nil {
			c.html, err = htmltemplate.New("html").Funcs(htmltemplate.FuncMap{"default": orDefault}).Parse(text.HTML)
		}
	}
	if err == nil {
		err = c.rehearse(fields)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// rehearse runs the template with nothing and with all there is: a function
// with too few arguments, and a place that HTML cannot be escaped for, are found
// when it runs, and that must not be at a person's turn.
func (c *compiled) rehearse(fields []string) error {
	all := make(map[string]string, len(fields))
	for _, f := range fields {
		all[f] = "x"
	}
	for _, values := range [...]map[string]string{{}, all} {
		for _, t := range [...]*template.Template{c.subject, c.text} {
			if err := t.Execute(new(page), values); err != nil {
				return fmt.Errorf("%s: %s", t.Name(), strings.TrimPrefix(err.Error(), "template: "))
			}
		}
		if c.html != nil {
			if err := c.html.Execute(new(page), values); err != nil {
				return err
			}
		}
	}
	return nil
}

// A page is what a template writes to: at most MaxBody.
type page struct{ text strings.Builder }

func (p *page) Write(b []byte) (int, error) {
	if p.text.Len()+len(b) > MaxBody {
		return 0, fmt.Errorf("it comes to more than %d bytes", MaxBody)
	}
	return p.text.Write(b)
}

func parsePart(name, body string, fields []string) (*template.Template, error) {
	if len(body) > maxTemplate {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxTemplate)
	}
	t, err := template.New(name).Option("missingkey=zero").Funcs(template.FuncMap{"default": orDefault}).Parse(body)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	for _, sub := range t.Templates() {
		if sub != t {
			return nil, fmt.Errorf("%s: define and block are not for e-mail", name)
		}
	}
	if err := allowed(t.Tree, t.Root, fields); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// allowed walks the tree: fields that exist, if, and a few functions.
func allowed(tree *parse.Tree, n parse.Node, fields []string) error {
	switch n := n.(type) {
	case nil, *parse.TextNode, *parse.StringNode, *parse.BoolNode, *parse.CommentNode:
		return nil
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return each(tree, n.Nodes, fields)
	case *parse.ActionNode:
		return allowed(tree, n.Pipe, fields)
	case *parse.IfNode:
		return errors.Join(allowed(tree, n.Pipe, fields), allowed(tree, n.List, fields), allowed(tree, n.ElseList, fields))
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		if len(n.Decl) > 0 {
			return wrong(tree, n, "variables are not for e-mail")
		}
		for _, c := range n.Cmds {
			if err := each(tree, c.Args, fields); err != nil {
				return err
			}
		}
		return nil
	case *parse.IdentifierNode:
		if slices.Contains(functions[:], n.Ident) {
			return nil
		}
		return wrong(tree, n, fmt.Sprintf("unknown function %s; there are %s", n.Ident, strings.Join(functions[:], ", ")))
	case *parse.FieldNode:
		if len(n.Ident) == 1 && slices.Contains(fields, n.Ident[0]) {
			return nil
		}
		name := strings.Join(n.Ident, ".")
		if meant := nearest(name, fields); meant != "" {
			return wrong(tree, n, fmt.Sprintf("unknown field %s; did you mean %s?", name, meant))
		}
		return wrong(tree, n, fmt.Sprintf("unknown field %s; there are %s", name, strings.Join(fields, ", ")))
	}
	return wrong(tree, n, fmt.Sprintf("%s is not for e-mail", n))
}

func each(tree *parse.Tree, nodes []parse.Node, fields []string) error {
	for _, n := range nodes {
		if err := allowed(tree, n, fields); err != nil {
			return err
		}
	}
	return nil
}

func wrong(tree *parse.Tree, n parse.Node, what string) error {
	place, _ := tree.ErrorContext(n)
	// part:line:column; the part is said by the caller.
	if _, after, ok := strings.Cut(place, ":"); ok {
		return fmt.Errorf("line %s: %s", after, what)
	}
	return errors.New(what)
}

// nearest is the field at most two edits away, or "".
func nearest(name string, fields []string) string {
	best, at := "", 3
	for _, f := range fields {
		if d := edits(strings.ToLower(name), strings.ToLower(f)); d < at {
			best, at = f, d
		}
	}
	return best
}

// edits is Levenshtein's distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last
			if a[i-1] != b[j-1] {
				cost++
			}
			last = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// Language is the language of the texts that a person who reads the given one
// gets: the same, the same without its region, or the fallback.
func (t *Template) Language(wanted string) string {
	wanted = strings.ToLower(wanted)
	for {
		if _, ok := t.languages[wanted]; ok {
			return wanted
		}
		i := strings.LastIndexByte(wanted, '-')
		if i < 0 {
			return t.fallback
		}
		wanted = wanted[:i]
	}
}

// Render fills a text of [Template.Language] in. Control characters in the
// values become spaces: a name adds no header, and no paragraph of its own. A
// subject that comes out too long is cut.
func (t *Template) Render(language string, values map[string]string) (Text, error) {
	c := t.languages[t.Language(language)]
	plain := make(map[string]string, len(values))
	for k, v := range values {
		plain[k] = oneLine(v)
	}
	var out Text
	for _, part := range [...]struct {
		t  *template.Template
		to *string
	}{{c.subject, &out.Subject}, {c.text, &out.Text}} {
		var p page
		if err := part.t.Execute(&p, plain); err != nil {
			return Text{}, fmt.Errorf("%s: %w", part.t.Name(), err)
		}
		*part.to = p.text.String()
	}
	out.Subject = strings.TrimSpace(out.Subject)
	if r := []rune(out.Subject); len(r) > MaxSubject {
		out.Subject = string(r[:MaxSubject-1]) + "…"
	}
	if c.html == nil {
		out.HTML = htmlOf(out.Text)
		return out, nil
	}
	var p page
	if err := c.html.Execute(&p, plain); err != nil {
		return Text{}, fmt.Errorf("html: %w", err)
	}
	out.HTML = p.text.String()
	return out, nil
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029'
	}), " ")
}

// htmlOf makes a readable page of a text: paragraphs, line breaks, links.
func htmlOf(text string) string {
	var b strings.Builder
	b.WriteString("<!doctype html><html><body style=\"font-family:sans-serif;font-size:16px;line-height:1.5;max-width:36em\">\n")
	for _, paragraph := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if paragraph = strings.TrimSpace(paragraph); paragraph == "" {
			continue
		}
		b.WriteString("<p>")
		for i, line := range strings.Split(paragraph, "\n") {
			if i > 0 {
				b.WriteString("<br>\n")
			}
			for j, word := range strings.Split(line, " ") {
				if j > 0 {
					b.WriteByte(' ')
				}
				escaped := htmltemplate.HTMLEscapeString(word)
				if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://") {
					fmt.Fprintf(&b, "<a href=\"%s\">%s</a>", escaped, escaped)
				} else {
					b.WriteString(escaped)
				}
			}
		}
		b.WriteString("</p>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
