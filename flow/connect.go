package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"
)

// What needs to know all steps: ways, conditions, and the fields in texts.

// connect reads it for every step.
func (p *parser) connect() {
	world := p.flow.world()
	p.guesses = 0
	for i := range p.flow.steps {
		s, keys, path := &p.flow.steps[i], p.raw[i], fmt.Sprintf("steps[%d]", i)
		s.when = p.condition(keys["when"], path+".when", world)
		s.next = i + 1
		if n := keys["next"]; n != nil {
			s.next = p.target(n, path+".next")
		}
		s.texts = p.templates(keys[s.kind], path+"."+s.kind, s.kind)
		s.anonymous = p.templates(keys["anonymous"], path+".anonymous", s.kind)
		p.variants(s, keys["variants"], path+".variants")
		if s.kind == kindBranch {
			p.branch(s, keys, path, world)
		}
	}
}

// target reads the name of a step.
func (p *parser) target(n *node, path string) int {
	id := p.id(n, path)
	at, ok := p.flow.index[id]
	if id != "" && !ok {
		p.fail(n, path, "no step is called “%s”%s", id, p.meant(id, slices.Sorted(maps.Keys(p.flow.index))))
	}
	return at
}

func (p *parser) branch(s *step, keys map[string]*node, path string, world types.Map) {
	for i, n := range p.list(keys[kindBranch], path+".branch", 1, maxCases) {
		at := fmt.Sprintf("%s.branch[%d]", path, i)
		k := p.mapping(n, at, caseFields)
		b := branch{when: p.condition(k["if"], at+".if", world)}
		if k["go"] != nil {
			b.to = p.target(k["go"], at+".go")
		}
		s.cases = append(s.cases, b)
	}
	if n := keys["otherwise"]; n != nil {
		s.cases = append(s.cases, branch{to: p.target(n, path+".otherwise")})
	}
}

// condition reads an expression; nil where there is none.
func (p *parser) condition(n *node, path string, world types.Map) *condition {
	if n == nil {
		return nil
	}
	if n.shape != isText && n.shape != isBool {
		p.fail(n, path, "a condition is a text like “score.mood <= 2”, not %s", n.shape)
		return nil
	}
	if len(n.text) > maxSource {
		p.fail(n, path, "this has %d characters; a condition has at most %d", len(n.text), maxSource)
		return nil
	}
	if p.asked++; p.asked > maxConditions {
		if p.asked == maxConditions+1 {
			p.fail(n, path, "a flow has at most %d conditions", maxConditions)
		}
		return nil
	}
	c, column, err := p.flow.compile(n.text, world)
	if err != nil {
		at := *n
		switch {
		case n.block:
			at.line++
		case n.quoted:
			at.column += 1 + column
		default:
			at.column += column
		}
		p.fail(&at, path, "%s", err)
		return nil
	}
	for _, r := range c.uses {
		p.keep(r)
	}
	return c
}

// keep has the state remember the words of a text that is used later.
func (p *parser) keep(r reference) {
	if r.group == groupAnswer {
		p.flow.steps[p.flow.index[r.name]].keep = true
	}
}

// templates reads a text in every language, with its fields.
func (p *parser) templates(n *node, path, kind string) []template {
	switch kind {
	case kindBranch, kindWait:
		return nil
	}
	var out []template
	for i, v := range p.translations(n, path, maxText) {
		t, wrong := parseTemplate(strings.TrimSpace(v.text), p.place)
		for _, w := range wrong {
			p.fail(v, path+"."+p.flow.languages[i], "%s", w)
		}
		out = append(out, t)
	}
	return out
}

// place says what is wrong with a field of a text.
func (p *parser) place(r reference) string {
	switch {
	case r == reference{group: groupName}:
		return ""
	case r == reference{group: groupHelplines}:
		if !p.flow.helplines {
			return "{{helplines}} needs “helplines: true” at the top of the document"
		}
		return ""
	case r.group == groupAnswer, r.group == groupScore, r.group == groupAttribute:
		wrong := p.flow.unknown(r)
		if wrong == "" {
			p.keep(r)
		}
		return wrong
	}
	if p.guesses >= maxGuesses {
		return fmt.Sprintf("unknown field {{%s}}", short(r.String()))
	}
	known := []string{groupName, groupHelplines}
	for i := range p.flow.steps {
		if p.flow.steps[i].asks() {
			known = append(known, groupAnswer+"."+p.flow.steps[i].id)
		}
	}
	for name := range p.flow.attributes {
		known = append(known, groupAttribute+"."+name)
	}
	slices.Sort(known[2:])
	return fmt.Sprintf("unknown field {{%s}}%s", short(r.String()), p.meant(r.String(), known))
}

func (p *parser) variants(s *step, n *node, path string) {
	if n == nil {
		return
	}
	if n.shape != isMap || len(n.keys) == 0 || len(n.keys) > maxVariants {
		p.fail(n, path, "variants are a mapping of 1 to %d names to texts", maxVariants)
		return
	}
	s.variants = map[string][]template{}
	for i, key := range n.keys {
		name := p.id(key, path)
		switch {
		case name == firstVariant:
			p.fail(key, path, "“a” is the step's own text: name the others b, c and so on")
		case name != "" && s.variants[name] != nil:
			p.fail(key, path, "“%s” stands here twice", name)
		case name != "":
			s.variants[name] = p.templates(n.values[i], path+"."+name, s.kind)
		}
	}
}
