package insight

import (
	"math"
	"slices"
	"strings"
)

// grammar is what a lexicon needs of its language besides words with weights.
type grammar struct {
	endings  map[string]bool
	negators map[string]bool    // turn what follows them, or the verb before them
	after    map[string]bool    // those that stand after the verb: nicht, niet
	degrees  map[string]float64 // make the next word stronger or weaker
	but      map[string]bool
	despite  map[string]bool
}

// german is the grammar of German.
func german() *grammar {
	return &grammar{
		endings: set("e en er es em n s t te ten tet ter tes test st est et ete eten d nd nde nden nder ndes end ende enden ender endes " +
			"ere erer eren eres erem erem ste sten ster stes este esten ester estes ung ungen heit heiten keit keiten lich liche lichen licher liches lichkeit " +
			"in innen erin erinnen ern isch ische ischer isches ischen weise ens sten ssten nis nisse ig ige iger iges igen"),
		negators: set("nicht nich ned net nix nichts kein keine keinen keiner keinem keines nie niemals nimmer ohne kaum weder wenig weniger mangelnde mangelnder fehlende fehlender selten niemand unmoeglich"),
		after:    set("nicht nich ned net nie niemals kaum"),
		degrees: map[string]float64{"sehr": .3, "so": .15, "extrem": .45, "total": .35, "voellig": .4, "absolut": .4, "richtig": .3, "echt": .25, "wirklich": .25, "unglaublich": .4,
			"super": .35, "mega": .4, "ueberaus": .35, "besonders": .25, "aeusserst": .4, "hoechst": .4, "ungemein": .35, "wahnsinnig": .4, "furchtbar": .35, "schrecklich": .35,
			"komplett": .35, "vollkommen": .4, "ganz": .1, "viel": .2, "deutlich": .2, "enorm": .35, "riesig": .35, "zutiefst": .4, "staendig": .25, "dauernd": .25, "immer": .15, "wieder": .05,
			"zu": .2, "viel_zu": .4, "stark": .25, "ziemlich": .15, "recht": .05, "etwas": -.3, "bisschen": -.35, "bissl": -.35, "leicht": -.3, "eher": -.2, "teilweise": -.3, "manchmal": -.3, "relativ": -.15, "halbwegs": -.4, "einigermassen": -.4, "fast": -.25, "gelegentlich": -.3, "ab": -.05},
		but:     set("aber jedoch allerdings trotzdem dennoch sondern doch"),
		despite: set("trotz obwohl obgleich ungeachtet"),
	}
}

// dutch is the grammar of Dutch.
func dutch() *grammar {
	return &grammar{
		endings:  set("e en er ere s st ste sten t te ten de den d end ende enden ing ingen heid heden lijk lijke lijker je jes tje tjes n ne es r re ster isch ische erd erde erende eerd eerde"),
		negators: set("niet nie geen geeneens nooit zonder nauwelijks amper weinig minder noch niks niets nergens nimmer zelden onvoldoende niemand"),
		after:    set("niet nie nooit nauwelijks amper"),
		degrees: map[string]float64{"heel": .3, "erg": .3, "zeer": .3, "zo": .15, "enorm": .4, "ontzettend": .4, "ongelofelijk": .4, "ongelooflijk": .4, "super": .35, "mega": .4, "echt": .25, "werkelijk": .25,
			"hartstikke": .35, "kei": .35, "mooi": .1, "bijzonder": .25, "uiterst": .4, "totaal": .35, "volledig": .35, "helemaal": .3, "compleet": .35, "absoluut": .4, "vreselijk": .35, "verschrikkelijk": .35,
			"waanzinnig": .4, "best": .05, "behoorlijk": .2, "flink": .25, "veel": .2, "duidelijk": .2, "te": .2, "steeds": .2, "voortdurend": .25, "altijd": .15, "diep": .3, "uitermate": .4, "gewoon": .05,
			"beetje": -.35, "enigszins": -.35, "iets": -.25, "wat": -.1, "redelijk": -.2, "tamelijk": -.1, "nogal": .05, "soms": -.3, "lichtelijk": -.3, "deels": -.3, "vrij": .05, "bijna": -.25, "af": -.05},
		but:     set("maar echter toch desondanks evengoed"),
		despite: set("ondanks hoewel alhoewel"),
	}
}

// set makes a set of the words of a text.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// turned: what is negated has the other sign, and less of it. "Not bad" is
// less good than "not good" is bad.
const (
	turnedGood = -0.74
	turnedBad  = -0.5
	reach      = 4 // words that a negation before a word may be away
	back       = 6 // words that one after it may be away
	shout      = 0.3
	exclaim    = 0.25 // what each ! adds, up to three
)

// hit is a word or phrase with a weight, in a sentence.
type hit struct {
	from, to int // tokens, [from, to)
	weight   float64
	negated  bool
}

// score reads a text in the lexicon's language.
func (l *lexicon) score(text string) Sentiment {
	var sums []float64
	var reasons []Reason
	for _, s := range sentences(tokens(text, l.language)) {
		sum, why := l.sentence(s)
		sums = append(sums, sum)
		reasons = append(reasons, why...)
	}
	return sentiment(l.language, sums, reasons)
}

