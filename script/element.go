package script

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Namespaces that scripts use without declaring them.
const (
	nsClient  = "jabber:client"
	nsStream  = "http://etherx.jabber.org/streams"
	nsMarks   = "urn:bearhug:script"
	nsXML     = "http://www.w3.org/XML/1998/namespace"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsSID     = "urn:xmpp:sid:0"
	nsDelay   = "urn:xmpp:delay"
	nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"
	nsSM      = "urn:xmpp:sm:3"
)

// An Element is an XML element with its names resolved. Scripts are small, so here is the one tree of the house:
// it serves comparison and failure messages, never the server.
type Element struct {
	NS, Local string
	Attrs     []Attr
	Nodes     []Node
	Line      int    // of its start tag in the script; 0 for what was received
	Raw       []byte // as it stood
}

// An Attr is an attribute with its name resolved; NS is "" for the usual ones.
type Attr struct{ NS, Local, Value string }

// A Node is a child element or a run of character data.
type Node struct {
	Element *Element
	Text    string
}

// Attr returns the value of an attribute without a namespace.
func (e *Element) Attr(local string) (string, bool) { return e.attrNS("", local) }

func (e *Element) attrNS(ns, local string) (string, bool) {
	for _, a := range e.Attrs {
		if a.NS == ns && a.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// Children are the child elements, in order.
func (e *Element) Children() []*Element {
	var out []*Element
	for _, n := range e.Nodes {
		if n.Element != nil {
			out = append(out, n.Element)
		}
	}
	return out
}

// Child is the first child element of that name, or nil.
func (e *Element) Child(ns, local string) *Element {
	for _, n := range e.Nodes {
		if n.Element != nil && n.Element.NS == ns && n.Element.Local == local {
			return n.Element
		}
	}
	return nil
}

// Text is the character data that stands directly in the element.
func (e *Element) Text() string {
	var b strings.Builder
	for _, n := range e.Nodes {
		if n.Element == nil {
			b.WriteString(n.Text)
		}
	}
	return b.String()
}

// is says whether this is the element of that name.
func (e *Element) is(ns, local string) bool { return e.NS == ns && e.Local == local }

// isStanza says whether this is a message, presence or iq.
func (e *Element) isStanza() bool {
	return e.NS == nsClient && (e.Local == "message" || e.Local == "presence" || e.Local == "iq")
}

// String shows the element with every namespace where it changes and attributes in order of their names, so that two
// equal elements look the same.
func (e *Element) String() string {
	var b strings.Builder
	e.show(&b, "", "")
	return b.String()
}

func (e *Element) show(b *strings.Builder, parent, indent string) {
	b.WriteString(indent + "<" + e.Local)
	if e.NS != parent {
		fmt.Fprintf(b, " xmlns='%s'", escapeAttr(e.NS))
	}
	attrs := append([]Attr(nil), e.Attrs...)
	sort.Slice(attrs, func(i, j int) bool { return attrs[i].NS+attrs[i].Local < attrs[j].NS+attrs[j].Local })
	for _, a := range attrs {
		name := a.Local
		switch a.NS {
		case "":
		case nsXML:
			name = "xml:" + name
		case nsMarks:
			name = "s:" + name
		default:
			name = "{" + a.NS + "}" + name
		}
		fmt.Fprintf(b, " %s='%s'", name, escapeAttr(a.Value))
	}
	if len(e.Nodes) == 0 {
		b.WriteString("/>\n")
		return
	}
	b.WriteString(">")
	if len(e.Children()) == 0 {
		b.WriteString(escapeText(e.Text()) + "</" + e.Local + ">\n")
		return
	}
	b.WriteString("\n")
	for _, n := range e.Nodes {
		if n.Element != nil {
			n.Element.show(b, e.NS, indent+"  ")
		} else if t := strings.TrimSpace(n.Text); t != "" {
			b.WriteString(indent + "  " + escapeText(t) + "\n")
		}
	}
	b.WriteString(indent + "</" + e.Local + ">\n")
}

var (
	textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	attrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", "\"", "&quot;",
		"\n", "&#10;", "\t", "&#9;", "\r", "&#13;")
)

func escapeText(s string) string { return textEscaper.Replace(s) }
func escapeAttr(s string) string { return attrEscaper.Replace(s) }

// scope is a chain of prefix declarations.
type scope struct {
	up   *scope
	decl map[string]string
}

func (s *scope) find(prefix string) (string, bool) {
	for ; s != nil; s = s.up {
		if ns, ok := s.decl[prefix]; ok {
			return ns, true
		}
	}
	return "", false
}

// streamScope is what a TCP stream header declares.
func streamScope() *scope {
	return &scope{decl: map[string]string{"": nsClient, "stream": nsStream, "xml": nsXML}}
}

// scriptScope adds the marks.
func scriptScope() *scope {
	return &scope{up: streamScope(), decl: map[string]string{"s": nsMarks}}
}

// frameScope declares nothing: a WebSocket message is a document of its own.
func frameScope() *scope {
	return &scope{decl: map[string]string{"": "", "xml": nsXML}}
}

// parseElements reads a run of elements; line is that of the first byte.
func parseElements(b []byte, line int, sc *scope) ([]*Element, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	d.CharsetReader = nil
	p := reader{d: d, src: b, line: line}
	var out []*Element
	for {
		at := d.InputOffset()
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			e, err := p.element(t, sc, at, 0)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return nil, fmt.Errorf("text %q outside of an element", strings.TrimSpace(string(t)))
			}
		default:
			return nil, fmt.Errorf("%T outside of an element", t)
		}
	}
}

