package insight

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut is the beginning of a text, at most n bytes, ending between runes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// fold writes one rune in lower case without accents: ä as ae, ß as ss, é as
// e. It is how words of texts and of lexicons are compared.
func fold(b *strings.Builder, r rune) {
	switch r {
	case 'ä', 'Ä', 'æ', 'Æ':
		b.WriteString("ae")
	case 'ö', 'Ö', 'ø', 'Ø', 'œ':
		b.WriteString("oe")
	case 'ü', 'Ü':
		b.WriteString("ue")
	case 'ß', 'ẞ':
		b.WriteString("ss")
	case '\u0308': // combining diaeresis: the letter stands before it
		b.WriteByte('e')
	case 'ĳ', 'Ĳ':
		b.WriteString("ij")
	default:
		b.WriteRune(plain(r))
	}
}

// plain is a rune in lower case, without its accent.
func plain(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	r = unicode.ToLower(r)
	for _, a := range accents {
		if strings.ContainsRune(a.of, r) {
			return a.to
		}
	}
	return r
}

var accents = []struct {
	to rune
	of string
}{
	{'a', "áàâãåāä"}, {'e', "éèêëēę"}, {'i', "íìîïī"}, {'o', "óòôõōö"}, {'u', "úùûūü"}, {'c', "çć"}, {'n', "ñ"}, {'\'', "’‘´`ʼ"},
}

// folded folds a whole word. Dutch takes the diaeresis away (geïrriteerd),
// German writes it out.
func folded(word, language string) string {
	var b strings.Builder
	for _, r := range word {
		if language == "nl" {
			b.WriteRune(plain(r))
		} else {
			fold(&b, r)
		}
	}
	return b.String()
}

// token is a word, an emoji, an emoticon or a mark.
type token struct {
	text string // as it was written
	word string // folded; the mark itself for marks
	kind kind
	caps bool // written in capitals, three letters or more
}

type kind uint8

const (
	word  kind = iota
	emoji      // 😀 or :-)
	comma      // a pause: , ; : – ( )
	stop       // the end of a sentence: . ! ? and a new line
)

// emoticons are read as the emoji that stands for them.
var emoticons = map[string]string{
	":)": "🙂", ":-)": "🙂", "=)": "🙂", ":]": "🙂", ":))": "😀", ":-))": "😀", ":D": "😀", ":-D": "😀", "=D": "😀", "xD": "😀", "XD": "😀", "^^": "😊", "<3": "❤", ";)": "😉", ";-)": "😉", ":P": "😉", ":p": "😉",
	":(": "🙁", ":-(": "🙁", "=(": "🙁", ":[": "🙁", ":((": "😢", ":-((": "😢", ":'(": "😢", ":,(": "😢", "D:": "😩", ":/": "😕", ":-/": "😕", ":|": "😑", "-.-": "😒", ">:(": "😠", "</3": "💔",
}

// tokens takes a text apart. It is linear in its length.
func tokens(text, language string) []token {
	out := make([]token, 0, len(text)/5+1)
	for i := 0; i < len(text); {
		if n, e := emoticon(text, i); n > 0 {
			out = append(out, token{text: text[i : i+n], word: e, kind: emoji})
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case letter(r):
			end := wordEnd(text, i)
			w := text[i:end]
			out = append(out, token{text: w, word: strings.Trim(folded(w, language), "'-"), caps: shouted(w)})
			i = end
			continue
		case strings.ContainsRune(".!?…\n", r):
			out = append(out, token{text: text[i : i+n], word: text[i : i+n], kind: stop})
		case strings.ContainsRune(",;:–—()", r):
			out = append(out, token{text: text[i : i+n], word: text[i : i+n], kind: comma})
		case r > 0x2000 && unicode.Is(unicode.So, r):
			out = append(out, token{text: text[i : i+n], word: text[i : i+n], kind: emoji})
		}
		i += n
	}
	return out
}

func letter(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

// wordEnd is where the word that begins at i ends; an apostrophe or hyphen
// between letters belongs to it.
func wordEnd(text string, i int) int {
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !letter(r) {
			next, _ := utf8.DecodeRuneInString(text[i+n:])
			if !strings.ContainsRune("'’-", r) || !unicode.IsLetter(next) {
				break
			}
		}
		i += n
	}
	return i
}

// emoticon finds one at i: it stands alone or after a letter, and no letter
// or digit follows it.
func emoticon(text string, i int) (int, string) {
	if !strings.ContainsRune(":;=xX^<>D-", rune(text[i])) {
		return 0, ""
	}
	if i > 0 && letter(rune(text[i-1])) && letter(rune(text[i])) {
		return 0, ""
	}
	for n := min(4, len(text)-i); n >= 2; n-- {
		if e, ok := emoticons[text[i:i+n]]; ok {
			if next, _ := utf8.DecodeRuneInString(text[i+n:]); i+n == len(text) || !letter(next) {
				return n, e
			}
		}
	}
	return 0, ""
}

// shouted: three letters or more, all capitals.
func shouted(w string) bool {
	n := 0
	for _, r := range w {
		if unicode.IsLower(r) {
			return false
		}
		if unicode.IsUpper(r) {
			n++
		}
	}
	return n >= 3
}

// sentences groups tokens up to each stop; the stops stay with them.
func sentences(all []token) [][]token {
	var out [][]token
	begin := 0
	for i, t := range all {
		if t.kind == stop && (i+1 == len(all) || all[i+1].kind != stop) {
			out = append(out, all[begin:i+1])
			begin = i + 1
		}
	}
	if begin < len(all) {
		out = append(out, all[begin:])
	}
	return out
}
