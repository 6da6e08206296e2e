package flow

import (
	"os"
	"strings"
	"testing"
)

// TestDocs: the examples of docs/flows.md are flows, and it names all that can
// be said in one's own words.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/flows.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	for _, name := range phraseNames() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/flows.md does not name the phrase %s", name)
		}
	}
	for _, k := range kinds {
		if !strings.Contains(string(page), "`"+k.kind) {
			t.Errorf("docs/flows.md does not tell of %s", k.kind)
		}
		for _, f := range k.fields() {
			if f.name != k.kind && f.name != "id" && !strings.Contains(string(page), "`"+f.name) {
				t.Errorf("docs/flows.md does not tell of %s", f.name)
			}
		}
	}
}

// TestPhrases: the built-in sentences are there in three languages, with the
// same places, and every one of them is used.
func TestPhrases(t *testing.T) {
	var code strings.Builder
	for _, file := range []string{"talk.go", "say.go", "understand.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	for name, all := range phrases {
		for l, text := range all {
			for _, place := range []string{"{min}", "{max}", "{helplines}"} {
				if strings.Contains(text, place) != strings.Contains(all[0], place) {
					t.Errorf("%s in language %d and English differ in %s", name, l, place)
				}
			}
			if text == "" || len([]rune(text)) > maxText {
				t.Errorf("%s in language %d has %d characters", name, l, len([]rune(text)))
			}
		}
		if !strings.Contains(code.String(), `"`+name+`"`) && !strings.HasPrefix(name, "mood_") && !strings.HasPrefix(name, "hint_") {
			t.Errorf("nothing says the phrase %s", name)
		}
	}
}

// TestPhrasesTellCommands: what a sentence tells people to write is understood,
// also where free text is asked.
func TestPhrasesTellCommands(t *testing.T) {
	told := 0
	for name, all := range phrases {
		for l, marks := range [3][2]string{{"“", "”"}, {"„", "“"}, {"‘", "’"}} {
			for _, rest := range strings.Split(all[l], marks[0])[1:] {
				words, _, _ := strings.Cut(rest, marks[1])
				c := strictCommand(fold(words))
				if c == noCommand {
					c = map[bool]command{true: wideCommand(fold(words))}[wideCommand(fold(words)) == proceed]
				}
				if c == noCommand && words != "1, 3" {
					t.Errorf("%s tells people to write %q, and it is not understood", name, words)
				}
				told++
			}
		}
	}
	if told < 40 {
		t.Errorf("only %d commands are told of", told)
	}
	for _, name := range Shipped() {
		f := shipped(t, name)
		for i := range f.steps {
			for l, text := range append(append([]template{}, f.steps[i].texts...), f.steps[i].anonymous...) {
				marks := [3][2]string{{"“", "”"}, {"„", "“"}, {"‘", "’"}}[l%3]
				for _, rest := range strings.Split(text.source, marks[0])[1:] {
					words, _, _ := strings.Cut(rest, marks[1])
					if wideCommand(fold(words)) == noCommand && !strings.HasPrefix(words, "{{") {
						t.Errorf("%s.%s tells people to write %q, and it is not understood", name, f.steps[i].id, words)
					}
				}
			}
		}
	}
}

// TestOwnWords: a flow in a language without built-in sentences, with its own.
func TestOwnWords(t *testing.T) {
	var b strings.Builder
	b.WriteString("flow: francais\nversion: 1\ntitle: {fr: Essai}\nlanguages: [fr]\nphrases:\n")
	for _, name := range phraseNames() {
		b.WriteString("  " + name + ": {fr: \"" + name + " en français {min}\"}\n")
	}
	b.WriteString("steps:\n  - {id: lu, privacy: {fr: Nous lisons.}}\n  - {id: humeur, mood: {fr: \"Ça va ?\"}}\n  - {id: fin, end: {fr: Merci.}}\n")
	f, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	s, first := Simulate(Talker{Flow: f}, Person{}, Options{})
	again, _ := s.Say("comment ?")
	if !strings.Contains(first, "mood_1 en français") || !strings.Contains(again, "unclear_mood en français 1") {
		t.Errorf("%s\n%s", first, again)
	}
}
