package flow

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How typed answers are understood: leniently in form (labels, values,
// numbers, faces, small words around them, in all languages at once), strictly
// in meaning. What could be two things is asked again.

// An understanding is what a message says as an answer to a question.
type understanding struct {
	values []string
	score  *int
	text   string
	cut    bool
	why    string // the phrase that says what was wrong; "" for understood
}

// fillers are words around a number or a label that change nothing.
var fillers = wordSet("a|an|the|i|id|ill|im|my|me|is|its|it|am|say|would|give|choose|take|pick|maybe|probably|about|around|think|guess|answer|option|number|nr|no.|point|points|please|well|hmm|so|" +
	"eine|ein|einen|der|die|das|ich|wurde|sage|sagen|gebe|nehme|wahle|vielleicht|etwa|ungefahr|ca|glaube|denke|antwort|nummer|punkt|punkte|bitte|mal|ist|meine|" +
	"een|de|het|ik|zou|zeggen|zeg|geef|kies|neem|misschien|ongeveer|denk|antwoord|optie|punt|punten|graag|mijn")

// moodFillers may stand around a word for a mood.
var moodFillers = wordSet("i|im|am|ive|been|feel|feeling|doing|today|its|it|is|was|my|week|day|all|in|mir|geht|es|heute|ich|fuhle|mich|bin|lauft|war|diese|woche|mein|tag|ik|ben|voel|me|vandaag|het|gaat|ging|mij|deze|mijn|dag|a|bit|just|really|pretty|quite|rather|eher|ziemlich|recht|best|tamelijk|redelijk|thanks|danke|bedankt|actually|eigentlich|eigenlijk|right|now|gerade|nu")

// moodWords are words for the five faces.
var moodWords = scoreTable([5]string{
	"very bad|really bad|terrible|awful|horrible|miserable|dreadful|the worst|sehr schlecht|furchtbar|schrecklich|miserabel|elend|ganz schlecht|grauenhaft|heel slecht|erg slecht|zeer slecht|vreselijk|verschrikkelijk|afschuwelijk|ellendig",
	"bad|not good|not so good|not well|not great|poor|sad|down|schlecht|nicht gut|nicht so gut|nicht besonders|traurig|slecht|niet goed|niet zo goed|niet best|verdrietig|somber",
	"so-so|so so|okay|ok|meh|neutral|average|alright|medium|geht so|es geht|es geht so|mittel|mittelmassig|na ja|naja|so lala|solala|durchwachsen|gaat wel|het gaat wel|gaat|het gaat|neutraal|gemiddeld|mwah|matig|gewoon",
	"good|fine|well|pretty good|quite good|not bad|not too bad|happy|gut|ganz gut|nicht schlecht|zufrieden|ordentlich|goed|best goed|niet slecht|prima|tevreden|lekker",
	"very good|really good|great|excellent|fantastic|amazing|wonderful|awesome|super|sehr gut|toll|ausgezeichnet|hervorragend|fantastisch|wunderbar|bestens|grossartig|heel goed|erg goed|zeer goed|geweldig|uitstekend|top|super goed",
})

// moodFaces are emoji and emoticons for the five faces.
var moodFaces = scoreTable([5]string{
	"😞|😢|😭|😩|😡|😫|😖|😣|🤬|😠|💔|:'(|:((",
	"🙁|☹|😕|😟|👎|😔|😒|😓|:(|:-(|:/|:-/",
	"😐|😶|🤷|😑|🫤|:||:-|",
	"🙂|😊|☺|👍|😌|:)|:-)|😉|;)|;-)",
	"😄|😀|😁|😃|🤩|🥳|😍|😆|🥰|❤|🎉|:d|:-d|:))",
})

func scoreTable(from [5]string) map[string]int {
	out := map[string]int{}
	for i, all := range from {
		all = strings.ReplaceAll(all, ":||:-|", ":\x00|:-\x00") // a face with the separator in it
		for _, word := range strings.Split(all, "|") {
			out[strings.ReplaceAll(word, "\x00", "|")] = i + 1
		}
	}
	return out
}

// understand reads a message as an answer to a question. folded is fold(text).
func (s *step) understand(text, folded string, language int) understanding {
	switch s.kind {
	case Mood:
		return s.mood(text, folded)
	case Scale:
		n, ok := number(folded, s.min, s.max)
		if !ok {
			return understanding{why: "unclear_scale"}
		}
		return numbered(n)
	case Choice:
		if at := s.choose(folded, language); at >= 0 {
			return understanding{values: []string{s.options[at].value}, score: s.options[at].score}
		}
		return understanding{why: "unclear_choice"}
	case Multi:
		return s.several(folded, language)
	}
	u := understanding{}
	if u.text, u.cut = clean(text, s.length); u.text == "" {
		u.why = "unclear_text"
	}
	return u
}

func numbered(n int) understanding {
	return understanding{values: []string{strconv.Itoa(n)}, score: &n}
}

// number reads a whole number of a scale: "7", "a 7", "7/10", "7 out of 10",
// "7 von 10". Of anything else, as of "7-8" or "7,5", it makes nothing.
func number(folded string, low, high int) (int, bool) {
	words := wordsOf(folded)
	if len(words) == 0 || len(words) > 12 {
		return 0, false
	}
	words = without(words, fillers)
	if n := len(words); n >= 3 { // n of the greatest
		of := strings.Join(words[1:n-1], " ")
		switch of {
		case "/", "of", "out of", "von", "van", "aus", "op":
			if words[n-1] != strconv.Itoa(high) {
				return 0, false
			}
			words = words[:1]
		}
	}
	if len(words) != 1 || len(words[0]) > 4 {
		return 0, false
	}
	for i, r := range words[0] {
		if (r < '0' || r > '9') && (r != '-' || i > 0) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(words[0])
	return n, err == nil && n >= low && n <= high
}

func (s *step) mood(text, folded string) understanding {
	if n, ok := number(folded, s.min, s.max); ok {
		return numbered(n)
	}
	if n := moodWords[folded]; n > 0 {
		return numbered(n)
	}
	face, rest := moodFace(text)
	words := fold(rest)
	said := moodWords[words]
	if said == 0 && words != "" {
		said = moodWords[strings.Join(without(strings.Fields(words), moodFillers), " ")]
	}
	switch {
	case said > 0 && face > 0 && said != face && abs(said-face) > 1:
		// Sad words with a smile are not for a program to decide.
	case said > 0:
		return numbered(said)
	case face > 0 && words == "":
		return numbered(face)
	}
	return understanding{why: "unclear_mood"}
}

func abs(n int) int { return max(n, -n) }

// moodFace finds the faces of a message, which must agree, and the rest of it.
func moodFace(text string) (score int, rest string) {
	if len(text) > maxShort {
		return 0, text
	}
	var b strings.Builder
	disagree := false
	for _, word := range strings.Fields(text) {
		if n := moodFaces[strings.ToLower(word)]; n > 0 {
			disagree = disagree || score > 0 && score != n
			score = n
			continue
		}
		for _, r := range word {
			n := 0
			if r >= utf8.RuneSelf {
				n = moodFaces[string(r)]
			}
			if n == 0 {
				b.WriteRune(r)
				continue
			}
			disagree = disagree || score > 0 && score != n
			score = n
		}
		b.WriteByte(' ')
	}
	if disagree {
		return 0, text
	}
	return score, b.String()
}

// yes and no are understood where the options are yes and no.
var (
	yesWords = wordSet("yes|y|yeah|yep|yes please|sure|of course|gladly|please do|ok|okay|ja|j|jawohl|ja bitte|ja gerne|gerne|gern|klar|naturlich|ja graag|graag|natuurlijk|zeker|jazeker|👍|✅|✔")
	noWords  = wordSet("no|n|nope|no thanks|no thank you|not really|rather not|nein|nein danke|lieber nicht|ne|nee|no danke|nee dank je|nee bedankt|liever niet|👎|❌|✖")
)

// choose finds the option that a message names, -1 for none: by value, label
// in any language, position, letter, or the beginning of one label only.
func (s *step) choose(folded string, language int) int {
	if folded == "" {
		return -1
	}
	if at := s.named(folded, language); at >= 0 {
		return at
	}
	if n, ok := number(folded, 1, len(s.options)); ok {
		return n - 1
	}
	if len(folded) == 1 && folded[0] >= 'a' && int(folded[0]-'a') < len(s.options) && !s.yesNo {
		return int(folded[0] - 'a')
	}
	left := folded
	if words := strings.Fields(folded); len(words) > 1 && len(words) <= 12 {
		left = strings.Join(without(words, fillers), " ")
	}
	if s.yesNo {
		for i, o := range s.options {
			if o.value == "yes" && (yesWords[folded] || yesWords[left]) || o.value == "no" && (noWords[folded] || noWords[left]) {
				return i
			}
		}
	}
	if left == "" {
		return -1
	}
	if at := s.named(left, language); at >= 0 {
		return at
	}
	if at := s.begins(folded, language); at >= 0 {
		return at
	}
	return s.has(left, language)
}

// named finds the option with this value or label.
func (s *step) named(folded string, language int) int {
	for i := range s.options {
		if s.options[i].value == folded {
			return i
		}
	}
	out := spelledOut(folded)
	for n := range len(s.options) * 2 { // first in the conversation's language
		o := &s.options[n%len(s.options)]
		for l, spelled := range o.folded {
			if (l == language) == (n < len(s.options)) && (spelled[0] == folded || spelled[1] == out || spelled[2] == folded) {
				return n % len(s.options)
			}
		}
	}
	return -1
}

// begins finds the only option whose label begins so.
func (s *step) begins(folded string, language int) int {
	if utf8.RuneCountInString(folded) < 4 {
		return -1
	}
	found := -1
	for i := range s.options {
		if language < len(s.options[i].folded) && strings.HasPrefix(s.options[i].folded[language][0], folded) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// has finds the only option whose label has all these words, one of them at
// least of four letters.
func (s *step) has(words string, language int) int {
	found, long := -1, false
	wanted := strings.Fields(words)
	for i := range s.options {
		if language >= len(s.options[i].words) {
			return -1
		}
		all := true
		for _, word := range wanted {
			long = long || utf8.RuneCountInString(word) >= 4
			all = all && slices.Contains(s.options[i].words[language], word)
		}
		if all && found >= 0 {
			return -1
		}
		if all {
			found = i
		}
	}
	if !long {
		return -1
	}
	return found
}

var (
	allWords  = wordSet("all|all of them|everything|alle|alles|alle antworten|allemaal|all of the above")
	noneWords = wordSet("none|none of them|nothing|keine|keines|keins|nichts|keine davon|geen|niets|geen van allen|0|none of the above")
	ands      = wordSet("and|und|en|&|+|plus|y|sowie")
)

// several reads "1, 3 and 5", labels, values, or a mixture. All of it must be
// understood.
func (s *step) several(folded string, language int) understanding {
	unclear := understanding{why: "unclear_multi"}
	if folded == "" {
		return unclear
	}
	chosen := make([]bool, len(s.options))
	one := s.choose(folded, language)
	switch {
	case one >= 0:
		chosen[one] = true
	case allWords[folded]:
		for i := range chosen {
			chosen[i] = true
		}
	case noneWords[folded]:
	default:
		parts := strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune(",;\n|•", r) })
		for _, part := range parts {
			if !s.mark(strings.Fields(part), language, chosen) {
				return unclear
			}
		}
	}
	u := understanding{}
	for i, yes := range chosen {
		if yes {
			u.values = append(u.values, s.options[i].value)
		}
	}
	if len(u.values) < s.min || len(u.values) > s.max {
		return understanding{why: "unclear_count"}
	}
	return u
}

// maxWords bounds the words of one part of a choice of several.
const maxWords = 60

// mark chooses the options that words name, the longest names first, with and
// between them.
func (s *step) mark(words []string, language int, chosen []bool) bool {
	if len(words) > maxWords {
		return false
	}
	for len(words) > 0 {
		if ands[words[0]] {
			words = words[1:]
			continue
		}
		found := false
		for n := min(len(words), 12); n > 0 && !found; n-- {
			folded := strings.Trim(strings.Join(words[:n], " "), trimmed)
			at := s.named(folded, language)
			if at < 0 && (n == 1 || n == len(words) || ands[words[n]]) {
				at = s.choose(folded, language)
			}
			if at >= 0 {
				chosen[at], words, found = true, words[n:], true
			}
		}
		if !found {
			return false
		}
	}
	return true
}
