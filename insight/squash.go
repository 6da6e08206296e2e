package insight

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// piece is a word as the crisis rules see it, and where it stands in the text.
type piece struct {
	word     string
	from, to int
	end      int // of the word among all that are left of the text
}

// squash takes a text apart for the crisis rules. It takes away what hides a
// word and what typing loses: case, accents, umlauts (ü, ue and u are one),
// double letters, apostrophes, invisible characters, digits and signs that
// stand for letters (k1ll, $uicide), letters of other scripts that look the
// same, and blanks between single letters (k i l l).
func squash(text string, out []piece) []piece {
	out = out[:0]
	all := make([]byte, 0, len(text)+len(text)/8)
	begin, from, last := 0, -1, 0
	letters, digits := 0, 0
	end := func() {
		if from < 0 {
			return
		}
		if letters > 0 && digits > 0 {
			all = append(all[:begin], unleet(all[begin:])...)
		}
		all = append(all[:begin], reduce(all[begin:])...)
		if len(all) > begin {
			out = append(out, piece{from: from, to: last, end: len(all)})
		}
		begin, from, letters, digits = len(all), -1, 0, 0
	}
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		before := len(all)
		switch {
		case 'a' <= r && r <= 'z':
			all = append(all, byte(r))
			letters++
		case 'A' <= r && r <= 'Z':
			all = append(all, byte(r)+'a'-'A')
			letters++
		case '0' <= r && r <= '9':
			all = append(all, byte(r))
			digits++
		case strings.ContainsRune("@$!*", r):
			if from >= 0 && letters > 0 && ahead(text, i+1) || r != '*' && r != '!' && ahead(text, i+1) {
				all = append(all, sign(byte(r))...)
			} else {
				end()
			}
		case r < utf8.RuneSelf:
			if r != '\'' && r != '`' {
				end()
			}
		case strings.ContainsRune(hidden, r) || unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r):
			all = appendPlain(all, r)
			letters++
		default:
			end()
		}
		i += n
		if len(all) > before {
			if from < 0 {
				from = i - n
			}
			last = i
		}
	}
	end()
	whole, at := string(all), 0
	for i := range out {
		out[i].word, at = whole[at:out[i].end], out[i].end
	}
	return spelled(out)
}

// hidden are characters without width, and apostrophes.
const hidden = "\u00ad\u200b\u200c\u200d\u2060\ufeff’‘´ʼ"

// ahead: a letter of ASCII comes next.
func ahead(text string, i int) bool {
	return i < len(text) && (text[i]|0x20) >= 'a' && (text[i]|0x20) <= 'z'
}

// sign is the letter that a sign stands for; * stands for one that is left out.
func sign(b byte) string {
	switch b {
	case '@':
		return "a"
	case '$':
		return "s"
	case '!':
		return "i"
	}
	return ""
}

// unleet reads digits within a word as letters.
func unleet(w []byte) []byte {
	for i, b := range w {
		if b >= '0' && b <= '9' {
			w[i] = "oizeasgtbg"[b-'0']
		}
	}
	return w
}

// reduce takes double letters and the e of ae, oe and ue away, in place.
func reduce(w []byte) []byte {
	n := 0
	for _, b := range w {
		if n > 0 && (w[n-1] == b || b == 'e' && (w[n-1] == 'a' || w[n-1] == 'o' || w[n-1] == 'u')) && (b < '0' || b > '9') {
			continue
		}
		w[n] = b
		n++
	}
	return w[:n]
}

// appendPlain writes a letter beyond ASCII as the one it looks like.
func appendPlain(b []byte, r rune) []byte {
	r = unicode.ToLower(r)
	switch r {
	case 'ß':
		return append(b, 's')
	case 'æ', 'œ':
		return append(b, 'a')
	case 'ø':
		return append(b, 'o')
	case 'ĳ':
		return append(b, 'i', 'j')
	}
	if 0xff41 <= r && r <= 0xff5a { // full width
		return append(b, byte(r-0xff41)+'a')
	}
	if i := strings.IndexRune("асеорхукмтівнѕј", r); i >= 0 { // Cyrillic
		return append(b, "aceopxykmtibhsj"[utf8.RuneCountInString("асеорхукмтівнѕј"[:i])])
	}
	return utf8.AppendRune(b, plain(r))
}

// spelled joins runs of three and more single letters to the word that they
// spell: "k i l l", "k.i.l.l".
func spelled(in []piece) []piece {
	out := in[:0]
	for i := 0; i < len(in); {
		j := i
		for j < len(in) && len(in[j].word) == 1 && in[j].word[0] >= 'a' {
			j++
		}
		if j-i < 3 {
			out = append(out, in[i])
			i++
			continue
		}
		var w []byte
		k := i
		if in[i].word == "i" && j-i > 3 { // "I k i l l"
			out = append(out, in[i])
			k++
		}
		joined := piece{from: in[k].from, to: in[j-1].to}
		for ; k < j; k++ {
			w = append(w, in[k].word...)
		}
		joined.word = string(reduce(w))
		out = append(out, joined)
		i = j
	}
	return out
}

// typo: two words of five letters and more are the same but for one letter
// that is missing, added, another, or swapped with its neighbour.
func typo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) || a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
