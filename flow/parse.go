package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Parse reads a document, YAML or (if it begins with a brace) JSON. The error
// is Problems, each with its line. What Parse accepts can be led to an end from
// every step, says who reads the answers before it asks, and fits in MaxState.
func Parse(text []byte) (*Flow, error) {
	root, problems := read(text)
	if problems != nil {
		return nil, problems.tidy()
	}
	sum := sha256.Sum256(text)
	f := &Flow{hash: hex.EncodeToString(sum[:16]), index: map[string]int{}, places: map[string]*node{}}
	p := &parser{flow: f}
	p.document(root)
	if f.languages != nil {
		p.connect()
	}
	if p.problems == nil {
		p.check()
	}
	if p.problems != nil {
		return nil, p.problems.tidy()
	}
	for i := range f.steps {
		f.steps[i].at = nil
	}
	return f, nil
}

// A parser turns nodes into a flow and notes what is wrong with them.
type parser struct {
	flow     *Flow
	problems Problems
	asked    int                // conditions so far
	guesses  int                // words that were guessed at so far, of heads and steps, then of what connects them
	raw      []map[string]*node // the keys of each step, for what is read when all steps are known
}

// fail notes a problem. Of a document that is nothing but problems, enough are
// noted already.
func (p *parser) fail(n *node, path, format string, args ...any) {
	if len(p.problems) >= 20*maxProblems {
		return
	}
	p.problems = append(p.problems, Problem{Line: n.line, Column: n.column, Path: path, Text: fmt.Sprintf(format, args...)})
}

// maxGuesses bounds the time for a document that is nothing but problems.
const maxGuesses = 300

// meant looks for the word that was meant as long as somebody reads it.
func (p *parser) meant(word string, known []string) string {
	if p.guesses++; p.guesses > maxGuesses {
		return ""
	}
	return meant(word, known)
}

