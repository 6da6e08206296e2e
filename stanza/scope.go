package stanza

// The namespaces this package has to know.
const (
	NSClient  = "jabber:client"
	NSStream  = "http://etherx.jabber.org/streams"
	nsXML     = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS   = "http://www.w3.org/2000/xmlns/"
	maxScoped = 64 // declarations of a stream header that are kept: one bit each
)

// Decl is one namespace declaration; the prefix is empty for the default one.
type Decl struct{ Prefix, URI string }

// Scope is what a stream header declares for all stanzas after it. It is not
// changed once a stanza has been scanned under it. A nil Scope declares
// nothing, as for a WebSocket message (RFC 7395 §3.3.3).
type Scope struct {
	Decls []Decl // at most 64
	Lang  string // xml:lang of the stream, decoded, or empty
}

// find gives the number of the declaration of a prefix, counted from 1; 0 when
// there is none.
func (s *Scope) find(prefix []byte) uint32 {
	if s == nil {
		return 0
	}
	for i := range s.Decls {
		if s.Decls[i].Prefix == string(prefix) {
			return uint32(i + 1)
		}
	}
	return 0
}

// ref names a namespace without copying it: a piece of the document (off is
// never 0 there), or with off 0 the number of a declaration of the scope; the
// zero ref is "no namespace".
type ref struct{ off, len uint32 }

// refXML is the namespace the prefix xml is always bound to.
var refXML = ref{0, 1 << 31}
