package insight

import (
	"bufio"
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed rules/*.txt
var ruleFiles embed.FS

// rule is a line of rules/*.txt: elements in order, and how many words may
// stand before each.
type rule struct {
	name, kind, language string
	elements             []int
	gaps                 []int
}

// rulebook is all rules, and which elements a word belongs to.
type rulebook struct {
	rules   []rule
	named   map[string]int      // elements by their text and language
	count   int                 // of elements
	exact   map[string][]int    // elements by word
	open    map[string][]opened // by the first three bytes
	fuzzy   map[string][]opened // words that may have a typo, by the first and the last two bytes
	divided map[string]bool     // first three bytes of words that may be written apart
	sets    map[string]string   // @name while a file is read
	may     [4096]byte          // by slot: which of the maps may have something there; it saves most look-ups
}

// opened is the beginning of a word, or a word that may have a typo.
type opened struct {
	word    string
	element int
}

const harmless = "harmless"

// Bits of rulebook.may.
const (
	mayOpen byte = 1 << iota
	mayFront
	mayBack
	mayDivide
)

func slot3(w string) int  { return (int(w[0])<<7 ^ int(w[1])<<4 ^ int(w[2])) & 4095 }
func slot2(a, b byte) int { return (int(a)<<6 ^ int(b)) & 4095 }

// readRules reads the rules of all languages.
func readRules() (*rulebook, error) {
	b := &rulebook{named: map[string]int{}, exact: map[string][]int{}, open: map[string][]opened{}, fuzzy: map[string][]opened{}, divided: map[string]bool{}}
	for _, language := range []string{"en", "de", "nl"} {
		f, err := ruleFiles.Open("rules/" + language + ".txt")
		if err != nil {
			return nil, err
		}
		b.sets = map[string]string{}
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			if err := b.line(language, lines.Text()); err != nil {
				return nil, fmt.Errorf("rules of %s, line %d: %w", language, n, err)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
		f.Close() //nolint:errcheck // embedded, read only
	}
	b.sets = nil
	return b, nil
}

func (b *rulebook) line(language, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if line[0] == '@' {
		name, words, ok := strings.Cut(line, " = ")
		if !ok {
			return fmt.Errorf("want @name = word|word")
		}
		b.sets[name] = words
		return nil
	}
	kind, pattern, ok := strings.Cut(line, "\t")
	if !ok || !slices.Contains([]string{harmless, "suicide", "self-harm", "violence", "abuse"}, kind) {
		return fmt.Errorf("want a kind, a tab and a pattern")
	}
	r := rule{name: pattern, kind: kind, language: language}
	gap := 0
	for p := range strings.FieldsSeq(pattern) {
		if n := map[string]int{".": 1, "..": 3, "...": 6}[p]; n > 0 {
			gap = n
			continue
		}
		e, err := b.element(language, p)
		if err != nil {
			return err
		}
		r.elements, r.gaps = append(r.elements, e), append(r.gaps, gap)
		gap = 0
	}
	if len(r.elements) == 0 || gap > 0 {
		return fmt.Errorf("want words at both ends of the pattern")
	}
	if len(r.elements) == 1 && kind != harmless {
		b.divide(pattern)
	}
	b.rules = append(b.rules, r)
	return nil
}

// element gives the number of a set of words, a new one at its first use.
func (b *rulebook) element(language, text string) (int, error) {
	key := language + " " + text
	if e, ok := b.named[key]; ok {
		return e, nil
	}
	e := b.count
	b.count++
	b.named[key] = e
	for alternative := range strings.SplitSeq(text, "|") {
		words := alternative
		if strings.HasPrefix(alternative, "@") {
			set, ok := b.sets[alternative]
			if !ok {
				return 0, fmt.Errorf("%s is not defined", alternative)
			}
			words = set
		}
		for w := range strings.SplitSeq(words, "|") {
			if err := b.word(e, w); err != nil {
				return 0, err
			}
		}
	}
	return e, nil
}

func (b *rulebook) word(e int, text string) error {
	w := squashed(text)
	switch {
	case strings.HasSuffix(text, "*"):
		if len(w) < 3 {
			return fmt.Errorf("%s: want at least three letters before *", text)
		}
		b.may[slot3(w)] |= mayOpen
		b.open[w[:3]] = append(b.open[w[:3]], opened{w, e})
	case strings.HasPrefix(text, "~"):
		if len(w) < 5 {
			return fmt.Errorf("%s: want at least five letters after ~", text)
		}
		b.may[slot2(w[0], w[1])] |= mayFront
		b.may[slot2(w[len(w)-2], w[len(w)-1])] |= mayBack
		for _, end := range []string{"^" + w[:2], "$" + w[len(w)-2:]} {
			b.fuzzy[end] = append(b.fuzzy[end], opened{w, e})
		}
	case w == "":
		return fmt.Errorf("an empty word in %q", text)
	default:
		if !slices.Contains(b.exact[w], e) {
			b.exact[w] = append(b.exact[w], e)
		}
	}
	return nil
}

// squashed is a word of a rule as squash sees it in a text.
func squashed(w string) string {
	var all strings.Builder
	for _, p := range squash(strings.Trim(w, "~*"), nil) {
		all.WriteString(p.word)
	}
	return all.String()
}

// divide enters words that are also found with a blank inside.
func (b *rulebook) divide(pattern string) {
	for w := range strings.SplitSeq(pattern, "|") {
		if w = squashed(w); len(w) >= 7 {
			b.divided[w[:3]] = true
			b.may[slot3(w)] |= mayDivide
		}
	}
}

// found are the places where elements are in a text. It is scratch memory.
type found struct {
	at     [][]int32 // by element: numbers of pieces, ascending
	used   []int     // elements that have any
	masked []bool    // by piece: part of something harmless
	later  []bool    // the same, while harmless rules are still tried
	pieces []piece
	front  [2][]reachedAt
}

// look fills f with where the elements are.
func (b *rulebook) look(pieces []piece, f *found) {
	if len(f.at) < b.count {
		f.at = make([][]int32, b.count)
	}
	for _, e := range f.used {
		f.at[e] = f.at[e][:0]
	}
	f.used = f.used[:0]
	f.masked = append(f.masked[:0], make([]bool, len(pieces))...)
	f.later = append(f.later[:0], f.masked...)
	var joint [64]byte
	for i, p := range pieces {
		b.place(p.word, i, f)
		if i+1 == len(pieces) || len(p.word) < 2 {
			continue
		}
		next := pieces[i+1].word
		if n := len(p.word) + len(next); n < 6 || n > len(joint) || len(p.word) > 2 && b.may[slot3(p.word)]&mayDivide == 0 {
			continue
		}
		w := append(append(joint[:0], p.word...), next...)
		if !b.divided[string(w[:3])] {
			continue
		}
		b.place(string(reduce(w)), i, f)
	}
}

// place notes that word w stands at i.
func (b *rulebook) place(w string, i int, f *found) {
	for _, e := range b.exact[w] {
		f.note(e, i)
	}
	if len(w) >= 3 && b.may[slot3(w)]&mayOpen != 0 {
		for _, o := range b.open[w[:3]] {
			if strings.HasPrefix(w, o.word) {
				f.note(o.element, i)
			}
		}
	}
	if len(w) < 5 {
		return
	}
	var end [3]byte
	for side, two := range [2]string{w[:2], w[len(w)-2:]} {
		if b.may[slot2(two[0], two[1])]&(mayFront<<side) == 0 {
			continue
		}
		end[0], end[1], end[2] = "^$"[side], two[0], two[1]
		for _, o := range b.fuzzy[string(end[:])] {
			if typo(w, o.word) {
				f.note(o.element, i)
			}
		}
	}
}

func (f *found) note(e, i int) {
	at := f.at[e]
	if len(at) == 0 {
		f.used = append(f.used, e)
	} else if at[len(at)-1] == int32(i) {
		return
	}
	f.at[e] = append(at, int32(i))
}

// match finds the places of a rule, as the pieces they begin and end with, in
// order. It walks the places of each element once, so it is linear in their
// number. What it returns is good until the next match.
func (r *rule) match(f *found) []reachedAt {
	for _, e := range r.elements {
		if len(f.at[e]) == 0 {
			return nil
		}
	}
	front := f.front[0][:0]
	for _, p := range f.at[r.elements[0]] {
		if !f.masked[p] {
			front = append(front, reachedAt{p, p})
		}
	}
	f.front[0] = front
	for k := 1; k < len(r.elements) && len(front) > 0; k++ {
		front = r.step(f, k, front)
		f.front[k&1] = front
	}
	return front
}

// reachedAt: the elements so far begin at one piece and end at another.
type reachedAt struct{ from, at int32 }

// step goes from the places reached to those of element k within its gap.
func (r *rule) step(f *found, k int, front []reachedAt) []reachedAt {
	next := f.front[k&1][:0]
	near := 0
	far := int32(r.gaps[k] + 1)
	for _, p := range f.at[r.elements[k]] {
		if f.masked[p] {
			continue
		}
		for near < len(front) && front[near].at < p-far {
			near++
		}
		if near < len(front) && front[near].at < p {
			next = append(next, reachedAt{front[near].from, p})
		}
	}
	return next
}
