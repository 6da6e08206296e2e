package script

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxScript bounds a script file, in bytes.
const maxScript = 1 << 20

// maxBytes bounds what one "sends bytes" may send, in bytes.
const maxBytes = 64 << 20

// Parse reads a script; file is its name in messages. Errors are *ParseError.
func Parse(file string, b []byte) (*Script, error) {
	p := &parser{s: &Script{File: file}}
	if len(b) > maxScript {
		return nil, p.fail(1, "a script has at most %d bytes", maxScript)
	}
	if !utf8.Valid(b) {
		return nil, p.fail(1, "a script is UTF-8")
	}
	p.lines = strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	if err := p.header(); err != nil {
		return nil, err
	}
	if err := p.play(); err != nil {
		return nil, err
	}
	sortOptions(p.s.Server)
	return p.s, nil
}

type parser struct {
	s     *Script
	lines []string
	at    int // index of the next line
}

func (p *parser) fail(line int, format string, args ...any) error {
	return &ParseError{File: p.s.File, Line: line, Text: fmt.Sprintf(format, args...)}
}

// next is the next line that is not empty and no comment, with its number; ok is false at the end.
func (p *parser) next() (string, int, bool) {
	for p.at < len(p.lines) {
		l := strings.TrimRight(p.lines[p.at], " \t")
		p.at++
		if strings.HasPrefix(l, "#") {
			if p.s.Title == "" {
				p.s.Title = strings.TrimSpace(strings.TrimLeft(l, "#"))
			}
			continue
		}
		if l != "" {
			return l, p.at, true
		}
	}
	return "", p.at, false
}

// block takes the indented lines that follow; empty lines inside belong to it.
func (p *parser) block() (lines []string, first int) {
	first = p.at + 1
	end := p.at
	for i := p.at; i < len(p.lines); i++ {
		l := p.lines[i]
		if strings.TrimSpace(l) == "" {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			break
		}
		end = i + 1
	}
	lines = p.lines[p.at:end]
	p.at = end
	return lines, first
}

func isRule(l string) bool { return len(l) >= 3 && strings.Trim(l, "-") == "" }

func (p *parser) header() error {
	for {
		l, n, ok := p.next()
		if !ok {
			return p.fail(n, "no line of dashes: nothing separates the header from the play")
		}
		if isRule(l) {
			return p.namesKnown()
		}
		if strings.HasPrefix(l, "[") && strings.HasSuffix(l, "]") {
			if err := p.person(l[1:len(l)-1], n); err != nil {
				return err
			}
			continue
		}
		key, val, ok := strings.Cut(l, ":")
		if !ok {
			return p.fail(n, "%q is neither 'key: value', a [Person] nor the line of dashes", l)
		}
		if err := p.entry(key, strings.TrimSpace(val), n); err != nil {
			return err
		}
	}
}

func (p *parser) entry(key, val string, n int) error {
	switch key {
	case "server":
		k, v, ok := strings.Cut(val, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !ok || k == "" || v == "" {
			return p.fail(n, "server: KEY = VALUE, not %q", val)
		}
		p.s.Server = append(p.s.Server, Option{k, v})
	case "friends", "sees":
		f := strings.Fields(val)
		if len(f) != 2 || f[0] == f[1] {
			return p.fail(n, "%s: names two people, not %q", key, val)
		}
		p.s.Bonds = append(p.s.Bonds, Bond{A: f[0], B: f[1], Mutual: key == "friends", Line: n})
	default:
		return p.fail(n, "unknown header entry %q: server, friends, sees or a [Person]", key)
	}
	return nil
}

func (p *parser) namesKnown() error {
	for _, q := range p.s.People {
		if q.Token == "" || q.Token == "any" {
			continue
		}
		if peer := p.s.Person(q.Token); peer == nil || peer.Account == "" {
			return p.fail(q.Line, "token: is 'any' or 'only NAME', not %q", q.Token)
		}
	}
	for _, b := range p.s.Bonds {
		for _, name := range []string{b.A, b.B} {
			q := p.s.Person(name)
			if q == nil {
				return p.fail(b.Line, "nobody is called %q", name)
			}
			if q.Account == "" {
				return p.fail(b.Line, "%s has no account", name)
			}
		}
	}
	return nil
}

var nameRE = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

func (p *parser) person(name string, n int) error {
	if !nameRE.MatchString(name) || name == "Server" {
		return p.fail(n, "%q is no name of a person: a capital, then letters and digits", name)
	}
	if p.s.Person(name) != nil {
		return p.fail(n, "%s is there already", name)
	}
	q := &Person{Name: name, Account: strings.ToLower(name), Host: 1, Transport: TCP, Exists: true, Line: n}
	lines, first := p.block()
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		key, val, ok := strings.Cut(l, ":")
		if !ok {
			return p.fail(first+i, "an option is 'key: value', not %q", l)
		}
		if why := q.set(key, strings.TrimSpace(val)); why != "" {
			return p.fail(first+i, "%s", why)
		}
	}
	p.s.People = append(p.s.People, q)
	return nil
}

