package xep_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/xep"
)

// mamForm is a query with these fields, and rsm behind them.
func mamForm(fields map[string]string, rsm string) string {
	x := new(stanza.XML)
	x.Start("query", "xmlns", "urn:xmpp:mam:2", "queryid", "f'27")
	x.Start("x", "xmlns", "jabber:x:data", "type", "submit")
	x.Start("field", "var", "FORM_TYPE").Element("value", "urn:xmpp:mam:2").End()
	for name, list := range fields {
		x.Start("field", "var", name)
		for _, v := range strings.Split(list, " ") {
			x.Element("value", v)
		}
		x.End()
	}
	x.End()
	if rsm != "" {
		x.Raw([]byte("<set xmlns='http://jabber.org/protocol/rsm'>" + rsm + "</set>"))
	}
	return string(x.Bytes())
}

// A mamPage is what a client gets of a page.
type mamPage struct {
	ids, bodies []string
	complete    bool
	first, last string
}

// page asks for one and takes it.
func (p *person) page(query string) mamPage {
	p.tb.Helper()
	id := fmt.Sprintf("p%d", p.n.Add(1))
	p.send("<iq type='set' id='%s'>%s</iq>", id, query)
	var page mamPage
	for {
		s := p.next()
		switch {
		case strings.Contains(s, "<result xmlns='urn:xmpp:mam:2'"):
			m := like("…<result xmlns='urn:xmpp:mam:2'… id='…'>…<body>…</body>…").FindStringSubmatch(s)
			if m == nil {
				p.tb.Fatalf("result: %s", s)
			}
			page.ids, page.bodies = append(page.ids, m[3]), append(page.bodies, m[5])
		case strings.HasPrefix(s, "<iq") && strings.Contains(s, id):
			if !strings.Contains(s, "<fin xmlns='urn:xmpp:mam:2'") {
				p.tb.Fatalf("%s\nanswered %s", query, s)
			}
			page.complete = strings.Contains(s, "complete='true'")
			if m := like("…<first>…</first><last>…</last>…").FindStringSubmatch(s); m != nil {
				page.first, page.last = m[2], m[3]
			}
			return page
		}
	}
}

// write has a person send messages with these bodies and waits until they are
// in the archive.
func (p *person) write(to string, bodies ...string) {
	p.tb.Helper()
	for _, b := range bodies {
		p.send("<message to='%s' type='chat'><body>%s</body></message>", to, b)
	}
	p.settle()
}

func (g mamPage) String() string {
	s := strings.Join(g.bodies, " ")
	if g.complete {
		s += " ."
	}
	return s
}

