package hostile

import (
	"strings"
	"testing"
)

// state is how far a stream has come before the bad input.
type state int

const (
	connected state = iota
	opened
	signedIn
	bound
)

// bad is some input and the stream error it deserves. With several any will
// do; "" stands for an end without an error, where no XMPP was spoken at all.
type bad struct {
	name  string
	at    []state
	input string
	want  []string
}

func badInput() []bad {
	early, late, all := []state{opened, signedIn}, []state{bound}, []state{opened, signedIn, bound}
	is := func(c ...string) []string { return c }
	const to = "<message to='bob@" + domain + "'>"
	return []bad{
		{"mismatched tags", all, to + "<body>x</bodi></message>", is("not-well-formed")},
		{"two less-than signs", all, "<<", is("not-well-formed")},
		{"attribute without quotes", all, "<iq type=get/>", is("not-well-formed")},
		{"attribute twice", all, "<iq id='1' id='2'/>", is("not-well-formed")},
		{"attribute twice by namespace", all, "<iq xmlns:a='urn:x' xmlns:b='urn:x' a:k='1' b:k='2'/>", is("not-well-formed")},
		{"less-than in an attribute", all, "<iq id='<'/>", is("not-well-formed")},
		{"two sections' end", all, to + "<body>]]></body></message>", is("not-well-formed")},
		{"undeclared prefix of an element", all, to + "<x:y/></message>", is("bad-namespace-prefix", "not-well-formed")},
		{"undeclared prefix of an attribute", all, to + "<body x:y='z'/></message>", is("bad-namespace-prefix", "not-well-formed")},
		{"prefix xmlns declared", all, to + "<body xmlns:xmlns='urn:x'/></message>", is("bad-namespace-prefix", "not-well-formed")},
		{"prefix undeclared again", all, to + "<body xmlns:p=''/></message>", is("bad-namespace-prefix", "not-well-formed")},
		{"child in the stream's prefix", late, to + "<stream:features/></message>", is("bad-namespace-prefix")},
		{"comment", all, "<!-- hello -->", is("restricted-xml")},
		{"comment inside", all, to + "<!-- hello --></message>", is("restricted-xml")},
		{"processing instruction", all, "<?php echo 1 ?>", is("restricted-xml")},
		{"processing instruction inside", all, to + "<?x y?></message>", is("restricted-xml")},
		{"document type", all, "<!DOCTYPE x>", is("restricted-xml")},
		{"document type inside", all, to + "<!DOCTYPE x></message>", is("restricted-xml")},
		{"document type at the start", []state{connected}, "<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + header, is("restricted-xml")},
		{"entity bomb", []state{connected}, "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>" +
			numbered("<!ENTITY lol%[1]d '&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;'>", 30) + "]>" + header, is("restricted-xml")},
		{"entity of nobody", all, to + "<body>&lol9;</body></message>", is("restricted-xml", "not-well-formed")},
		{"entity without end", all, to + "<body>&" + repeat("a", 5000) + "</body></message>", is("restricted-xml", "not-well-formed", "policy-violation")},
		{"character zero", all, to + "<body>\x00</body></message>", is("not-well-formed")},
		{"control character", all, to + "<body>\x0b</body></message>", is("not-well-formed")},
		{"reference to character zero", all, to + "<body>&#0;</body></message>", is("not-well-formed")},
		{"reference to a surrogate", all, to + "<body>&#xD800;</body></message>", is("not-well-formed")},
		{"reference beyond Unicode", all, to + "<body>&#x110000;</body></message>", is("not-well-formed")},
		{"half a character", all, to + "<body>\xc3</body></message>", is("not-well-formed", "bad-format", "unsupported-encoding")},
		{"overlong form", all, to + "<body>\xc0\xaf</body></message>", is("not-well-formed", "bad-format", "unsupported-encoding")},
		{"surrogate in UTF-8", all, to + "<body>\xed\xa0\x80</body></message>", is("not-well-formed", "bad-format", "unsupported-encoding")},
		{"Latin-1", all, to + "<body>caf\xe9</body></message>", is("not-well-formed", "bad-format", "unsupported-encoding")},
		{"UTF-16", []state{connected}, "\xff\xfe<\x00?\x00x\x00m\x00l\x00", is("unsupported-encoding", "not-well-formed", "bad-format")},
		{"text between stanzas", all, "hello", is("bad-format", "not-well-formed")},
		{"10 MB of text", early, to + "<body>" + repeat("0123456789", 1<<20), is("policy-violation")},
		{"10 MB of text", late, to + "<body>" + repeat("0123456789", 1<<20), is("policy-violation")},
		{"1 MB in an attribute", all, "<message to='" + repeat("a", 1<<20), is("policy-violation")},
		{"1 MB of a name", all, "<" + repeat("a", 1<<20), is("policy-violation")},
		{"a million attributes", all, "<message " + numbered("a%d='' ", 1_000_000) + "/>", is("policy-violation")},
		{"a million namespaces", all, "<message " + numbered("xmlns:a%[1]d='u:%[1]d' ", 1_000_000) + "/>", is("policy-violation")},
		{"100,000 elements deep", all, to + repeat("<a>", 100_000), is("policy-violation")},
		{"100,000 children", early, to + repeat("<a/>", 100_000), is("policy-violation")},
		{"10 MB of white space in a tag", all, "<message " + repeat(" ", 10<<20), is("policy-violation")},
		{"header of 1 MB", []state{connected}, header[:len(header)-1] + " x='" + repeat("y", 1<<20), is("policy-violation")},
		{"SSH", []state{connected}, "SSH-2.0-OpenSSH_9.9\r\n", is("bad-format", "not-well-formed", "")},
		{"HTTP", []state{connected}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", is("bad-format", "not-well-formed", "")},
		{"TLS where none was agreed", []state{connected}, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + repeat("\x11", 600), is("bad-format", "not-well-formed", "")},
		{"zeros", []state{connected}, repeat("\x00", 100_000), is("bad-format", "not-well-formed", "unsupported-encoding", "policy-violation", "")},
		{"another content namespace", []state{connected}, strings.Replace(header, "jabber:client", "jabber:server", 1), is("invalid-namespace")},
		{"another stream namespace", []state{connected}, strings.Replace(header, "etherx", "example", 1), is("invalid-namespace")},
		{"another domain", []state{connected}, strings.Replace(header, domain, "other.test", 1), is("host-unknown")},
		{"a domain of 5,000 characters", []state{connected}, strings.Replace(header, domain, repeat("a", 5000), 1), is("host-unknown", "improper-addressing")},
		{"no domain", []state{connected}, strings.Replace(header, " to='"+domain+"'", "", 1), is("host-unknown", "improper-addressing")},
		{"version 0.9", []state{connected}, strings.Replace(header, "version='1.0' xmlns", "version='0.9' xmlns", 1), is("unsupported-version")},
		{"stanza before the header", []state{connected}, to + "<body>x</body></message>", is("bad-format", "invalid-namespace", "not-well-formed", "invalid-xml")},

		{"stanza before sign-in", []state{opened}, to + "<body>x</body></message>", is("not-authorized")},
		{"binding before sign-in", []state{opened}, "<iq type='set' id='b'><bind xmlns='" + nsBind + "'/></iq>", is("not-authorized")},
		{"stanza before binding", []state{signedIn}, to + "<body>x</body></message>", is("not-authorized")},
		{"presence before binding", []state{signedIn}, "<presence/>", is("not-authorized")},
		{"header twice, with a declaration", all, header, is("restricted-xml", "not-well-formed")},
		{"header twice", all, header[len("<?xml version='1.0'?>"):], is("bad-format", "not-well-formed", "invalid-xml", "bad-namespace-prefix")},
		{"sign-in twice", []state{signedIn}, "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + plain("eve", "x") + "</auth>", is("policy-violation", "not-authorized")},
		{"TLS after binding", late, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", is("unsupported-stanza-type", "policy-violation")},
		{"sign-in after binding", late, "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>AA==</auth>", is("unsupported-stanza-type", "policy-violation")},
		{"what no stream knows", all, "<hello xmlns='urn:x'/>", is("unsupported-stanza-type", "not-authorized")},
		{"another sender", late, "<message from='bob@" + domain + "' to='ada@" + domain + "'/>", is("invalid-from")},
		{"stanza of another namespace", late, "<message xmlns='jabber:server'/>", is("invalid-namespace", "unsupported-stanza-type")},
		{"acknowledgement of what was never sent", late, "<enable xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1000'/>", is("undefined-condition")},
	}
}

// TestBadInput: every bad input ends its own stream, with the right error, and
// nothing else.
//
// Bound: what one stream may hold is its greatest stanza (262,144 bytes, 10,000
// before sign-in), twice while a buffer grows. Whatever was sent, the server
// grows by no more than 64 MiB, most of it garbage between two collections.
func TestBadInput(t *testing.T) {
	s := start(t, nil)
	n := settle(t, s)
	memory(t, s, 64<<20, func() {
		for _, b := range badInput() {
			for _, at := range b.at {
				t.Run(b.name, func(t *testing.T) {
					w := dial(t, s.Addr("c2s"), "")
					switch at {
					case opened:
						w.open()
					case signedIn:
						w.signIn("eve")
					case bound:
						w.bind("eve", "bad")
					}
					done := make(chan struct{})
					go func() { // ends with the input, or with the connection
						w.say(b.input)
						close(done)
					}()
					heard := w.rest()
					w.Close()
					<-done
					got := condition(heard)
					for _, want := range b.want {
						if got == want && (want == "" || strings.HasSuffix(heard, "</stream:stream>")) {
							return
						}
					}
					t.Errorf("state %d: stream error %q, want one of %q; heard %q", at, got, b.want, heard[:min(len(heard), 600)])
				})
			}
		}
	})
	n.leave()
}

// TestBadStanza: what is XML but no good stanza is answered with a stanza
// error, and the stream goes on.
func TestBadStanza(t *testing.T) {
	s := start(t, nil)
	n := settle(t, s)
	w := dial(t, s.Addr("c2s"), "").bind("eve", "good")
	for _, c := range []struct{ name, input, want string }{
		{"overlong local part", "<message id='%' to='" + repeat("a", 1024) + "@" + domain + "'/>", "<jid-malformed"},
		{"overlong domain", "<message id='%' to='a@" + repeat("a", 1024) + "'/>", "<jid-malformed"},
		{"overlong resource", "<message id='%' to='bob@" + domain + "/" + repeat("a", 1024) + "'/>", "<jid-malformed"},
		{"100,000 characters of address", "<iq type='get' id='%' to='" + repeat("é", 50_000) + "@" + domain + "'/>", "<jid-malformed"},
		{"address without local part", "<message id='%' to='@" + domain + "'/>", "<jid-malformed"},
		{"forbidden characters", "<message id='%' to='a b@" + domain + "'/>", "<jid-malformed"},
		{"request without content", "<iq type='get' id='%' to='" + domain + "'/>", "<bad-request"},
		{"request with two contents", "<iq type='get' id='%' to='" + domain + "'><a xmlns='u:a'/><b xmlns='u:b'/></iq>", "<bad-request"},
		{"request of unknown type", "<iq type='please' id='%' to='" + domain + "'><a xmlns='u:a'/></iq>", "<bad-request"},
		{"request nobody knows", "<iq type='get' id='%' to='" + domain + "'><a xmlns='u:a'/></iq>", "<service-unavailable"},
		{"to another server", "<message id='%' to='x@example.org'><body>x</body></message>", "<remote-server-not-found"},
		{"to nobody", "<message id='%' to='nobody@" + domain + "' type='chat'><body>x</body></message>", "<service-unavailable"},
		{"archive page of nonsense", "<iq type='set' id='%'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>-7</max></set></query></iq>", "<bad-request"},
		{"roster item for nothing", "<iq type='set' id='%'><query xmlns='jabber:iq:roster'><item/></query></iq>", "<bad-request"},
		{"second binding", "<iq type='set' id='%'><bind xmlns='" + nsBind + "'/></iq>", "<not-allowed"},
		{"10,000 children", "<iq type='get' id='%' to='" + domain + "'><a xmlns='u:a'>" + repeat("<b/>", 10_000) + "</a></iq>", "<service-unavailable"},
		{"50,000 forwards", "<iq type='get' id='%' to='nobody@" + domain + "'><a xmlns='u:a' k='" + repeat("&lt;", 50_000) + "'/></iq>", "<service-unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			id := "id-" + strings.ReplaceAll(c.name, " ", "-")
			w.say(strings.Replace(c.input, "%", id, 1))
			w.hear(id)
			kind := "iq"
			if strings.HasPrefix(c.input, "<message") {
				kind = "message"
			}
			if answer := w.hear("</" + kind + ">"); !strings.Contains(answer, c.want) {
				t.Errorf("answered with %s, want %s", answer, c.want)
			}
		})
	}
	n.leave()
}
