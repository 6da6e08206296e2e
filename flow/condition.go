package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	syntax "github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// A condition is an expression (github.com/expr-lang/expr) over what is known:
//
//	answer.why       a number (mood, scale), a value (choice), values (multi), words (text)
//	answered.why     true or false
//	score.why        a number: mood, scale, or a choice whose options have scores
//	sentiment.why    -1 to 1, of a free text
//	attribute.team   of the person
//	known.team       true or false
//	anonymous        true or false
//	language         "en"
//
// A comparison with something that is not there (a question that was skipped,
// an attribute that the person does not have) does not hold; and, or around it
// mean what they say.

// world is the types of all that a condition may name.
func (f *Flow) world() types.Map {
	answer, answered, score, sentiment := types.Map{}, types.Map{}, types.Map{}, types.Map{}
	for i := range f.steps {
		s := &f.steps[i]
		if !s.asks() {
			continue
		}
		answered[s.id] = types.Bool
		switch s.kind {
		case Mood, Scale:
			answer[s.id], score[s.id] = types.Int, types.Int
		case Choice:
			answer[s.id] = types.String
			if s.scored() {
				score[s.id] = types.Int
			}
		case Multi:
			answer[s.id] = types.TypeOf([]string{})
		case Text:
			answer[s.id], sentiment[s.id] = types.String, types.Float64
		}
	}
	attribute, known := types.Map{}, types.Map{}
	for name, kind := range f.attributes {
		attribute[name] = map[string]types.Type{"text": types.String, "number": types.Float64, "bool": types.Bool}[kind]
		known[name] = types.Bool
	}
	return types.Map{groupAnswer: answer, groupAnswered: answered, groupScore: score, groupSentiment: sentiment,
		groupAttribute: attribute, groupKnown: known, "anonymous": types.Bool, "language": types.String}
}

func (s *step) scored() bool { return len(s.options) > 0 && s.options[0].score != nil }

// functions are what a condition may call.
var functions = []string{"len", "lower", "upper", "trim", "abs"}

// compile makes a condition of its source. The error says what is wrong; the
// number is the column in the source, from 0.
func (f *Flow) compile(source string, world types.Map) (c *condition, column int, err error) {
	defer func() {
		if p := recover(); p != nil { // the optimizer computes constants, 1 % 0 among them
			c, err = nil, fmt.Errorf("the condition cannot be computed: %v", p)
		}
	}()
	v := &visitor{flow: f}
	options := []expr.Option{expr.Env(world), expr.AsBool(), expr.WarnOnAny(), expr.MaxNodes(200), expr.DisableAllBuiltins()}
	for _, name := range functions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source, append(slices.Clone(options), expr.Patch(v))...)
	if v.err != nil {
		return nil, v.column, v.err
	}
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) {
			return nil, at.Column, f.explain(at.Message)
		}
		return nil, 0, f.explain(err.Error())
	}
	tree, err := syntax.Parse(source)
	if err != nil {
		return nil, 0, err
	}
	c, err = split(tree.Node, options)
	if err != nil || c.parts == nil {
		return &condition{program: program, uses: v.uses}, 0, nil
	}
	c.uses = v.uses
	return c, 0, nil
}

// split takes a condition apart at and, or: each part is computed by itself,
// so that one about something that is not there is false by itself.
func split(n ast.Node, options []expr.Option) (*condition, error) {
	b, ok := n.(*ast.BinaryNode)
	if ok && (b.Operator == "&&" || b.Operator == "and" || b.Operator == "||" || b.Operator == "or") {
		left, err := split(b.Left, options)
		if err != nil {
			return nil, err
		}
		right, err := split(b.Right, options)
		return &condition{parts: []*condition{left, right}, or: b.Operator == "||" || b.Operator == "or"}, err
	}
	var uses references
	program, err := expr.Compile(n.String(), append(slices.Clone(options), expr.Patch(&uses))...)
	return &condition{program: program, uses: uses}, err
}

// references notes what a part of a condition, checked already, asks about.
type references []reference

// Visit is called for each part.
func (u *references) Visit(n *ast.Node) {
	if r, ok := refer(*n); ok && !slices.Contains(*u, r) {
		*u = append(*u, r)
	}
}

// explain says the checker's words in ours.
func (f *Flow) explain(message string) error {
	if rest, ok := strings.CutPrefix(message, "unknown name "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return fmt.Errorf("unknown name “%s”%s", name, meant(name, []string{groupAnswer, groupAnswered, groupScore, groupSentiment, groupAttribute, groupKnown, "anonymous", "language"}))
	}
	if strings.HasPrefix(message, "expected bool") {
		return errors.New("the condition must be true or false, as “score.mood <= 2” is")
	}
	return errors.New("the condition is not understood: " + message)
}

// A visitor looks at each part of a condition: only what is bounded and plain
// is allowed, and what it asks about is noted.
type visitor struct {
	flow   *Flow
	uses   []reference
	err    error
	column int
}