func TestMAMPages(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	amy := h.connect("amy/home")
	amy.write("ben@hug.example", "1", "2")
	amy.write("cat@hug.example", "3")
	amy.write("ben@hug.example/x", "4", "5")
	amy.write("amy@hug.example/none", "6")
	all := amy.page(mamForm(nil, ""))
	if all.String() != "1 2 3 4 5 6 ." {
		t.Fatalf("all: %s", all)
	}
	id := func(n int) string { return all.ids[n-1] }
	rsm := func(max int, rest string) string { return fmt.Sprintf("<max>%d</max>%s", max, rest) }
	at := archive.TimeOf(mustID(t, id(1)))
	stamp := func(d time.Duration) string { return at.Add(d).Format(time.RFC3339Nano) }
	for _, c := range []struct {
		fields map[string]string
		rsm    string
		want   string
	}{
		{nil, rsm(2, ""), "1 2"},
		{nil, rsm(2, "<after>"+id(2)+"</after>"), "3 4"},
		{nil, rsm(2, "<after>"+id(4)+"</after>"), "5 6 ."},
		{nil, rsm(2, "<after>"+id(6)+"</after>"), " ."},
		{nil, rsm(2, "<after/>"), "1 2"},
		{nil, rsm(2, "<before/>"), "5 6"},
		{nil, rsm(2, "<before>"+id(5)+"</before>"), "3 4"},
		{nil, rsm(2, "<before>"+id(3)+"</before>"), "1 2 ."},
		{nil, rsm(0, ""), ""},
		{nil, rsm(0, "<after>"+id(6)+"</after>"), " ."},
		{nil, rsm(99999, ""), "1 2 3 4 5 6 ."},
		{nil, "<max>99999999999999999999</max>", "1 2 3 4 5 6 ."},
		{nil, rsm(9, "<after>"+id(1)+"</after><before>"+id(4)+"</before>"), "2 3 ."},
		{map[string]string{"with": "ben@hug.example"}, "", "1 2 4 5 ."},
		{map[string]string{"with": "ben@hug.example"}, rsm(3, "<before/>"), "2 4 5"},
		{map[string]string{"with": "BEN@hug.example/x"}, "", "4 5 ."},
		{map[string]string{"with": "ben@hug.example/x"}, rsm(1, ""), "4"},
		{map[string]string{"with": "amy@hug.example"}, "", "6 ."},
		{map[string]string{"with": "nobody@hug.example"}, "", " ."},
		{map[string]string{"after-id": id(2)}, "", "3 4 5 6 ."},
		{map[string]string{"after-id": id(2)}, rsm(1, "<before/>"), "6"},
		{map[string]string{"before-id": id(3)}, "", "1 2 ."},
		{map[string]string{"after-id": id(1), "before-id": id(5)}, rsm(2, ""), "2 3"},
		{map[string]string{"after-id": id(1), "before-id": id(5)}, rsm(2, "<after>"+id(3)+"</after>"), "4 ."},
		{map[string]string{"after-id": id(5), "before-id": id(2)}, "", " ."},
		{map[string]string{"ids": id(5) + " " + id(2) + " " + id(5)}, "", "2 5 ."},
		{map[string]string{"ids": id(5) + " " + id(3), "with": "cat@hug.example"}, "", "3 ."},
		{map[string]string{"ids": id(5) + " " + id(6), "with": "amy@hug.example"}, "", "6 ."},
		{map[string]string{"ids": id(5) + " " + id(4) + " " + id(1), "with": "ben@hug.example/x"}, "", "4 5 ."},
		{map[string]string{"ids": id(1) + " " + id(3) + " " + id(5)}, rsm(2, ""), "1 3"},
		{map[string]string{"ids": id(1) + " " + id(3) + " " + id(5)}, rsm(2, "<after>"+id(1)+"</after>"), "3 5 ."},
		{map[string]string{"ids": id(1) + " " + id(3) + " " + id(5)}, rsm(1, "<before/>"), "5"},
		{map[string]string{"start": stamp(0)}, "", "1 2 3 4 5 6 ."},
		{map[string]string{"start": stamp(-time.Hour), "end": stamp(-time.Minute)}, "", " ."},
		{map[string]string{"start": stamp(time.Hour)}, "", " ."},
		{map[string]string{"end": stamp(time.Hour)}, "", "1 2 3 4 5 6 ."},
		{map[string]string{"end": stamp(-time.Millisecond)}, "", " ."},
		{map[string]string{"end": "1960-01-01T00:00:00Z"}, "", " ."},
		{map[string]string{"start": "1960-01-01T00:00:00+02:00", "end": "9999-12-31T23:59:59Z"}, "", "1 2 3 4 5 6 ."},
	} {
		got := amy.page(mamForm(c.fields, c.rsm))
		if got.String() != c.want {
			t.Errorf("%v %s: want %q, got %q", c.fields, c.rsm, c.want, got)
		}
		if n := len(got.ids); n > 0 && (got.first != got.ids[0] || got.last != got.ids[n-1]) {
			t.Errorf("%v %s: first %s, last %s of %v", c.fields, c.rsm, got.first, got.last, got.ids)
		}
	}
	flipped := amy.page(strings.Replace(mamForm(nil, rsm(3, "")), "</query>", "<flip-page/></query>", 1))
	if flipped.String() != "3 2 1" || flipped.first != id(1) || flipped.last != id(3) {
		t.Errorf("flipped: %s, first %s, last %s", flipped, flipped.first, flipped.last)
	}
	metadata := amy.wantResult("get", "", "<metadata xmlns='urn:xmpp:mam:2'/>", "<start id='"+id(1)+"' timestamp='"+at.Format("2006-01-02T15:04:05.000Z")+"'/>")
	if !strings.Contains(metadata, "<end id='"+id(6)+"'") {
		t.Errorf("metadata: %s", metadata)
	}
	amy.wantResult("get", "", "<query xmlns='urn:xmpp:mam:2'/>", "<field type='list-multi' var='ids'><validate ")
}

