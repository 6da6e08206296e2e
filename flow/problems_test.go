package flow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProblems: every broken document in testdata/broken says what is wrong,
// where, and what to do, as the file beside it has it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*")
	if err != nil {
		t.Fatal(err)
	}
	documents := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want") {
			continue
		}
		documents++
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(text)
		var problems Problems
		if f != nil || !errors.As(err, &problems) || len(problems) == 0 {
			t.Errorf("%s is accepted, or refused without problems: %v", file, err)
			continue
		}
		if *update {
			if err := os.WriteFile(file+".want", []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file + ".want")
		if err != nil {
			t.Fatal(err)
		}
		if got := problems.Error() + "\n"; got != string(want) {
			t.Errorf("%s:\n%s", file, difference(string(want), got))
		}
	}
	if documents < 15 {
		t.Errorf("only %d broken documents", documents)
	}
}

func TestLimits(t *testing.T) {
	steps := func(n int, step string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, strings.ReplaceAll(step, "NEXT", fmt.Sprintf("s%d", i+1))+"\n", i)
		}
		return b.String()
	}
	const end = "  - {id: bye, end: {en: Bye}}\n"
	mood := "  - {id: mood, mood: {en: M}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"a big document":    {document(mood+end) + "# " + strings.Repeat("x", maxDocument), "at most 262144 are read"},
		"500 steps":         {document(steps(498, "  - {id: q%d, mood: {en: M}}") + end), ""},
		"501 steps":         {document(steps(499, "  - {id: q%d, mood: {en: M}}") + end), "at most 500 are allowed"},
		"49 and one lines":  {document(mood + steps(49, "  - {id: m%d, message: {en: M}}") + end), ""},
		"51 lines":          {document(mood + steps(50, "  - {id: m%d, message: {en: M}}") + end), "up to 51 messages can come without a question"},
		"a long text":       {document(mood + "  - {id: m, message: {en: " + strings.Repeat("é", maxText+1) + "}}\n" + end), "this has 2001 characters; at most 2000 are allowed"},
		"a long condition":  {document(mood + "  - {id: m, when: '" + strings.Repeat("score.mood > 1 && ", 30) + "true', message: {en: M}}\n" + end), "a condition has at most 500"},
		"a deep condition":  {document(mood + "  - {id: m, when: '" + strings.Repeat("(", 240) + "score.mood > 1" + strings.Repeat(")", 240) + "', message: {en: M}}\n" + end), ""},
		"a constant panic":  {document(mood + "  - {id: m, when: '1 % 0 == 1', message: {en: M}}\n" + end), "divide by zero"},
		"many options":      {document("  - {id: c, choice: {en: C}, options: [" + strings.TrimSuffix(steps(21, "{value: v%d, label: {en: L}},"), ",\n") + "]}\n" + end), "at most 20 are allowed"},
		"circle of skips":   {document("  - {id: a1, when: anonymous, mood: {en: M}}\n  - {id: a2, branch: [{if: anonymous, go: a1}], otherwise: a3}\n  - {id: a3, mood: {en: M}}\n" + end), "come back to it without a question"},
		"many conditions":   {document(mood + steps(30, "  - {id: b%d, branch: ["+strings.Repeat("{if: score.mood > 1, go: bye}, ", 20)+"], otherwise: bye}") + end), "at most 500 conditions"},
		"only problems":     {document(mood + steps(490, "  - {id: b%d, message: {en: \""+strings.Repeat("{{nothing_%[1]d_known}} ", 18)+"\"}, go: nowhere, next: mod}") + end), " more problems"},
		"a circle of waits": {document(mood + "  - {id: w1, wait: 1d}\n  - {id: a2, branch: [{if: score.mood > 1, go: w1}], otherwise: bye}\n" + end), "come back to it without a question"},
	} {
		_, err := Parse([]byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

// TestSame: YAML and JSON of one flow are the same conversation.
func TestSame(t *testing.T) {
	const inJSON = `{"flow": "same", "version": 2, "title": {"en": "Same"}, "languages": ["en"], "steps": [
		{"id": "told", "privacy": {"en": "We read this 😀 — \u00e9\ud83d\ude00"}},
		{"id": "mood", "mood": {"en": "Mood"}},
		{"id": "sad", "when": "score.mood <= 2", "message": {"en": "Sorry"}},
		{"id": "bye", "end": {"en": "Bye"}}]}`
	const inYAML = "flow: same\nversion: 2\ntitle: {en: Same}\nlanguages: [en]\nsteps:\n- {id: told, privacy: {en: We read this 😀 — é😀}}\n- {id: mood, mood: {en: Mood}}\n- {id: sad, when: score.mood <= 2, message: {en: Sorry}}\n- {id: bye, end: {en: Bye}}\n"
	var said [2]string
	for i, text := range []string{inJSON, inYAML} {
		f, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s, first := Simulate(Talker{Flow: f}, Person{}, Options{})
		second, _ := s.Say("2")
		said[i] = first + "\n" + second
	}
	if said[0] != said[1] || !strings.Contains(said[0], "é😀") || !strings.Contains(said[0], "Sorry") {
		t.Errorf("JSON:\n%s\nYAML:\n%s", said[0], said[1])
	}
}