// mapping reads the keys of an object, each known and there once.
func (p *parser) mapping(n *node, path string, known []field) map[string]*node {
	out := map[string]*node{}
	if n.shape != isMap {
		p.fail(n, path, "this must be a mapping with %s, not %s", strings.Join(names(known), ", "), n.shape)
		return out
	}
	for i, key := range n.keys {
		switch {
		case !slices.Contains(names(known), key.text):
			p.fail(key, path, "unknown key “%s”%s", short(key.text), p.meant(key.text, names(known)))
		case out[key.text] != nil:
			p.fail(key, path, "“%s” stands here twice", key.text)
		default:
			out[key.text] = n.values[i]
		}
	}
	for _, f := range known {
		if f.required && out[f.name] == nil {
			p.fail(n, path, "“%s” is missing: %s", f.name, lowerFirst(f.doc))
		}
	}
	return out
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// short cuts what somebody wrote for a problem's text.
func short(s string) string {
	if utf8.RuneCountInString(s) > 40 {
		return string([]rune(s)[:40]) + "…"
	}
	return s
}

// word reads a text that has a pattern.
func (p *parser) word(n *node, path string, pattern *regexp.Regexp, what string) string {
	if n == nil {
		return ""
	}
	if n.shape != isText {
		p.fail(n, path, "this must be %s, not %s", what, n.shape)
		return ""
	}
	if !pattern.MatchString(n.text) {
		p.fail(n, path, "“%s” is not %s", short(n.text), what)
		return ""
	}
	return n.text
}

var (
	idWord       = regexp.MustCompile(idPattern)
	flowWord     = regexp.MustCompile(flowPattern)
	languageWord = regexp.MustCompile(languagePattern)
	waitWord     = regexp.MustCompile(waitPattern)
)

const whatID = "a name: small letters, digits and _, from a letter on, at most 40"

func (p *parser) id(n *node, path string) string { return p.word(n, path, idWord, whatID) }

func (p *parser) integer(n *node, path string, low, high, unsaid int) int {
	if n == nil {
		return unsaid
	}
	v, err := strconv.Atoi(n.text)
	if n.shape != isNumber || err != nil || v < low || v > high {
		p.fail(n, path, "this must be a whole number from %d to %d", low, high)
		return unsaid
	}
	return v
}

func (p *parser) truth(n *node, path string) bool {
	if n != nil && n.shape != isBool {
		p.fail(n, path, "this must be true or false, not %s", n.shape)
	}
	return n != nil && n.shape == isBool && strings.EqualFold(n.text, "true")
}

// list reads a list with so many entries.
func (p *parser) list(n *node, path string, low, high int) []*node {
	switch {
	case n == nil:
		return nil
	case n.shape != isList:
		p.fail(n, path, "this must be a list, not %s", n.shape)
		return nil
	case len(n.values) < low:
		p.fail(n, path, "this has %d entries; at least %d are needed", len(n.values), low)
	case len(n.values) > high:
		p.fail(n, path, "this has %d entries; at most %d are allowed", len(n.values), high)
		return n.values[:high]
	}
	return n.values
}

// translations reads a text in every language of the flow, language → node.
func (p *parser) translations(n *node, path string, most int) []*node {
	if n == nil {
		return nil
	}
	if n.shape != isMap {
		p.fail(n, path, "a text has one entry for each language, like “%s: …”; this is %s", strings.Join(p.flow.languages, ": …”, “"), n.shape)
		return nil
	}
	out := make([]*node, len(p.flow.languages))
	for i, key := range n.keys {
		at, v := slices.Index(p.flow.languages, key.text), n.values[i]
		switch {
		case at < 0:
			p.fail(key, path, "“%s” is none of the flow's languages%s", short(key.text), p.meant(key.text, p.flow.languages))
		case out[at] != nil:
			p.fail(key, path, "“%s” stands here twice", key.text)
		case v.shape != isText:
			p.fail(v, path+"."+key.text, "this must be a text, not %s: put it into quotation marks", v.shape)
			out[at] = &node{line: v.line, column: v.column}
		default:
			out[at] = v
			p.length(v, path+"."+key.text, most)
		}
	}
	for l, v := range out {
		if v == nil {
			p.fail(n, path, "the text in “%s” is missing", p.flow.languages[l])
			out[l] = &node{line: n.line, column: n.column}
		}
	}
	return out
}

func (p *parser) length(n *node, path string, most int) {
	if count := utf8.RuneCountInString(n.text); count > most {
		p.fail(n, path, "this has %d characters; at most %d are allowed", count, most)
	}
	switch at := strings.IndexFunc(n.text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); {
	case strings.TrimSpace(n.text) == "":
		p.fail(n, path, "this text is empty")
	case at >= 0:
		p.fail(n, path, "this text has a control character (%U)", []rune(n.text[at:])[0])
	}
}

// labels reads short texts without places.
func (p *parser) labels(n *node, path string) []string {
	read := p.translations(n, path, maxLabel)
	if read == nil {
		return nil
	}
	out := make([]string, len(read))
	for i, v := range read {
		out[i] = strings.TrimSpace(v.text)
		if strings.Contains(v.text, "{{") {
			p.fail(v, path+"."+p.flow.languages[i], "a label has no fields: remove “{{”")
		}
		if strings.ContainsRune(v.text, '\n') {
			p.fail(v, path+"."+p.flow.languages[i], "a label is one line")
		}
	}
	return out
}

// document reads the head of a document and its steps, all but what needs to
// know the other steps.
func (p *parser) document(root *node) {
	f, keys := p.flow, p.mapping(root, "", documentFields)
	f.id = p.word(keys["flow"], "flow", flowWord, "a name: small letters, digits and - between them")
	f.version = p.integer(keys["version"], "version", 1, 1_000_000, 1)
	p.languages(keys["languages"])
	if f.languages == nil {
		return // all texts would be wrong
	}
	f.title = map[string]string{}
	for i, n := range p.translations(keys["title"], "title", maxText) {
		f.title[f.languages[i]] = n.text
	}
	f.helplines = p.truth(keys["helplines"], "helplines")
	p.attributes(keys["attributes"])
	p.phrases(keys["phrases"], keys["languages"])
	list := p.list(keys["steps"], "steps", 1, maxSteps)
	f.steps = make([]step, len(list))
	p.raw = make([]map[string]*node, len(list))
	for i, n := range list {
		p.step(i, n)
	}
}

func (p *parser) languages(n *node) {
	for i, v := range p.list(n, "languages", 1, maxLangs) {
		path := fmt.Sprintf("languages[%d]", i)
		l := p.word(v, path, languageWord, "a language tag like de or pt-BR")
		if l != "" && slices.Contains(p.flow.languages, l) {
			p.fail(v, path, "“%s” stands here twice", l)
		} else if l != "" {
			p.flow.languages = append(p.flow.languages, l)
		}
	}
}

func (p *parser) attributes(n *node) {
	p.flow.attributes = map[string]string{}
	if n == nil {
		return
	}
	if n.shape != isMap {
		p.fail(n, "attributes", "this must be a mapping like “team: text”, not %s", n.shape)
		return
	}
	if len(n.keys) > maxAttrs {
		p.fail(n, "attributes", "this has %d entries; at most %d are allowed", len(n.keys), maxAttrs)
		return
	}
	kinds := []string{"text", "number", "bool"}
	for i, key := range n.keys {
		name, v := p.id(key, "attributes"), n.values[i]
		switch _, twice := p.flow.attributes[name]; {
		case name == "":
		case twice:
			p.fail(key, "attributes", "“%s” stands here twice", name)
		case !slices.Contains(kinds, v.text):
			p.fail(v, "attributes."+name, "“%s” is no kind of attribute%s", short(v.text), p.meant(v.text, kinds))
		default:
			p.flow.attributes[name] = v.text
			p.flow.places["attributes."+name] = key
		}
	}
}

// phrases reads the bot's own sentences. A language that the built-in ones do
// not have needs them all.
func (p *parser) phrases(n, languages *node) {
	f := p.flow
	f.phrases = map[string]map[string]string{}
	if n != nil && n.shape != isMap {
		p.fail(n, "phrases", "this must be a mapping, not %s", n.shape)
		return
	}
	if n != nil {
		known := phraseNames()
		for i, key := range n.keys {
			path := "phrases." + key.text
			switch {
			case !slices.Contains(known, key.text):
				p.fail(key, "phrases", "unknown key “%s”%s", short(key.text), p.meant(key.text, known))
			case f.phrases[key.text] != nil:
				p.fail(key, "phrases", "“%s” stands here twice", key.text)
			default:
				f.phrases[key.text] = map[string]string{}
				for l, v := range p.translations(n.values[i], path, maxText) {
					f.phrases[key.text][f.languages[l]] = v.text
				}
			}
		}
	}
	for i, l := range f.languages {
		if builtIn(l) >= 0 {
			continue
		}
		for _, name := range phraseNames() {
			if f.phrases[name] == nil {
				p.fail(languages.values[min(i, len(languages.values)-1)], "languages", "the built-in sentences are in en, de and nl: for “%s” give “%s” and the others in phrases", l, name)
				break
			}
		}
	}
}

// step reads one step, all but its texts, conditions and ways.
func (p *parser) step(i int, n *node) {
	s, path := &p.flow.steps[i], fmt.Sprintf("steps[%d]", i)
	s.at = n
	k := p.kind(n, path)
	p.name(i, n, path)
	if k == nil {
		return
	}
	s.kind = k.kind
	keys := p.mapping(n, path, k.fields())
	p.raw[i] = keys
	s.required = p.truth(keys["required"], path+".required")
	s.measure = p.id(keys["measure"], path+".measure")
	switch s.kind {
	case Mood:
		s.min, s.max = 1, 5
		if keys["measure"] == nil {
			s.measure = Mood
		}
	case Scale:
		p.scale(s, keys, path)
	case Choice, Multi:
		p.choice(s, keys, path)
	case Text:
		s.length = p.integer(keys["length"], path+".length", 1, maxLength, maxText)
	case kindWait:
		s.wait = duration(p.word(keys[kindWait], path+".wait", waitWord, "a time like 30m, 4h, 3d or 2w"))
		if s.wait > 366*24*time.Hour {
			p.fail(keys[kindWait], path+".wait", "nobody waits longer than a year")
		}
	case kindHandover:
		s.reason = p.id(keys["reason"], path+".reason")
		s.urgent = p.truth(keys["urgent"], path+".urgent")
		s.finishes = p.truth(keys["finishes"], path+".finishes")
	}
}

// name reads a step's id, also of a step that is nothing otherwise, so that
// what goes to it is not wrong, too.
func (p *parser) name(i int, n *node, path string) {
	at := slices.IndexFunc(n.keys, func(key *node) bool { return key.text == "id" })
	if at < 0 {
		return
	}
	s := &p.flow.steps[i]
	if s.id = p.id(n.values[at], path+".id"); s.id == "" {
		return
	}
	if first, twice := p.flow.index[s.id]; twice {
		p.fail(n.values[at], path+".id", "“%s” is the name of the step at line %d already", s.id, p.flow.steps[first].at.line)
		return
	}
	p.flow.index[s.id] = i
}

// kind finds the key that says what a step is.
func (p *parser) kind(n *node, path string) *kindFields {
	var all []string
	for _, k := range kinds {
		all = append(all, k.kind)
	}
	if n.shape != isMap {
		p.fail(n, path, "a step is a mapping with an id and one of %s, not %s", strings.Join(all, ", "), n.shape)
		return nil
	}
	var found *kindFields
	for _, key := range n.keys {
		at := slices.Index(all, key.text)
		if at < 0 {
			continue
		}
		if found != nil {
			p.fail(key, path, "a step is one thing: it is %s already and cannot be %s, too", found.kind, key.text)
			return nil
		}
		found = &kinds[at]
	}
	if found == nil {
		why := "; it needs one of " + strings.Join(all, ", ")
		for _, key := range n.keys {
			if m := p.meant(key.text, all); strings.Contains(m, "did you mean") && !slices.Contains([]string{"id", "next", "when"}, key.text) {
				why = ", and “" + short(key.text) + "” is not known" + m
			}
		}
		p.fail(n, path, "this step does nothing%s", why)
	}
	return found
}

func (p *parser) scale(s *step, keys map[string]*node, path string) {
	s.min = p.integer(keys["min"], path+".min", -100, 100, 0)
	s.max = p.integer(keys["max"], path+".max", -100, 100, 10)
	if s.max <= s.min || s.max-s.min > maxSpan {
		at := s.at
		for _, k := range []string{"min", "max"} {
			if keys[k] != nil {
				at = keys[k]
			}
		}
		p.fail(at, path, "a scale goes from min up to max, over at most %d numbers; this one goes from %d to %d", maxSpan+1, s.min, s.max)
	}
	s.low, s.high = p.labels(keys["low"], path+".low"), p.labels(keys["high"], path+".high")
	if s.measure == "enps" && (s.min != 0 || s.max != 10) {
		p.fail(keys["measure"], path+".measure", "enps is measured from 0 to 10")
	}
}

func (p *parser) choice(s *step, keys map[string]*node, path string) {
	for i, n := range p.list(keys["options"], path+".options", 2, maxOptions) {
		at := fmt.Sprintf("%s.options[%d]", path, i)
		k := p.mapping(n, at, optionFields)
		o := option{value: p.id(k["value"], at+".value"), labels: p.labels(k["label"], at+".label")}
		if n := k["score"]; n != nil {
			v := p.integer(n, at+".score", -100, 100, 0)
			o.score = &v
			if s.kind == Multi {
				p.fail(n, at+".score", "several answers have no one score: use a choice")
			}
		}
		if i > 0 && (o.score == nil) != (s.options[0].score == nil) {
			p.fail(n, at, "either all options have a score or none")
		}
		if o.value != "" && slices.Contains(s.values(), o.value) {
			p.fail(k["value"], at+".value", "“%s” is the value of another option already", o.value)
		}
		for l, label := range o.labels {
			o.folded = append(o.folded, spellings(label))
			o.words = append(o.words, without(strings.Fields(fold(label)), nil))
			for j := range s.options {
				other := s.options[j].folded
				if l < len(other) && other[l][2] == o.folded[l][2] { // too alike to be shortened
					other[l][2], o.folded[l][2] = other[l][0], o.folded[l][0]
				}
				if l < len(other) && other[l][0] == o.folded[l][0] {
					p.fail(k["label"], at+".label", "in “%s” this reads like option %d: people could not choose by writing", p.flow.languages[l], j+1)
				}
			}
			if c := strictCommand(fold(label)); c != noCommand {
				p.fail(k["label"], at+".label", "“%s” is what people write to %s: choose other words", label, c)
			}
		}
		s.options = append(s.options, o)
	}
	for i := range s.options {
		for l := range s.options[i].folded {
			if f := s.options[i].folded[l]; f[2] == "" {
				f[2] = f[0]
			}
		}
	}
	s.yesNo = slices.Contains(s.values(), "yes") && slices.Contains(s.values(), "no")
	if s.kind == Multi {
		s.min = p.integer(keys["min"], path+".min", 0, max(1, len(s.options)), 1)
		s.max = p.integer(keys["max"], path+".max", max(1, s.min), max(1, len(s.options)), max(1, len(s.options)))
	}
}

// duration reads what waitPattern allows.
func duration(s string) time.Duration {
	if s == "" {
		return time.Hour
	}
	n, _ := strconv.Atoi(s[:len(s)-1])
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	if n > math.MaxInt64/int(unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}