// reader builds elements out of raw tokens: names are resolved here since encoding/xml lets unbound prefixes and
// duplicate attributes pass.
type reader struct {
	d    *xml.Decoder
	src  []byte
	line int
}

// maxDepth bounds the recursion of the reader and of what works on its trees.
const maxDepth = 200

func (p *reader) element(t xml.StartElement, up *scope, at int64, depth int) (*Element, error) {
	if depth > maxDepth {
		return nil, errors.New("elements nested too deep")
	}
	sc := &scope{up: up, decl: map[string]string{}}
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			sc.decl[""] = a.Value
		case a.Name.Space == "xmlns":
			if a.Value == "" {
				return nil, fmt.Errorf("prefix %q is bound to nothing", a.Name.Local)
			}
			sc.decl[a.Name.Local] = a.Value
		}
	}
	e := &Element{Local: t.Name.Local, Line: p.line + bytes.Count(p.src[:at], []byte{'\n'})}
	var ok bool
	if e.NS, ok = sc.find(t.Name.Space); !ok {
		return nil, fmt.Errorf("prefix %q of <%s:%s> is not declared", t.Name.Space, t.Name.Space, t.Name.Local)
	}
	if err := e.resolveAttrs(t.Attr, sc); err != nil {
		return nil, err
	}
	for {
		from := p.d.InputOffset()
		tok, err := p.d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("<%s> has no end", e.Local)
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			c, err := p.element(tok, sc, from, depth+1)
			if err != nil {
				return nil, err
			}
			e.Nodes = append(e.Nodes, Node{Element: c})
		case xml.EndElement:
			if tok.Name != t.Name {
				return nil, fmt.Errorf("<%s> is ended by </%s>", t.Name.Local, tok.Name.Local)
			}
			e.Raw = p.src[at:p.d.InputOffset()]
			return e, nil
		case xml.CharData:
			e.addText(string(tok))
		default:
			return nil, fmt.Errorf("%T in <%s>", tok, e.Local)
		}
	}
}

func (e *Element) addText(s string) {
	if n := len(e.Nodes); n > 0 && e.Nodes[n-1].Element == nil {
		e.Nodes[n-1].Text += s
		return
	}
	e.Nodes = append(e.Nodes, Node{Text: s})
}

func (e *Element) resolveAttrs(raw []xml.Attr, sc *scope) error {
	for _, a := range raw {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		n := Attr{Local: a.Name.Local, Value: a.Value}
		if a.Name.Space != "" {
			ns, ok := sc.find(a.Name.Space)
			if !ok {
				return fmt.Errorf("prefix %q of attribute %s is not declared", a.Name.Space, a.Name.Local)
			}
			n.NS = ns
		}
		if _, twice := e.attrNS(n.NS, n.Local); twice {
			return fmt.Errorf("attribute %s stands twice in <%s>", n.Local, e.Local)
		}
		e.Attrs = append(e.Attrs, n)
	}
	return nil
}

// parseOne reads exactly one element.
func parseOne(b []byte, sc *scope) (*Element, error) {
	es, err := parseElements(b, 0, sc)
	if err != nil {
		return nil, err
	}
	if len(es) != 1 {
		return nil, fmt.Errorf("%d elements where one belongs", len(es))
	}
	return es[0], nil
}
