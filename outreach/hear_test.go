package outreach

import (
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// TestChildren: buttons are distinct and in the language of the text, whatever
// stands in them (XEP-0439 §4.1).
func TestChildren(t *testing.T) {
	u := store.Utterance{Text: "a <b> & 'c'", Language: "de", Replies: []store.Button{{Value: "1", Label: "x"}, {Value: "1", Label: "y"}, {Value: "2", Label: "x"}, {Value: "3", Label: "\"<>"}},
		Actions: []store.Button{{Value: "remind:q", Label: "later"}}}
	st, err := stanza.Parse([]byte("<message xmlns='jabber:client'>" + string(children(&u, "o'1", "Bot")) + "</message>"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	bodies := 0
	for e := range st.Children() {
		switch string(e.Local()) {
		case "body":
			bodies++
			if e.Text() != u.Text {
				t.Errorf("body %q", e.Text())
			}
		case "response":
			v, _ := e.Attr("value")
			values = append(values, v)
		}
		if l, ok := e.Attr("xml:lang"); ok && l != "de" || !ok && e.Is(nsQuick, string(e.Local())) {
			t.Errorf("%s: language %q", e.Local(), l)
		}
	}
	if got := strings.Join(values, " "); got != "1 3" || bodies != 1 {
		t.Errorf("responses %q, %d bodies", got, bodies)
	}
}

func TestFloods(t *testing.T) {
	var f floods
	now := time.Unix(1000, 0)
	for i := range 10 {
		if !f.take("a", 10, 10, now) {
			t.Fatalf("message %d is refused", i)
		}
	}
	if f.take("a", 10, 10, now) {
		t.Error("the eleventh is taken")
	}
	if !f.take("b", 10, 10, now) {
		t.Error("another person waits")
	}
	if f.take("a", 10, 10, now.Add(-time.Hour)) {
		t.Error("a clock that goes back lets in")
	}
	if !f.take("a", 10, 10, now.Add(-time.Hour+7*time.Second)) || f.take("a", 10, 10, now.Add(-time.Hour+7*time.Second)) {
		t.Error("one comes back in six seconds")
	}
	for i := range 3 * maxBuckets {
		f.take(strings.Repeat("x", 1+i%7)+time.Duration(i).String(), 10, 10, now)
	}
	if len(f.have) > maxBuckets {
		t.Errorf("%d are remembered", len(f.have))
	}
}

// TestShippedHelplines: each country that is promised has lines with a source,
// and they pass the rules for configured ones.
func TestShippedHelplines(t *testing.T) {
	d := &desk{}
	for _, country := range []string{"DE", "NL", "GB", "IE", "US", "AT", "CH", "BE"} {
		lines := ShippedHelplines(country)
		if err := checkHelplines(country, lines); err != nil || len(lines) == 0 {
			t.Errorf("%s: %d lines, %v", country, len(lines), err)
		}
		for _, l := range lines {
			if !strings.HasPrefix(l.Source, "https://") {
				t.Errorf("%s: %s has no source", country, l.Name)
			}
		}
		for _, language := range []string{"en", "de", "nl", "fr"} {
			text := d.helplines(country, "", language)
			if !strings.Contains(text, emergencies[country]) || !strings.Contains(text, ": ") {
				t.Errorf("%s in %s: %q", country, language, text)
			}
		}
	}
}

func TestWhoseHelplines(t *testing.T) {
	for _, c := range []struct {
		set                  BotSettings
		said, zone, language string
		want                 string
	}{
		{BotSettings{}, "NL", "Europe/Berlin", "de", "NL"},
		{BotSettings{}, "uk", "", "en", "GB"},
		{BotSettings{}, "", "Europe/Vienna", "de", "AT"},
		{BotSettings{Country: "CH"}, "", "", "de", "CH"},
		{BotSettings{}, "", "", "de-AT", "DE"},
		{BotSettings{}, "XX", "", "", ""},
		{BotSettings{}, "", "", "ja", ""},
		{BotSettings{Helplines: map[string][]Helpline{"XX": {{Name: "a", Number: "1"}}}}, "xx", "", "", "XX"},
		{BotSettings{Helplines: map[string][]Helpline{"DE": {}}}, "DE", "", "de", ""},
	} {
		if got := c.set.country(c.said, c.zone, c.language); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

func TestClipText(t *testing.T) {
	long := strings.Repeat("ü", 1<<19) + " the end"
	got := clipText(long)
	if len(got) > maxHeardText+1 || !strings.HasSuffix(got, " the end") || !strings.HasPrefix(got, "üü") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("%d bytes", len(got))
	}
	if clipText("short") != "short" {
		t.Error("a short text is changed")
	}
}

// TestSentences: each is there in three languages.
func TestSentences(t *testing.T) {
	for name, s := range sentences {
		for i, text := range s {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no text in language %d", name, i)
			}
		}
	}
	if own("remind", "de-AT") != "Morgen erinnern" || own("remind", "fr") != "Remind me tomorrow" {
		t.Error("languages are mixed up")
	}
}

// TestCurrent: which conversation a message belongs to.
func TestCurrent(t *testing.T) {
	talk := func(id int64, phase store.TalkPhase, kase int64) *store.Talk {
		return &store.Talk{ID: id, Phase: phase, Case: kase}
	}
	for _, c := range []struct {
		talks []*store.Talk
		want  int64
	}{
		{nil, 0},
		{[]*store.Talk{talk(1, store.TalkEnded, 0), talk(2, store.TalkOpen, 0), talk(3, store.TalkOpen, 0)}, 2},
		{[]*store.Talk{talk(1, store.TalkInvited, 0), talk(2, store.TalkHeld, 0)}, 2},
		{[]*store.Talk{talk(1, store.TalkEnded, 0), talk(2, store.TalkInvited, 0)}, 2},
		{[]*store.Talk{talk(1, store.TalkOpen, 0), talk(2, store.TalkEnded, 9)}, 2},
		{[]*store.Talk{talk(1, store.TalkStopped, 0), talk(2, store.TalkEnded, 0)}, 1},
		{[]*store.Talk{talk(1, store.TalkBroken, 0)}, 0},
	} {
		got := (&turn{talks: c.talks}).current()
		if got == nil && c.want != 0 || got != nil && got.ID != c.want {
			t.Errorf("%+v: %+v, want %d", c.talks, got, c.want)
		}
	}
}

// TestOrigin: origin-ids of different texts differ.
func TestOrigin(t *testing.T) {
	seen := map[string]bool{}
	for id := range int64(300) {
		for n := range 12 {
			o := origin(&store.Said{ID: id, N: n})
			if seen[o] {
				t.Fatalf("%s stands for two texts", o)
			}
			seen[o] = true
		}
	}
}
