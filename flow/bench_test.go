package flow

import (
	"encoding/json"
	"testing"
)

func BenchmarkNext(b *testing.B) {
	talker := Talker{Flow: shipped(b, "pulse"), Sentiment: toneOf, Helplines: helplinesFor}
	open, _ := talker.Open(Person{Name: "Ann"}, Options{Language: "de"})
	low, _ := talker.Next(open, Input{Text: "2"})
	for _, c := range []struct {
		name  string
		state State
		text  string
	}{
		{"mood and branch", open, "4"},
		{"mood in words", open, "Mir geht es heute gut 😊"},
		{"not understood", open, "Das kann ich so schnell nicht sagen, es kommt ja immer auf den Tag an"},
		{"free text", low, "Ständig Überstunden, seit Monaten, und niemand sagt, wann es besser wird."},
		{"command", open, "Bitte morgen erinnern"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				talker.Next(c.state, Input{Text: c.text})
			}
		})
	}
	b.Run("multi in words", func(b *testing.B) {
		s, _ := talker.Next(open, Input{Text: "4"})
		b.ReportAllocs()
		for b.Loop() {
			talker.Next(s, Input{Text: "Die Arbeitsmenge, mein Team und Zeit für das übrige Leben"})
		}
	})
}

// BenchmarkTurn is what a server does with a message: read the state, go on,
// write it.
func BenchmarkTurn(b *testing.B) {
	talker := Talker{Flow: shipped(b, "pulse"), Sentiment: toneOf, Helplines: helplinesFor}
	s, _ := talker.Open(Person{Name: "Ann"}, Options{})
	for _, text := range []string{"4", "1, 3", "4", "4", "4"} {
		s, _ = talker.Next(s, Input{Text: text})
	}
	stored, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var s State
		if err := json.Unmarshal(stored, &s); err != nil {
			b.Fatal(err)
		}
		s, _ = talker.Next(s, Input{Text: "9"})
		if _, err := json.Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text, _ := Document("pulse")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
