package flow

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// helplinesFor and toneOf stand in for the configuration and for insight.
func helplinesFor(language string) string {
	return map[string]string{"en": "Example Line 0000", "de": "Beispieltelefon 0000", "nl": "Voorbeeldlijn 0000"}[language]
}

func toneOf(text, _ string) float64 {
	switch {
	case strings.Contains(text, "bitter"):
		return -0.8
	case strings.Contains(text, "happy"):
		return 0.8
	}
	return 0
}

// TestTalks plays whole conversations: testdata/talks/*.txt. The first line
// says the flow and the options, lines after "> " are the person's, all others
// what must follow.
func TestTalks(t *testing.T) {
	files, err := filepath.Glob("testdata/talks/*.txt")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("the conversation went otherwise (-update writes it):\n%s", difference(string(want), got))
			}
		})
	}
}

// play leads the conversation of a transcript anew.
func play(t *testing.T, transcript string) string {
	t.Helper()
	lines := strings.Split(transcript, "\n")
	options := Options{}
	person := Person{Name: "Robin", Attributes: map[string]any{"manager": "Kim", "day": 30}}
	words := strings.Fields(strings.TrimPrefix(lines[0], "# "))
	talker := Talker{Flow: shipped(t, words[0]), Sentiment: toneOf, Helplines: helplinesFor}
	for _, w := range words[1:] {
		switch {
		case w == "anonymous":
			options.Anonymous = true
		case w == "stranger":
			person = Person{}
		case strings.HasPrefix(w, "variant="):
			options.Variant = strings.TrimPrefix(w, "variant=")
		case w == "day=3":
			person.Attributes["day"] = 3.0
		default:
			options.Language = w
		}
	}
	s, text := Simulate(talker, person, options)
	out := []string{lines[0], text}
	for _, line := range lines[1:] {
		if said, ok := strings.CutPrefix(line, "> "); ok {
			text, _ := s.Say(strings.ReplaceAll(said, `\n`, "\n"))
			out = append(out, "", line, text)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// difference shows the first lines that differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "", ""
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return "want: " + a + "\ngot:  " + b
		}
	}
	return "nothing"
}

func TestSimulator(t *testing.T) {
	s, _ := Simulate(Talker{Flow: quick(t, plain)}, Person{Name: "Ann"}, Options{})
	for _, c := range []struct{ say, has string }{
		{":state", `"step": "mood"`}, {"4", "[mood = 4]"}, {"1", "[nothing for 3d]"}, {":resume", "no question open"}, {":later", "Why Tea?"}, {":state", `"phase": "asking"`},
		{"skip", "[why skipped]"}, {"ok", "[outside any question: for a person]"},
	} {
		if got, over := s.Say(c.say); over || !strings.Contains(got, c.has) {
			t.Errorf("%s: %s", c.say, got)
		}
	}
	if _, over := s.Say(":quit"); !over || s.State().Phase != Ended {
		t.Errorf(":quit does not end it, phase %s", s.State().Phase)
	}
}

// TestShared: one flow leads many conversations at once.
func TestShared(t *testing.T) {
	talker := Talker{Flow: shipped(t, "pulse"), Sentiment: toneOf, Helplines: helplinesFor}
	want := ""
	var wait sync.WaitGroup
	all := make([]string, 8)
	for i := range all {
		wait.Go(func() {
			s, text := Simulate(talker, Person{}, Options{Language: "nl"})
			for _, say := range []string{"2", "bitter", "ja", "1, 2", "3", "3", "skip", "4", "bitter", "niets"} {
				more, _ := s.Say(say)
				text += more
			}
			all[i] = text
		})
	}
	wait.Wait()
	for _, text := range all {
		if want == "" {
			want = text
		}
		if text != want || !strings.Contains(text, "low_mood") {
			t.Error("the same conversation went two ways")
		}
	}
}