// Visit is called for each part, the inner ones first.
func (v *visitor) Visit(n *ast.Node) {
	if v.err != nil {
		return
	}
	switch n := (*n).(type) {
	case *ast.IdentifierNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode,
		*ast.ArrayNode, *ast.UnaryNode, *ast.BuiltinNode, *ast.ChainNode, *ast.ConditionalNode:
	case *ast.BinaryNode:
		if n.Operator == ".." || n.Operator == "matches" || n.Operator == "**" || n.Operator == "^" {
			v.fail(n, fmt.Errorf("“%s” is not allowed in a condition", n.Operator))
			return
		}
		v.compare(n)
	case *ast.MemberNode:
		v.member(n)
	case *ast.NilNode:
		v.fail(n, errors.New("nothing is ever nil here: use answered.… or known.…"))
	default:
		v.fail(n, errors.New("only comparisons, and, or, not, in and "+strings.Join(functions, ", ")+" are allowed in a condition"))
	}
}

func (v *visitor) fail(n ast.Node, err error) {
	v.err, v.column = err, n.Location().From
}

// refer reads group.name, with ok false where a part is something else.
func refer(n ast.Node) (r reference, ok bool) {
	m, isMember := n.(*ast.MemberNode)
	if !isMember {
		return r, false
	}
	group, isName := m.Node.(*ast.IdentifierNode)
	name, isText := m.Property.(*ast.StringNode)
	if !isName || !isText {
		return r, false
	}
	return reference{group.Value, name.Value}, true
}

// member notes what is asked about, and says what was meant if it is unknown.
func (v *visitor) member(n *ast.MemberNode) {
	r, ok := refer(n)
	if !ok {
		v.fail(n, errors.New("only names like answer.mood are allowed here"))
		return
	}
	if wrong := v.flow.unknown(r); wrong != "" {
		v.fail(n, errors.New(wrong))
		return
	}
	if !slices.Contains(v.uses, r) {
		v.uses = append(v.uses, r)
	}
}

// compare finds a choice compared with something that is none of its options.
func (v *visitor) compare(n *ast.BinaryNode) {
	for _, pair := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
		r, ok := refer(pair[0])
		if !ok || r.group != groupAnswer {
			continue
		}
		at, known := v.flow.index[r.name]
		if !known || v.flow.steps[at].options == nil {
			continue
		}
		values := v.flow.steps[at].values()
		for _, text := range constants(pair[1]) {
			if !slices.Contains(values, text) {
				v.fail(pair[1], fmt.Errorf("“%s” is no value of %s%s", text, r.name, meant(text, values)))
				return
			}
		}
	}
}

// constants are the texts that a comparison names.
func constants(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.StringNode:
		return []string{n.Value}
	case *ast.ArrayNode:
		var out []string
		for _, v := range n.Nodes {
			out = append(out, constants(v)...)
		}
		return out
	}
	return nil
}

func (s *step) values() []string {
	out := make([]string, len(s.options))
	for i, o := range s.options {
		out[i] = o.value
	}
	return out
}

// unknown says what is wrong with a reference of a condition or a text, "" if
// nothing.
func (f *Flow) unknown(r reference) string {
	var fits func(*step) bool
	switch r.group {
	case groupAnswer, groupAnswered:
		fits = func(s *step) bool { return s.asks() }
	case groupScore:
		fits = func(s *step) bool { return s.kind == Mood || s.kind == Scale || s.kind == Choice && s.scored() }
	case groupSentiment:
		fits = func(s *step) bool { return s.kind == Text }
	case groupAttribute, groupKnown:
		if _, ok := f.attributes[r.name]; ok {
			return ""
		}
		all := make([]string, 0, len(f.attributes))
		for name := range f.attributes {
			all = append(all, name)
		}
		slices.Sort(all)
		return fmt.Sprintf("the flow declares no attribute “%s”%s", r.name, meant(r.name, all))
	default:
		return fmt.Sprintf("“%s” is not known here", r)
	}
	var all []string
	for i := range f.steps {
		if s := &f.steps[i]; fits(s) {
			if s.id == r.name {
				return ""
			}
			all = append(all, s.id)
		}
	}
	if at, ok := f.index[r.name]; ok {
		return fmt.Sprintf("step “%s” is a %s and has no %s%s", r.name, f.steps[at].kind, r.group, meant("", all))
	}
	return fmt.Sprintf("no question is called “%s”%s", r.name, meant(r.name, all))
}

// holds computes a condition. What cannot be computed does not hold.
func (c *condition) holds(t *talk) bool {
	if c == nil {
		return true
	}
	if c.parts != nil {
		if c.parts[0].holds(t) == c.or {
			return c.or
		}
		return c.parts[1].holds(t)
	}
	world := map[string]any{"anonymous": t.state.Anonymous, "language": t.state.Language}
	for _, r := range c.uses {
		value, there := t.fact(r)
		if !there {
			return false
		}
		group, ok := world[r.group].(map[string]any)
		if !ok {
			group = make(map[string]any, 2)
			world[r.group] = group
		}
		group[r.name] = value
	}
	out, err := vm.Run(c.program, world)
	yes, ok := out.(bool)
	return err == nil && ok && yes
}
