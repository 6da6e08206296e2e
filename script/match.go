package script

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// matcher compares one element with one pattern; diff says where they part.
type matcher struct {
	v    vars
	diff string
}

// match compares what was received with a pattern. On success the variables have learnt; on failure they are as
// before and the text says where the two part.
func (v vars) matchElement(want, got *Element) (string, bool) {
	m := &matcher{v: maps.Clone(v)}
	if !m.outer(want, got) {
		return m.diff, false
	}
	v.take(m.v)
	return "", true
}

func (m *matcher) no(format string, args ...any) bool {
	m.diff = fmt.Sprintf(format, args...)
	return false
}

// outer applies the freedoms that the RFCs leave on the stanza itself.
func (m *matcher) outer(want, got *Element) bool {
	if want.is(nsStream, "error") && got.is(nsStream, "error") {
		return m.streamError(want, got)
	}
	if !want.isStanza() || !got.isStanza() {
		return m.element(want, got, "")
	}
	if want.Local != got.Local {
		return m.no("<%s> was expected", want.Local)
	}
	w, g := *want, *got
	w.Attrs, g.Attrs = slices.Clone(want.Attrs), slices.Clone(got.Attrs)
	for _, name := range []string{"id", "to", "from", "type"} {
		if !m.free(&w, &g, name) {
			return m.no("attribute %s: expected %s, got %s", name, m.quoted(want, name), m.quoted(got, name))
		}
	}
	if t, _ := got.Attr("type"); t == "error" {
		g.Nodes = errorOnly(&w, &g)
	}
	return m.element(&w, &g, "")
}

func (m *matcher) quoted(e *Element, name string) string {
	if s, ok := e.Attr(name); ok {
		return "'" + m.v.show(s) + "'"
	}
	return "none"
}

// free compares one attribute of a stanza by the rules of the package comment and takes it out of both.
func (m *matcher) free(w, g *Element, name string) bool {
	ws, wok := w.Attr(name)
	gs, gok := g.Attr(name)
	if optional(w, name) && !(wok && gok) {
		drop(w, name)
		drop(g, name)
		return true
	}
	drop(w, name)
	drop(g, name)
	self, full := m.v["self"], m.v["self.full"]
	switch {
	case wok && gok:
		return m.v.match(ws, gs) || name == "type" && norm(w.Local, ws) == norm(w.Local, gs)
	case !wok && !gok:
		return true
	case name == "id":
		return !wok
	case name == "type":
		return norm(w.Local, ws) == norm(w.Local, gs)
	case wok: // and not there
		if name == "to" {
			return w.Local == "presence" || w.Local == "iq" && m.v.match(ws, full)
		}
		return w.Local == "iq" && m.v.match(ws, self)
	case name == "to":
		return gs == full || gs == self
	default:
		return gs == self
	}
}

// norm makes a message without a type one of type normal.
func norm(local, typ string) string {
	if local == "message" && typ == "normal" {
		return ""
	}
	return typ
}

func optional(e *Element, name string) bool {
	s, _ := e.attrNS(nsMarks, "optional")
	return slices.Contains(strings.Fields(s), name)
}

func drop(e *Element, name string) {
	e.Attrs = slices.DeleteFunc(e.Attrs, func(a Attr) bool { return a.NS == "" && a.Local == name })
}

// errorOnly leaves the echo of the refused stanza out of an error, unless the pattern names it.
func errorOnly(w, g *Element) []Node {
	if len(w.Children()) != 1 {
		return g.Nodes
	}
	var out []Node
	for _, n := range g.Nodes {
		if n.Element != nil && n.Element.is(nsClient, "error") {
			out = append(out, n)
		}
	}
	return out
}

// streamError lets a text stand that is not written (RFC 6120 §4.9.2).
func (m *matcher) streamError(want, got *Element) bool {
	g := *got
	if want.Child(nsStreams, "text") == nil {
		g.Nodes = without(got.Nodes, nsStreams, "text")
	}
	return m.element(want, &g, "")
}

func without(nodes []Node, ns, local string) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool {
		return n.Element != nil && n.Element.is(ns, local)
	})
}

// element compares names, attributes and children. path is where it stands, for the difference.
func (m *matcher) element(want, got *Element, path string) bool {
	if want.NS == nsMarks {
		return m.mark(want, got, path)
	}
	if !want.is(got.NS, got.Local) {
		return m.no("%s<%s xmlns='%s'> was expected, not <%s xmlns='%s'>", path, want.Local, want.NS, got.Local, got.NS)
	}
	path += want.Local + "/"
	if !m.attrs(want, got, path) {
		return false
	}
	if want.is(nsClient, "error") {
		got = relaxError(want, got)
	}
	if len(want.Children()) == 0 && !isRest(want.Text()) {
		if c := got.Children(); len(c) > 0 {
			return m.no("%s: unexpected <%s xmlns='%s'>", path, c[0].Local, c[0].NS)
		}
		if !m.v.match(want.Text(), got.Text()) {
			return m.no("%s: expected %q, got %q", path, m.v.show(want.Text()), got.Text())
		}
		return true
	}
	order, _ := want.attrNS(nsMarks, "order")
	w, g := solid(want.Nodes), solid(got.Nodes)
	if order == "any" {
		return m.unordered(w, g, path)
	}
	return m.ordered(w, g, path)
}

// relaxError takes out what a stanza error may carry besides what is written (RFC 6120 §8.3.2).
func relaxError(want, got *Element) *Element {
	g := *got
	if want.Child(nsStanzas, "text") == nil {
		g.Nodes = without(got.Nodes, nsStanzas, "text")
	}
	return &g
}