// set takes one option of a person and returns what is wrong with it, or "".
func (q *Person) set(key, val string) string {
	switch key {
	case "account":
		if q.Account = val; val == "-" {
			q.Account = ""
		}
	case "host":
		if val != "1" && val != "2" {
			return "host: is 1 or 2"
		}
		q.Host = int(val[0] - '0')
	case "password":
		q.Password = val
	case "resource":
		q.Resource = val
	case "transport":
		switch t := Transport(val); t {
		case TCP, STARTTLS, TLS, WS, WSS:
			q.Transport = t
		default:
			return fmt.Sprintf("transport: is tcp, starttls, tls, ws or wss, not %q", val)
		}
	case "mechanism":
		q.Mechanism = val
	case "token":
		q.Token = strings.TrimPrefix(val, "only ")
	case "lang":
		q.Lang = val
	case "declares":
		prefix, ns, ok := strings.Cut(val, "=")
		if !ok || !isVarName(prefix) {
			return "declares: PREFIX=NAMESPACE"
		}
		q.prefix, q.prefixNS = prefix, ns
		q.Declares = fmt.Sprintf("xmlns:%s='%s'", prefix, escapeAttr(ns))
	case "sm", "exists":
		if val != "yes" && val != "no" {
			return key + ": is yes or no"
		}
		if key == "sm" {
			q.SM = val == "yes"
		} else {
			q.Exists = val == "yes"
		}
	default:
		return fmt.Sprintf("unknown option %q: account, exists, host, password, token, resource, transport, "+
			"mechanism, lang, declares, sm", key)
	}
	return ""
}

func (p *parser) play() error {
	for {
		l, n, ok := p.next()
		if !ok {
			return nil
		}
		if l[0] == ' ' || l[0] == '\t' {
			return p.fail(n, "an indented line that belongs to no statement")
		}
		st, err := p.statement(l, n)
		if err != nil {
			return err
		}
		p.s.Steps = append(p.s.Steps, st)
	}
}

// verbs of statements without a further word.
func plainVerb(s string) Verb {
	switch s {
	case "dials":
		return Dials
	case "opens a stream":
		return Opens
	case "starts TLS":
		return StartsTLS
	case "restarts the stream":
		return Restarts
	case "signs in":
		return SignsIn
	case "connects":
		return Connects
	case "binds":
		return Binds
	case "is available":
		return IsAvailable
	case "sends:":
		return Sends
	case "sends bytes:":
		return SendsBytes
	case "receives:":
		return Receives
	case "receives in any order:":
		return ReceivesUnordered
	case "receives nothing":
		return ReceivesNothing
	case "is offered:":
		return IsOffered
	case "is not offered:":
		return IsNotOffered
	case "is closed":
		return IsClosed
	case "disconnects":
		return Disconnects
	case "cuts":
		return Cuts
	case "resumes":
		return Resumes
	}
	return 0
}

// argVerb splits a statement that ends in a word of its own.
func argVerb(s string) (Verb, string) {
	for _, v := range []struct {
		words string
		verb  Verb
	}{
		{"fails to sign in with ", FailsSignIn}, {"fails to resume with ", FailsResume},
		{"is available with priority ", IsAvailable}, {"is closed with ", IsClosed}, {"notes ", Notes}, {"meets ", Meets},
	} {
		if arg, ok := strings.CutPrefix(s, v.words); ok {
			return v.verb, arg
		}
	}
	return 0, ""
}

var argRE = regexp.MustCompile(`^-?[a-z0-9][a-z0-9.-]*$`)

// badArg says what is wrong with a statement's last word, "" when it is right.
func (p *parser) badArg(st Step) string {
	switch {
	case st.Verb == Meets:
		if p.s.Person(st.Arg) == nil || st.Arg == st.Person.Name {
			return fmt.Sprintf("nobody else is called %q", st.Arg)
		}
	case !argRE.MatchString(st.Arg):
		return fmt.Sprintf("%q cannot stand here", st.Arg)
	case st.Verb == IsAvailable:
		if v, err := strconv.Atoi(st.Arg); err != nil || v < -128 || v > 127 {
			return fmt.Sprintf("a priority is a number from -128 to 127, not %q", st.Arg)
		}
	case st.Verb == Notes && !isVarName(st.Arg):
		return fmt.Sprintf("%q is no name of a variable", st.Arg)
	}
	return ""
}