// TestMAMOfOneResource: among many messages those of one resource are found by
// several requests, each of which reads a bounded number of rows and says how
// to go on.
func TestMAMOfOneResource(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	amy.write("ben@hug.example/x", "1", "2")
	many := make([]string, 2*archive.MaxSearch)
	for i := range many {
		many[i] = "no"
	}
	amy.write("ben@hug.example", many...)
	amy.write("ben@hug.example/x", "3", "4")
	for _, c := range []struct {
		way  string // where to go on
		max  int
		want []string
	}{
		{"after", 9, []string{"1 2", "", "", "3 4 ."}},
		{"before", 9, []string{"3 4", "", "", "1 2 ."}},
		{"after", 2, []string{"1 2", "", "", "3 4 ."}},
		{"before", 1, []string{"4", "3", "", "", "2", "1 ."}},
	} {
		next, got := "", []string(nil)
		for range 2 * len(c.want) {
			page := amy.page(mamForm(map[string]string{"with": "ben@hug.example/x"}, fmt.Sprintf("<max>%d</max><%s>%s</%[2]s>", c.max, c.way, next)))
			got = append(got, page.String())
			if page.complete {
				break
			}
			if next = page.last; c.way == "before" {
				next = page.first
			}
			if next == "" {
				t.Fatalf("%s: a page that is not complete does not say how to go on", c.way)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s by %d: want %q, got %q", c.way, c.max, c.want, got)
		}
	}
	// Whether there is any at all cannot be said after so many others.
	if got := amy.page(mamForm(map[string]string{"with": "ben@hug.example/y"}, "<max>0</max>")); got.complete {
		t.Error("not everything was looked through")
	}
}

func mustID(t *testing.T, s string) stanza.ArchiveID {
	t.Helper()
	id, ok := archive.ParseID(s)
	if !ok {
		t.Fatalf("%q is no id", s)
	}
	return id
}

func TestMAMErrors(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	amy.write("ben@hug.example", "1")
	ben := h.connect("ben/den")
	foreign := ben.page(mamForm(nil, "")).ids[0] // the same message has one id
	unknown := archive.FormatID(stanza.ArchiveID{1, 2, 3})
	many := strings.TrimSpace(strings.Repeat(foreign+" ", 3))
	for i := range archive.MaxPage + 1 {
		many += " " + archive.FormatID(stanza.ArchiveID{9, byte(i >> 8), byte(i)})
	}
	for _, c := range []struct{ to, query, condition string }{
		{"ben@" + domain, mamForm(nil, ""), "forbidden"},
		{"nobody@" + domain, mamForm(nil, ""), "forbidden"},
		{domain, mamForm(nil, ""), "service-unavailable"},
		{"", "<query xmlns='urn:xmpp:mam:2' node='x'/>", "item-not-found"},
		{"", mamForm(map[string]string{"with": "@"}, ""), "jid-malformed"},
		{"", mamForm(map[string]string{"start": "yesterday"}, ""), "bad-request"},
		{"", mamForm(map[string]string{"end": "2026-13-01T00:00:00Z"}, ""), "bad-request"},
		{"", mamForm(map[string]string{"FORM_TYPE": "urn:xmpp:mam:1"}, ""), "bad-request"},
		{"", mamForm(map[string]string{"withtext": "x"}, ""), "feature-not-implemented"},
		{"", mamForm(map[string]string{"before-id": unknown}, ""), "item-not-found"},
		{"", mamForm(map[string]string{"after-id": "x"}, ""), "item-not-found"},
		{"", mamForm(map[string]string{"ids": foreign + " " + unknown}, ""), "item-not-found"},
		{"", mamForm(map[string]string{"ids": "x"}, ""), "item-not-found"},
		{"", mamForm(map[string]string{"ids": many}, ""), "policy-violation"},
		{"", mamForm(nil, "<after>"+unknown+"</after>"), "item-not-found"},
		{"", mamForm(nil, "<before>x</before>"), "item-not-found"},
		{"", mamForm(nil, "<max>-1</max>"), "bad-request"},
		{"", mamForm(nil, "<max/>"), "bad-request"},
		{"", mamForm(nil, "<index>3</index>"), "feature-not-implemented"},
		{"", strings.Replace(mamForm(nil, ""), "'submit'", "'form'", 1), "bad-request"},
		{"", "<query xmlns='urn:xmpp:mam:2' queryid='" + strings.Repeat("q", 1024) + "'/>", "policy-violation"},
	} {
		amy.wantError("set", c.to, c.query, c.condition)
	}
	for _, payload := range []string{"<query xmlns='urn:xmpp:mam:2'/>", "<metadata xmlns='urn:xmpp:mam:2'/>"} {
		amy.wantError("get", "ben@"+domain, payload, "forbidden")
	}
}

// TestMAMResult is the form of a result, to the byte.
func TestMAMResult(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/it's")
	amy.write("ben@hug.example", "a &lt; b")
	amy.send("<iq type='set' id='q'>%s</iq>", mamForm(nil, ""))
	amy.expect("<message xmlns='jabber:client' from='amy@hug.example' to='amy@hug.example/it&apos;s'>" +
		"<result xmlns='urn:xmpp:mam:2' queryid='f&apos;27' id='…'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='…Z'/>" +
		"<message xmlns='jabber:client' from='amy@hug.example/it&apos;s' to='ben@hug.example' type='chat'><body>a &lt; b</body></message>" +
		"</forwarded></result></message>")
	amy.expect("<iq … type='result' id='q' …><fin xmlns='urn:xmpp:mam:2' complete='true'>" +
		"<set xmlns='http://jabber.org/protocol/rsm'><first>…</first><last>…</last></set></fin></iq>")
}

func TestMAMOfScope(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	home := h.connect("amy/home")
	home.write("ben@hug.example", "1")
	home.write("cat@hug.example", "2")
	home.write("ben@hug.example", "3")
	chat := h.connect("amy/chat", "ben")
	for _, fields := range []map[string]string{nil, {"with": "ben@hug.example"}} {
		if got := chat.page(mamForm(fields, "")); got.String() != "1 3 ." {
			t.Errorf("%v: %s", fields, got)
		}
	}
	chat.wantError("set", "", mamForm(map[string]string{"with": "cat@hug.example"}, ""), "forbidden")
	chat.wantError("set", "", mamForm(map[string]string{"with": "hug.example"}, ""), "forbidden")
	all := home.page(mamForm(nil, ""))
	for _, fields := range []map[string]string{{"ids": all.ids[1]}, {"ids": all.ids[0] + " " + all.ids[1]}, {"after-id": all.ids[1]}, {"before-id": all.ids[1]}} {
		chat.wantError("set", "", mamForm(fields, ""), "item-not-found") // a message of another conversation
	}
	if got := chat.page(mamForm(map[string]string{"ids": all.ids[2], "after-id": all.ids[0]}, "")); got.String() != "3 ." {
		t.Errorf("by ids: %s", got)
	}
	metadata := chat.wantResult("get", "", "<metadata xmlns='urn:xmpp:mam:2'/>", "<start id='"+all.ids[0]+"'")
	if !strings.Contains(metadata, "<end id='"+all.ids[2]+"'") {
		t.Errorf("metadata: %s", metadata)
	}
}

// TestMAMBytes: a page that would crowd the mailbox ends early, and the rest
// comes with the next.
func TestMAMBytes(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	big := strings.Repeat("x", 50000)
	for i := range 6 {
		amy.write("ben@hug.example", fmt.Sprint(i, big))
	}
	for _, backward := range []bool{false, true} {
		seen, pages, ref := []string{}, 0, ""
		for complete := false; !complete; pages++ {
			tag := "after"
			if backward {
				tag = "before"
			}
			page := amy.page(mamForm(nil, "<max>100</max><"+tag+">"+ref+"</"+tag+">"))
			complete = page.complete
			if backward {
				seen, ref = append(page.bodies, seen...), page.first
			} else {
				seen, ref = append(seen, page.bodies...), page.last
			}
		}
		if pages != 3 || len(seen) != 6 || !slices.IsSorted(seen) {
			t.Errorf("backward %v: %d messages in %d pages", backward, len(seen), pages)
		}
	}
	// Many queries at once: those that find the mailbox full wait.
	for i := range 40 {
		amy.send("<iq type='set' id='many-%d'>%s</iq>", i, mamForm(nil, "<max>2</max>"))
	}
	answers := map[string]bool{}
	for len(answers) < 40 {
		s := amy.next()
		if !strings.HasPrefix(s, "<iq ") {
			continue
		}
		if !strings.Contains(s, "<fin ") {
			t.Fatalf("answered %.300s", s)
		}
		answers[like("…id='…'…").FindStringSubmatch(s)[2]] = true
	}
}

// TestMAMPagesByBytes: large messages are read in several steps and pages, none
// of them twice or not at all.
func TestMAMPagesByBytes(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	big, n := strings.Repeat("x", 5000), 170 // beyond three steps of the store
	for i := range n {
		to := "ben@hug.example"
		if i%3 == 0 {
			to += "/x"
		}
		amy.send("<message to='%s' type='chat'><body>%03d%s</body></message>", to, i, big)
	}
	amy.settle()
	for _, with := range []string{"", "ben@hug.example", "ben@hug.example/x"} {
		want := n
		if strings.Contains(with, "/") {
			want = (n + 2) / 3
		}
		for _, tag := range []string{"after", "before"} {
			var seen []string
			pages, ref := 0, ""
			for complete := false; !complete && pages < 50; pages++ {
				page := amy.page(mamForm(map[string]string{"with": with}, "<max>250</max><"+tag+">"+ref+"</"+tag+">"))
				if complete = page.complete; tag == "before" {
					seen, ref = append(page.bodies, seen...), page.first
				} else {
					seen, ref = append(seen, page.bodies...), page.last
				}
			}
			if len(seen) != want || !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != want || pages < want*5000/(1<<17) {
				t.Errorf("with %q, %s: %d messages in %d pages; want %d", with, tag, len(seen), pages, want)
			}
		}
	}
}

// TestMAMMovesCursor: what was paged over does not come again, what is hidden
// does.
func TestMAMMovesCursor(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(ben *person)
		read  []string // queries of amy before she is available; {last} is the last id of the page before
		again string   // what comes then
	}{
		{"all", func(p *person) { p.write("amy@hug.example", "1", "2") }, []string{mamForm(nil, "")}, ""},
		{"nothing read", func(p *person) { p.write("amy@hug.example", "1", "2") }, nil, "1 2"},
		{"first page", func(p *person) { p.write("amy@hug.example", "1", "2", "3") }, []string{mamForm(nil, "<max>2</max>")}, "3"},
		{"two pages", func(p *person) { p.write("amy@hug.example", "1", "2", "3", "4") },
			[]string{mamForm(nil, "<max>1</max>"), mamForm(nil, "<max>2</max><after>{last}</after>")}, "4"},
		{"last page only", func(p *person) { p.write("amy@hug.example", "1", "2", "3") }, []string{mamForm(nil, "<max>2</max><before/>")}, "1 2 3"},
		{"last page that is all", func(p *person) { p.write("amy@hug.example", "1", "2") }, []string{mamForm(nil, "<max>2</max><before/>")}, ""},
		{"one conversation", func(p *person) { p.write("amy@hug.example", "1", "2") },
			[]string{mamForm(map[string]string{"with": "ben@hug.example"}, "")}, "1 2"},
		{"from a later moment", func(p *person) { p.write("amy@hug.example", "1") },
			[]string{mamForm(map[string]string{"start": "2020-01-01T00:00:00Z"}, "")}, "1"},
		{"hidden in between", func(p *person) {
			p.write("amy@hug.example", "1")
			p.send("<message to='amy@hug.example' type='chat'><body>2</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>")
			p.write("amy@hug.example", "3")
		}, []string{mamForm(nil, "")}, "2 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.people("amy", "ben")
			ben := h.connect("ben/den")
			c.write(ben)
			amy, last := h.connect("amy/home"), ""
			for _, q := range c.read {
				last = amy.page(strings.ReplaceAll(q, "{last}", last)).last
				amy.settle()
			}
			amy.send("<presence/>")
			amy.skipTo("<presence …")
			var came []string
			for amy.send("<message type='chat' to='amy@hug.example/home'><body>end</body></message>"); ; {
				m := like("…<body>…</body>…").FindStringSubmatch(amy.next())
				if m == nil {
					continue
				}
				if m[2] == "end" {
					break
				}
				came = append(came, m[2])
			}
			if got := strings.Join(came, " "); got != c.again {
				t.Errorf("came again: %q, want %q", got, c.again)
			}
		})
	}
}

