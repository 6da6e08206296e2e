package stanza

import "github.com/bearhug/bearhug/jid"

// Limits bound what a peer may send. Zero fields take the defaults.
type Limits struct {
	Bytes int // of one first-level element; default 262,144
	Depth int // of nested elements, the first level counted; default 64
	Attrs int // of one element, namespace declarations counted; default 64
}

// maxBinds bounds the namespace declarations in force at one place, so that
// looking one up stays cheap whatever is sent.
const maxBinds = 64

// SyntaxError is a document that is refused. Condition is the stream error it
// ends the stream with (RFC 6120 §4.9.3).
type SyntaxError struct{ Condition, Text string }

// Error says condition and text.
func (e *SyntaxError) Error() string { return e.Condition + ": " + e.Text }

// refuse makes a SyntaxError.
func refuse(condition, text string) error { return &SyntaxError{condition, text} }

// malformed is the SyntaxError of a document that is not well-formed XML.
func malformed(text string) error { return refuse("not-well-formed", text) }

// mode is where a scan stopped.
type mode uint8

const (
	inText  mode = iota // between tags
	inTag               // in a tag that is not complete
	inCDATA             // in a CDATA section
	atEnd               // the element is complete
)

// open is an element whose end tag has not come.
type open struct {
	name, nameEnd uint32 // qualified name, to compare with the end tag
	def           ref    // default namespace inside
	stream        bool   // it is that of streams
	binds         int    // declarations in force outside
}

// bind is a prefix declared inside the document.
type bind struct {
	name, nameEnd uint32
	uri           ref
	stream        bool // uri is that of streams
}

// attr is where an attribute of the tag being read lies.
type attr struct {
	name, colon, nameEnd uint32 // colon is 0 without prefix
	value, valueEnd      uint32
	decl                 bool // xmlns or xmlns:p
}

// Scanner frames and validates one first-level element at a time. Its memory
// is reused from element to element. The zero Scanner is ready for the default
// limits and no scope.
type Scanner struct {
	lim   Limits
	scope *Scope

	pos   int // everything before is validated
	mode  mode
	quote byte // inTag: the quote that is open, or 0
	seek  int  // inTag: how far its end was looked for

	stack  []open
	binds  []bind
	attrs  []attr
	header bool // only a start tag is wanted

	root elem
	st   Stanza
}

// Reset begins a new element under a scope, which may be nil.
func (sc *Scanner) Reset(scope *Scope, lim Limits) {
	if lim.Bytes <= 0 {
		lim.Bytes = 262144
	}
	if lim.Depth <= 0 {
		lim.Depth = 64
	}
	if lim.Attrs <= 0 {
		lim.Attrs = 64
	}
	sc.lim, sc.scope = lim, scope
	sc.pos, sc.mode, sc.header = 0, inText, false
	sc.stack, sc.binds = sc.stack[:0], sc.binds[:0]
	sc.st.nchild, sc.st.used = 0, 0
}

// Partial says whether a scan has begun and waits for more bytes.
func (sc *Scanner) Partial() bool { return sc.pos > 0 || sc.mode == inTag }

// Scan goes on with the element that begins at b[0], a '<'. It returns its
// length when it is complete, and 0 when more bytes are needed; then the next
// call must bring the same bytes and more, and goes on where this one stopped.
// After an error or a length a Reset is due. Errors are *SyntaxError.
func (sc *Scanner) Scan(b []byte) (n int, err error) {
	more := true
	for more && err == nil && sc.mode != atEnd {
		switch sc.mode {
		case inText:
			if len(sc.stack) > 0 {
				if more, err = sc.text(b); !more || err != nil {
					continue
				}
			}
			more, err = sc.tag(b)
		case inTag:
			more, err = sc.tagEnd(b)
		case inCDATA:
			more, err = sc.cdata(b)
		}
	}
	if err != nil {
		return 0, err
	}
	if sc.mode == atEnd {
		n = sc.pos
	}
	if n > sc.lim.Bytes || (n == 0 && len(b) > sc.lim.Bytes) {
		return 0, refuse("policy-violation", "stanza is too large")
	}
	return n, nil
}

// ScanHeader is Scan for a start tag alone, the header of a stream. Its
// Element has no content.
func (sc *Scanner) ScanHeader(b []byte) (n int, err error) {
	sc.header = true
	return sc.Scan(b)
}

// Element views what was scanned; b is what Scan was given.
func (sc *Scanner) Element(b []byte) Element {
	return Element{doc: b[:sc.pos:sc.pos], scope: sc.scope, elem: sc.root}
}

// Stanza views what was scanned as a stanza; false when it is none, that is
// not an unprefixed message, presence or iq of jabber:client. The Stanza is
// reused by the next scan.
func (sc *Scanner) Stanza(b []byte) (*Stanza, bool) {
	s := &sc.st
	if sc.root.name != 1 || !refIs(b, sc.scope, sc.root.ns, NSClient) {
		return nil, false
	}
	switch string(b[sc.root.name:sc.root.nameEnd]) {
	case "message":
		s.Kind = Message
	case "presence":
		s.Kind = Presence
	case "iq":
		s.Kind = IQ
	default:
		return nil, false
	}
	s.doc, s.scope, s.root = b[:sc.pos:sc.pos], sc.scope, sc.root
	s.From, s.To = jid.JID{}, jid.JID{}
	s.Type = typeOf(s.Kind, b[s.typ.off:s.typ.end], s.typ.off != 0)
	return s, true
}
