package script

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// operate has an operator do things, one after the other.
func (p *player) operate(ctx context.Context, st *Step) error {
	for _, line := range st.Orders {
		order, err := p.v.expand(line, func(s string) string { return s })
		if err != nil {
			return err
		}
		order, refused := strings.CutPrefix(order, "! ")
		words := strings.Fields(order)
		args := make(map[string]string, len(words))
		for _, w := range words[1:] {
			key, value, ok := strings.Cut(w, "=")
			if !ok {
				return fmt.Errorf("%s: want KEY=VALUE, not %q", words[0], w)
			}
			args[key] = value
		}
		switch err := p.t.Operate(ctx, words[0], args); {
		case err != nil && !refused:
			return fmt.Errorf("%s: %w", order, err)
		case err == nil && refused:
			return fmt.Errorf("%s: it was done, and should have been refused", order)
		}
	}
	return nil
}

// do performs one statement.
func (p *player) do(ctx context.Context, st *Step) error {
	ctx, cancel := p.patience(ctx)
	defer cancel()
	if st.Verb == ServerRestarts {
		return p.t.Restart(ctx)
	}
	if st.Verb == OperatorRuns {
		return p.operate(ctx, st)
	}
	a := p.cast[st.Person]
	switch st.Verb {
	case Dials, Opens, SignsIn, Connects, Resumes, FailsSignIn, FailsResume:
		return p.arrive(ctx, a, st)
	}
	if a.c == nil {
		return fmt.Errorf("%s is not connected", a.p.Name)
	}
	switch st.Verb {
	case StartsTLS:
		return a.c.AwaitTLS(ctx)
	case Restarts:
		return p.open(ctx, a)
	case Binds:
		return p.bind(ctx, a)
	case IsAvailable:
		return p.available(ctx, a, st.Arg)
	case Meets:
		return p.meet(ctx, a, p.cast[p.s.Person(st.Arg)])
	case Sends:
		return p.sends(a, st)
	case SendsBytes:
		return a.c.SendBytes(st.Bytes)
	case Receives:
		return p.receives(ctx, a, st)
	case ReceivesUnordered:
		return p.unordered(ctx, a, st)
	case ReceivesNothing:
		return p.nothing(ctx, a)
	case IsOffered, IsNotOffered:
		return p.offered(a, st)
	case IsClosed:
		return p.closed(ctx, a, st.Arg)
	default:
		return p.depart(ctx, a, st)
	}
}

