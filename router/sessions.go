package router

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// Bind makes a session of a stream that signed in to account a, RFC 6120 §7.
// The session holds the account from now on. resource is prepared, or empty
// for one of the server's making. greet, if not nil, sends the session what has
// to come first: after it anybody may reach it.
func (r *Router) Bind(a *presence.Account, conn *stream.Conn, resource string, scope jid.JID, greet func(*session.Session)) (*Ctx, error) {
	if len(a.Resources()) >= int(r.streams.Int(a.Org)) && !r.giveWay(a) {
		return nil, stanza.ResourceConstraint("this account has too many sessions")
	}
	if resource == "" {
		resource = randomName(12)
	}
	full, err := a.JID.WithResource(resource)
	if err != nil {
		return nil, stanza.BadRequest("this is no resource")
	}
	if old := a.Resource(full.Resource()); old != nil && old.Scope != scope {
		return nil, stanza.Conflict("") // whoever may talk to one peer only ends no session of others
	}
	s := session.New(&r.sessions, conn, full)
	s.Org, s.Account, s.Scope, s.Owner = a.Org, int64(a.ID), scope, a
	if greet != nil {
		greet(s)
	}
	if replaced := r.Directory.Bind(a, s); replaced != nil {
		replaced.Close(stream.NewError(stream.Conflict, "this resource has signed in again"))
		r.end(replaced, true)
	}
	if s.Ended() { // the stream broke under the greeting, before there was anything to unbind
		r.Directory.Unbind(a, s, true)
	}
	return r.Context(a, s), nil
}

// giveWay ends the session of an account that has waited longest for its
// client: one that signs in again and again must not shut itself out. It
// returns false when none waits.
func (r *Router) giveWay(a *presence.Account) bool {
	var longest *session.Session
	var since time.Time
	for _, res := range a.Resources() {
		if cut, detached := res.Session.Detached(); detached && (longest == nil || cut.Before(since)) {
			longest, since = res.Session, cut
		}
	}
	if longest == nil {
		return false
	}
	r.end(longest, true)
	return true
}

// Context makes what the handlers of a stream work with.
func (r *Router) Context(a *presence.Account, s *session.Session) *Ctx {
	return &Ctx{Host: r.Host, Context: context.Background(), Session: s, Account: a, Org: a.Org, Domain: a.JID.Domain()}
}

