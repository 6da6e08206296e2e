package insight

import (
	"bufio"
	"context"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed lexicon/*.txt
var lexiconFiles embed.FS

// Lexicons scores English with VADER (package govader and a supplement of
// ours), German and Dutch with lexicons of ours. It takes no time worth a
// context and never asks anybody.
type Lexicons struct {
	en     *english
	de, nl *lexicon
}

// tables are the lexicons, read once.
var tables = sync.OnceValues(loadLexicons)

// NewLexicons gives the built-in scorer; the tables are read at the first call
// and shared. An error means that the program was built from a broken lexicon.
func NewLexicons() (*Lexicons, error) { return tables() }

func loadLexicons() (*Lexicons, error) {
	de, err := readLexicon("de", german())
	if err != nil {
		return nil, err
	}
	nl, err := readLexicon("nl", dutch())
	if err != nil {
		return nil, err
	}
	en, err := newEnglish()
	if err != nil {
		return nil, err
	}
	return &Lexicons{en: en, de: de, nl: nl}, nil
}

// Score is the Scorer. The language is that of the text if Language is sure
// of it, else the hint, else the likeliest. Texts are read up to 8 KiB.
func (l *Lexicons) Score(_ context.Context, language, text string) (Sentiment, error) {
	text = strings.ToValidUTF8(cut(text, maxScored), " ")
	hint, _, _ := strings.Cut(strings.ToLower(language), "-")
	tag, sure := Language(text)
	if !sure && (hint == "en" || hint == "de" || hint == "nl") {
		tag = hint
	}
	switch tag {
	case "en":
		return l.en.score(text), nil
	case "de":
		return l.de.score(text), nil
	case "nl":
		return l.nl.score(text), nil
	}
	if !wordless(text) {
		return Sentiment{Label: Neutral, Language: Other}, ErrLanguage
	}
	return l.de.score(text), nil // emoji and figures mean the same everywhere
}

// wordless texts have emoji, figures and marks only.
func wordless(text string) bool {
	for _, t := range tokens(text, "en") {
		if t.kind == word && strings.Trim(t.word, "0123456789") != "" {
			return false
		}
	}
	return true
}

// lexicon is a language's words and how it negates.
type lexicon struct {
	language string
	exact    map[string]float64 // whole words, and stems as they stand
	stems    map[string]float64 // with the grammar's endings
	wild     map[string]float64 // with any continuation
	typos    typos
	emoji    map[string]float64  //
	phrases  map[string][]phrase // by first word, longest first
	*grammar
}

// typos are the words without double letters and umlauts.
type typos struct{ exact, stems, wild map[string]float64 }

type phrase struct {
	words  []string
	open   bool // the last word may go on
	weight float64
}

// readLexicon reads lexicon/LANGUAGE.txt; the head of that file describes it.
func readLexicon(language string, g *grammar) (*lexicon, error) {
	l := &lexicon{language: language, exact: map[string]float64{}, stems: map[string]float64{}, wild: map[string]float64{},
		typos: typos{map[string]float64{}, map[string]float64{}, map[string]float64{}}, emoji: map[string]float64{}, phrases: map[string][]phrase{}, grammar: g}
	err := readEntries(language, func(entry string, weight float64) { l.add(entry, weight) })
	return l, err
}

// readEntries calls add for each entry of a lexicon.
func readEntries(language string, add func(entry string, weight float64)) error {
	f, err := lexiconFiles.Open("lexicon/" + language + ".txt")
	if err != nil {
		return fmt.Errorf("lexicon of %s: %w", language, err)
	}
	defer f.Close() //nolint:errcheck // embedded, read only
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		head, entries, ok := strings.Cut(line, "\t")
		weight, err := strconv.ParseFloat(head, 64)
		if !ok || err != nil || weight < -4 || weight > 4 {
			return fmt.Errorf("lexicon of %s, line %d: want a weight of -4 … 4, a tab and words", language, n)
		}
		for e := range strings.FieldsSeq(entries) {
			add(e, weight)
		}
	}
	return lines.Err()
}

// add enters one entry; what stands first in the file wins.
func (l *lexicon) add(entry string, weight float64) {
	if r := []rune(entry)[0]; r > 0x2000 {
		l.emoji[entry] = weight
		return
	}
	e := folded(entry, l.language)
	if strings.Contains(e, "_") {
		words := strings.Split(strings.Trim(e, "="), "_")
		last := len(words) - 1
		open := strings.HasSuffix(words[last], "*")
		words[last] = strings.TrimSuffix(words[last], "*")
		l.phrases[words[0]] = append(l.phrases[words[0]], phrase{words, open, weight})
		return
	}
	put := func(m map[string]float64, k string) {
		if _, ok := m[k]; !ok {
			m[k] = weight
		}
	}
	switch {
	case e[0] == '=':
		put(l.exact, e[1:])
		put(l.typos.exact, l.crush(e[1:]))
	case strings.HasSuffix(e, "*"):
		put(l.wild, strings.TrimSuffix(e, "*"))
		put(l.typos.wild, l.crush(strings.TrimSuffix(e, "*")))
	default:
		put(l.exact, e)
		put(l.stems, e)
		put(l.typos.exact, l.crush(e))
		put(l.typos.stems, l.crush(e))
	}
}

// crush takes away what typing loses: double letters and, in German, umlauts.
func (l *lexicon) crush(w string) string {
	if l.language == "de" {
		w = umlauts.Replace(w)
	}
	b := make([]byte, 0, len(w))
	for i := range len(w) {
		if i == 0 || w[i] != w[i-1] {
			b = append(b, w[i])
		}
	}
	return string(b)
}

var umlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u")

const (
	maxEnding   = 8
	minStem     = 4 // letters of a stem that takes endings
	minCrushed  = 6 // letters of a word that is looked for without its double letters
	minHead     = 5 // letters of a compound's part
	minCompound = 9
)

// look finds the weight of a word: as it stands, with endings, as a stem with
// any continuation, without double letters, as a compound.
func (l *lexicon) look(w string) (float64, bool) {
	if v, ok := l.inflected(w, l.exact, l.stems); ok {
		return v, true
	}
	if v, ok := open(w, l.wild, 3); ok {
		return v, true
	}
	if len(w) >= minCrushed {
		c := l.crush(w)
		if v, ok := l.inflected(c, l.typos.exact, l.typos.stems); ok {
			return v, true
		}
		if v, ok := open(c, l.typos.wild, minCrushed+1); ok {
			return v, true
		}
	}
	return l.compound(w)
}

// open finds the longest stem, of at least so many letters, that w begins with.
func open(w string, stems map[string]float64, least int) (float64, bool) {
	for n := len(w); n >= least; n-- {
		if v, ok := stems[w[:n]]; ok {
			return v, true
		}
	}
	return 0, false
}

func (l *lexicon) inflected(w string, exact, stems map[string]float64) (float64, bool) {
	if v, ok := exact[w]; ok {
		return v, true
	}
	for n := len(w) - 1; n >= minStem && len(w)-n <= maxEnding; n-- {
		if v, ok := stems[w[:n]]; ok && l.endings[w[n:]] {
			return v, true
		}
	}
	return 0, false
}

// compound looks at a long word's last part, which says what it is
// (Arbeitsfreude), then at its first (Katastrophenplan), at a discount.
func (l *lexicon) compound(w string) (float64, bool) {
	if len(w) < minCompound {
		return 0, false
	}
	for i := 4; len(w)-i >= minHead; i++ {
		if v, ok := l.inflected(w[i:], l.exact, l.stems); ok {
			return v * 0.8, true
		}
	}
	for n := len(w) - 3; n > minHead; n-- {
		if v, ok := l.stems[w[:n]]; ok {
			return v * 0.7, true
		}
	}
	return 0, false
}

// phraseAt finds the longest phrase that begins at t[i]: how many tokens it
// takes, and its weight.
func (l *lexicon) phraseAt(t []token, i int) (int, float64) {
	best, weight := 0, 0.0
	for _, p := range l.phrases[t[i].word] {
		if len(p.words) <= best || i+len(p.words) > len(t) {
			continue
		}
		ok := true
		for j, w := range p.words {
			at := t[i+j]
			if at.kind != word || at.word != w && !(p.open && j == len(p.words)-1 && strings.HasPrefix(at.word, w)) {
				ok = false
				break
			}
		}
		if ok {
			best, weight = len(p.words), p.weight
		}
	}
	return best, weight
}
