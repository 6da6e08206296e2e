package flow

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxShort is how many bytes of a message can be a command or the answer to a
// closed question; who writes more has something to say.
const maxShort = 400

// trimmed is what may stand around an answer without changing it.
const trimmed = " \t\r\n.,!?;:\"()[]{}<>*_~#„“”«»‹›…–—`"

// fold makes what somebody wrote comparable: small letters without marks, one
// blank between words, no apostrophes, no punctuation around it, emoji without
// colours. What is too long to compare becomes "".
func fold(s string) string {
	if len(s) > maxShort {
		s = strings.TrimSpace(s)
		if len(s) > maxShort {
			return ""
		}
	}
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < utf8.RuneSelf
	}
	if !ascii {
		s = norm.NFKD.String(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	blank := false
	for _, r := range s {
		switch {
		case r == '\'' || r == '’' || r == '‘' || r == '´':
		case unicode.IsSpace(r) || unicode.IsControl(r):
			blank = b.Len() > 0
		case r >= utf8.RuneSelf && (unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) || r >= 0x1F3FB && r <= 0x1F3FF):
		default:
			if blank {
				b.WriteByte(' ')
				blank = false
			}
			switch r {
			case 'ß':
				b.WriteString("ss")
			case '🔟':
				b.WriteString("10")
			default:
				b.WriteRune(unicode.ToLower(r))
			}
		}
	}
	return strings.Trim(b.String(), trimmed)
}

// spelledOut makes ä, which folds to a, and ae, its other spelling, the same.
func spelledOut(folded string) string {
	if !strings.Contains(folded, "e") {
		return folded
	}
	return umlauts.Replace(folded)
}

var (
	umlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u")
	apart   = strings.NewReplacer("/", " / ", "%", " % ")
)

// spellings are the ways in which a label is compared: folded, with umlauts
// spelled out, and without the small words that people leave out.
func spellings(label string) []string {
	folded := fold(label)
	return []string{folded, spelledOut(folded), strings.Join(without(strings.Fields(folded), fillers), " ")}
}

// wordsOf splits what is folded, with / and % as words of their own.
func wordsOf(folded string) []string {
	if strings.ContainsAny(folded, "/%") {
		folded = apart.Replace(folded)
	}
	return strings.Fields(folded)
}

// bare is a word without punctuation around it.
func bare(word string) string {
	first, last := word[0], word[len(word)-1]
	if first >= 'a' && first <= 'z' && last >= 'a' && last <= 'z' {
		return word
	}
	return strings.Trim(word, trimmed)
}

// without leaves words out.
func without(words []string, set map[string]bool) []string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		if w = bare(w); w != "" && !set[w] {
			out = append(out, w)
		}
	}
	return out
}

// clean makes a free text fit to be stored: UTF-8 without control characters
// but line breaks, at most so many characters. cut reports whether it was
// longer.
func clean(s string, most int) (out string, cut bool) {
	s = strings.TrimSpace(s)
	if bound := 4*most + 4096; len(s) > bound { // enough for what is kept, whatever it is
		s, cut = s[:bound], true
	}
	var b strings.Builder
	count := 0
	for _, r := range s {
		switch {
		case r == utf8.RuneError:
			r = '\ufffd'
		case r == '\r' || unicode.IsControl(r) && r != '\n' && r != '\t':
			continue
		}
		if count == most {
			cut = true
			break
		}
		b.WriteRune(r)
		count++
	}
	return strings.TrimSpace(b.String()), cut
}
