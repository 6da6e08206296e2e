package stanza_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

func parse(t testing.TB, doc string) *stanza.Stanza {
	t.Helper()
	st, err := stanza.Parse([]byte(doc))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return st
}

func TestViews(t *testing.T) {
	st := parse(t, `<message xmlns='jabber:client' to='b&amp;b@x' from='a@x' id='1' xml:lang='de' foo='&quot;'>`+
		`<a xmlns='u:a' k='v&lt;'>one<b/>two<![CDATA[<3>]]><p:c xmlns:p='u:p'><p:d/></p:c></a><body>hi</body><x/><x/><x/><x/><x/><x/><late xmlns='u:l'/><last/></message>`)
	if st.Kind != stanza.Message || st.Type != stanza.Normal || st.Count() != 10 {
		t.Error(st.Kind, st.Type, st.Count())
	}
	for got, want := range map[string]string{
		string(st.ID()): "1", string(st.RawTo()): "b&amp;b@x", string(st.RawFrom()): "a@x", string(st.Lang()): "de",
		stanza.Unescape(st.RawTo()): "b&b@x",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if raw, ok := st.Attr("foo"); !ok || string(raw) != "&quot;" {
		t.Errorf("%q", raw)
	}
	if _, ok := st.Attr("bar"); ok {
		t.Error("an attribute that is not there")
	}
	a, ok := st.First()
	if !ok || !a.Is("u:a", "a") || a.Is("u:b", "a") || a.Is("u:a", "b") || string(a.NS()) != "u:a" || string(a.Local()) != "a" {
		t.Error("first child")
	}
	if v, _ := a.Attr("k"); v != "v<" {
		t.Error(v)
	}
	if a.Text() != "onetwo<3>" {
		t.Errorf("%q", a.Text())
	}
	c, ok := a.Child("u:p", "c")
	if !ok || string(c.Name()) != "p:c" {
		t.Error("child with prefix")
	}
	if d, ok := c.First(); !ok || !d.Is("u:p", "d") || string(d.AppendStandalone(nil)) != `<p:d xml:lang='de' xmlns='u:a' xmlns:p='u:p'/>` {
		t.Errorf("%s", d.AppendStandalone(nil))
	}
	if e, ok := st.Child("u:l", "late"); !ok || string(e.Bytes()) != "<late xmlns='u:l'/>" {
		t.Error("ninth child")
	}
	if e, ok := st.Child(stanza.NSClient, "last"); !ok || !e.Exists() {
		t.Error("tenth child")
	}
	if _, ok := st.Child("u:l", "early"); ok {
		t.Error("child that is not there")
	}
	n := 0
	for range st.Children() {
		n++
	}
	if n != 10 {
		t.Error(n, "children")
	}
	for range st.Children() {
		break
	}
}

func TestZeroElement(t *testing.T) {
	var e stanza.Element
	if e.Exists() {
		t.Error("exists")
	}
	if _, ok := e.Attr("a"); ok {
		t.Error("attribute")
	}
	if _, ok := e.First(); ok {
		t.Error("child")
	}
	for range e.Children() {
		t.Error("children")
	}
	for range e.Attrs() {
		t.Error("attributes")
	}
}

func TestTypes(t *testing.T) {
	for doc, want := range map[string]stanza.Type{
		"<message xmlns='jabber:client'/>":                      stanza.Normal,
		"<message xmlns='jabber:client' type='chat'/>":          stanza.Chat,
		"<message xmlns='jabber:client' type='normal'/>":        stanza.Normal,
		"<message xmlns='jabber:client' type='groupchat'/>":     stanza.Groupchat,
		"<message xmlns='jabber:client' type='headline'/>":      stanza.Headline,
		"<message xmlns='jabber:client' type='error'/>":         stanza.ErrorType,
		"<message xmlns='jabber:client' type='get'/>":           stanza.Unknown,
		"<message xmlns='jabber:client' type=''/>":              stanza.Unknown,
		"<presence xmlns='jabber:client'/>":                     stanza.Available,
		"<presence xmlns='jabber:client' type='unavailable'/>":  stanza.Unavailable,
		"<presence xmlns='jabber:client' type='subscribe'/>":    stanza.Subscribe,
		"<presence xmlns='jabber:client' type='subscribed'/>":   stanza.Subscribed,
		"<presence xmlns='jabber:client' type='unsubscribe'/>":  stanza.Unsubscribe,
		"<presence xmlns='jabber:client' type='unsubscribed'/>": stanza.Unsubscribed,
		"<presence xmlns='jabber:client' type='probe'/>":        stanza.Probe,
		"<presence xmlns='jabber:client' type='error'/>":        stanza.ErrorType,
		"<presence xmlns='jabber:client' type='available'/>":    stanza.Unknown,
		"<iq xmlns='jabber:client'/>":                           stanza.Unknown,
		"<iq xmlns='jabber:client' type='get'/>":                stanza.Get,
		"<iq xmlns='jabber:client' type='set'/>":                stanza.Set,
		"<iq xmlns='jabber:client' type='result'/>":             stanza.Result,
		"<iq xmlns='jabber:client' type='error'/>":              stanza.ErrorType,
	} {
		st := parse(t, doc)
		if st.Type != want {
			t.Errorf("%s is %v", doc, st.Type)
		}
		if s := st.Type.String(); s != "" && strings.Contains(doc, "type") && !strings.Contains(doc, "'"+s+"'") {
			t.Errorf("%s is written %q", doc, s)
		}
		l, err := stanza.Load([]byte(doc))
		if err != nil || l.Type != want || l.Kind != st.Kind {
			t.Errorf("%s loaded: %v %v", doc, l, err)
		}
	}
}

// TestTypesWithReferences: a recipient's parser resolves them.
func TestTypesWithReferences(t *testing.T) {
	for doc, want := range map[string]stanza.Type{
		"<message xmlns='jabber:client' type='&#101;rror'/>":  stanza.ErrorType,
		"<message xmlns='jabber:client' type='&amp;'/>":       stanza.Unknown,
		"<presence xmlns='jabber:client' type='pro&#x62;e'/>": stanza.Probe,
		"<iq xmlns='jabber:client' type='s&#101;t'/>":         stanza.Set,
	} {
		if st := parse(t, doc); st.Type != want {
			t.Errorf("%s is %v", doc, st.Type)
		}
		if l, err := stanza.Load([]byte(doc)); err != nil || l.Type != want {
			t.Errorf("%s loaded: %v %v", doc, l, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, doc := range []string{"", "x", "<message/>", "<x xmlns='jabber:client'/>", "<message xmlns='jabber:client'>", "<message xmlns='jabber:client'/> ", "<p:message xmlns:p='jabber:client'/>"} {
		if _, err := stanza.Parse([]byte(doc)); err == nil {
			t.Errorf("%q was taken", doc)
		}
	}
	for _, doc := range []string{"", "<", "<message", "<messages/>", "<iq>", "<iq from='@'/>", "</iq>", "<message xmlns='jabber:client'></presence>"} {
		if _, err := stanza.Load([]byte(doc)); err == nil {
			t.Errorf("%q was loaded", doc)
		}
	}
}

func TestReplies(t *testing.T) {
	me := jid.MustParse("x")
	st := parse(t, `<iq xmlns='jabber:client' type='get' id="it's&quot;" to='x'><q xmlns='u'/></iq>`)
	st.From, st.To = jid.MustParse("a@x/r"), me
	for _, c := range []struct {
		w    *stanza.Wire
		want string
	}{
		{stanza.Reply(st, me, stanza.ItemNotFound("no <such> thing")), `<iq xmlns='jabber:client' type='error' id='it&apos;s&quot;' from='x' to='a@x/r'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no &lt;such&gt; thing</text></error></iq>`},
		{stanza.ResultOf(st, []byte("<q xmlns='u'/>")), `<iq xmlns='jabber:client' type='result' id='it&apos;s&quot;' from='x' to='a@x/r'><q xmlns='u'/></iq>`},
		{stanza.Make(stanza.Message, stanza.Normal, me, jid.JID{}, "a'b", nil), `<message xmlns='jabber:client' id='a&apos;b' from='x'></message>`},
		{stanza.Make(stanza.Presence, stanza.Unavailable, me, jid.JID{}, "", nil), `<presence xmlns='jabber:client' type='unavailable' from='x'></presence>`},
		{stanza.NonzaOf([]byte("<r xmlns='urn:xmpp:sm:3'/>")), `<r xmlns='urn:xmpp:sm:3'/>`},
	} {
		if got := string(c.w.Append(nil)); got != c.want || c.w.Len() != len(got) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	for _, typ := range []string{"error", "result"} {
		if w := stanza.Reply(parse(t, "<iq xmlns='jabber:client' type='"+typ+"'/>"), me, stanza.BadRequest("")); w != nil {
			t.Error(typ, "was answered")
		}
	}
	if w := stanza.Reply(parse(t, "<message xmlns='jabber:client' type='error'/>"), me, stanza.BadRequest("")); w != nil {
		t.Error("an error was answered")
	}
}

// TestErrors: each has the type that RFC 6120 §8.3.3 associates with it.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		e    *stanza.Error
		want string
	}{
		{stanza.BadRequest(""), "modify bad-request"},
		{stanza.Conflict(""), "cancel conflict"},
		{stanza.FeatureNotImplemented(""), "cancel feature-not-implemented"},
		{stanza.Forbidden(""), "auth forbidden"},
		{stanza.Gone(""), "cancel gone"},
		{stanza.InternalServerError(""), "cancel internal-server-error"},
		{stanza.ItemNotFound(""), "cancel item-not-found"},
		{stanza.JIDMalformed(""), "modify jid-malformed"},
		{stanza.NotAcceptable(""), "modify not-acceptable"},
		{stanza.NotAllowed(""), "cancel not-allowed"},
		{stanza.NotAuthorized(""), "auth not-authorized"},
		{stanza.PolicyViolation(""), "modify policy-violation"},
		{stanza.RecipientUnavailable(""), "wait recipient-unavailable"},
		{stanza.Redirect(""), "modify redirect"},
		{stanza.RegistrationRequired(""), "auth registration-required"},
		{stanza.RemoteServerNotFound(""), "cancel remote-server-not-found"},
		{stanza.RemoteServerTimeout(""), "wait remote-server-timeout"},
		{stanza.ResourceConstraint(""), "wait resource-constraint"},
		{stanza.ServiceUnavailable(""), "cancel service-unavailable"},
		{stanza.SubscriptionRequired(""), "auth subscription-required"},
		{stanza.UndefinedCondition(""), "cancel undefined-condition"},
		{stanza.UnexpectedRequest(""), "wait unexpected-request"},
	} {
		if got := c.e.Type.String() + " " + c.e.Condition; got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
		if !strings.Contains(string(c.e.AppendXML([]byte("before"))), "before<error type='") {
			t.Error(string(c.e.AppendXML(nil)))
		}
	}
}

func TestXML(t *testing.T) {
	var x stanza.XML
	x.Start("a", "xmlns", "u", "k", `'"<&>`).Text("").Raw(nil).End().Start("b").Text("<\x00\xff\n>").Empty("c").Element("d", "t", "k", "v").Raw([]byte("<e/>"))
	const want = `<a xmlns='u' k='&apos;&quot;&lt;&amp;&gt;'/><b>&lt;` + "\uFFFD\uFFFD" + `&#10;&gt;<c/><d k='v'>t</d><e/></b>`
	if got := string(x.Bytes()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := string(x.End().Reset().Empty("z").Bytes()); got != "<z/>" {
		t.Error(got)
	}
}

// TestNames compares which characters a name may have with expat, all of them.
func TestNames(t *testing.T) {
	if testing.Short() {
		t.Skip("asks for every character")
	}
	x := needExpat(t)
	var sc stanza.Scanner
	for r := rune(1); r < 0x10400; r++ {
		if r >= 0xD800 && r < 0xE000 {
			continue
		}
		for _, doc := range []string{"<" + string(r) + "/>", "<a" + string(r) + "/>"} {
			ok, _ := scan(&sc, []byte(doc), nil)
			if verdict, _ := x.ask(t, []byte(doc)); ok != (verdict == accepted) {
				t.Fatalf("%q: %v, expat %d", doc, ok, verdict)
			}
		}
	}
}

func TestWireIsShared(t *testing.T) {
	st := parse(t, "<message xmlns='jabber:client'><body>hi</body></message>")
	w := st.Wire()
	a := w.WithTail([]byte("<a/>"))
	b := a.WithTail([]byte("<b/>"))
	for got, want := range map[string]string{
		string(w.Append(nil)): "<message xmlns='jabber:client'><body>hi</body></message>",
		string(a.Append(nil)): "<message xmlns='jabber:client'><body>hi</body><a/></message>",
		string(b.Append(nil)): "<message xmlns='jabber:client'><body>hi</body><a/><b/></message>",
		string(b.Stored()):    "<message xmlns='jabber:client'><body>hi</body></message>",
		string(b.Wrap([]byte("1"), []byte("2")).Wrap([]byte("3"), []byte("4")).Append(nil)): "31<message xmlns='jabber:client'><body>hi</body><a/><b/></message>24",
	} {
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// TestLookups: many children with an outer prefix cost no walk each.
func TestLookups(t *testing.T) {
	deep := strings.Repeat("<p:a>", 9) + strings.Repeat("</p:a>", 9)
	st := parse(t, "<message xmlns='jabber:client' xmlns:p='u:p'>"+strings.Repeat("<p:x><p:y/></p:x>", 12000)+deep+"</message>")
	n := 0
	var last stanza.Element
	for c := range st.Children() {
		if _, ok := c.Child("u:p", "y"); ok && c.Is("u:p", "x") {
			n++
		}
		last = c
	}
	if n != 12000 {
		t.Error(n)
	}
	for e, ok := last, true; ok; e, ok = e.First() {
		if !e.Is("u:p", "a") {
			t.Errorf("%s", e.Bytes())
		}
	}
}
