package audience

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// checker goes through a parsed rule: it lets through what rules may say, finds
// kinds, and notes texts that are meant as dates.
type checker struct {
	text   string
	fields []Field
	uses   map[string]bool
	dates  map[int]float64 // day by place of a text
	found  Problems
	parts  []string
}

const (
	wrong Kind = ""        // was reported already
	texts Kind = "texts"   // a constant list
	nums  Kind = "numbers" // a constant list
)

const maxProblems = 10

// words says a kind in a sentence.
var words = map[Kind]string{Text: "a text", Number: "a number", Date: "a date", Bool: "yes or no", List: "a list", texts: "a list of texts", nums: "a list of numbers"}

func check(text string, fields []Field) (*checker, error) {
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	for name := range config.Builtins {
		config.Disabled[name] = true
	}
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, problems(text, err)
	}
	c := &checker{text: text, fields: fields, uses: map[string]bool{}, dates: map[int]float64{}}
	if k := c.kind(tree.Node); k != Bool && k != wrong {
		c.report(tree.Node, fmt.Sprintf("a rule says yes or no, this is %s: compare it with something", words[k]))
	}
	if len(c.found) > 0 {
		return nil, c.found
	}
	c.split(tree.Node)
	return c, nil
}

// Visit puts days in place of the texts that are dates, and differences in
// place of what counts days. It comes to arguments before their call.
func (c *checker) Visit(node *ast.Node) {
	if s, ok := (*node).(*ast.StringNode); ok {
		if day, ok := c.dates[s.Location().From]; ok {
			ast.Patch(node, &ast.FloatNode{Value: day})
		}
	}
	call, ok := (*node).(*ast.CallNode)
	if !ok {
		return
	}
	id, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || len(call.Arguments) != len(helpers[id.Value].takes) {
		return
	}
	now := &ast.IdentifierNode{Value: today}
	switch a := call.Arguments; id.Value {
	case "date":
		ast.Patch(node, a[0])
	case "days_since":
		ast.Patch(node, &ast.BinaryNode{Operator: "-", Left: now, Right: a[0]})
	case "days_until":
		ast.Patch(node, &ast.BinaryNode{Operator: "-", Left: a[0], Right: now})
	case "days_between":
		ast.Patch(node, &ast.BinaryNode{Operator: "-", Left: a[1], Right: a[0]})
	}
}

// split lists what the outermost and joins.
func (c *checker) split(n ast.Node) {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "and" || b.Operator == "&&") {
		c.split(b.Left)
		c.split(b.Right)
		return
	}
	c.parts = append(c.parts, n.String())
}

func (c *checker) report(n ast.Node, what string) Kind {
	if len(c.found) < maxProblems {
		c.found = append(c.found, at(c.text, n.Location().From, what))
	}
	return wrong
}

// kind is what a part of the rule has.
func (c *checker) kind(n ast.Node) Kind {
	switch n := n.(type) {
	case *ast.BoolNode:
		return Bool
	case *ast.StringNode:
		return Text
	case *ast.IntegerNode, *ast.FloatNode:
		return Number
	case *ast.IdentifierNode:
		return c.field(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.NilNode:
		return c.report(n, "nil is not known here: known(field) tells whether there is something")
	case *ast.MemberNode, *ast.ChainNode, *ast.SliceNode:
		return c.report(n, "fields have no parts: name the field alone")
	case *ast.BuiltinNode:
		return c.report(n, fmt.Sprintf("%s() is not for audiences: use %s", clip(n.Name), helperNames()))
	}
	return c.report(n, "this is not for audiences: use comparisons joined by and, or, not")
}

func (c *checker) field(n *ast.IdentifierNode) Kind {
	if n.Value == today {
		return Date
	}
	names := []string{today}
	for _, f := range c.fields {
		if f.Name == n.Value {
			c.uses[f.Name] = true
			return f.Kind
		}
		names = append(names, f.Name)
	}
	what := fmt.Sprintf("there is no field %s", clip(n.Value))
	if near := nearest(n.Value, names); near != "" {
		return c.report(n, fmt.Sprintf("%s: is %s meant?", what, near))
	}
	return c.report(n, fmt.Sprintf("%s, nor one like it; a text stands in quotation marks: %q", what, clip(n.Value)))
}

func (c *checker) unary(n *ast.UnaryNode) Kind {
	k := c.kind(n.Node)
	switch {
	case k == wrong:
		return wrong
	case (n.Operator == "not" || n.Operator == "!") && k != Bool:
		return c.report(n, fmt.Sprintf("not is for yes or no, not for %s: put what follows it in parentheses", words[k]))
	case n.Operator == "not" || n.Operator == "!":
		return Bool
	case k != Number:
		return c.report(n, fmt.Sprintf("%s is for numbers, not for %s", n.Operator, words[k]))
	}
	return Number
}

func (c *checker) binary(n *ast.BinaryNode) Kind {
	left, right := c.kind(n.Left), c.kind(n.Right)
	if left == wrong || right == wrong {
		return wrong
	}
	left, right = c.dated(n.Left, left, right), c.dated(n.Right, right, left)
	if left == wrong || right == wrong {
		return wrong
	}
	switch n.Operator {
	case "and", "or", "&&", "||":
		if left != Bool || right != Bool {
			return c.report(n, fmt.Sprintf("%s joins conditions, not %s and %s", n.Operator, words[left], words[right]))
		}
		return Bool
	case "==", "!=":
		if left != right || left == List || left == texts || left == nums {
			return c.unlike(n, left, right)
		}
		return Bool
	case "<", "<=", ">", ">=":
		if left != right || left != Number && left != Date {
			return c.unlike(n, left, right)
		}
		return Bool
	case "in":
		if left == Text && (right == texts || right == List) || (left == Number || left == Date) && right == nums {
			return Bool
		}
		return c.unlike(n, left, right)
	case "contains", "startsWith", "endsWith":
		if left == List && right == Text {
			return c.report(n, `to look into a list write "x" in the_list`)
		}
		if left != Text || right != Text {
			return c.unlike(n, left, right)
		}
		return Bool
	case "+", "-", "*", "/":
		if left != Number || right != Number {
			return c.report(n, fmt.Sprintf("%s is for numbers, not for %s and %s; for dates there is days_since(date)", n.Operator, words[left], words[right]))
		}
		return Number
	}
	return c.report(n, fmt.Sprintf("%s is not for audiences", clip(n.Operator)))
}

func (c *checker) unlike(n *ast.BinaryNode, left, right Kind) Kind {
	return c.report(n, fmt.Sprintf("%s does not compare %s with %s", n.Operator, words[left], words[right]))
}

// dated reads a text, or a list of texts, as dates if it stands beside one.
func (c *checker) dated(n ast.Node, own, other Kind) Kind {
	if other != Date {
		return own
	}
	switch n := n.(type) {
	case *ast.StringNode:
		if !c.day(n) {
			return wrong
		}
		return Date
	case *ast.ArrayNode:
		if own != texts {
			return own
		}
		for _, x := range n.Nodes {
			if !c.day(x.(*ast.StringNode)) {
				return wrong
			}
		}
		return nums
	}
	return own
}

func (c *checker) day(n *ast.StringNode) bool {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		c.report(n, fmt.Sprintf("%q is not a date: write it as \"2026-11-22\"", clip(n.Value)))
		return false
	}
	c.dates[n.Location().From] = dayOf(t)
	return true
}

