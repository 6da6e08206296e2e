package mail_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/mail"
)

func TestRender(t *testing.T) {
	tpl, err := mail.ParseTemplate(map[string]mail.Text{
		"en": {Subject: "How are you, {{default .first_name \"there\"}}?", Text: "Hi {{.first_name}},\n\nyour link:\n{{.link}}\n\n{{if .team}}Team {{.team}}{{else}}No team{{end}}"},
		"DE": {Subject: "Wie geht es Ihnen?", Text: "Guten Tag {{.first_name}}", HTML: `<p>Guten Tag <b>{{.first_name}}</b> <a href="{{.link}}">hier</a></p>`},
	}, "en", []string{"first_name", "link", "team"})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"first_name": "<b>Jo\r\nBcc: x@y</b>", "link": "https://example.org/c/#a?b&c", "team": "R&D"}
	for _, test := range []struct{ language, subject, text, html string }{
		{"en-GB", "How are you, <b>Jo Bcc: x@y</b>?", "Team R&D", `<a href="https://example.org/c/#a?b&amp;c">`},
		{"fr", "How are you, <b>Jo Bcc: x@y</b>?", "Team R&D", "Team R&amp;D"},
		{"de-AT", "Wie geht es Ihnen?", "Guten Tag <b>Jo", `Guten Tag <b>&lt;b&gt;Jo`},
	} {
		got, err := tpl.Render(test.language, values)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != test.subject || !strings.Contains(got.Text, test.text) || !strings.Contains(got.HTML, test.html) {
			t.Errorf("%s: %+v", test.language, got)
		}
	}
	bare, err := tpl.Render("en", nil)
	if err != nil || bare.Subject != "How are you, there?" || !strings.Contains(bare.Text, "No team") || strings.Contains(bare.Text, "no value") {
		t.Errorf("%+v %v", bare, err)
	}
	if _, err := tpl.Render("de", map[string]string{"link": "javascript:alert(1)"}); err != nil {
		t.Error(err)
	} else if got, _ := tpl.Render("de", map[string]string{"link": "javascript:alert(1)"}); strings.Contains(got.HTML, "javascript:alert") {
		t.Errorf("script in a link: %s", got.HTML)
	}
}

func TestBadTemplates(t *testing.T) {
	fields := []string{"first_name", "link", "team"}
	for _, test := range []struct {
		name string
		text mail.Text
		want string
	}{
		{"unknown field", mail.Text{Subject: "Hi", Text: "one\nHi {{.frist_name}}"}, "text: line 2:5: unknown field frist_name; did you mean first_name?"},
		{"unknown field, nothing near", mail.Text{Subject: "Hi", Text: "{{.salary}}"}, "there are first_name, link, team"},
		{"in the html", mail.Text{Subject: "Hi", Text: "x", HTML: "<p>{{.nmae}}</p>"}, "html: line 1:5: unknown field nmae"},
		{"nested", mail.Text{Subject: "Hi", Text: "{{.team.secret}}"}, "unknown field team.secret"},
		{"printf", mail.Text{Subject: "Hi", Text: `{{printf "%1000000000d" 1}}`}, "unknown function printf"},
		{"range", mail.Text{Subject: "Hi", Text: `{{range .team}}x{{end}}`}, "not for e-mail"},
		{"define", mail.Text{Subject: "Hi", Text: `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`}, "not for e-mail"},
		{"variable", mail.Text{Subject: "Hi", Text: `{{$x := .team}}`}, "not for e-mail"},
		{"half", mail.Text{Subject: "Hi", Text: "{{.team"}, "text:1: unclosed action"},
		{"in an else", mail.Text{Subject: "Hi", Text: "{{if .team}}a{{else if .boss}}b{{end}}"}, "unknown field boss"},
		{"no subject", mail.Text{Text: "x"}, "subject and text are needed"},
		{"two lines of subject", mail.Text{Subject: "a\nb", Text: "x"}, "control character"},
		{"html that cannot be escaped", mail.Text{Subject: "a", Text: "x", HTML: "<a href={{.link}}{{if .team}}\"{{end}}>"}, "html"},
		{"too few arguments", mail.Text{Subject: "a", Text: "{{if .team}}{{eq .team}}{{end}}"}, "text: "},
		{"a default of nothing", mail.Text{Subject: "{{default .team}}", Text: "x"}, "subject: "},
		{"too large", mail.Text{Subject: "a", Text: strings.Repeat("x", 65<<10)}, "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := mail.ParseTemplate(map[string]mail.Text{"en": test.text}, "en", fields)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if _, err := mail.ParseTemplate(map[string]mail.Text{"de": {Subject: "a", Text: "b"}}, "en", nil); err == nil {
		t.Error("no text in the fallback language")
	}
}

func TestRenderLimits(t *testing.T) {
	tpl, err := mail.ParseTemplate(map[string]mail.Text{"en": {Subject: "Hi {{.name}}", Text: strings.Repeat("{{.name}} ", 100)}}, "en", []string{"name"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tpl.Render("en", map[string]string{"name": "Jo\n\nYour account is closed:\r\nhttps://evil.example\n\n" + strings.Repeat("o", 300)})
	if err != nil || len([]rune(got.Subject)) != mail.MaxSubject || strings.Contains(got.Text, "\n") || strings.Count(got.HTML, "<p>") != 1 {
		t.Errorf("%.500s %v", got.Text, err)
	}
	if _, err := tpl.Render("en", map[string]string{"name": strings.Repeat("x", 20_000)}); err == nil {
		t.Error("two megabytes were rendered")
	}
	if _, err := mail.ParseTemplate(map[string]mail.Text{"de": {Subject: "a", Text: "b"}, "DE": {Subject: "c", Text: "d"}}, "de", nil); err == nil {
		t.Error("a language twice")
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Hi {{.first_name}}", "{{if .team}}{{default .team \"x\"}}{{end}}", "<a href='{{.link}}'>")
	f.Add("{{", "{{.", "<script>{{.team}}</script>")
	f.Fuzz(func(t *testing.T, subject, text, html string) {
		tpl, err := mail.ParseTemplate(map[string]mail.Text{"en": {Subject: subject, Text: text, HTML: html}}, "en", []string{"first_name", "link", "team"})
		if err != nil {
			return
		}
		// The subject never gets a line of its own from a value.
		got, err := tpl.Render("en", map[string]string{"first_name": "a\r\nb", "link": "javascript:x", "team": "c"})
		if err == nil && strings.ContainsAny(got.Subject, "\r\n") {
			t.Errorf("%q", got.Subject)
		}
	})
}
