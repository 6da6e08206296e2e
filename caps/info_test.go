package caps

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

// exodus and psi are the answers of XEP-0115 §5.2 and §5.3.
const (
	exodus = "<identity category='client' name='Exodus 0.9.1' type='pc'/>" + capsFour
	psi    = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>" +
		"<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>" + capsFour + psiForm
	capsFour = "<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/disco#items'/>" +
		"<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
	psiForm = "<x xmlns='jabber:x:data' type='result'>" +
		"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>" +
		"<field var='software_version'><value>0.11</value></field>" +
		"<field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>" +
		"<field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>" +
		"<field var='software'><value>Psi</value></field></x>"
	exodusVer = "QgayPKawpkPSDYmwT/WM94uAlu0="
	psiVer    = "q07IKJEyjvHSyhy//CH0CxmKi8w="
)

func read(inner string) (*router.Info, string, error) {
	el, err := stanza.ParseElement([]byte("<query xmlns='http://jabber.org/protocol/disco#info'>" + inner + "</query>"))
	if err != nil {
		return nil, "", err
	}
	info, err := readInfo(el)
	if err != nil {
		return nil, "", err
	}
	return info, Verification(info), nil
}

// TestHash: the examples of XEP-0115, and what of an answer does not count.
func TestHash(t *testing.T) {
	other := strings.NewReplacer("urn:xmpp:dataforms:softwareinfo", "urn:a").Replace(psiForm)
	for _, c := range []struct{ name, inner, ver string }{
		{"§5.2", exodus, exodusVer},
		{"§5.3", psi, psiVer},
		{"another order", psiForm + capsFour + psi[:strings.Index(psi, capsFour)], psiVer},
		{"unknown elements", "<x xmlns='urn:x'><feature var='a'/></x>" + exodus + "<feature xmlns='urn:y' var='b'/>", exodusVer},
		{"text as CDATA", strings.Replace(psi, "<value>Mac<", "<value><![CDATA[Mac]]><", 1), psiVer},
		{"a form without FORM_TYPE", exodus + "<x xmlns='jabber:x:data'><field var='a'><value>&lt;</value></field></x>", exodusVer},
		{"a form whose FORM_TYPE is not hidden", exodus + strings.Replace(psiForm, " type='hidden'", "", 1), exodusVer},
		{"FORM_TYPE twice the same", strings.Replace(psi, "</value>", "</value><value>urn:xmpp:dataforms:softwareinfo</value>", 1), psiVer},
	} {
		info, ver, err := read(c.inner)
		if err != nil || ver != c.ver {
			t.Errorf("%s: %s %v", c.name, ver, err)
		} else if !info.Has("http://jabber.org/protocol/muc") || info.Has("urn:x") {
			t.Errorf("%s: %v", c.name, info.Features)
		}
	}
	// Forms by FORM_TYPE, whatever their order.
	_, one, err := read(exodus + psiForm + other)
	_, two, err2 := read(exodus + other + psiForm)
	if err != nil || err2 != nil || one != two || one == exodusVer {
		t.Errorf("%s %v, %s %v", one, err, two, err2)
	}
	// Identities by category first, then by type: "a/z" comes before "a-b/c".
	ids := &router.Info{Identities: []router.Identity{{Category: "a-b", Type: "c"}, {Category: "a", Type: "z"}}}
	if got := Verification(ids); got != "Dm0ZTlYoIGCynjItyKxXv1wxR0g=" { // of a/z//<a-b/c//<
		t.Errorf("identities: %s", got)
	}
}