// array is a list of constants of one kind.
func (c *checker) array(n *ast.ArrayNode) Kind {
	if len(n.Nodes) == 0 {
		return c.report(n, "the list is empty: nobody is in it")
	}
	kind := wrong
	for _, x := range n.Nodes {
		if u, ok := x.(*ast.UnaryNode); ok && (u.Operator == "-" || u.Operator == "+") {
			x = u.Node
		}
		k := wrong
		switch x.(type) {
		case *ast.StringNode:
			k = texts
		case *ast.IntegerNode, *ast.FloatNode:
			k = nums
		default:
			return c.report(x, "a list has texts or numbers only")
		}
		if kind != wrong && k != kind {
			return c.report(x, "a list has either texts or numbers")
		}
		kind = k
	}
	return kind
}

func (c *checker) call(n *ast.CallNode) Kind {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.report(n, "fields have no parts: name the field alone")
	}
	h, ok := helpers[id.Value]
	if !ok {
		what := fmt.Sprintf("there is no %s()", clip(id.Value))
		if near := nearest(id.Value, strings.Split(helperNames(), ", ")); near != "" {
			return c.report(n, fmt.Sprintf("%s: is %s meant?", what, near))
		}
		return c.report(n, fmt.Sprintf("%s: there are %s", what, helperNames()))
	}
	if len(n.Arguments) != len(h.takes) {
		return c.report(n, fmt.Sprintf("%s takes %d values, not %d: %s", id.Value, len(h.takes), len(n.Arguments), h.usage))
	}
	good := true
	for i, a := range n.Arguments {
		k := c.kind(a)
		if want := h.takes[i]; k != wrong && want != any_ {
			if k = c.dated(a, k, want); k != wrong && k != want {
				k = c.report(a, fmt.Sprintf("%s takes %s here, not %s: %s", id.Value, words[want], words[k], h.usage))
			}
		}
		if _, isField := a.(*ast.IdentifierNode); k != wrong && h.takes[i] == any_ && !isField {
			k = c.report(a, fmt.Sprintf("%s takes a field: %s", id.Value, h.usage))
		}
		if _, isText := a.(*ast.StringNode); k != wrong && id.Value == "date" && !isText {
			k = c.report(a, "date() takes a text as \"2026-11-22\"; a field needs no date()")
		}
		good = good && k != wrong
	}
	if !good {
		return wrong
	}
	return h.gives
}

// nearest is the name that is most like one, "" if none is much like it.
func nearest(name string, names []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, n := range names {
		if len(name) > 2 && strings.HasPrefix(n, strings.ToLower(name)) {
			return n
		}
		if d := distance(strings.ToLower(name), n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts the edits between two words, of the first maxName letters.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	x, y = x[:min(len(x), maxName)], y[:min(len(y), maxName)]
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range x {
		last := row[0]
		row[0] = i + 1
		for j, s := range y {
			d := last
			if r != s {
				d = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], d
		}
	}
	return row[len(y)]
}

func helperNames() string {
	var names []string
	for name := range helpers {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