// sentence: find the words, turn what is negated, weigh by degree, weigh what
// stands before a "but" less and what stands after it more, add up.
func (l *lexicon) sentence(s []token) (float64, []Reason) {
	hits := l.find(s)
	for i := range hits {
		l.degree(s, &hits[i])
		l.negateBefore(s, &hits[i])
	}
	l.negateAfter(s, hits)
	l.weighBut(s, hits)
	sum := 0.0
	reasons := make([]Reason, 0, len(hits))
	for _, h := range hits {
		sum += h.weight
		words := make([]string, 0, h.to-h.from)
		for _, t := range s[h.from:h.to] {
			words = append(words, t.text)
		}
		reasons = append(reasons, Reason{strings.Join(words, " "), h.weight})
	}
	marks := 0
	for _, t := range s {
		if t.kind == stop && t.word == "!" {
			marks++
		}
	}
	if sum != 0 {
		sum += math.Copysign(exclaim*float64(min(3, marks)), sum)
	}
	return sum, reasons
}

// find finds the words and phrases that have a weight. A word that only makes
// the next one stronger ("super schlecht") is none.
func (l *lexicon) find(s []token) []hit {
	var hits []hit
	for i := 0; i < len(s); {
		t := s[i]
		if t.kind == emoji {
			if w := l.emoji[t.word]; w != 0 {
				hits = append(hits, hit{from: i, to: i + 1, weight: w})
			}
			i++
			continue
		}
		if n, w := l.phraseAt(s, i); n > 0 && t.kind == word {
			hits = append(hits, hit{from: i, to: i + n, weight: w})
			i += n
			continue
		}
		if t.kind == word && !l.negators[t.word] {
			if w, ok := l.look(t.word); ok && w != 0 && !l.strengthens(s, i) {
				if t.caps {
					w *= 1 + shout
				}
				hits = append(hits, hit{from: i, to: i + 1, weight: w})
			}
		}
		i++
	}
	return hits
}

// strengthens: the word at i is a degree, and the next has a weight.
func (l *lexicon) strengthens(s []token, i int) bool {
	if _, ok := l.degrees[s[i].word]; !ok || i+1 >= len(s) || s[i+1].kind != word {
		return false
	}
	w, ok := l.look(s[i+1].word)
	return ok && w != 0
}

// degree applies the words of degree up to two words before.
func (l *lexicon) degree(s []token, h *hit) {
	for i := h.from - 1; i >= 0 && i >= h.from-2 && s[i].kind == word; i-- {
		h.weight *= 1 + l.degrees[s[i].word]
	}
}

// negateBefore turns a hit that a negation stands before, in the same clause.
// "Never so welcome" praises; "not only" negates nothing.
func (l *lexicon) negateBefore(s []token, h *hit) {
	comparing := false
	for i, n := h.from-1, 0; i >= 0 && n < reach && s[i].kind == word; i, n = i-1, n+1 {
		w := s[i].word
		if l.but[w] {
			return
		}
		comparing = comparing || w == "so" || w == "zo"
		if !l.negators[w] {
			continue
		}
		if i+1 < len(s) && (s[i+1].word == "nur" || s[i+1].word == "alleen") && i+1 != h.from {
			return
		}
		if comparing && (w == "nie" || w == "nooit" || w == "niemals") && l.language != "nl" || comparing && w == "nooit" {
			h.weight *= 1.25
			return
		}
		h.turn()
		return
	}
}

func (h *hit) turn() {
	if h.negated {
		return
	}
	h.negated = true
	if h.weight > 0 {
		h.weight *= turnedGood
	} else {
		h.weight *= turnedBad
	}
}

// negateAfter turns the nearest hit before a negation that has nothing after
// it in its clause: "gefällt mir nicht", "ik vertrouw hem niet meer".
func (l *lexicon) negateAfter(s []token, hits []hit) {
	for i, t := range s {
		if t.kind != word || !l.after[t.word] {
			continue
		}
		var before *hit
		used := false
		for j := range hits {
			h := &hits[j]
			switch {
			case h.from <= i && i < h.to:
				used = true // part of a phrase
			case h.from > i && h.from-i <= reach && clause(s, i, h.from):
				used = true
			case h.to <= i && i-h.to < back && clause(s, h.to, i):
				before = h
			}
		}
		if before != nil && !used && before.weight > 0 {
			before.turn()
		}
	}
}

// clause: nothing parts the tokens a … b.
func clause(s []token, a, b int) bool {
	return !slices.ContainsFunc(s[a:b], func(t token) bool { return t.kind == comma || t.kind == stop })
}

// weighBut halves what stands before the last "but" and lifts what stands
// after it; what a "despite" introduces counts little.
func (l *lexicon) weighBut(s []token, hits []hit) {
	but := -1
	for i, t := range s {
		if t.kind == word && l.but[t.word] {
			but = i
		}
		if t.kind == word && l.despite[t.word] {
			for j := range hits {
				if hits[j].from > i && hits[j].from-i <= 5 && clause(s, i, hits[j].from) {
					hits[j].weight *= 0.3
				}
			}
		}
	}
	if but <= 0 {
		return
	}
	for j := range hits {
		if hits[j].from < but {
			hits[j].weight *= 0.5
		} else {
			hits[j].weight *= 1.5
		}
	}
}