// TestRefused: an ill-formed answer proves nothing (§5.4).
func TestRefused(t *testing.T) {
	for name, inner := range map[string]string{
		"identity twice":     exodus + "<identity category='client' name='Exodus 0.9.1' type='pc'/>",
		"feature twice":      exodus + "<feature var='http://jabber.org/protocol/muc'/>",
		"form twice":         psi + psiForm,
		"two FORM_TYPEs":     strings.Replace(psi, "</value>", "</value><value>urn:b</value>", 1),
		"field twice":        strings.Replace(psi, "<field var='os'>", "<field var='os'/><field var='os'>", 1),
		"no category":        "<identity type='pc'/>",
		"no type":            "<identity category='client'/>",
		"no var":             "<feature/>",
		"< in a feature":     "<feature var='a&lt;b'/>",
		"< in a name":        "<identity category='client' type='pc' name='a&lt;b'/>",
		"< in a value":       strings.Replace(psi, "Mac", "&lt;", 1),
		"/ in a type":        "<identity category='client' type='pc/en'/>",
		"too long":           "<feature var='" + strings.Repeat("a", 17<<10) + "'/>",
		"too many identites": strings.Repeat("<identity category='a' type='b'/>", 65),
	} {
		if info, _, err := read(inner); err == nil {
			t.Errorf("%s: %+v", name, info)
		}
	}
	if el, err := stanza.ParseElement([]byte("<query xmlns='jabber:iq:version'/>")); err != nil {
		t.Error(err)
	} else if _, err := readInfo(el); err == nil {
		t.Error("another payload")
	}
}

// TestClientOf: what figures call a client is short and without version.
func TestClientOf(t *testing.T) {
	long := strings.Repeat("ä", 60)
	for _, c := range []struct {
		ids        []router.Identity
		name, kind string
	}{
		{[]router.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}}, "Exodus", "pc"},
		{[]router.Identity{{Category: "client", Type: "pc", Name: "Ψ 0.11", Lang: "el"}, {Category: "client", Type: "pc", Name: "Psi v2"}}, "Psi", "pc"},
		{[]router.Identity{{Category: "automation", Type: "rpc", Name: "x"}, {Category: "client", Type: "toaster", Name: "My  Own\nClient"}}, "My Own Client", "other"},
		{[]router.Identity{{Category: "client", Type: "web"}}, "unnamed", "web"},
		{[]router.Identity{{Category: "client", Type: "web", Name: "\u202e\x07"}}, "unnamed", "web"},
		{[]router.Identity{{Category: "client", Type: "web", Name: long}}, long[:80], "web"},
		{[]router.Identity{{Category: "client", Type: "web", Name: "3000"}}, "3000", "web"},
		{nil, "unnamed", "other"},
	} {
		if name, kind := clientOf(&router.Info{Identities: c.ids}); name != c.name || kind != c.kind {
			t.Errorf("%+v: %q %q", c.ids, name, kind)
		}
	}
}

// FuzzCaps: whatever a client answers, what is believed is written as another
// answer with the same hash, and the order in which it came does not matter.
func FuzzCaps(f *testing.F) {
	f.Add(exodus)
	f.Add(psi)
	f.Add(psi + psiForm)
	f.Add("<feature var='&#x3c;'/><identity category='/' type='&amp;'/>")
	f.Fuzz(func(t *testing.T, inner string) {
		info, ver, err := read(inner)
		if err != nil {
			return
		}
		x := new(stanza.XML)
		for i := len(info.Forms) - 1; i >= 0; i-- {
			form := &info.Forms[i]
			x.Start("x", "xmlns", "jabber:x:data").Start("field", "var", "FORM_TYPE", "type", "hidden").Element("value", form.Type).End()
			for j := len(form.Fields) - 1; j >= 0; j-- {
				x.Start("field", "var", form.Fields[j].Name)
				for k := len(form.Fields[j].Values) - 1; k >= 0; k-- {
					x.Element("value", form.Fields[j].Values[k])
				}
				x.End()
			}
			x.End()
		}
		for i := len(info.Features) - 1; i >= 0; i-- {
			x.Empty("feature", "var", info.Features[i])
		}
		for i := len(info.Identities) - 1; i >= 0; i-- {
			id := &info.Identities[i]
			x.Empty("identity", "category", id.Category, "type", id.Type, "name", id.Name, "xml:lang", id.Lang)
		}
		if len(x.Bytes()) > 15<<10 {
			return
		}
		if _, again, err := read(string(x.Bytes())); err != nil || again != ver {
			t.Errorf("%q: %s, again %s %v\n%s", inner, ver, again, err, x.Bytes())
		}
		if name, kind := clientOf(info); name == "" || len([]rune(name)) > 40 || kind == "" {
			t.Errorf("%q %q", name, kind)
		}
	})
}
