package flow

import (
	"strings"
	"testing"
)

const questions = `
  - {id: mood, mood: {en: Mood}}
  - {id: enps, scale: {en: Scale}}
  - {id: five, scale: {en: Scale}, min: 1, max: 5}
  - {id: frost, scale: {en: Scale}, min: -20, max: 20}
  - id: one
    choice: {en: One}
    options:
      - {value: load, label: {en: "The amount of work"}}
      - {value: hours, label: {en: "1–2 hours"}}
      - {value: pay, label: {en: "Pay, and recognition"}}
      - {value: cafe, label: {en: "Café Müller"}}
  - id: agree
    choice: {en: Yes or no}
    options: [{value: "yes", label: {en: "Yes, please"}}, {value: "no", label: {en: "No, thank you"}}]
  - id: safe
    choice: {en: Safe}
    options: [{value: "yes", label: {en: "Yes, I am safe"}}, {value: unsure, label: {en: "I am not sure"}}, {value: "no", label: {en: "No"}}]
  - id: some
    multi: {en: Some}
    max: 3
    options:
      - {value: load, label: {en: "The amount of work"}}
      - {value: team, label: {en: "Team and colleagues"}}
      - {value: pay, label: {en: "Pay"}}
      - {value: boss, label: {en: "My manager"}}
      - {value: growth, label: {en: "Learning, growing"}}
  - {id: bye, end: {en: Bye}}
`