func (m *matcher) attrs(want, got *Element, path string) bool {
	anyMore, _ := want.attrNS(nsMarks, "attrs")
	for _, a := range want.Attrs {
		if a.NS == nsMarks {
			continue
		}
		val, ok := got.attrNS(a.NS, a.Local)
		if !ok {
			if optional(want, a.Local) {
				continue
			}
			return m.no("%s: attribute %s='%s' is missing", path, a.Local, m.v.show(a.Value))
		}
		if !m.v.match(a.Value, val) {
			return m.no("%s: attribute %s: expected '%s', got '%s'", path, a.Local, m.v.show(a.Value), val)
		}
	}
	for _, a := range got.Attrs {
		if _, ok := want.attrNS(a.NS, a.Local); ok || anyMore == "any" || optional(want, a.Local) {
			continue
		}
		if a.Local == "by" && want.is(nsClient, "error") {
			continue
		}
		return m.no("%s: unexpected attribute %s='%s'", path, a.Local, a.Value)
	}
	return true
}

func isRest(s string) bool { return strings.TrimSpace(s) == "..." }

// solid leaves out white space between elements.
func solid(nodes []Node) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool {
		return n.Element == nil && strings.TrimSpace(n.Text) == ""
	})
}

// ordered compares children one by one; "..." and maybe's are tried both ways.
func (m *matcher) ordered(w, g []Node, path string) bool {
	if len(w) == 0 {
		if len(g) > 0 {
			return m.no("%s: unexpected %s", path, nodeName(g[0]))
		}
		return true
	}
	if w[0].Element == nil && isRest(w[0].Text) {
		for skip := 0; skip <= len(g); skip++ {
			if m.try(func() bool { return m.ordered(w[1:], g[skip:], path) }) {
				return true
			}
		}
		return false
	}
	if maybe(w[0]) && m.try(func() bool { return m.ordered(w[1:], g, path) }) {
		return true
	}
	if len(g) == 0 {
		return m.no("%s: %s is missing", path, nodeName(w[0]))
	}
	return m.node(w[0], g[0], path) && m.ordered(w[1:], g[1:], path)
}

// unordered finds a partner for each child, by trial.
func (m *matcher) unordered(w, g []Node, path string) bool {
	if len(w) == 0 {
		if len(g) > 0 {
			return m.no("%s: unexpected %s", path, nodeName(g[0]))
		}
		return true
	}
	if i := slices.IndexFunc(w, func(n Node) bool { return n.Element == nil && isRest(n.Text) }); i >= 0 {
		return m.subset(slices.Delete(slices.Clone(w), i, i+1), g, path)
	}
	for i := range g {
		rest := slices.Delete(slices.Clone(g), i, i+1)
		if m.try(func() bool { return m.node(w[0], g[i], path) && m.unordered(w[1:], rest, path) }) {
			return true
		}
	}
	if maybe(w[0]) {
		return m.unordered(w[1:], g, path)
	}
	return m.no("%s: %s is missing, or what goes with it", path, nodeName(w[0]))
}

// subset finds all of w among g.
func (m *matcher) subset(w, g []Node, path string) bool {
	if len(w) == 0 {
		return true
	}
	for i := range g {
		rest := slices.Delete(slices.Clone(g), i, i+1)
		if m.try(func() bool { return m.node(w[0], g[i], path) && m.subset(w[1:], rest, path) }) {
			return true
		}
	}
	if maybe(w[0]) {
		return m.subset(w[1:], g, path)
	}
	return m.no("%s: %s is missing", path, nodeName(w[0]))
}

// try undoes what was learnt when f fails.
func (m *matcher) try(f func() bool) bool {
	saved := maps.Clone(m.v)
	if f() {
		return true
	}
	m.v = saved
	return false
}

func (m *matcher) node(w, g Node, path string) bool {
	if (w.Element == nil) != (g.Element == nil) {
		return m.no("%s: expected %s, got %s", path, nodeName(w), nodeName(g))
	}
	if w.Element != nil {
		return m.element(w.Element, g.Element, path)
	}
	if !m.v.match(strings.TrimSpace(w.Text), strings.TrimSpace(g.Text)) {
		return m.no("%s: expected %q, got %q", path, m.v.show(w.Text), g.Text)
	}
	return true
}

func maybe(n Node) bool {
	if n.Element == nil {
		return false
	}
	_, ok := n.Element.attrNS(nsMarks, "maybe")
	return ok
}

func nodeName(n Node) string {
	if n.Element == nil {
		return fmt.Sprintf("%q", strings.TrimSpace(n.Text))
	}
	return fmt.Sprintf("<%s xmlns='%s'>", n.Element.Local, n.Element.NS)
}

// mark compares with one of the short forms.
func (m *matcher) mark(want, got *Element, path string) bool {
	switch want.Local {
	case "id":
		id := "{any}"
		if as, ok := want.Attr("as"); ok {
			id = "{" + as + "}"
		}
		return m.element(&Element{NS: nsSID, Local: "stanza-id", Attrs: []Attr{
			{Local: "by", Value: "{self}"}, {Local: "id", Value: id}}}, got, path)
	case "delay":
		return m.element(&Element{NS: nsDelay, Local: "delay", Nodes: []Node{{Text: "{any}"}}, Attrs: []Attr{
			{Local: "stamp", Value: "{time}"}, {Local: "from", Value: "{any}"},
			{NS: nsMarks, Local: "optional", Value: "from"}}}, got, path)
	case "error":
		typ, _ := want.Attr("type")
		cond, _ := want.Attr("condition")
		return m.element(&Element{NS: nsClient, Local: "error", Attrs: []Attr{{Local: "type", Value: typ}},
			Nodes: append([]Node{{Element: &Element{NS: nsStanzas, Local: cond}}}, want.Nodes...)}, got, path)
	}
	return m.no("unknown mark <s:%s/>", want.Local)
}
