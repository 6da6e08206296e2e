package flow

import (
	"os"
	"path/filepath"
	"strings"
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