func (p *parser) statement(l string, n int) (Step, error) {
	st := Step{Line: n, Text: l}
	name, rest, _ := strings.Cut(l, " ")
	if l == "Server restarts" {
		p.s.restart = true
		st.Verb = ServerRestarts
		return st, nil
	}
	if l == "Operator runs:" {
		lines, _ := p.block()
		for _, line := range lines {
			if line = strings.TrimSpace(line); line != "" {
				st.Orders = append(st.Orders, line)
			}
		}
		if len(st.Orders) == 0 {
			return st, p.fail(n, "%q needs a block of indented lines", l)
		}
		p.s.operate = true
		st.Verb = OperatorRuns
		return st, nil
	}
	if st.Person = p.s.Person(name); st.Person == nil {
		return st, p.fail(n, "nobody is called %q", name)
	}
	if st.Verb = plainVerb(rest); st.Verb == 0 {
		if st.Verb, st.Arg = argVerb(rest); st.Verb == 0 {
			return st, p.fail(n, "%q is nothing that %s can do", rest, name)
		}
		if why := p.badArg(st); why != "" {
			return st, p.fail(n, "%s", why)
		}
	}
	lines, first := p.block()
	if !strings.HasSuffix(rest, ":") {
		if len(lines) > 0 {
			return st, p.fail(first, "%q takes no block", rest)
		}
		return st, nil
	}
	if len(lines) == 0 {
		return st, p.fail(n, "%q needs a block of indented lines", rest)
	}
	if st.Verb == SendsBytes {
		var err error
		st.Bytes, err = p.bytes(lines, first)
		return st, err
	}
	return st, p.elements(&st, lines, first)
}

func (p *parser) elements(st *Step, lines []string, first int) error {
	var err error
	sc := scriptScope()
	if st.Verb == Sends && st.Person.Declares != "" {
		sc = &scope{up: sc, decl: map[string]string{st.Person.prefix: st.Person.prefixNS}}
	}
	if st.Blocks, err = parseElements([]byte(strings.Join(lines, "\n")), first, sc); err != nil {
		return p.fail(first, "%v", err)
	}
	if len(st.Blocks) == 0 {
		return p.fail(first, "no element in the block")
	}
	for _, e := range st.Blocks {
		if e.Raw = bytes.TrimSpace(e.Raw); st.Verb != Sends {
			err = checkMarks(e)
		} else {
			err = noMarks(e)
		}
		if err != nil {
			return p.fail(e.Line, "%v", err)
		}
	}
	return nil
}

// noMarks refuses marks where they would be sent.
func noMarks(e *Element) error {
	if e.NS == nsMarks {
		return fmt.Errorf("<s:%s/> cannot be sent", e.Local)
	}
	for _, a := range e.Attrs {
		if a.NS == nsMarks {
			return fmt.Errorf("s:%s cannot be sent", a.Local)
		}
	}
	for _, c := range e.Children() {
		if err := noMarks(c); err != nil {
			return err
		}
	}
	return nil
}

// checkMarks refuses marks that do not exist and patterns that cannot be read.
func checkMarks(e *Element) error {
	if e.NS == nsMarks {
		switch e.Local {
		case "id", "delay", "error":
		default:
			return fmt.Errorf("unknown mark <s:%s/>", e.Local)
		}
	}
	for _, a := range e.Attrs {
		if a.NS == nsMarks {
			switch a.Local + "=" + a.Value {
			case "order=any", "attrs=any", "maybe=yes":
			default:
				if a.Local != "optional" {
					return fmt.Errorf("unknown mark s:%s='%s'", a.Local, a.Value)
				}
			}
		}
		if _, err := parsePattern(a.Value); err != nil {
			return err
		}
	}
	for _, n := range e.Nodes {
		var err error
		if n.Element != nil {
			err = checkMarks(n.Element)
		} else {
			_, err = parsePattern(n.Text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bytes reads lines of "…" and N * "…".
func (p *parser) bytes(lines []string, first int) ([]byte, error) {
	var out []byte
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		times := 1
		if l[0] != '"' {
			num, rest, ok := strings.Cut(l, "*")
			v, err := strconv.Atoi(strings.TrimSpace(num))
			if !ok || err != nil || v < 0 {
				return nil, p.fail(first+i, "bytes are written \"…\" or N * \"…\", not %q", l)
			}
			times, l = v, strings.TrimSpace(rest)
		}
		s, err := strconv.Unquote(l)
		if err != nil {
			return nil, p.fail(first+i, "%s is no string", l)
		}
		if len(s) > 0 && times > (maxBytes-len(out))/len(s) {
			return nil, p.fail(first+i, "more than %d bytes", maxBytes)
		}
		out = append(out, strings.Repeat(s, times)...)
	}
	return out, nil
}
