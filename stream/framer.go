package stream

import (
	"bytes"
	"errors"
	"strings"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// ItemKind says what an Item is.
type ItemKind uint8

// What a stream carries on its first level.
const (
	None    ItemKind = iota // nothing for the reader: white space, an XML declaration
	Open                    // stream header, <open/>
	Close                   // stream end, <close/>
	Stanza                  // message, presence, iq of jabber:client
	Element                 // any other element
)

// Item is one thing read from a stream. It and all it points to are valid until
// the next call of Next, in a Conn until the handler returns.
type Item struct {
	Kind    ItemKind
	Stanza  *stanza.Stanza // of Stanza
	Element stanza.Element // of Stanza and Element, and of Open and Close over WebSocket
	Header  *Header        // of Open
	Span    *feature.Span  // measures the handling of the item; set by Conn
}

// Header is a stream header (RFC 6120 §4.7). Strings are empty where the
// attribute is absent.
type Header struct {
	To, From, ID, Version, Lang string
}

// Limits bound what a peer may send.
type Limits = stanza.Limits

// maxProlog bounds what comes before the header, and the end tag of a stream.
const maxProlog = 256

// usualRoot is the root element of nearly all streams.
const usualRoot = "stream:stream"

// defaultBytes is the limit of one item when none is set.
const defaultBytes = 262144

// maxDecls bounds the namespaces a stream header declares.
const maxDecls = 64

// Framer cuts the bytes of one stream into items. Between items it holds a few
// words only.
type Framer struct {
	lim   Limits
	ws    bool
	open  bool // the header has been read
	decl  bool // the XML declaration has been read
	begun bool // sc is inside of an element
	root  string
	scope *stanza.Scope
	sc    *stanza.Scanner // nil until needed; a Conn takes it back when idle
}

// NewFramer makes a framer that expects a header. ws: each call of Next brings
// one whole message of RFC 7395.
func NewFramer(ws bool, lim Limits) *Framer { return &Framer{ws: ws, lim: lim} }

// SetLimits holds from the next item on.
func (f *Framer) SetLimits(lim Limits) { f.lim = lim }

// Restart expects a new header: after TLS and SASL (RFC 6120 §4.3.3).
func (f *Framer) Restart() {
	f.open, f.decl, f.begun, f.root, f.scope = false, false, false, "", nil
}

// Next reads the first item of buf into it and returns how many bytes it took.
// With n 0 and no error more bytes are needed: the next call brings the same
// bytes and more, and reading goes on where it stopped. With kind None the
// bytes are passed over. Errors are *Error and end the stream.
func (f *Framer) Next(buf []byte, it *Item) (n int, err error) {
	*it = Item{}
	if !f.begun {
		for n < len(buf) && (buf[n] == ' ' || buf[n] == '\n' || buf[n] == '\r' || buf[n] == '\t') {
			n++
		}
		if n > 0 || len(buf) == 0 {
			return n, nil
		}
		if buf[0] != '<' {
			return 0, &Error{Condition: BadFormat, Text: "character data between stanzas"}
		}
		if !f.ws {
			if n, done, err := f.outside(buf, it); done {
				return n, err
			}
		}
		if f.sc == nil {
			f.sc = new(stanza.Scanner)
		}
		f.sc.Reset(f.scope, f.lim)
		f.begun = true
	}
	if !f.ws && !f.open {
		return f.header(buf, it)
	}
	return f.element(buf, it)
}

// outside reads what is no element: an XML declaration before the header, the
// end tag of the stream after it. done is false when buf begins with neither.
func (f *Framer) outside(buf []byte, it *Item) (n int, done bool, err error) {
	if len(buf) == 1 {
		return 0, true, nil
	}
	switch {
	case buf[1] == '?' && !f.open && !f.decl:
		n, err = xmlDecl(buf)
		f.decl = n > 0
		return n, true, err
	case buf[1] == '/' && f.open:
		n, err = f.end(buf)
		if n > 0 {
			it.Kind = Close
		}
		return n, true, err
	}
	return 0, false, nil
}

// end reads the end tag of the stream.
func (f *Framer) end(buf []byte) (int, error) {
	i := bytes.IndexByte(buf[:min(len(buf), maxProlog)], '>')
	if i < 0 {
		if len(buf) >= maxProlog || !bytes.HasPrefix([]byte(f.root), buf[2:min(len(buf), 2+len(f.root))]) {
			return 0, &Error{Condition: NotWellFormed, Text: "end tag without start tag"}
		}
		return 0, nil
	}
	if strings.TrimRight(string(buf[2:i]), " \t\r\n") != f.root {
		return 0, &Error{Condition: NotWellFormed, Text: "end tag without start tag"}
	}
	return i + 1, nil
}

// xmlDecl reads <?xml …?> (XML 1.0 §2.8).
func xmlDecl(buf []byte) (int, error) {
	const start = "<?xml"
	k := min(len(buf), len(start))
	if string(buf[:k]) != start[:k] || (len(buf) > k && !strings.ContainsRune(" \t\r\n", rune(buf[k]))) {
		return 0, &Error{Condition: RestrictedXML, Text: "processing instruction"}
	}
	end := bytes.Index(buf[:min(len(buf), maxProlog)], []byte("?>"))
	if end < 0 {
		if len(buf) >= maxProlog {
			return 0, &Error{Condition: NotWellFormed, Text: "XML declaration"}
		}
		return 0, nil
	}
	return end + 2, checkDecl(string(buf[k:end]))
}

// checkDecl checks the inside of an XML declaration: version, then encoding and
// standalone, which may be missing.
func checkDecl(s string) error {
	wrong := &Error{Condition: NotWellFormed, Text: "XML declaration"}
	next := 0
	for names := []string{"version", "encoding", "standalone"}; ; {
		t := strings.TrimLeft(s, " \t\r\n")
		if t == "" && next > 0 {
			return nil
		}
		if len(t) == len(s) {
			return wrong // no blank before it
		}
		name, rest, ok := strings.Cut(t, "=")
		name, rest = strings.TrimRight(name, " \t\r\n"), strings.TrimLeft(rest, " \t\r\n")
		if !ok || len(rest) < 2 || (rest[0] != '"' && rest[0] != '\'') {
			return wrong
		}
		value, after, ok := strings.Cut(rest[1:], rest[:1])
		i := next
		for i < len(names) && names[i] != name {
			i++
		}
		switch {
		case !ok || i == len(names) || (next == 0 && i != 0):
			return wrong
		case name == "version" && value != "1.0":
			return &Error{Condition: NotWellFormed, Text: "XML version is not 1.0"}
		case name == "encoding" && !strings.EqualFold(value, "UTF-8"):
			return &Error{Condition: UnsupportedEncoding, Text: "only UTF-8 is read here"}
		case name == "standalone" && value != "yes" && value != "no":
			return wrong
		}
		next, s = i+1, after
	}
}

// header reads <stream:stream …>.
func (f *Framer) header(buf []byte, it *Item) (int, error) {
	n, err := f.sc.ScanHeader(buf)
	if n == 0 || err != nil {
		return 0, streamError(err)
	}
	f.begun = false
	e := f.sc.Element(buf)
	switch {
	case string(e.Local()) != "stream":
		return 0, &Error{Condition: BadFormat, Text: "not a stream header"}
	case !e.Is(stanza.NSStream, "stream"):
		return 0, &Error{Condition: InvalidNamespace, Text: "not a stream header of " + stanza.NSStream}
	case buf[n-2] == '/':
		return 0, &Error{Condition: BadFormat, Text: "empty stream"}
	}
	scope, err := scopeOf(e)
	if err != nil {
		return 0, err
	}
	f.scope, f.open = scope, true
	if f.root = usualRoot; string(e.Name()) != usualRoot {
		f.root = string(e.Name())
	}
	it.Kind, it.Header = Open, headerOf(e)
	return n, nil
}

// headerOf reads the attributes of a header.
func headerOf(e stanza.Element) *Header {
	h := &Header{}
	for name, raw := range e.Attrs() {
		switch string(name) {
		case "to":
			h.To = stanza.Unescape(raw)
		case "from":
			h.From = stanza.Unescape(raw)
		case "id":
			h.ID = stanza.Unescape(raw)
		case "version":
			h.Version = stanza.Unescape(raw)
		case "xml:lang":
			h.Lang = stanza.Unescape(raw)
		}
	}
	return h
}

// The scopes that nearly all streams have; they are shared.
var (
	usualScope = &stanza.Scope{Decls: usualDecls}
	enScope    = &stanza.Scope{Decls: usualDecls, Lang: "en"}
	usualDecls = []stanza.Decl{{URI: stanza.NSClient}, {Prefix: "stream", URI: stanza.NSStream}}
)

// scopeOf collects what a header declares for all that follows.
func scopeOf(e stanza.Element) (*stanza.Scope, error) {
	s := &stanza.Scope{}
	for name, raw := range e.Attrs() {
		key := string(name)
		switch {
		case key == "xml:lang":
			s.Lang = stanza.Unescape(raw)
		case key == "xmlns":
			uri := stanza.Unescape(raw)
			if uri != stanza.NSClient && uri != stanza.NSStream {
				return nil, &Error{Condition: InvalidNamespace, Text: "content namespace is not " + stanza.NSClient}
			}
			s.Decls = append(s.Decls, stanza.Decl{URI: uri})
		case strings.HasPrefix(key, "xmlns:"):
			s.Decls = append(s.Decls, stanza.Decl{Prefix: key[6:], URI: stanza.Unescape(raw)})
		}
	}
	if len(s.Decls) > maxDecls {
		return nil, &Error{Condition: PolicyViolation, Text: "too many namespace declarations"}
	}
	if len(s.Decls) == 2 && usual(s.Decls) {
		switch s.Lang {
		case "":
			return usualScope, nil
		case "en":
			return enScope, nil
		}
	}
	return s, nil
}

// usual says whether two declarations are the usual ones, in either order.
func usual(d []stanza.Decl) bool {
	return (d[0] == usualDecls[0] && d[1] == usualDecls[1]) || (d[0] == usualDecls[1] && d[1] == usualDecls[0])
}

// element reads one first-level element.
func (f *Framer) element(buf []byte, it *Item) (int, error) {
	n, err := f.sc.Scan(buf)
	switch {
	case err != nil:
		return 0, streamError(err)
	case n == 0 && f.ws:
		return 0, &Error{Condition: NotWellFormed, Text: "a message must be one whole element"}
	case n == 0:
		return 0, f.again(buf)
	}
	f.begun = false
	if f.ws && len(bytes.TrimRight(buf[n:], " \t\r\n")) > 0 {
		return 0, &Error{Condition: NotWellFormed, Text: "a message must be one element only"}
	}
	if st, ok := f.sc.Stanza(buf); ok {
		if !f.open {
			return 0, &Error{Condition: BadFormat, Text: "stanza before <open/>"}
		}
		it.Kind, it.Stanza, it.Element = Stanza, st, st.Element()
	} else if err := f.nonza(f.sc.Element(buf), it); err != nil {
		return 0, err
	}
	if f.ws {
		n = len(buf)
	}
	return n, nil
}

// again refuses a second header inside of a stream, which would be read as an
// element that never ends.
func (f *Framer) again(buf []byte) error {
	if k := 1 + len(f.root); len(buf) > k && string(buf[1:k]) == f.root && strings.IndexByte(" \t\r\n/>", buf[k]) >= 0 {
		return &Error{Condition: BadFormat, Text: "stream header inside of a stream"}
	}
	return nil
}

// nonza sorts an element that is no stanza.
func (f *Framer) nonza(e stanza.Element, it *Item) error {
	it.Kind, it.Element = Element, e
	switch ns := e.NS(); {
	case f.ws && string(ns) == nsFraming:
		return f.framing(e, it)
	case !f.open:
		return &Error{Condition: BadFormat, Text: "no <open/>"}
	case len(ns) == 0:
		return &Error{Condition: InvalidNamespace, Text: "element without namespace"}
	case string(ns) == stanza.NSClient && e.Bytes()[1] != e.Local()[0]:
		return &Error{Condition: BadNamespacePrefix, Text: "stanzas have no prefix"}
	case string(ns) == stanza.NSClient:
		return &Error{Condition: UnsupportedStanzaType, Text: "not a message, presence or iq"}
	case string(ns) == stanza.NSStream && !e.Is(stanza.NSStream, "features") && !e.Is(stanza.NSStream, "error"):
		return &Error{Condition: BadFormat, Text: "stream header inside of a stream"}
	}
	return nil
}

// framing reads <open/> and <close/> (RFC 7395 §3.4, §3.6).
func (f *Framer) framing(e stanza.Element, it *Item) error {
	switch {
	case string(e.Local()) == "open" && !f.open:
		it.Kind, it.Header = Open, headerOf(e)
		f.open, f.scope = true, nil
		if it.Header.Lang != "" {
			f.scope = &stanza.Scope{Lang: it.Header.Lang}
		}
		return nil
	case string(e.Local()) == "close":
		it.Kind = Close
		return nil
	}
	return &Error{Condition: BadFormat, Text: "<open/> inside of a stream"}
}

// streamError is the stream error for what a scanner refused; nil for nil.
func streamError(err error) error {
	var se *stanza.SyntaxError
	if errors.As(err, &se) {
		return &Error{Condition: se.Condition, Text: se.Text}
	}
	return err
}