func (p *player) arrive(ctx context.Context, a *actor, st *Step) error {
	if a.c != nil {
		return fmt.Errorf("%s is connected already", a.p.Name)
	}
	cfg := p.config(a)
	if err := p.token(ctx, a, &cfg); err != nil {
		return err
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	a.c, a.bound = c, false
	if st.Verb == Dials {
		return nil
	}
	if st.Verb == Opens {
		return p.open(ctx, a)
	}
	err = c.SignIn(ctx)
	a.feats = c.Features()
	if st.Verb == FailsSignIn {
		c.Cut()
		a.gone()
		return failed(err, st.Arg)
	}
	if err != nil {
		return err
	}
	switch st.Verb {
	case Connects:
		return p.bind(ctx, a)
	case Resumes, FailsResume:
		return p.resume(ctx, a, st)
	}
	return nil
}

// token has a person who signs in with a token do so.
func (p *player) token(ctx context.Context, a *actor, cfg *client.Config) error {
	if a.p.Token == "" {
		return nil
	}
	var peer jid.JID
	if q := p.s.Person(a.p.Token); q != nil {
		peer = p.cast[q].jid
	}
	var err error
	cfg.Password, cfg.Keys = "", nil
	cfg.Token, err = p.t.Token(ctx, a.jid, peer)
	return err
}

func (p *player) open(ctx context.Context, a *actor) error {
	err := a.c.Open(ctx)
	a.feats = a.c.Features()
	return err
}

// failed compares a SASL failure with the condition that was expected.
func failed(err error, cond string) error {
	var f *client.AuthError
	switch {
	case err == nil:
		return fmt.Errorf("signed in, where %s was expected", cond)
	case !errors.As(err, &f):
		return err
	case f.Condition != cond:
		return fmt.Errorf("SASL failed with %s, not %s", f.Condition, cond)
	}
	return nil
}

func (p *player) bind(ctx context.Context, a *actor) error {
	if err := a.c.Bind(ctx); err != nil {
		return err
	}
	p.isBound(a)
	if !a.p.SM {
		return nil
	}
	a.sm = &client.Session{}
	return a.c.Enable(ctx, a.sm)
}

func (p *player) isBound(a *actor) {
	a.bound = true
	name := strings.ToLower(a.p.Name)
	p.v[name+".full"] = a.c.JID().String()
	p.v[name+".resource"] = a.c.JID().Resource()
}

func (p *player) resume(ctx context.Context, a *actor, st *Step) error {
	if a.sm == nil {
		return fmt.Errorf("%s has no session to resume", a.p.Name)
	}
	err := a.c.Resume(ctx, a.sm)
	if st.Verb == Resumes {
		if err == nil {
			a.bound = true
		}
		return err
	}
	var f *client.ResumeError
	switch {
	case err == nil:
		return fmt.Errorf("resumed, where %s was expected", st.Arg)
	case !errors.As(err, &f):
		return err
	case f.Condition != st.Arg:
		return fmt.Errorf("resumption failed with %s, not %s", f.Condition, st.Arg)
	}
	return nil
}

// depart performs what ends a connection, and notes.
func (p *player) depart(ctx context.Context, a *actor, st *Step) error {
	switch st.Verb {
	case Disconnects:
		if err := p.silent(a); err != nil {
			return err
		}
		err := a.c.Close(ctx)
		a.gone()
		return err
	case Cuts:
		a.c.Cut()
		a.gone()
		return nil
	case Notes:
		if a.sm == nil || a.sm.ID() == "" {
			return fmt.Errorf("%s has no session that can be resumed", a.p.Name)
		}
		p.v[st.Arg] = a.sm.ID()
		return nil
	}
	return fmt.Errorf("statement %d is not performed", st.Verb)
}

func (a *actor) gone() { a.c, a.bound = nil, false }

// silent fails when something waits that the script has not stated.
func (p *player) silent(a *actor) error {
	if w := slices.DeleteFunc(a.c.Waiting(), hidden); len(w) > 0 {
		return &mismatch{why: a.p.Name + " has received what the script does not state", got: p.show(a, w...)}
	}
	return nil
}

// available sends presence and takes its echo (RFC 6121 §4.2.2).
func (p *player) available(ctx context.Context, a *actor, priority string) error {
	b := "<presence xmlns='" + nsClient + "'/>"
	if priority != "" {
		b = "<presence xmlns='" + nsClient + "'><priority>" + priority + "</priority></presence>"
	}
	if err := a.c.Send([]byte(b)); err != nil {
		return err
	}
	return p.takePresence(ctx, a, a)
}

// meet has two take the other's presence.
func (p *player) meet(ctx context.Context, a, b *actor) error {
	if b.c == nil {
		return fmt.Errorf("%s is not connected", b.p.Name)
	}
	if err := p.takePresence(ctx, a, b); err != nil {
		return err
	}
	return p.takePresence(ctx, b, a)
}

func (p *player) takePresence(ctx context.Context, a, of *actor) error {
	from := of.c.JID().String()
	_, err := a.c.Take(ctx, func(it client.Item) bool {
		s, err := it.Stanza()
		return err == nil && s.Kind == stanza.Presence && s.Type == stanza.Available && stanza.Unescape(s.RawFrom()) == from
	})
	if err != nil {
		return &mismatch{why: fmt.Sprintf("waiting for the presence of %s: %v", from, err), got: p.show(a, a.c.Waiting()...)}
	}
	return nil
}

func (p *player) sends(a *actor, st *Step) error {
	v := p.local(a)
	for _, e := range st.Blocks {
		b, err := v.expand(string(e.Raw), escapeAttr)
		if err != nil {
			return err
		}
		if a.c.WebSocket() {
			b = declare(e, b)
		}
		if err := a.c.Send([]byte(b)); err != nil {
			return err
		}
	}
	return nil
}

// declare gives an element the namespaces that a TCP stream would have declared for it (RFC 7395 §3.3.3).
func declare(e *Element, b string) string {
	tag, _, _ := strings.Cut(b, ">")
	at := strings.IndexAny(b, " \t\n/>")
	decl := ""
	switch {
	case strings.HasPrefix(b, "<stream:") && !strings.Contains(tag, "xmlns:stream"):
		decl = " xmlns:stream='" + nsStream + "'"
	case e.NS == nsClient && !strings.Contains(tag, "xmlns="):
		decl = " xmlns='" + nsClient + "'"
	}
	return b[:at] + decl + b[at:]
}

// next takes the next item and reads it. Requests for acknowledgement come when the server thinks fit, and so do
// acknowledgements: the first are never seen, the others only where acks is true.
func (p *player) next(ctx context.Context, a *actor, acks bool) (*Element, error) {
	for {
		it, err := a.c.Receive(ctx)
		if err != nil {
			return nil, err
		}
		if !hidden(it) || acks && it.Is(nsSM, "a") {
			return element(a, it)
		}
	}
}

func hidden(it client.Item) bool { return it.Is(nsSM, "r") || it.Is(nsSM, "a") }

// element reads an item with a parser that is not the server's.
func element(a *actor, it client.Item) (*Element, error) {
	switch it.Kind {
	case client.Open:
		return header(a, it), nil
	case client.Close:
		return &Element{NS: nsStream, Local: "(end)"}, nil
	}
	sc := streamScope()
	if a.c.WebSocket() {
		sc = frameScope()
	}
	e, err := parseOne(it.Raw, sc)
	if err != nil {
		return nil, fmt.Errorf("%s received what is no XML here: %w: %s", a.p.Name, err, it.Raw)
	}
	return e, nil
}

func header(a *actor, it client.Item) *Element {
	e := &Element{NS: nsStream, Local: "stream"}
	if a.c.WebSocket() {
		e = &Element{NS: nsFraming, Local: "open"}
	}
	h := it.Header
	for _, at := range []Attr{{"", "from", h.From}, {"", "to", h.To}, {"", "id", h.ID}, {"", "version", h.Version},
		{nsXML, "lang", h.Lang}} {
		if at.Value != "" {
			e.Attrs = append(e.Attrs, at)
		}
	}
	return e
}

func (p *player) show(a *actor, its ...client.Item) string {
	var b strings.Builder
	for _, it := range its {
		e, err := element(a, it)
		if err != nil {
			fmt.Fprintf(&b, "%s\n", it.Raw)
			continue
		}
		b.WriteString(e.String())
	}
	return b.String()
}

func (p *player) receives(ctx context.Context, a *actor, st *Step) error {
	for _, want := range st.Blocks {
		v := p.local(a)
		got, err := p.next(ctx, a, want.is(nsSM, "a"))
		if err != nil {
			return &mismatch{why: fmt.Sprintf("line %d: %v", want.Line, err), expected: v.show(want.String())}
		}
		if diff, ok := v.matchElement(want, got); !ok {
			return &mismatch{why: fmt.Sprintf("line %d: %s", want.Line, diff), expected: v.show(want.String()), got: got.String()}
		}
		p.learn(v)
	}
	return nil
}

func (p *player) unordered(ctx context.Context, a *actor, st *Step) error {
	v := p.local(a)
	var got []*Element
	for range st.Blocks {
		e, err := p.next(ctx, a, false)
		if err != nil {
			return &mismatch{why: err.Error(), expected: v.show(showAll(st.Blocks)), got: showAll(got)}
		}
		got = append(got, e)
	}
	v, ok := pair(v, st.Blocks, got)
	if !ok {
		return &mismatch{why: "no order of these makes those", expected: p.local(a).show(showAll(st.Blocks)), got: showAll(got)}
	}
	p.learn(v)
	return nil
}

// pair finds for each pattern an element of its own.
func pair(v vars, want, got []*Element) (vars, bool) {
	if len(want) == 0 {
		return v, true
	}
	for i, g := range got {
		m := &matcher{v: copyVars(v)}
		if !m.outer(want[0], g) {
			continue
		}
		if out, ok := pair(m.v, want[1:], slices.Delete(slices.Clone(got), i, i+1)); ok {
			return out, true
		}
	}
	return v, false
}

func copyVars(v vars) vars {
	out := make(vars, len(v))
	out.take(v)
	return out
}

func showAll(es []*Element) string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString(e.String())
	}
	return b.String()
}

