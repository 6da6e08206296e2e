package stream

import "github.com/bearhug/bearhug/stanza"

// nsFraming is the namespace of <open/> and <close/> (RFC 7395 §3.3).
const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// AppendHeader appends a stream header: <stream:stream> with an XML
// declaration, or <open/> for WebSocket. An empty Version is written as 1.0.
func AppendHeader(dst []byte, h Header, ws bool) []byte {
	var x stanza.XML
	if ws {
		x.Start("open", "xmlns", nsFraming)
	} else {
		dst = append(dst, "<?xml version='1.0'?>"...)
		x.Start("stream:stream", "xmlns", stanza.NSClient, "xmlns:stream", stanza.NSStream)
	}
	attr := func(name, value string) {
		if value != "" {
			x.Attr(name, value)
		}
	}
	attr("from", h.From)
	attr("to", h.To)
	attr("id", h.ID)
	if h.Version == "" {
		h.Version = "1.0"
	}
	attr("version", h.Version)
	attr("xml:lang", h.Lang)
	b := x.Bytes()
	if !ws { // a header stays open: "/>" becomes ">"
		b = append(b[:len(b)-2], '>')
	}
	return append(dst, b...)
}

// AppendFeatures appends <stream:features/> around elements that are whole
// already (RFC 6120 §4.3.2).
func AppendFeatures(dst, features []byte, ws bool) []byte {
	var x stanza.XML
	start(&x, "stream:features", ws)
	return append(dst, x.Raw(features).Bytes()...)
}

// AppendFooter appends the end of a stream: </stream:stream> or <close/>.
func AppendFooter(dst []byte, ws bool) []byte {
	if ws {
		return append(dst, "<close xmlns='"+nsFraming+"'/>"...)
	}
	return append(dst, "</stream:stream>"...)
}
