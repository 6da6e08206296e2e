package stream

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// trimAbove is how large crypto/tls's buffer of raw records may stay while a
// connection is idle.
const trimAbove = 4096

// tlsLayout is where crypto/tls keeps the buffers that it never shrinks
// (golang/go#43563): raw holds records as they come and grows to the largest
// one ever seen, hand holds handshake messages, input what was decrypted.
type tlsLayout struct {
	raw, hand, input uintptr
	ok               bool
}

// layoutOfTLS finds the fields; with another layout nothing is trimmed.
var layoutOfTLS = func() (l tlsLayout) {
	t := reflect.TypeFor[tls.Conn]()
	field := func(name string, typ reflect.Type) uintptr {
		f, ok := t.FieldByName(name)
		l.ok = l.ok && ok && f.Type == typ
		return f.Offset
	}
	l.ok = true
	l.raw = field("rawInput", reflect.TypeFor[bytes.Buffer]())
	l.hand = field("hand", reflect.TypeFor[bytes.Buffer]())
	l.input = field("input", reflect.TypeFor[bytes.Reader]())
	return l
}()

// trimTLS gives back buffers of a TLS connection that has nothing in them and
// is about to be idle: those larger than above. It is called by the one who
// reads the connection; writers do not touch these fields.
func trimTLS(t *tls.Conn, above int) {
	if !layoutOfTLS.ok {
		return
	}
	at := unsafe.Pointer(t)
	raw := (*bytes.Buffer)(unsafe.Add(at, layoutOfTLS.raw))
	hand := (*bytes.Buffer)(unsafe.Add(at, layoutOfTLS.hand))
	input := (*bytes.Reader)(unsafe.Add(at, layoutOfTLS.input))
	if raw.Len() > 0 || hand.Len() > 0 || input.Len() > 0 {
		return
	}
	if raw.Cap() > above {
		*raw = bytes.Buffer{}
		input.Reset(nil) // it points into raw
	}
	if hand.Cap() > 0 {
		*hand = bytes.Buffer{}
	}
}
