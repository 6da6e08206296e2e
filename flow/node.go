package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A node is a value of a document with the place where it stands. YAML and
// JSON become the same nodes, so that everything after is one code.
type node struct {
	shape        shape
	text         string // of a scalar
	keys         []*node
	values       []*node // of a list or a mapping
	line, column int     // from 1; columns count characters
	quoted       bool    // the text begins one column after the node
	block        bool    // a block scalar: lines of its own below the node
}

// A shape is what a node is.
type shape uint8

const (
	isText shape = iota
	isNumber
	isBool
	isNull
	isList
	isMap
)

func (s shape) String() string {
	return [...]string{"a text", "a number", "true or false", "nothing", "a list", "a mapping"}[s]
}

// Limits of a document before anything is made of it.
const (
	maxDocument = 256 << 10 // bytes
	maxDepth    = 16        // levels of lists and mappings
	maxNodes    = 100_000
)

// read makes nodes of a document: JSON when it begins with a brace, else YAML.
func read(document []byte) (*node, Problems) {
	switch {
	case len(document) > maxDocument:
		return nil, Problems{{Line: 1, Column: 1, Text: fmt.Sprintf("the document has %d bytes; at most %d are read", len(document), maxDocument)}}
	case !utf8.Valid(document):
		return nil, Problems{{Line: invalidLine(document), Column: 1, Text: "the document is not UTF-8; save it in that encoding"}}
	}
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	if trimmed := bytes.TrimSpace(document); len(trimmed) == 0 {
		return nil, Problems{{Line: 1, Column: 1, Text: "the document is empty"}}
	} else if trimmed[0] == '{' {
		return readJSON(document)
	}
	return readYAML(document)
}

// invalidLine is the line of the first byte that is not UTF-8.
func invalidLine(document []byte) int {
	line := 1
	for len(document) > 0 {
		r, n := utf8.DecodeRune(document)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		document = document[n:]
	}
	return line
}

// yamlAt finds the line in the words of the YAML reader's errors.
var yamlAt = regexp.MustCompile(`line (\d+): `)

func readYAML(document []byte) (*node, Problems) {
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		return nil, Problems{yamlProblem(err)}
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, Problems{yamlProblem(err)}
		}
		return nil, Problems{{Line: second.Line, Column: 1, Text: "a file has one flow: put what follows “---” into a file of its own"}}
	}
	c := converter{}
	n := c.fromYAML(&root, 0)
	if c.problems != nil {
		return nil, c.problems
	}
	return n, nil
}

func yamlProblem(err error) Problem {
	p := Problem{Line: 1, Column: 1}
	if errors.Is(err, io.EOF) {
		p.Text = "the document is empty"
		return p
	}
	words := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlAt.FindStringSubmatch(words); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		words = strings.Replace(words, m[0], "", 1)
	}
	p.Text = "this is not YAML: " + words
	if strings.Contains(words, "did not find expected") || strings.Contains(words, "mapping values are not allowed") {
		p.Text += " (a text with ? : { or quotation marks in it stands in quotation marks)"
	}
	return p
}

// A converter makes nodes of the YAML reader's.
type converter struct {
	problems Problems
	nodes    int
}

func (c *converter) fail(y *yaml.Node, format string, args ...any) *node {
	c.problems = append(c.problems, Problem{Line: max(1, y.Line), Column: max(1, y.Column), Text: fmt.Sprintf(format, args...)})
	return &node{shape: isNull}
}

func (c *converter) fromYAML(y *yaml.Node, depth int) *node {
	c.nodes++
	n := &node{line: max(1, y.Line), column: max(1, y.Column)}
	switch {
	case c.problems != nil:
		return n
	case c.nodes > maxNodes:
		return c.fail(y, "the document has more than %d values", maxNodes)
	case depth > maxDepth:
		return c.fail(y, "lists and mappings are nested deeper than %d", maxDepth)
	case y.Anchor != "":
		return c.fail(y, "anchors (&%s) are not read: write the text out where it is needed", y.Anchor)
	case strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!"):
		return c.fail(y, "the tag %s means nothing here: remove it", y.Tag)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		if len(y.Content) != 1 {
			return c.fail(y, "the document is empty")
		}
		return c.fromYAML(y.Content[0], depth)
	case yaml.AliasNode:
		return c.fail(y, "aliases (*%s) are not read: write the text out where it is needed", y.Value)
	case yaml.SequenceNode:
		n.shape = isList
		for _, v := range y.Content {
			n.values = append(n.values, c.fromYAML(v, depth+1))
		}
	case yaml.MappingNode:
		n.shape = isMap
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind != yaml.ScalarNode {
				return c.fail(key, "a key must be a word")
			}
			n.keys = append(n.keys, c.fromYAML(key, depth+1))
			n.values = append(n.values, c.fromYAML(y.Content[i+1], depth+1))
		}
	default:
		n.text = y.Value
		n.quoted = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
		n.block = y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
		switch y.ShortTag() {
		case "!!int", "!!float":
			n.shape = isNumber
		case "!!bool":
			n.shape = isBool
		case "!!null":
			n.shape = isNull
		}
	}
	return n
}

// readJSON reads one object with the standard's tokens, which know where they
// stand; the YAML reader would stumble over escaped emoji.
func readJSON(document []byte) (*node, Problems) {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(document)), document: document, line: 1, column: 1}
	r.decoder.UseNumber()
	n, err := r.value(0)
	if err == nil {
		if _, err = r.token(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err == nil {
			err = errors.New("something stands after the end of the object")
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.advance(len(document))
		err = errors.New("it ends too early: a bracket or a quotation mark is not closed")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		r.advance(int(min(syntax.Offset, int64(len(document)))) - 1)
	}
	return nil, Problems{{Line: r.line, Column: r.column, Text: "this is not JSON: " + err.Error()}}
}

type jsonReader struct {
	decoder      *json.Decoder
	document     []byte
	offset       int // line and column are of this byte
	line, column int
	nodes        int
}

// advance moves line and column on to a byte of the document.
func (r *jsonReader) advance(to int) {
	for r.offset < to && r.offset < len(r.document) {
		c, n := utf8.DecodeRune(r.document[r.offset:])
		r.offset += n
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
}

// token reads the next token and leaves line and column at its first byte.
func (r *jsonReader) token() (json.Token, error) {
	start := int(r.decoder.InputOffset())
	for start < len(r.document) && strings.IndexByte(" \t\r\n,:", r.document[start]) >= 0 {
		start++
	}
	r.advance(start)
	return r.decoder.Token()
}

func (r *jsonReader) value(depth int) (*node, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.line, column: r.column}
	if r.nodes++; r.nodes > maxNodes {
		return nil, fmt.Errorf("it has more than %d values", maxNodes)
	}
	switch t := t.(type) {
	case string:
		n.text, n.quoted = t, true
	case json.Number:
		n.shape, n.text = isNumber, t.String()
	case bool:
		n.shape, n.text = isBool, strconv.FormatBool(t)
	case nil:
		n.shape = isNull
	case json.Delim:
		if depth >= maxDepth {
			return nil, fmt.Errorf("lists and objects are nested deeper than %d", maxDepth)
		}
		n.shape = isList
		if t == '{' {
			n.shape = isMap
		}
		for r.decoder.More() {
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if n.shape == isMap && len(n.keys) == len(n.values) {
				n.keys = append(n.keys, v)
			} else {
				n.values = append(n.values, v)
			}
		}
		if _, err := r.token(); err != nil {
			return nil, err
		}
	}
	return n, nil
}
