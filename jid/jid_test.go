package jid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 1023)
	name := strings.Repeat(strings.Repeat("a", 63)+".", 16)[:1023] // the longest domain
	for _, c := range []struct {
		in, out                 string
		local, domain, resource string
	}{
		// RFC 7622 §3.5, table 1.
		{"juliet@example.com", "juliet@example.com", "juliet", "example.com", ""},
		{"juliet@example.com/foo", "juliet@example.com/foo", "juliet", "example.com", "foo"},
		{"juliet@example.com/foo bar", "juliet@example.com/foo bar", "juliet", "example.com", "foo bar"},
		{"juliet@example.com/foo@bar", "juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"},
		{`foo\20bar@example.com`, `foo\20bar@example.com`, `foo\20bar`, "example.com", ""},
		{"fussball@example.com", "fussball@example.com", "fussball", "example.com", ""},
		{"fußball@example.com", "fußball@example.com", "fußball", "example.com", ""},
		{"π@example.com", "π@example.com", "π", "example.com", ""},
		{"Σ@example.com/foo", "σ@example.com/foo", "σ", "example.com", "foo"},
		{"σ@example.com/foo", "σ@example.com/foo", "σ", "example.com", "foo"},
		{"ς@example.com/foo", "ς@example.com/foo", "ς", "example.com", "foo"},
		{"king@example.com/♚", "king@example.com/♚", "king", "example.com", "♚"},
		{"example.com", "example.com", "", "example.com", ""},
		{"example.com/foobar", "example.com/foobar", "", "example.com", "foobar"},
		{"a.example.com/b@example.net", "a.example.com/b@example.net", "", "a.example.com", "b@example.net"},

		{"Juliet@Example.COM/Foo", "juliet@example.com/Foo", "juliet", "example.com", "Foo"},
		{"juliet@example.com./foo", "juliet@example.com/foo", "juliet", "example.com", "foo"},
		{"example.com/a/b", "example.com/a/b", "", "example.com", "a/b"},
		{"example.com/ a ", "example.com/ a ", "", "example.com", " a "},
		{"example.com/a\u00a0b\u3000", "example.com/a b ", "", "example.com", "a b "},
		{"jose\u0301@example.com", "josé@example.com", "josé", "example.com", ""},
		{"2josé@example.com", "2josé@example.com", "2josé", "example.com", ""}, // no right-to-left character: the Bidi Rule says nothing
		{"josé-@example.com", "josé-@example.com", "josé-", "example.com", ""},
		{"ｊｏｓé@example.com", "josé@example.com", "josé", "example.com", ""},
		{"ｶﾞ@example.com", "ガ@example.com", "ガ", "example.com", ""},
		{"אב1@example.com", "אב1@example.com", "אב1", "example.com", ""},
		{"l·l@example.com", "l·l@example.com", "l·l", "example.com", ""},
		{"İ@example.com", "i\u0307@example.com", "i\u0307", "example.com", ""},
		{"a!#$%*+,-.;=?[\\]^_`{|}~@b", "a!#$%*+,-.;=?[\\]^_`{|}~@b", "a!#$%*+,-.;=?[\\]^_`{|}~", "b", ""},

		{"a@192.0.2.1", "a@192.0.2.1", "a", "192.0.2.1", ""},
		{"a@[2001:DB8:0:0::1]/x", "a@[2001:db8::1]/x", "a", "[2001:db8::1]", "x"},
		{"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", "", "[::ffff:192.0.2.1]", ""},
		{"a@xn--mnchen-3ya.example", "a@münchen.example", "a", "münchen.example", ""},
		{"a@XN--MNCHEN-3YA.example", "a@münchen.example", "a", "münchen.example", ""},
		{"a@MÜNCHEN.Example", "a@münchen.example", "a", "münchen.example", ""},
		{"a@straße.example", "a@straße.example", "a", "straße.example", ""},
		{"a@ｅxample．com", "a@example.com", "a", "example.com", ""},
		{"a@example．com．", "a@example.com", "a", "example.com", ""},
		{"a@אב.example", "a@אב.example", "a", "אב.example", ""},
		{"a@faß.de", "a@faß.de", "a", "faß.de", ""},
		{"a@かな・カナ.example", "a@かな・カナ.example", "a", "かな・カナ.example", ""},
		{"a@نامه\u200cای.com", "a@نامه\u200cای.com", "a", "نامه\u200cای.com", ""},

		{long + "@a/" + long, long + "@a/" + long, long, "a", long},
		{name, name, "", name, ""},
		{strings.Repeat("ａ", 1023) + "@b", long + "@b", long, "b", ""}, // 3,069 bytes before preparation
		{"a@b/" + strings.Repeat("é", 511) + "a", "a@b/" + strings.Repeat("é", 511) + "a", "a", "b", strings.Repeat("é", 511) + "a"},
	} {
		j, err := jid.Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if j.String() != c.out || j.Local() != c.local || j.Domain() != c.domain || j.Resource() != c.resource {
			t.Errorf("Parse(%q) = %q: %q, %q, %q", c.in, j, j.Local(), j.Domain(), j.Resource())
		}
		if b, err := jid.ParseBytes([]byte(c.in)); err != nil || b != j {
			t.Errorf("ParseBytes(%q) = %q, %v", c.in, b, err)
		}
		if again, err := jid.Parse(j.String()); err != nil || again != j {
			t.Errorf("Parse(%q) = %q, %v", j.String(), again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("a", 1024)
	for _, c := range []struct {
		in   string
		want error
	}{
		// RFC 7622 §3.5, table 2.
		{`"juliet"@example.com`, jid.ErrLocal},
		{"foo bar@example.com", jid.ErrLocal},
		{"juliet@example.com/ foo\x00", jid.ErrResource},
		{"@example.com/", jid.ErrResource},
		{"@example.com", jid.ErrLocal},
		{"henry\u2163@example.com", jid.ErrLocal},
		{"♚@example.com", jid.ErrLocal},
		{"juliet@", jid.ErrDomain},
		{"/foobar", jid.ErrDomain},

		{"", jid.ErrDomain},
		{"example.com/", jid.ErrResource},
		{"a@b@c", jid.ErrDomain},
		{"a@b@c/d", jid.ErrDomain},
		{"a&b@c", jid.ErrLocal},
		{"a'b@c", jid.ErrLocal},
		{"a:b@c", jid.ErrLocal},
		{"a<b@c", jid.ErrLocal},
		{"a>b@c", jid.ErrLocal},
		{"a＠b@c", jid.ErrLocal}, // becomes @
		{"a／b@c", jid.ErrLocal},
		{"a\xff@b", jid.ErrLocal},
		{"a\x7f@b", jid.ErrLocal},
		{"a\u200db@c", jid.ErrLocal},
		{"אa@b", jid.ErrLocal}, // breaks the Bidi Rule
		{"aא@b", jid.ErrLocal},
		{"·@b", jid.ErrLocal},
		{"\u0378@b", jid.ErrLocal}, // unassigned
		{"\ufffd@b", jid.ErrLocal},
		{long + "@b", jid.ErrTooLong},
		{strings.Repeat("é", 512) + "@b", jid.ErrTooLong},
		{strings.Repeat("é", 1<<20) + "@b", jid.ErrTooLong},

		{".", jid.ErrDomain},
		{"example..com", jid.ErrDomain},
		{".example.com", jid.ErrDomain},
		{"example.com..", jid.ErrDomain},
		{"-a.b", jid.ErrDomain},
		{"a-.b", jid.ErrDomain},
		{"ab--c.d", jid.ErrDomain}, // neither NR-LDH nor A-label
		{"a_b.c", jid.ErrDomain},
		{"a b", jid.ErrDomain},
		{"a:5222", jid.ErrDomain},
		{strings.Repeat("a", 64), jid.ErrDomain},
		{strings.Repeat(strings.Repeat("a", 63)+".", 16)[:1023] + ".a", jid.ErrTooLong},
		{strings.Repeat("a.", 600), jid.ErrTooLong},
		{strings.Repeat("ü", 60) + ".de", jid.ErrDomain}, // the A-label is longer than 63
		{"xn--", jid.ErrDomain},
		{"xn--a", jid.ErrDomain},
		{"xn--abc-", jid.ErrDomain}, // stands for ASCII
		{"xn--MNCHEN-3YAé", jid.ErrDomain},
		{"xn--é-3ya", jid.ErrDomain},
		{"xn--zca-.de", jid.ErrDomain},
		{"♥.example", jid.ErrDomain},
		{"😀.example", jid.ErrDomain},
		{"\u0301a.example", jid.ErrDomain}, // starts with a combining mark
		{"a\u20d0.example", jid.ErrDomain}, // an ignorable block
		{"あ.a・b", jid.ErrDomain},           // the context is that of the label
		{"a。b", jid.ErrDomain},
		{"1a.אב", jid.ErrDomain}, // all labels are bound once one is right-to-left
		{"אa.b", jid.ErrDomain},
		{"é--a.b", nil},
		{"éa--b.c", jid.ErrDomain},
		{"a\xff.b", jid.ErrDomain},
		{"[::1", jid.ErrDomain},
		{"[", jid.ErrDomain},
		{"[]", jid.ErrDomain},
		{"[1.2.3.4]", jid.ErrDomain},
		{"[fe80::1%25eth0]", jid.ErrDomain},
		{"[fe80::1%eth0]", jid.ErrDomain},
		{"[v1.a]", jid.ErrDomain},
		{"::1", jid.ErrDomain},

		{"a@b/c\n", jid.ErrResource},
		{"a@b/\xff", jid.ErrResource},
		{"a@b/\ufffe", jid.ErrResource},
		{"a@b/\u0378", jid.ErrResource},
		{"a@b/" + long, jid.ErrTooLong},
		{"a@b/" + strings.Repeat("é", 512), jid.ErrTooLong},
	} {
		j, err := jid.Parse(c.in)
		if !errors.Is(err, c.want) || c.want != nil && !errors.Is(err, jid.ErrInvalid) {
			t.Errorf("Parse(%.40q) = %q, %v; want %v", c.in, j, err, c.want)
		}
		if err != nil && !j.IsZero() {
			t.Errorf("Parse(%.40q) gives %q with an error", c.in, j)
		}
	}
}

// Addresses that databases and careless comparisons take for one.
func TestDifferent(t *testing.T) {
	for _, c := range [][2]string{
		{"josé@example.com", "jose@example.com"},
		{"a@example.com/b", "a@example.com/b "},
		{"ss@example.com", "ß@example.com"},
		{"a@strasse.de", "a@straße.de"},
		{"σ@example.com", "ς@example.com"},
		{"a@example.com/B", "a@example.com/b"},
		{"i@example.com", "ı@example.com"},
		{"a@example.com", "example.com/a"},
		{"a", "a/a"},
	} {
		if jid.MustParse(c[0]) == jid.MustParse(c[1]) {
			t.Errorf("%q and %q are one address", c[0], c[1])
		}
	}
	for _, c := range [][2]string{
		{"A@example.com", "a@EXAMPLE.com."},
		{"jose\u0301@example.com", "josé@example.com"},
		{"a@xn--strae-oqa.de", "a@Straße.de"},
		{"a@[::0:1]", "a@[0::1]"},
	} {
		if jid.MustParse(c[0]) != jid.MustParse(c[1]) {
			t.Errorf("%q and %q are two addresses", c[0], c[1])
		}
	}
}

func TestParts(t *testing.T) {
	var zero jid.JID
	if !zero.IsZero() || zero.IsBare() || zero.IsFull() || zero.String() != "" || zero.Domain() != "" || zero.Bare() != zero {
		t.Error("the zero JID is something")
	}
	if _, err := zero.WithResource("a"); !errors.Is(err, jid.ErrInvalid) {
		t.Errorf("the zero JID takes a resource: %v", err)
	}
	full := jid.MustParse("a@b.c/d")
	bare := jid.MustParse("a@b.c")
	if full.Bare() != bare || !full.IsFull() || full.IsBare() || !bare.IsBare() || bare.IsFull() || bare.IsZero() {
		t.Errorf("%v is not the bare form of %v", bare, full)
	}
	if j, err := bare.WithResource("d"); err != nil || j != full {
		t.Errorf("WithResource: %v, %v", j, err)
	}
	if j, err := full.WithResource(""); err != nil || j != bare {
		t.Errorf("WithResource: %v, %v", j, err)
	}
	if _, err := full.WithResource("\x00"); !errors.Is(err, jid.ErrResource) {
		t.Errorf("WithResource: %v", err)
	}
	if j, err := jid.New("A", "B.C", "D"); err != nil || j.String() != "a@b.c/D" {
		t.Errorf("New: %v, %v", j, err)
	}
	for _, c := range [][3]string{{"a@b", "c", ""}, {"a/b", "c", ""}, {"a", "b/c", ""}, {"", "", "c"}, {"", "a@b", ""}, {"a", "", ""}} {
		if j, err := jid.New(c[0], c[1], c[2]); !errors.Is(err, jid.ErrInvalid) {
			t.Errorf("New(%q) = %v, %v", c, j, err)
		}
	}
	m := map[jid.JID]int{full: 1}
	if m[jid.MustParse("A@B.C./d")] != 1 {
		t.Error("not found in a map")
	}
	defer func() {
		if recover() == nil {
			t.Error("MustParse does not panic")
		}
	}()
	jid.MustParse("@")
}

// The promises about allocations hold whatever the machine.
func TestAllocations(t *testing.T) {
	s, b := "juliet@example.com/balcony", []byte("juliet@example.com/balcony")
	j := jid.MustParse(s)
	for _, c := range []struct {
		name string
		want float64
		f    func()
	}{
		{"Parse", 0, func() { j, _ = jid.Parse(s) }},
		{"ParseBytes", 1, func() { j, _ = jid.ParseBytes(b) }},
		{"Bare", 0, func() { _ = j.Bare().Local() + j.Bare().Domain()[:0] + j.Resource()[:0] }},
		{"WithResource", 1, func() { j, _ = j.WithResource("balcony") }},
		{"New", 1, func() { j, _ = jid.New("juliet", "example.com", "balcony") }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}