// TestMAMCursorWaitsForAck: under stream management the acknowledgement of the
// last iq counts, not that it was written.
func TestMAMCursorWaitsForAck(t *testing.T) {
	for _, acked := range []bool{false, true} {
		h := newHouse(t)
		h.people("amy", "ben")
		h.connect("ben/den").write("amy@hug.example", "1", "2")
		amy := h.connect("amy/home")
		amy.send("<enable xmlns='urn:xmpp:sm:3'/>")
		amy.expect("<enabled …")
		amy.send("<iq type='set' id='q'>%s</iq>", mamForm(nil, ""))
		amy.skipTo("<iq …<fin …")
		if acked {
			amy.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
			amy.send("<iq type='get' id='p' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", domain)
			amy.skipTo("<iq … id='p'…")
		}
		amy.conn.Close(nil)
		a := h.account("amy")
		for len(a.Resources()) > 0 {
			time.Sleep(time.Millisecond)
		}
		again := h.connect("amy/again")
		again.send("<presence/>")
		again.expect("<presence …")
		if acked {
			again.nothing()
			continue
		}
		again.expect("<message …<body>1</body>…<delay …")
		again.expect("<message …<body>2</body>…<delay …")
	}
}

// TestMAMWhileLogIsRead: the end of a page is not held back with the messages
// that wait for the delivery log.
func TestMAMWhileLogIsRead(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	ben := h.connect("ben/den")
	var bodies []string
	for i := range 250 {
		bodies = append(bodies, fmt.Sprint(i))
	}
	ben.write("amy@hug.example", bodies...)
	amy := h.connect("amy/home")
	amy.send("<presence/>")
	if got := amy.page(mamForm(nil, "<max>2</max><before/>")); got.String() != "248 249" {
		t.Errorf("page: %s", got)
	}
}

