package rehearse

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
)

// What our people's client says of itself (XEP-0115): all have the same.
const (
	discoNS    = "http://jabber.org/protocol/disco#info"
	capsNS     = "http://jabber.org/protocol/caps"
	clientNode = "https://bearhug.example/rehearse"
	clientName = "rehearse"
)

// capsHash is the hash of the client's abilities (XEP-0115 §5.1).
func capsHash() string {
	sum := sha1.Sum([]byte("client/pc//" + clientName + "<" + capsNS + "<" + discoNS + "<"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// presence is an available presence with a show, which may be empty.
func presence(show string, caps bool) string {
	p := "<presence xmlns='jabber:client'>"
	if show != "" {
		p += "<show>" + show + "</show>"
	}
	if caps {
		p += "<c xmlns='" + capsNS + "' hash='sha-1' node='" + clientNode + "' ver='" + capsHash() + "'/>"
	}
	return p + "</presence>"
}

// pushed notes the version of the roster that a push brings (RFC 6121 §2.6.3).
func (g *Guest) pushed(el []byte) {
	if at := bytes.Index(el, []byte("<query")); at >= 0 && bytes.HasPrefix(attr(el[at:], "xmlns"), []byte("jabber:iq:roster")) {
		if v := attr(el[at:], "ver"); v != nil {
			g.version = string(v)
			if g.login != nil { // it came in the middle of the sign-in
				g.login.version = g.version
			}
		}
	}
}

// answer answers a request, as clients must (RFC 6120 §8.2.3): roster pushes,
// pings, and what the client can do.
func (g *Guest) answer(el []byte) {
	kind := string(attr(el, "type"))
	if kind != "get" && kind != "set" {
		return
	}
	b := append(g.line.Buffer(), "<iq xmlns='jabber:client' type='result' id='"...)
	b = append(append(b, attr(el, "id")...), '\'')
	if from := attr(el, "from"); from != nil {
		b = append(append(append(b, " to='"...), from...), '\'')
	}
	b = append(b, '>')
	if at := bytes.Index(el, []byte(discoNS)); kind == "get" && at >= 0 {
		start := bytes.LastIndexByte(el[:at], '<')
		b = append(b, "<query xmlns='"+discoNS+"'"...)
		if node := attr(el[start:], "node"); node != nil {
			b = append(append(append(b, " node='"...), node...), '\'')
		}
		b = append(b, "><identity category='client' type='pc' name='"+clientName+"'/><feature var='"+capsNS+"'/><feature var='"+discoNS+"'/></query>"...)
	}
	g.line.Sent(append(b, "</iq>"...))
	g.sent++
}
