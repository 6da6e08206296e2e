package script

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/bearhug/bearhug/jid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = `# RFC 0 §1: a title
# more
server: register.allow = true
friends: Romeo Juliet
[Romeo]
	transport: ws
	sm: yes
	declares: x=urn:x
[Juliet]
	account: -
[Phone]
	account: juliet
	host: 2
	exists: no
	token: only Romeo
---
Romeo connects
Romeo is available with priority -3
Romeo sends:
	<presence/>

	<message to='{phone}'><x:y/></message>
# a comment
Phone receives in any order:
	<message>...</message>
Romeo sends bytes:
	"a\x00" 
	3 * "bc"
Romeo is closed with conflict
Server restarts
`

func TestParse(t *testing.T) {
	if _, err := Parse("small.scs", []byte(small)); err == nil || err.Error() != "small.scs:4: Juliet has no account" {
		t.Fatalf("got %v", err)
	}
	s, err := Parse("small.scs", []byte(strings.Replace(small, "friends: Romeo Juliet", "sees: Romeo Phone", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "RFC 0 §1: a title" || len(s.People) != 3 || len(s.Steps) != 7 || !s.Restarts() {
		t.Fatalf("%+v", s)
	}
	if d := cmp.Diff([]Option{{"register.allow", "true"}}, s.Server); d != "" {
		t.Error(d)
	}
	if st := s.Steps[2]; st.Verb != Sends || st.Line != 19 || len(st.Blocks) != 2 || st.Blocks[1].Line != 22 ||
		st.Blocks[1].Children()[0].NS != "urn:x" {
		t.Errorf("%+v", st)
	}
	if st := s.Steps[4]; st.Verb != SendsBytes || string(st.Bytes) != "a\x00bcbcbc" {
		t.Errorf("%+v", st)
	}
	if st := s.Steps[5]; st.Verb != IsClosed || st.Arg != "conflict" || st.Person.Name != "Romeo" {
		t.Errorf("%+v", st)
	}
	if p := s.Person("Phone"); p.Account != "juliet" || p.Host != 2 || p.Exists || p.Token != "Romeo" {
		t.Errorf("%+v", p)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1: no line of dashes: nothing separates the header from the play"},
		{"hello\n---\n", `1: "hello" is neither 'key: value', a [Person] nor the line of dashes`},
		{"colour: red\n---\n", `1: unknown header entry "colour": server, friends, sees or a [Person]`},
		{"server: on\n---\n", `1: server: KEY = VALUE, not "on"`},
		{"[romeo]\n---\n", `1: "romeo" is no name of a person: a capital, then letters and digits`},
		{"[Romeo]\n[Romeo]\n---\n", "2: Romeo is there already"},
		{"[Romeo]\n\tcolour: red\n---\n", `2: unknown option "colour": account, exists, host, password, token, resource, transport, mechanism, lang, declares, sm`},
		{"[Romeo]\n\ttransport: pigeon\n---\n", `2: transport: is tcp, starttls, tls, ws or wss, not "pigeon"`},
		{"[Romeo]\n\ttoken: only Tybalt\n---\n", `1: token: is 'any' or 'only NAME', not "Tybalt"`},
		{"friends: Romeo Juliet\n[Romeo]\n---\n", `1: nobody is called "Juliet"`},
		{"[Romeo]\n---\nJuliet connects\n", `3: nobody is called "Juliet"`},
		{"[Romeo]\n---\nRomeo dances\n", `3: "dances" is nothing that Romeo can do`},
		{"[Romeo]\n---\nRomeo connects\n\t<presence/>\n", `4: "connects" takes no block`},
		{"[Romeo]\n---\nRomeo sends:\n", `3: "sends:" needs a block of indented lines`},
		{"[Romeo]\n---\nRomeo sends:\n\t<presence>\n", "4: <presence> has no end"},
		{"[Romeo]\n---\nRomeo sends:\n\t<x:y/>\n", `4: prefix "x" of <x:y> is not declared`},
		{"[Romeo]\n---\nRomeo sends:\n\t<a b='1' b='2'/>\n", "4: attribute b stands twice in <a>"},
		{"[Romeo]\n---\nRomeo sends:\n\n\t<a>\n\t<s:id/></a>\n", "5: <s:id/> cannot be sent"},
		{"[Romeo]\n---\nRomeo receives:\n\t<s:idd/>\n", "4: unknown mark <s:idd/>"},
		{"[Romeo]\n---\nRomeo receives:\n\t<a s:maybe='no'/>\n", "4: unknown mark s:maybe='no'"},
		{"[Romeo]\n---\nRomeo receives:\n\t<a b='{'/>\n", "4: {: a name in braces is expected; a brace is written {{"},
		{"[Romeo]\n---\nRomeo receives:\n\thello\n", `4: text "hello" outside of an element`},
		{"[Romeo]\n---\nRomeo is available with priority 200\n", `3: a priority is a number from -128 to 127, not "200"`},
		{"[Romeo]\n---\nRomeo meets Romeo\n", `3: nobody else is called "Romeo"`},
		{"[Romeo]\n---\nRomeo sends bytes:\n\thello\n", `4: bytes are written "…" or N * "…", not "hello"`},
		{"[Romeo]\n---\nRomeo sends bytes:\n\t\"hello\n", `4: "hello is no string`},
		{"[Romeo]\n---\nRomeo sends bytes:\n\t999999999 * \"hello\"\n", "4: more than 67108864 bytes"},
		{"[Romeo]\n---\n\tRomeo connects\n", "3: an indented line that belongs to no statement"},
	} {
		_, err := Parse("x.scs", []byte(c.text))
		if err == nil || err.Error() != "x.scs:"+c.want {
			t.Errorf("%q:\n got %v\nwant x.scs:%s", c.text, err, c.want)
		}
	}
}

func element1(t *testing.T, s string, sc *scope) *Element {
	t.Helper()
	e, err := parseOne([]byte(s), sc)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

func TestMatch(t *testing.T) {
	known := vars{"self": "r@h", "self.full": "r@h/x", "host": "h", "old": "7"}
	for _, c := range []struct {
		name, want, got string
		diff            string // "" when it matches
	}{
		{"prefixes and attribute order", "<iq type='get' id='1'><q xmlns='u' a='1' b='2'/></iq>", "<iq id='1' type='get'><p:q xmlns:p='u' b='2' a='1'/></iq>", ""},
		{"white space between elements", "<message>\n\t<a/>\n\t<b/></message>", "<message><a/> <b/></message>", ""},
		{"text counts", "<message><a>x </a></message>", "<message><a>x</a></message>", `message/a/: expected "x ", got "x"`},
		{"missing child", "<message><a/><b/></message>", "<message><a/></message>", "message/: <b xmlns='jabber:client'> is missing"},
		{"further child", "<message><a/></message>", "<message><a/><b xmlns='u'/></message>", "message/: unexpected <b xmlns='u'>"},
		{"further children", "<message><a/>...</message>", "<message><a/><b/><c/></message>", ""},
		{"further children before", "<message>...<c/></message>", "<message><a/><b/><c/></message>", ""},
		{"only further children", "<message>...</message>", "<message>text<a/></message>", ""},
		{"order", "<message><a/><b/></message>", "<message><b/><a/></message>", "message/<a xmlns='jabber:client'> was expected, not <b xmlns='jabber:client'>"},
		{"any order", "<message s:order='any'><a/><b/></message>", "<message><b/><a/></message>", ""},
		{"any order and more", "<message s:order='any'><a/>...</message>", "<message><b/><a/></message>", ""},
		{"any order lacks", "<message s:order='any'><a/><b/></message>", "<message><b/><b/></message>", "message/: <a xmlns='jabber:client'> is missing, or what goes with it"},
		{"maybe there", "<message><a/><b s:maybe='yes'/></message>", "<message><a/><b/></message>", ""},
		{"maybe not there", "<message><b s:maybe='yes'/><a/></message>", "<message><a/></message>", ""},
		{"namespace", "<message><a xmlns='u'/></message>", "<message><a/></message>", "message/<a xmlns='u'> was expected, not <a xmlns='jabber:client'>"},
		{"further attribute", "<message><a/></message>", "<message><a b='1'/></message>", "message/a/: unexpected attribute b='1'"},
		{"further attributes", "<message><a s:attrs='any'/></message>", "<message><a b='1'/></message>", ""},
		{"optional attribute missing", "<message><a b='1' s:optional='b'/></message>", "<message><a/></message>", ""},
		{"optional attribute wrong", "<message><a b='1' s:optional='b'/></message>", "<message><a b='2'/></message>", "message/a/: attribute b: expected '1', got '2'"},
		{"language", "<message xml:lang='de'/>", "<message/>", "message/: attribute lang='de' is missing"},
		{"unstated id", "<message/>", "<message id='1'/>", ""},
		{"unstated to is me", "<message/>", "<message to='r@h/x'/>", ""},
		{"unstated to is another", "<message/>", "<message to='o@h'/>", "attribute to: expected none, got 'o@h'"},
		{"unstated from is my account", "<iq/>", "<iq from='r@h'/>", ""},
		{"unstated from is another", "<iq/>", "<iq from='h'/>", "attribute from: expected none, got 'h'"},
		{"presence without to", "<presence to='r@h'/>", "<presence/>", ""},
		{"message without to", "<message to='r@h'/>", "<message/>", "attribute to: expected 'r@h', got none"},
		{"iq from my account", "<iq from='r@h'/>", "<iq/>", ""},
		{"iq from host", "<iq from='{host}'/>", "<iq/>", "attribute from: expected 'h', got none"},
		{"normal is none", "<message/>", "<message type='normal'/>", ""},
		{"chat is not none", "<message/>", "<message type='chat'/>", "attribute type: expected none, got 'chat'"},
		{"known variable", "<message id='{old}'/>", "<message id='7'/>", ""},
		{"known variable differs", "<message id='{old}'/>", "<message id='8'/>", "attribute id: expected '7', got '8'"},
		{"new variable twice", "<message id='{new}'><a b='{new}'/></message>", "<message id='8'><a b='8'/></message>", ""},
		{"new variable twice differs", "<message id='{new}'><a b='{new}'/></message>", "<message id='8'><a b='9'/></message>", "message/a/: attribute b: expected '8', got '9'"},
		{"part of a value", "<message id='p-{new}-q'/>", "<message id='p-8-q'/>", ""},
		{"brace", "<message id='{{x}'/>", "<message id='{x}'/>", ""},
		{"time", "<a b='{time}'/>", "<a b='2026-11-22T16:31:21.946Z'/>", ""},
		{"no time", "<a b='{time}'/>", "<a b='today'/>", "a/: attribute b: expected '{time}', got 'today'"},
		{"number", "<a b='{number}'/>", "<a b='-1'/>", "a/: attribute b: expected '{number}', got '-1'"},
		{"stanza id", "<message><s:id as='new'/></message>", "<message><stanza-id xmlns='urn:xmpp:sid:0' id='5' by='r@h'/></message>", ""},
		{"stanza id of another", "<message><s:id/></message>", "<message><stanza-id xmlns='urn:xmpp:sid:0' id='5' by='o@h'/></message>", "message/stanza-id/: attribute by: expected 'r@h', got 'o@h'"},
		{"delay", "<message><s:delay/></message>", "<message><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T16:31:21Z'/></message>", ""},
		{"error with text and echo", "<message type='error'><s:error type='wait' condition='gone'/></message>",
			"<message type='error'><body>x</body><error by='h' type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>x</text></error></message>", ""},
		{"error with another condition", "<message type='error'><s:error type='wait' condition='gone'/></message>",
			"<message type='error'><error type='wait'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
			"message/error/<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'> was expected, not <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>"},
		{"stream error with text", "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
			"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>x</text></stream:error>", ""},
	} {
		v := copyVars(known)
		diff, ok := v.matchElement(element1(t, c.want, scriptScope()), element1(t, c.got, streamScope()))
		if diff != c.diff || ok != (c.diff == "") {
			t.Errorf("%s: got %q, want %q", c.name, diff, c.diff)
		}
		if _, learnt := v["new"]; learnt != (ok && strings.Contains(c.want, "new")) {
			t.Errorf("%s: learnt %v", c.name, v)
		}
	}
}

func TestPair(t *testing.T) {
	want := []*Element{element1(t, "<a b='{x}'/>", scriptScope()), element1(t, "<a b='1'/>", scriptScope())}
	got := []*Element{element1(t, "<a b='1'/>", streamScope()), element1(t, "<a b='2'/>", streamScope())}
	v, ok := pair(vars{}, want, got) // the first must leave 1 to the second
	if !ok || v["x"] != "2" {
		t.Errorf("%v %v", v, ok)
	}
	if _, ok := pair(vars{}, want, got[:1]); ok {
		t.Error("one element was two")
	}
}

func TestReceivedMustBeXML(t *testing.T) {
	for _, s := range []string{"<a><x:b/></a>", "<a b='1' b='2'/>", "<a>", "<a></b>", "<a/><b/>", "<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>", "<!-- x --><a/>"} {
		if _, err := parseOne([]byte(s), streamScope()); err == nil {
			t.Errorf("%s passes", s)
		}
	}
	if e := element1(t, "<a/>", frameScope()); e.NS != "" {
		t.Errorf("a WebSocket message has the namespace %q of nowhere", e.NS)
	}
}

func TestDeclare(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"<presence/>", "<presence xmlns='jabber:client'/>"},
		{"<presence xmlns='jabber:client'/>", "<presence xmlns='jabber:client'/>"},
		{"<message a='>'>x</message>", "<message xmlns='jabber:client' a='>'>x</message>"},
		{"<stream:error/>", "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>"},
		{"<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>"},
	} {
		if got := declare(element1(t, c.in, streamScope()), c.in); got != c.want {
			t.Errorf("%s: %s", c.in, got)
		}
	}
}

// parrot is a server that says one thing to whoever connects, and keeps the connection until the other end leaves.
func parrot(t *testing.T, say string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(say))
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestPlayFailure(t *testing.T) {
	target := &Target{
		Addr:  parrot(t, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='v.example' id='77' version='1.0'><message from='a@b'><body>hi</body></message>"),
		Hosts: func(context.Context) (string, string, error) { return "v.example", "m.example", nil },
		Create: func(context.Context, jid.JID, string) error {
			t.Error("nobody asked for an account")
			return nil
		},
		Patience: 200 * time.Millisecond,
	}
	play := func(steps string) error {
		s, err := Parse("f.scs", []byte("# x\n[Romeo]\n\taccount: -\n---\nRomeo dials\nRomeo receives:\n\t<stream:stream from='{host}' id='{sid}' version='1.0'/>\n"+steps))
		if err != nil {
			t.Fatal(err)
		}
		return Play(t.Context(), s, target)
	}
	if err := play("Romeo receives:\n\t<message from='a@b'><body>{what}</body></message>\n"); err != nil {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		steps string
		line  int
		parts []string
	}{
		{"Romeo receives:\n\t<message from='a@b'>\n\t<body>ho {sid}</body></message>\n", 8,
			[]string{"f.scs:8: Romeo receives:", `line 9: message/body/: expected "ho 77", got "hi"`, "expected:\n<message xmlns='jabber:client' from='a@b'>", "got:\n<message", "Romeo <- <message"}},
		{"Romeo receives in any order:\n\t<message from='a@c'><body>hi</body></message>\n", 8, []string{"no order of these"}},
		{"", 7, []string{"(the end)", "has received what the script does not state"}},
		{"Romeo receives:\n\t<message from='a@b'>...</message>\n\t<message/>\n", 8, []string{"line 10: context deadline exceeded"}},
		{"Romeo is closed with conflict\n", 8, []string{"another end"}},
		{"Romeo disconnects\n", 8, []string{"has received what the script does not state"}},
		{"Romeo sends:\n\t<message to='{nobody}'/>\n", 8, []string{"nobody has said what {nobody} is"}},
		{"Romeo connects\n", 8, []string{"Romeo is connected already"}},
	} {
		err := play(c.steps)
		var f *Failure
		if !errors.As(err, &f) {
			t.Errorf("%q: %v", c.steps, err)
			continue
		}
		for _, part := range c.parts {
			if !strings.Contains(f.Error(), part) {
				t.Errorf("%q: %q is missing in\n%s", c.steps, part, f)
			}
		}
		if c.steps != "" && f.Line != c.line {
			t.Errorf("%q: line %d", c.steps, f.Line)
		}
	}
}

func TestCannotPlay(t *testing.T) {
	for _, text := range []string{
		"# x\n[Romeo]\n\ttransport: wss\n---\n", "# x\n---\nServer restarts\n", "# x\n[Romeo]\n\ttoken: any\n---\n",
	} {
		s, err := Parse("x.scs", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := Play(t.Context(), s, &Target{Addr: "127.0.0.1:1"}); !errors.Is(err, ErrCannotPlay) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRecorder(t *testing.T) {
	r := NewRecorder("verona.example")
	r.Person("Romeo", jid.MustParse("romeo@verona.example/orchard"))
	r.Person("Juliet", jid.MustParse("juliet@verona.example/balcony"))
	for _, err := range []error{
		r.Sent("Romeo", []byte("<message to='juliet@verona.example' xml:lang='de'><body>a {b} &lt;c&gt;\n</body></message>")),
		r.Received("Juliet", []byte("<message from='romeo@verona.example/orchard'><x:y xmlns:x='urn:x' x:z='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@verona.example' id='A7'/><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T16:31:21Z'/></message>")),
		r.Received("Juliet", []byte("<iq id='A7' from='verona.example' type='result'/>")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.Disconnected("Romeo")
	if err := r.Sent("Romeo", []byte("<message>")); err == nil {
		t.Error("half an element is recorded")
	}
	var b bytes.Buffer
	if err := r.WriteTo(&b, "what was seen"); err != nil {
		t.Fatal(err)
	}
	want := `# what was seen
[Romeo]
	account: romeo
	resource: orchard
[Juliet]
	account: juliet
	resource: balcony
---
Romeo connects
Juliet connects

Romeo sends:
	<message to='{juliet}' xml:lang='de'><body>a {{b} &lt;c&gt;&#10;</body></message>

Juliet receives:
	<message from='{romeo.full}'><y xmlns='urn:x' xmlns:a0='urn:x' a0:z='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='{juliet}' id='{id1}'/><delay xmlns='urn:xmpp:delay' stamp='{time}'/></message>
	<iq id='{id1}' from='{host}' type='result'/>
Romeo disconnects
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	if _, err := Parse("recorded.scs", b.Bytes()); err != nil {
		t.Error(err)
	}
}

// FuzzParse: no file makes the parser fall over, and what it accepts can be shown and matched against itself.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("# x\n[A]\n---\nA receives:\n\t<a b='{{' s:order='any'>...<c/></a>\n"))
	f.Add([]byte("[A]\n---\nA sends bytes:\n\t2 * \"\\x00\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse("f.scs", b)
		var pe *ParseError
		if err != nil {
			if !errors.As(err, &pe) || pe.Line < 1 {
				t.Fatalf("%v is no ParseError", err)
			}
			return
		}
		for _, st := range s.Steps {
			for _, e := range st.Blocks {
				if len(e.Raw) > 2000 {
					continue
				}
				_ = e.String()
				copyVars(vars{}).matchElement(e, e)
			}
		}
	})
}