// TestMAMReaderMissesNothing: somebody pages through while others write.
func TestMAMReaderMissesNothing(t *testing.T) {
	h := newHouse(t)
	writers := make([]*person, 3)
	for i := range writers {
		name := fmt.Sprintf("writer%d", i)
		h.people(name)
		writers[i] = h.connect(name + "/pen")
	}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := fmt.Sprintf("reader%d", n)
		h.people(name)
		reader := h.connect(name + "/eye")
		defer reader.conn.Close(nil)
		before := rapid.IntRange(0, 12).Draw(rt, "before")
		during := rapid.IntRange(0, 20).Draw(rt, "during")
		size := rapid.IntRange(1, 5).Draw(rt, "page size")
		backward := rapid.Bool().Draw(rt, "backward")
		var with map[string]string
		if rapid.Bool().Draw(rt, "one conversation") {
			with = map[string]string{"with": "writer0@hug.example"}
		}
		for i := range before {
			writers[i%len(writers)].write(name+"@hug.example", fmt.Sprint("b", i))
		}
		var writing sync.WaitGroup
		for w, p := range writers {
			writing.Go(func() {
				for i := w; i < during; i += len(writers) {
					_ = p.conn.Write(fmt.Appendf(nil, "<message to='%s@hug.example' type='chat'><body>d%d</body></message>", name, i))
				}
			})
		}
		var got []string
		for ref, rounds, done := "", 0, false; !done; rounds++ {
			if rounds > 200 {
				rt.Fatal("paging does not end")
			}
			tag := "after"
			if backward {
				tag = "before"
			}
			page := reader.page(mamForm(with, fmt.Sprintf("<max>%d</max><%s>%s</%s>", size, tag, ref, tag)))
			if backward {
				got, done = append(page.ids, got...), page.complete
				ref = page.first
				continue
			}
			got = append(got, page.ids...)
			if page.last != "" {
				ref = page.last
			}
			if page.complete { // the end for now: wait for the writers, then read what is left
				writing.Wait()
				for _, p := range writers {
					p.settle()
				}
				page := reader.page(mamForm(with, fmt.Sprintf("<max>250</max><after>%s</after>", ref)))
				got, done = append(got, page.ids...), true
			}
		}
		writing.Wait()
		for _, p := range writers {
			p.settle()
		}
		want := reader.page(mamForm(with, "<max>250</max>")).ids
		if backward { // all that was there when it began
			if len(with) == 0 && len(got) < before {
				rt.Fatalf("read %d of the %d that were there", len(got), before)
			}
			want = want[:min(len(got), len(want))]
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("read %v\nthere %v", got, want)
		}
	})
}