// TestUnderstood is what people write, and what it means: "" for asked again,
// a command in brackets.
func TestUnderstood(t *testing.T) {
	f := quick(t, questions)
	for question, said := range map[string]map[string]string{
		"mood": {
			"1": "1", "5": "5", " 3. ": "3", "4/5": "4", "4 out of 5": "4", "a 2": "2", "3️⃣": "3", "４": "4",
			"😞": "1", "🙁": "2", "😐": "3", "🙂": "4", "😄": "5", "😄😄": "5", "👍🏽": "4", "☹️": "2", "😭": "1", ":)": "4", ":-(": "2", ":D": "5", ":'(": "1", ":|": "3",
			"😄 very good": "5", "very good": "5", "Very Bad!": "1", "so-so": "3", "I'm fine, thanks": "4", "not good": "2", "not bad": "4", "good 😄": "4", "Okay": "3",
			"sehr gut": "5", "SEHR SCHLECHT": "1", "Mir geht es gut": "4", "geht so": "3", "es geht so": "3", "nicht so gut": "2", "großartig": "5", "mittelmäßig": "3", "ganz gut": "4",
			"heel goed": "5", "gaat wel": "3", "niet zo goed": "2", "ik voel me slecht": "2", "erg slecht": "1", "het gaat goed": "4", "Prima": "4",
			"0": "", "6": "", "4.5": "", "3-4": "", "4/10": "", "😞😄": "", "terrible 😄": "", "what?": "", "": "", "seven": "", "good but tired": "", "not very good at all": "",
			"not now": "[be reminded]", "überspringen": "[skip a question]", "Stop, please.": "[stop]", "I need help": "[get help]",
		},
		"enps": {
			"0": "0", "10": "10", "7": "7", "7/10": "7", "7 / 10": "7", "7 out of 10": "7", "7 von 10": "7", "een 7": "7", "eine 7": "7", "I'd say 8": "8", "🔟": "10", "ik geef een 6": "6", "Ich würde sagen 9": "9", "8!": "8", "7 of 10": "7", "8 points": "8", "8 Punkte": "8", "een 8 van de 10": "8",
			"seven": "", "11": "", "-1": "", "7,5": "", "7.5": "", "7-8": "", "7 8": "", "7/5": "", "100%": "", "1e1": "", "0x7": "", "+7": "", "not 7": "", "10/7": "", "12345678901234567890": "", "I don't know": "[skip a question]", "weiß nicht": "[skip a question]", "weet ik niet": "[skip a question]",
		},
		"five":  {"1": "1", "5/5": "5", "0": "", "6": "", "4 von 5": "4", "4/10": ""},
		"frost": {"-5": "-5", "20": "20", "-20": "-20", "-21": "", "5-": "", "--5": ""},
		"one": {
			"1": "load", "2": "hours", "1.": "load", "#3": "pay", "(4)": "cafe", "option 3": "pay", "Nr. 2": "hours", "b": "hours", "D)": "cafe", "load": "load", "THE AMOUNT OF WORK": "load", "amount of work": "load", "pay": "pay", "recognition": "pay", "pay and recognition": "pay", "cafe muller": "cafe", "Café Mueller": "cafe", "1-2 hours": "", "1–2 hours": "hours", "work": "load", "the second": "", "5": "", "0": "", "e": "", "load or pay": "", "1 2": "", "none": "",
			"morgen": "[be reminded]", "back": "[edit an answer]", "person": "[call a person]",
		},
		"agree": {
			"yes": "yes", "Yes!": "yes", "y": "yes", "ja": "yes", "Ja, gerne": "yes", "ja graag": "yes", "sure": "yes", "👍": "yes", "1": "yes", "yes please": "yes", "no": "no", "Nö": "no", "nee dank je": "no", "no thanks": "no", "Nein, danke": "no", "👎": "no", "2": "no", "n": "no", "maybe": "", "yes and no": "", "a": "", "not now": "[be reminded]", "lieber nicht": "no",
		},
		"safe": {
			"yes": "yes", "I'm safe": "yes", "safe": "yes", "not sure": "unsure", "I am not sure": "unsure", "im not sure": "unsure", "no": "no", "nee": "no", "not safe": "", "I am not safe": "", "unsafe": "", "rather not say": "[skip a question]",
		},
		"some": {
			"1": "load", "1, 3 and 5": "load+pay+growth", "1,3": "load+pay", "1 3": "load+pay", "1;3": "load+pay", "1 + 3": "load+pay", "3 en 1": "load+pay", "3 und 4": "pay+boss", "pay": "pay", "pay and my manager": "pay+boss", "Team and colleagues, 3": "team+pay", "team and colleagues and pay": "team+pay", "manager, pay": "pay+boss", "Learning, growing": "growth", "pay, pay": "pay", "1\n3": "load+pay", "a, c": "load+pay",
			"1, 9": "", "pay or else": "", "all": "", "1 2 3 4": "", "none": "", "": "", "and": "", "not pay": "", "skip": "[skip a question]",
		},
	} {
		s := &f.steps[f.index[question]]
		for text, want := range said {
			if got := meaning(s, text); got != want {
				t.Errorf("%s: %q means %q, want %q", question, text, got, want)
			}
		}
	}
}

// meaning is what hear does with a message while a question is open.
func meaning(s *step, text string) string {
	folded := fold(text)
	if s.named(folded, 0) < 0 {
		if c := wideCommand(folded); c != noCommand {
			return "[" + c.String() + "]"
		}
	}
	u := s.understand(text, folded, 0)
	if u.why != "" {
		return ""
	}
	return strings.Join(u.values, "+")
}

