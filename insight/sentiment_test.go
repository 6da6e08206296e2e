package insight_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/insight"
)

// TestReasons: the words that make a score are named as they were written,
// with the sign that they have in their place.
func TestReasons(t *testing.T) {
	l := lexicons(t)
	for _, c := range []struct {
		language, text string
		label          insight.Label
		word           string
		sign           float64
	}{
		{"en", "The onboarding was great", insight.Positive, "great", 1},
		{"en", "I am not happy here", insight.Negative, "happy", -1},
		{"en", "Totally burned out lately", insight.Negative, "burned out", -1},
		{"de", "Das Team ist toll", insight.Positive, "toll", 1},
		{"de", "Ich bin nicht zufrieden", insight.Negative, "zufrieden", -1},
		{"de", "Das gefällt mir nicht", insight.Negative, "gefällt", -1},
		{"de", "gar nicht schlecht", insight.Positive, "schlecht", 1},
		{"de", "reine Arbeitsfreude bei uns", insight.Positive, "Arbeitsfreude", 1},
		{"de", "der Katastrophenplan vom Chef", insight.Negative, "Katastrophenplan", -1},
		{"de", "ich bin UEBERFORDERT", insight.Negative, "UEBERFORDERT", -1},
		{"de", "total überfodert, ich bin sehr ueberfordert", insight.Negative, "ueberfordert", -1},
		{"nl", "De sfeer is geweldig", insight.Positive, "geweldig", 1},
		{"nl", "Ik ben niet tevreden", insight.Negative, "tevreden", -1},
		{"nl", "ik vertrouw hem niet meer", insight.Negative, "vertrouw", -1},
		{"nl", "ik ben geïrriteerd", insight.Negative, "geïrriteerd", -1},
		{"nl", "de leiding is dom maar de collega's zijn geweldig", insight.Positive, "geweldig", 1},
		{"de", ":-(", insight.Negative, ":-(", -1},
		{"nl", "👍", insight.Positive, "👍", 1},
	} {
		s, err := l.Score(context.Background(), c.language, c.text)
		if err != nil || s.Label != c.label {
			t.Errorf("%s %q: %+v, %v; want %s", c.language, c.text, s, err, c.label)
			continue
		}
		found := false
		for _, r := range s.Reasons {
			found = found || r.Word == c.word && r.Weight*c.sign > 0
		}
		if !found {
			t.Errorf("%q: %q is not among the reasons %v", c.text, c.word, s.Reasons)
		}
	}
}

// TestDegrees: intensifiers, diminishers, marks and capitals move a score the
// way they should.
func TestDegrees(t *testing.T) {
	l := lexicons(t)
	for _, row := range []struct {
		language string
		texts    []string // from low to high
	}{
		{"en", []string{"The team is very bad", "The team is bad", "The team is here", "The team is good", "The team is very good"}},
		{"de", []string{"Das Team ist extrem schlecht!", "Das Team ist sehr schlecht", "Das Team ist schlecht", "Das Team ist etwas langsam", "Das Team ist hier", "Das Team ist gut", "Das Team ist sehr gut", "Das Team ist extrem GUT!"}},
		{"nl", []string{"Het team is verschrikkelijk slecht!", "Het team is heel slecht", "Het team is slecht", "Het team is een beetje traag", "Het team is hier", "Het team is goed", "Het team is heel goed", "Het team is enorm GOED!"}},
	} {
		last := math.Inf(-1)
		for _, text := range row.texts {
			s, err := l.Score(context.Background(), row.language, text)
			if err != nil || s.Score <= last {
				t.Errorf("%q: %.3f, %v; want more than %.3f", text, s.Score, err, last)
			}
			last = s.Score
		}
	}
}

// TestLanguageOfScore: the text decides, the hint helps where it is short,
// and what is in no language of ours has no sentiment.
func TestLanguageOfScore(t *testing.T) {
	l := lexicons(t)
	for _, c := range []struct{ hint, text, want string }{
		{"de", "I am really unhappy with my manager", "en"}, {"de-AT", "ok", "de"}, {"nl", "prima", "nl"}, {"", "Ich bin sehr zufrieden mit der Arbeit", "de"}, {"en", "Ik ben heel moe van het werk", "nl"},
	} {
		s, err := l.Score(context.Background(), c.hint, c.text)
		if err != nil || s.Language != c.want {
			t.Errorf("%q with hint %q: %+v, %v; want %s", c.text, c.hint, s, err, c.want)
		}
	}
	for _, text := range []string{"Je suis très content de mon équipe", "Я очень устал и не хочу работать"} {
		if s, err := l.Score(context.Background(), "fr", text); !errors.Is(err, insight.ErrLanguage) || s.Label != insight.Neutral {
			t.Errorf("%q: %+v, %v; want ErrLanguage", text, s, err)
		}
	}
}

// FuzzScore: nothing panics, scores are within bounds, and the same text gives
// the same score.
func FuzzScore(f *testing.F) {
	f.Add("de", "Das gefällt mir nicht, aber :-) gut!!")
	f.Add("en", "not bad \xff but 😀 burned out")
	f.Add("nl", strings.Repeat("niet goed ", 300))
	l := lexicons(f)
	f.Fuzz(func(t *testing.T, language, text string) {
		a, errA := l.Score(context.Background(), language, text)
		b, errB := l.Score(context.Background(), language, text)
		if a.Score != b.Score || (errA == nil) != (errB == nil) || !(a.Score >= -1 && a.Score <= 1) || a.Label != insight.LabelOf(a.Score) || len(a.Reasons) > 12 {
			t.Fatalf("%+v %v, %+v %v", a, errA, b, errB)
		}
	})
}