// FuzzMAMQuery: whatever is asked, the query that is read of it is bounded.
func FuzzMAMQuery(f *testing.F) {
	id := archive.FormatID(stanza.ArchiveID{1, 2, 3})
	for _, seed := range []string{
		mamForm(nil, ""),
		mamForm(map[string]string{"with": "juliet@capulet.lit", "start": "2010-06-07T00:00:00Z", "end": "2010-07-07T13:23:54Z"}, "<max>10</max>"),
		mamForm(map[string]string{"before-id": id, "after-id": id}, "<before/>"),
		mamForm(map[string]string{"ids": id + " " + id + " x"}, "<max>0</max><after>"+id+"</after>"),
		mamForm(map[string]string{"start": "0000-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999999999+23:59"}, "<index>1</index>"),
		"<query xmlns='urn:xmpp:mam:2' queryid='&lt;&apos;'><flip-page/></query>",
		"<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>99999999999999999999</max><before>\n</before></set></query>",
		"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data'><field var='with'/><field/></x></query>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stanza.ParseElement(b)
		if err != nil {
			return
		}
		q, err := xep.ReadMAMQuery(el)
		if err != nil {
			return
		}
		if q.Size < 0 || q.Size > archive.MaxPage || len(q.IDs) > archive.MaxPage || len(q.Must) > 8 {
			t.Errorf("unbounded: size %d, %d ids, %d to look up", q.Size, len(q.IDs), len(q.Must))
		}
		if !q.Never && !q.After.IsZero() && !q.Before.IsZero() && !q.After.Less(q.Before) {
			t.Error("an empty range is read from the store")
		}
		if len(q.QueryID) > len(b) {
			t.Error("the echo is longer than the question")
		}
	})
}

func TestCutMAMPage(t *testing.T) {
	page := archive.Page{Complete: true}
	for range 5 {
		page.Rows = append(page.Rows, archive.Row{Stanza: stanza.NonzaOf(make([]byte, 100))})
	}
	for _, c := range []struct {
		bytes, rows int
		complete    bool
	}{{1000, 5, true}, {500, 5, true}, {499, 4, false}, {250, 2, false}, {100, 1, false}, {0, 1, false}} {
		for _, backward := range []bool{false, true} {
			got := xep.CutMAMPage(page, backward, c.bytes)
			if len(got.Rows) != c.rows || got.Complete != c.complete {
				t.Errorf("%d bytes, backward %v: %d rows, complete %v", c.bytes, backward, len(got.Rows), got.Complete)
			}
		}
	}
	if got := xep.CutMAMPage(archive.Page{}, true, 10); len(got.Rows) != 0 {
		t.Error("rows out of nothing")
	}
}