func randomName(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Enable starts stream management for the session, XEP-0198 §3, and answers.
func (r *Router) Enable(s *session.Session, resume bool) {
	seconds := r.resume.Int(s.Org)
	resume = resume && seconds > 0
	id := randomName(18)
	x := new(stanza.XML)
	if resume {
		x.Empty("enabled", "xmlns", "urn:xmpp:sm:3", "id", id, "resume", "true", "max", decimal(seconds))
	} else {
		x.Empty("enabled", "xmlns", "urn:xmpp:sm:3", "id", id)
	}
	if !s.Enable(id, resume, x.Bytes()) {
		s.SendNonza([]byte("<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.Ended() { // end takes it out under mu
		r.parked[turn(id)][id] = s
	}
}

// Resume gives a cut session its new stream, XEP-0198 §5. It waits until what
// the session had under way is safe, so that h covers all of it. When there
// is no such session, known tells whether handled is its last count.
func (r *Router) Resume(a *presence.Account, scope jid.JID, conn *stream.Conn, previd string, h uint32) (c *Ctx, handled uint32, known bool, err error) {
	r.mu.Lock()
	s := r.parked[turn(previd)][previd]
	if s == nil {
		handled, known = r.forgot.get(previd, a.JID)
	}
	r.mu.Unlock()
	if s == nil || s.JID.Bare() != a.JID || s.Scope != scope {
		return nil, handled, known, nil // a sign-in for one peer gets no session for all, nor the reverse
	}
	old, err := resumeSettled(s, conn, h)
	if errors.Is(err, session.ErrOver) || errors.Is(err, session.ErrUnsettled) {
		return nil, s.Handled(), true, nil
	}
	if err != nil {
		return nil, 0, false, err
	}
	if old != nil {
		old.Close(stream.NewError(stream.Conflict, "the session was resumed on another stream"))
	}
	return r.Context(a, s), 0, true, nil
}

// resumeWait is how long a resumption waits for a store that does not commit.
const resumeWait = 10 * time.Second

// resumeSettled resumes a session once nothing it received is under way.
func resumeSettled(s *session.Session, conn *stream.Conn, h uint32) (old *stream.Conn, err error) {
	late := time.NewTimer(resumeWait)
	defer late.Stop()
	for {
		if settled := s.Settled(); settled != nil {
			select {
			case <-settled:
			case <-late.C: // resume all the same
				return s.Resume(conn, h, true)
			}
		}
		old, err = s.Resume(conn, h, false)
		if !errors.Is(err, session.ErrUnsettled) {
			return old, err
		}
	}
}

// Leave ends the session of a client that has closed its stream.
func (r *Router) Leave(s *session.Session) {
	s.Close(nil)
	r.end(s, false)
}

// lost is told by a session that its stream is gone.
func (r *Router) lost(s *session.Session, resumable bool) {
	if !resumable || r.resume.Int(s.Org) == 0 {
		r.end(s, true)
	}
}

// end is the end of a session: contacts are told, what the client never got
// goes another way. broken tells that the client did not want it.
func (r *Router) end(s *session.Session, broken bool) {
	rest, first := s.End()
	if !first {
		return
	}
	handled := s.Handled()
	if id, _ := s.Managed(); id != "" {
		r.mu.Lock()
		delete(r.parked[turn(id)], id)
		r.forgot.put(id, s.JID.Bare(), handled)
		r.mu.Unlock()
	}
	a := owner(s)
	defer a.Release() // the session's own hold
	r.Directory.Unbind(a, s, broken)
	t := r.table(s.Org)
	if len(t.unbound) > 0 {
		c := r.Context(a, s)
		for i := range t.unbound {
			t.unbound[i].run(c)
		}
	}
	r.rescue(a, s, rest)
}

// owner is the account of a session, which the session holds until its end.
func owner(s *session.Session) *presence.Account { return s.Owner.(*presence.Account) }

// unwritten is told by a session that is over what its last write left behind.
func (r *Router) unwritten(s *session.Session, rest []*stanza.Wire) { r.rescue(owner(s), s, rest) }

// rescue takes care of what a client never acknowledged: requests are
// answered, messages that nobody else has wait in the delivery log, from which
// the other resources get them at once.
func (r *Router) rescue(a *presence.Account, s *session.Session, rest []*stanza.Wire) {
	missed := false
	for _, w := range rest {
		switch {
		case w.Kind == stanza.IQ && (w.Type == stanza.Get || w.Type == stanza.Set):
			r.unanswered(w)
		case w.Kind == stanza.Message && !w.ID.IsZero():
			if a.Inbox.Waits(w.ID) && !elsewhere(a, s, w.ID) && a.Inbox.Miss(w.ID) {
				missed = true
			}
		}
	}
	if !missed {
		return
	}
	for _, res := range a.Resources() {
		if res.Session.Wants() {
			r.catchUp(a, res.Session)
		}
	}
}

// elsewhere reports whether another resource has a message on its way.
func elsewhere(a *presence.Account, than *session.Session, id stanza.ArchiveID) bool {
	for _, res := range a.Resources() {
		if res.Session != than && res.Session.Has(id) {
			return true
		}
	}
	return false
}

// unanswered tells whoever asked that the resource is gone.
func (r *Router) unanswered(w *stanza.Wire) {
	asker := r.Directory.Find(w.From.Bare())
	if asker == nil {
		return
	}
	defer asker.Release()
	to := asker.Resource(w.From.Resource())
	st, err := stanza.Parse(w.Stored())
	if to == nil || err != nil {
		return
	}
	st.From, st.To = w.From, w.To
	if reply := stanza.Reply(st, w.To, stanza.ServiceUnavailable("")); reply != nil {
		reply.Number = w.Number
		to.Send(reply)
	}
}

// reached is told by a session what its client has received.
func (r *Router) reached(s *session.Session, done []*stanza.Wire) {
	a := owner(s)
	r.arrived(a, a.Inbox.Ack(done))
}

// arrived moves the cursor of an account, unless id is zero.
func (r *Router) arrived(a *presence.Account, id stanza.ArchiveID) {
	if !id.IsZero() {
		r.Archive.Delivered(a.Org, a.ID, id)
	}
}

// room is told by a session that it takes presence again.
func (r *Router) room(s *session.Session, lost bool) { r.Directory.Room(owner(s), s, lost) }

// askEvery is how often a client that owes an acknowledgement is asked. Not
// all at once: thousands of answers would keep messages waiting.
const (
	askEvery = 3 * time.Second
	rota     = 30 // turns in that time
)

// turn is when a session is looked after.
func turn(id string) int {
	sum := uint32(0)
	for i := range len(id) {
		sum = sum*31 + uint32(id[i])
	}
	return int(sum % rota)
}

// sweep looks after the sessions whose turn it is.
func (r *Router) sweep() {
	r.mu.Lock()
	r.turns = (r.turns + 1) % rota
	all := make([]*session.Session, 0, len(r.parked[r.turns]))
	for _, s := range r.parked[r.turns] {
		all = append(all, s)
	}
	r.mu.Unlock()
	now := time.Now()
	for _, s := range all {
		since, detached := s.Detached()
		switch {
		case detached && now.Sub(since) > time.Duration(r.resume.Int(s.Org))*time.Second:
			r.end(s, true)
		case !detached:
			s.AskAck()
		}
	}
}

// CloseAll ends every session with a stream error, and those that wait for
// their client without one.
func (r *Router) CloseAll(e *stream.Error) {
	r.Directory.Each(func(a *presence.Account) { r.closeAccount(a, nil, e) })
}

// CloseAccount ends the sessions of one account but keep, which may be nil.
func (r *Router) CloseAccount(bare jid.JID, keep *session.Session, e *stream.Error) {
	if a := r.Directory.Find(bare); a != nil {
		r.closeAccount(a, keep, e)
		a.Release()
	}
}

func (r *Router) closeAccount(a *presence.Account, keep *session.Session, e *stream.Error) {
	for _, res := range a.Resources() {
		if res.Session != keep {
			res.Session.Close(e)
		}
	}
}

// Dismiss ends an account that was deleted: contacts see its resources go, its
// sessions close with e once what is queued has been written, and it is
// forgotten.
func (r *Router) Dismiss(ctx context.Context, bare jid.JID, e *stream.Error) {
	a := r.Directory.Find(bare)
	if a == nil {
		return
	}
	defer a.Release()
	for _, res := range a.Resources() {
		r.Directory.Unbind(a, res.Session, false)
		res.Session.Close(e)
	}
	r.Directory.Forget(bare)
}

// A handledBook remembers the last count of sessions that ended, so that a
// failed resumption can still tell it (XEP-0198 §5).
type handledBook struct {
	entries [1024]struct {
		id    string
		owner jid.JID
		h     uint32
	}
	next int
}

func (b *handledBook) put(id string, owner jid.JID, h uint32) {
	e := &b.entries[b.next]
	e.id, e.owner, e.h = id, owner, h
	b.next = (b.next + 1) % len(b.entries)
}

func (b *handledBook) get(id string, owner jid.JID) (uint32, bool) {
	for i := range b.entries {
		if e := &b.entries[i]; e.id == id && e.owner == owner {
			return e.h, true
		}
	}
	return 0, false
}

// PreAuth asks the modules for the answer to a request on a stream that has
// not signed in; ok is false when none takes it.
func (r *Router) PreAuth(ctx context.Context, p *PreAuth) (answer *stanza.Wire, ok bool) {
	for _, m := range r.table(p.Org).preAuth {
		if answer, ok = m.PreAuth(ctx, p); ok {
			return answer, true
		}
	}
	return nil, false
}
