package caps

import (
	"cmp"
	"crypto/sha1"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

// What a client's answer may hold at most. The largest clients in use tell
// about 4 KiB.
const (
	maxBytes      = 16 << 10 // of the answer's payload
	maxIdentities = 64
	maxForms      = 16
)

// digest is a verification string before Base64.
type digest [sha1.Size]byte

// digestOf hashes an answer as XEP-0115 §5.1 says; all is sorted by octets.
func digestOf(info *router.Info) digest {
	var s strings.Builder
	add := func(part string) {
		s.WriteString(part)
		s.WriteByte('<')
	}
	for _, id := range slices.SortedFunc(slices.Values(info.Identities), compareIdentities) {
		add(strings.Join([]string{id.Category, id.Type, id.Lang, id.Name}, "/"))
	}
	for _, f := range slices.Sorted(slices.Values(info.Features)) {
		add(f)
	}
	for _, form := range slices.SortedFunc(slices.Values(info.Forms), func(a, b router.Form) int { return cmp.Compare(a.Type, b.Type) }) {
		add(form.Type)
		for _, f := range slices.SortedFunc(slices.Values(form.Fields), func(a, b router.Field) int { return cmp.Compare(a.Name, b.Name) }) {
			add(f.Name)
			for _, v := range slices.Sorted(slices.Values(f.Values)) {
				add(v)
			}
		}
	}
	return sha1.Sum([]byte(s.String()))
}

func compareIdentities(a, b router.Identity) int {
	return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Lang, b.Lang), cmp.Compare(a.Name, b.Name))
}

// errIllFormed means that an answer is ill-formed (XEP-0115 §5.4): it proves
// nothing, whatever its hash.
var errIllFormed = errors.New("ill-formed capabilities")

// readInfo reads the payload of an answer to disco#info. Besides what §5.4
// names, it refuses what would let two answers have one hash: a '<' anywhere, a
// '/' in front of a name, a field twice.
func readInfo(query stanza.Element) (*router.Info, error) {
	if !query.Is(nsDiscoInfo, "query") || len(query.Bytes()) > maxBytes {
		return nil, errIllFormed
	}
	info := new(router.Info)
	for el := range query.Children() {
		var err error
		switch {
		case el.Is(nsDiscoInfo, "identity"):
			err = readIdentity(info, el)
		case el.Is(nsDiscoInfo, "feature"):
			f, _ := el.Attr("var")
			if f == "" || strings.ContainsRune(f, '<') {
				err = errIllFormed
			}
			info.Features = append(info.Features, f)
		case el.Is(nsDiscoForm, "x"):
			err = readForm(info, el)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(info.Features)
	all := len(info.Features)
	if info.Features = slices.Compact(info.Features); len(info.Features) != all {
		return nil, errIllFormed
	}
	return info, nil
}

func readIdentity(info *router.Info, el stanza.Element) error {
	var id router.Identity
	id.Category, _ = el.Attr("category")
	id.Type, _ = el.Attr("type")
	id.Name, _ = el.Attr("name")
	id.Lang, _ = el.Attr("xml:lang")
	if id.Category == "" || id.Type == "" || strings.ContainsRune(id.Category+id.Type+id.Lang, '/') ||
		strings.ContainsRune(id.Category+id.Type+id.Lang+id.Name, '<') ||
		slices.Contains(info.Identities, id) || len(info.Identities) == maxIdentities {
		return errIllFormed
	}
	info.Identities = append(info.Identities, id)
	return nil
}

// readForm reads a form of XEP-0128. One without a hidden FORM_TYPE does
// not count.
func readForm(info *router.Info, el stanza.Element) error {
	var form router.Form
	var types []string
	hidden, ill, seen := false, false, map[string]struct{}{}
	for field := range el.Children() {
		if !field.Is(nsDiscoForm, "field") {
			continue
		}
		var f router.Field
		f.Name, _ = field.Attr("var")
		f.Type, _ = field.Attr("type")
		for v := range field.Children() {
			if v.Is(nsDiscoForm, "value") {
				f.Values = append(f.Values, v.Text())
			}
		}
		_, twice := seen[f.Name]
		ill = ill || twice || strings.ContainsRune(f.Name+strings.Join(f.Values, ""), '<')
		seen[f.Name] = struct{}{}
		if f.Name == "FORM_TYPE" {
			hidden, types = f.Type == "hidden", f.Values
			continue
		}
		form.Fields = append(form.Fields, f)
	}
	if !hidden || len(types) == 0 {
		return nil
	}
	form.Type = types[0]
	if ill || len(slices.Compact(types)) != 1 || len(info.Forms) == maxForms ||
		slices.ContainsFunc(info.Forms, func(other router.Form) bool { return other.Type == form.Type }) {
		return errIllFormed
	}
	info.Forms = append(info.Forms, form)
	return nil
}

// compareClients puts the most frequent first.
func compareClients(a, b router.ClientCount) int {
	return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
}

// clientTypes are the types of clients in the registry of identities.
var clientTypes = [...]string{"bot", "console", "game", "handheld", "pc", "phone", "sms", "tablet", "web"}

// maxName bounds, in characters, what a client calls itself in figures.
const maxName = 40

// clientOf is what a client calls itself, without its version, and its
// type: of its identity without a language, or the first.
func clientOf(info *router.Info) (name, kind string) {
	var id *router.Identity
	for i := range info.Identities {
		if of := &info.Identities[i]; of.Category == "client" && (id == nil || id.Lang != "" && of.Lang == "") {
			id = of
		}
	}
	if id == nil {
		return "unnamed", "other"
	}
	if kind = id.Type; !slices.Contains(clientTypes[:], kind) {
		kind = "other"
	}
	words := strings.FieldsFunc(id.Name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	if at := slices.IndexFunc(words, isVersion); at > 0 {
		words = words[:at]
	}
	short := []rune(strings.Join(words, " "))
	if name = strings.TrimSpace(string(short[:min(len(short), maxName)])); name == "" {
		name = "unnamed"
	}
	return name, kind
}

// isVersion reports whether a word is a version: "0.11", "v2".
func isVersion(word string) bool {
	digits := strings.TrimPrefix(strings.TrimPrefix(word, "("), "v")
	return digits != "" && digits[0] >= '0' && digits[0] <= '9'
}