// TestCommands: each command in each language, as it is written where the
// answer is free text, and as people say it.
func TestCommands(t *testing.T) {
	for want, said := range map[command][2]string{
		skip:    {"skip|Skip!|/skip|überspringen|ueberspringen?|Frage überspringen|overslaan|sla over", "pass|next question|keine Angabe|weiß nicht|volgende vraag|weet ik niet|I'd rather not say"},
		edit:    {"edit my last answer|Edit my last answer.|change my last answer|meine letzte Antwort ändern|letzte Antwort ändern|mijn laatste antwoord wijzigen|wijzig mijn laatste antwoord|/edit|/back", "edit|back|change my answer|zurück|zurueck|Antwort ändern|bitte ändern|terug|antwoord wijzigen"},
		remind:  {"remind me tomorrow|REMIND ME TOMORROW|morgen erinnern|Erinnern Sie mich morgen|herinner me morgen|/tomorrow", "tomorrow|later|not now|später|jetzt nicht|morgen bitte|niet nu|misschien later"},
		stop:    {"stop|STOP!|stopp|unsubscribe|abmelden|afmelden|/stop", "please stop|I want to stop|stop asking me|ich möchte aufhören|lassen Sie mich in Ruhe|ik wil stoppen|hou op|laat me met rust"},
		help:    {"help|Hilfe|hulp|/help", "help me|ich brauche Hilfe|ik heb hulp nodig"},
		person:  {"person|Human!|Mensch|mens|talk to a person|talk to a human|mit einem Menschen sprechen|met een mens praten|/person", "a human|ein Mensch|een mens|I want to talk to someone|mit jemandem sprechen|iemand spreken"},
		proceed: {"/continue", "continue|weiter|verder|go on"},
	} {
		for text := range strings.SplitSeq(said[0], "|") {
			if got := strictCommand(fold(text)); got != want {
				t.Errorf("in free text %q is to %s, want to %s", text, got, want)
			}
		}
		for text := range strings.SplitSeq(said[1], "|") {
			if got := wideCommand(fold(text)); got != want {
				t.Errorf("%q is to %s, want to %s", text, got, want)
			}
			if got := strictCommand(fold(text)); got != noCommand {
				t.Errorf("%q is an answer in free text, and to %s", text, got)
			}
		}
	}
	for _, text := range []string{"I want to stop smoking", "Ich möchte mit dem Rauchen aufhören", "ik wil stoppen met roken", "nothing stops me", "skip the meetings", "help my colleagues", "Hilfe im Team", "no", "nichts", "niets", "stop stop stop stop"} {
		if got := wideCommand(fold(text)); got != noCommand {
			t.Errorf("%q is taken for a command to %s", text, got)
		}
	}
}

// TestTables: what is looked up is in the form in which it is looked up.
func TestTables(t *testing.T) {
	check := func(table, word string) {
		if fold(word) != word {
			t.Errorf("%s: nobody will find %q, it folds to %q", table, word, fold(word))
		}
	}
	for word := range strict {
		check("strict", word)
		if c := wide[word]; c != noCommand {
			t.Errorf("%q is in both tables, to %s and to %s", word, strict[word], c)
		}
	}
	for word := range wide {
		check("wide", word)
		if moodWords[word] > 0 || yesWords[word] || noWords[word] {
			t.Errorf("%q is an answer and a command to %s", word, wide[word])
		}
	}
	for word := range moodWords {
		check("moods", word)
	}
	for name, set := range map[string]map[string]bool{"yes": yesWords, "no": noWords, "all": allWords, "none": noneWords, "moods": moodFillers, "polite": polite} {
		for word := range set {
			check(name, word)
		}
	}
	for word := range fillers {
		if word != fold(word) && word != "no." {
			check("fillers", word)
		}
	}
}

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"  Ja,\tGERNE! ": "ja, gerne", "Größe": "grosse", "Ünïcödé": "unicode", "I’d": "id", "3️⃣": "3", "👍🏿": "👍", "„stopp“": "stopp", "a\u00adb": "ab", "\x00": "", "１０": "10", "…": "",
	} {
		if got := fold(text); got != want {
			t.Errorf("fold(%q) = %q, want %q", text, got, want)
		}
	}
	if fold(strings.Repeat("x", maxShort+1)) != "" {
		t.Error("something long is folded")
	}
	if got, cut := clean(" a\r\nb\x00\tc\xff ", 10); got != "a\nb\tc\ufffd" || cut {
		t.Errorf("clean: %q, %v", got, cut)
	}
	for i, want := range map[int]string{3: "abc", 6: "abcdef", 9: "abcdef"} {
		if got, cut := clean("abcdef", i); got != want || cut != (i < 6) {
			t.Errorf("clean to %d: %q, %v", i, got, cut)
		}
	}
}