func (p *player) offered(a *actor, st *Step) error {
	f, err := parseOne(a.feats.Doc, frameScope())
	if err != nil {
		return fmt.Errorf("the features: %w", err)
	}
	for _, want := range st.Blocks {
		found := false
		v := p.local(a)
		for _, g := range f.Children() {
			if _, ok := v.matchElement(want, g); ok {
				found = true
				break
			}
		}
		if found != (st.Verb == IsOffered) {
			return &mismatch{why: fmt.Sprintf("line %d: the features say otherwise", want.Line), expected: v.show(want.String()),
				got: f.String()}
		}
		p.learn(v)
	}
	return nil
}

// closed takes the end of the stream, and of the connection.
func (p *player) closed(ctx context.Context, a *actor, cond string) error {
	want := "the end of the stream"
	if cond != "" {
		want = "<stream:error> with " + cond
		e, err := p.next(ctx, a, false)
		if err == nil && (e.is(nsStream, "stream") || e.is(nsFraming, "open")) {
			e, err = p.next(ctx, a, false)
		}
		if err != nil {
			return &mismatch{why: err.Error(), expected: want + "\n"}
		}
		if !e.is(nsStream, "error") || e.Child(nsStreams, cond) == nil {
			return &mismatch{why: "another end", expected: want + "\n", got: e.String()}
		}
	}
	for first := true; ; first = false {
		it, err := a.c.Receive(ctx)
		if errors.Is(err, client.ErrClosed) {
			if cond != "" && first {
				return errors.New("the connection ended without an end of the stream")
			}
			a.gone()
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", want, err)
		}
		if hidden(it) || cond == "" && (it.Kind == client.Open || it.Is(nsStream, "error")) {
			continue
		}
		if it.Kind != client.Close {
			return &mismatch{why: "something else than the end", expected: want + "\n", got: p.show(a, it)}
		}
	}
}

