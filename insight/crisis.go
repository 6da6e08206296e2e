package insight

import (
	"sync"
)

// Kind is what a crisis rule is about.
type Kind string

// The kinds.
const (
	Suicide  Kind = "suicide"
	SelfHarm Kind = "self-harm"
	Violence Kind = "violence" // suffered or threatened
	Abuse    Kind = "abuse"    // sexual and other abuse
)

// Hit is a crisis rule that a text has set off. It says that a person has to
// read the text, not what is the matter with its writer.
type Hit struct {
	Kind     Kind   `json:"kind"`
	Rule     string `json:"rule"`     // the rule's pattern, as in rules/*.txt
	Words    string `json:"words"`    // from the text, as written, at most 200 bytes
	Language string `json:"language"` // of the rule: en, de, nl
}

const (
	maxHead = 24 << 10 // bytes read at the beginning of a long text
	maxTail = 8 << 10  // and at its end
	maxHits = 8
)

var crisisRules = sync.OnceValues(readRules)

// CheckRules reads the crisis rules that are built in. An error means that the
// program was built from broken ones: call it once at the start and refuse to
// run.
func CheckRules() error {
	_, err := crisisRules()
	return err
}

// scratch holds the places of elements between calls.
var scratch = sync.Pool{New: func() any { return &found{} }}

// Crisis finds what may speak of suicide, self-harm, violence or abuse, in
// English, German and Dutch at once: people change language when it matters.
// It would rather find too much: a negation ("I would never kill myself") is a
// hit, a figure of speech that the rules know ("the deadline kills me") is
// not. At most 8 hits, one a rule; the first 24 KiB and the last 8 KiB of a
// text are read. Linear in the length of the text.
func Crisis(text string) []Hit {
	b, err := crisisRules()
	if err != nil { // a person reads everything, rather than nobody anything
		return []Hit{{Kind: Suicide, Rule: "the crisis rules cannot be read"}}
	}
	if len(text) <= maxHead+maxTail {
		return b.hits(text, nil)
	}
	hits := b.hits(cut(text, maxHead), nil)
	tail := text[len(text)-maxTail:]
	return b.hits(tail, hits)
}

// hits appends what the rules find in a text.
func (b *rulebook) hits(text string, hits []Hit) []Hit {
	f, ok := scratch.Get().(*found)
	if !ok {
		f = &found{}
	}
	defer scratch.Put(f)
	pieces := squash(text, f.pieces)
	f.pieces = pieces
	b.look(pieces, f)
	for i := range b.rules {
		r := &b.rules[i]
		if r.kind != harmless {
			continue
		}
		for _, m := range r.match(f) {
			for p := m.from; p <= m.at; p++ {
				f.later[p] = true
			}
		}
	}
	f.masked, f.later = f.later, f.masked
	for i := range b.rules {
		r := &b.rules[i]
		if r.kind == harmless || len(hits) >= maxHits {
			continue
		}
		if m := r.match(f); len(m) > 0 && !said(hits, r.name) {
			words := cut(text[pieces[m[0].from].from:pieces[m[0].at].to], 200)
			hits = append(hits, Hit{Kind(r.kind), r.name, words, r.language})
		}
	}
	return hits
}

// said: the rule is among the hits already.
func said(hits []Hit, rule string) bool {
	for _, h := range hits {
		if h.Rule == rule {
			return true
		}
	}
	return false
}
