package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func shipped(t testing.TB, name string) *Flow {
	t.Helper()
	text, ok := Document(name)
	if !ok {
		t.Fatalf("no flow is called %s", name)
	}
	f, err := Parse(text)
	if err != nil {
		t.Fatalf("%s:\n%v", name, err)
	}
	return f
}

// TestShippedFlows: they keep what flows of ours promise.
func TestShippedFlows(t *testing.T) {
	if got := strings.Join(Shipped(), " "); got != "first-90-days pulse weekly-check-in" {
		t.Fatal(got)
	}
	for _, name := range Shipped() {
		f := shipped(t, name)
		if f.ID() != name || f.Version() < 1 || len(f.Hash()) != 32 || f.Title("de-CH") == "" || f.Title("de") == f.Title("en") {
			t.Errorf("%s.yaml is %s %d %s, “%s”", name, f.ID(), f.Version(), f.Hash(), f.Title("de"))
		}
		if strings.Join(f.Languages(), " ") != "en de nl" || f.Anonymous() != (name != "weekly-check-in") || !f.FreeText() {
			t.Errorf("%s: %v, anonymous %v, free text %v", name, f.Languages(), f.Anonymous(), f.FreeText())
		}
		calls, lines := 0, 0
		for i := range f.steps {
			s := &f.steps[i]
			if s.required {
				t.Errorf("%s: nobody has to answer %s", name, s.id)
			}
			if s.kind == kindHandover {
				calls++
			}
			for l, text := range s.texts {
				if strings.Contains(text.source, "{{helplines}}") {
					lines++
				}
				address(t, name+"."+s.id, f.languages[l], text.source)
			}
		}
		if calls == 0 || lines < 3 {
			t.Errorf("%s: %d handovers, %d mentions of helplines", name, calls, lines)
		}
	}
	if _, ok := Document("nothing"); ok {
		t.Error("a flow of no name is shipped")
	}
}

// address checks that German says Sie and Dutch je, throughout.
func address(t *testing.T, where, language, text string) {
	t.Helper()
	not := map[string][]string{"de": {"du", "dich", "dir", "dein", "deine", "euch"}, "nl": {"u", "uw"}}[language]
	for word := range strings.FieldsSeq(text) {
		if slices.Contains(not, strings.ToLower(strings.Trim(word, trimmed))) {
			t.Errorf("%s says %q in %s", where, word, language)
		}
	}
}

func TestBuiltInAddress(t *testing.T) {
	for name, all := range phrases {
		address(t, name, "de", all[1])
		address(t, name, "nl", all[2])
	}
}

func TestQuestions(t *testing.T) {
	var got []string
	f := shipped(t, "first-90-days")
	for _, q := range f.Questions() {
		score := 0
		for _, o := range q.Options {
			if o.Score != nil {
				score += *o.Score
			}
		}
		got = append(got, fmt.Sprint(q.ID, ":", q.Kind, ":", q.Measure, ":", q.Min, "-", q.Max, ":", len(q.Options), ":", score))
		if q.Text["nl"] == "" || len(q.Options) > 0 && q.Options[0].Labels["de"] == "" {
			t.Errorf("%s has no text", q.ID)
		}
	}
	want := "mood:mood:mood:1-5:0:0 expected:choice:expectations:0-0:4:10 difference:text::0-0:0:0 clarity:scale:clarity:1-5:0:0 equipment:scale:equipment:1-5:0:0 belonging:scale:belonging:1-5:0:0 talked:choice:manager_talk:0-0:3:0 needs:multi:needs:0-0:6:0 surprise:text::0-0:0:0 stay:scale:stay:0-10:0:0 enps:scale:enps:0-10:0:0 contact:choice::0-0:2:0"
	if all := strings.Join(got, " "); all != want {
		t.Errorf("got %s", all)
	}
	if a := f.Attributes(); len(a) != 2 || a["day"] != "number" {
		t.Errorf("attributes %v", a)
	}
	if v := shipped(t, "pulse").Variants(); !slices.Equal(v, []string{"a", "b"}) {
		t.Errorf("variants %v", v)
	}
}