// nothing proves that a receives nothing; the package comment says how.
func (p *player) nothing(ctx context.Context, a *actor) error {
	for _, b := range p.bound() {
		if b != a {
			if err := p.trip(ctx, b); err != nil {
				return err
			}
		}
	}
	if a.bound {
		if err := p.trip(ctx, a); err != nil {
			return err
		}
	}
	return p.silent(a)
}

// bound are those who can be reached, in the order of the script.
func (p *player) bound() []*actor {
	var out []*actor
	for _, q := range p.s.People {
		if a := p.cast[q]; a.bound && a.c.Ended() == nil {
			out = append(out, a)
		}
	}
	return out
}

// trip is a headline from a to a: it comes back after all that a sent before has been delivered. Who may talk to one
// peer only asks the server instead.
func (p *player) trip(ctx context.Context, a *actor) error {
	p.sync++
	id := "sync-" + strconv.Itoa(p.sync)
	if a.p.Token != "" && a.p.Token != "any" {
		_, err := a.c.Request(ctx, stanza.Get, jid.JID{}, []byte("<ping xmlns='urn:xmpp:ping'/>"))
		return err
	}
	err := a.c.Send([]byte("<message xmlns='" + nsClient + "' type='headline' id='" + id + "' to='" +
		escapeAttr(a.c.JID().String()) + "'><body>" + id + "</body><no-store xmlns='urn:xmpp:hints'/></message>"))
	if err != nil {
		return err
	}
	_, err = a.c.Take(ctx, func(it client.Item) bool {
		s, err := it.Stanza()
		return err == nil && s.Kind == stanza.Message && s.Type != stanza.ErrorType && string(s.ID()) == id
	})
	if err != nil {
		return fmt.Errorf("%s waits for the headline sent to themselves: %w", a.p.Name, err)
	}
	return nil
}

// end proves that nobody has received what was not stated.
func (p *player) end(ctx context.Context) error {
	ctx, cancel := p.patience(ctx)
	defer cancel()
	for range 2 { // the first round brings all to its place, the second proves that it was there
		for _, a := range p.bound() {
			if err := p.trip(ctx, a); err != nil {
				return err
			}
		}
	}
	for _, q := range p.s.People {
		if a := p.cast[q]; a.c != nil {
			if err := p.silent(a); err != nil {
				return err
			}
		}
	}
	return nil
}
