package caps

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// How clients are asked what they can do.
const (
	maxHashes   = 1000             // hashes proven, and as many that are not
	maxAsked    = 256              // questions under way
	maxWaiting  = 4                // sessions remembered for a question that fails
	maxFailed   = 5                // questions in a row, after which an old answer is given up
	maxNode     = 512              // bytes of a client's node
	patience    = 30 * time.Second // how long an answer is waited for
	fresh       = 24 * time.Hour   // how long an answer is believed
	sameAgain   = 10 * time.Minute // how long a client that failed is not asked again
	forgetAfter = time.Hour        // how long a hash that was not proven is remembered when nobody has it
)

// pauseAfter is how long nobody is asked for a hash after so many failures: the
// first may have been one client's alone.
func pauseAfter(failed int) time.Duration {
	switch failed {
	case 0, 1:
		return 0
	case 2:
		return time.Minute
	case 3:
		return 10 * time.Minute
	case 4:
		return time.Hour
	}
	return 24 * time.Hour
}

// book is what clients can do, by the hash in their presence: one of
// those who name a hash is asked, once (XEP-0115 §5.4). It sends nothing itself;
// its functions return the questions that are due.
type book struct {
	mu       sync.Mutex // guards what follows, also in its book and capsQuestions
	hashes   map[digest]*ability
	proven   int // of them
	sessions map[*session.Session]*ability
	asked    map[string]*question // by id
}

// A ability is one hash.
type ability struct {
	hash       digest
	node       string       // as named last
	info       *router.Info // nil: not proven
	name, kind string       // of proven ones
	since      time.Time    // when it was proven
	used       time.Time    // named by a presence last
	sessions   int          // that name it now
	evicted    bool         // sessions alone still point here

	question *question          // under way
	waiting  []*session.Session // asked when that fails
	failed   int                // questions in a row
	next     time.Time          // nobody is asked before
	last     jid.JID            // failed last
	lastAt   time.Time
}

// A question is one disco#info that was sent to a client.
type question struct {
	id, node string
	session  *session.Session
	client   *ability
	until    time.Time
}

func newBook() *book {
	return &book{
		hashes: make(map[digest]*ability), sessions: make(map[*session.Session]*ability),
		asked: make(map[string]*question),
	}
}

// of is what the client of a session can do; nil while it is not known.
func (b *book) of(s *session.Session) *router.Info {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.sessions[s]; c != nil {
		return c.info
	}
	return nil
}

// count counts sessions by client.
func (b *book) count() []router.ClientCount {
	b.mu.Lock()
	at := map[[2]string]int{}
	for _, c := range b.hashes {
		if c.info != nil && c.sessions > 0 {
			at[[2]string{c.name, c.kind}] += c.sessions
		}
	}
	b.mu.Unlock()
	list := make([]router.ClientCount, 0, len(at))
	for key, n := range at {
		list = append(list, router.ClientCount{Name: key[0], Type: key[1], Sessions: n})
	}
	slices.SortFunc(list, compareClients)
	return list
}

// heard notes what the <c/> of an available presence names; c may be none,
// which changes nothing: clients may leave it out (§8.4).
func (b *book) heard(s *session.Session, c stanza.Element, now time.Time) []*question {
	if !c.Exists() {
		return nil
	}
	hash, ok := named(c)
	if !ok {
		return b.forget(s, now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	client := b.hashes[hash]
	if client == nil {
		client = &ability{hash: hash}
		b.add(client)
	}
	client.used = now
	ask := b.move(s, client, now)
	if !client.wants(now) && client.question == nil {
		return ask
	}
	if node, ok := c.Attr("node"); ok && len(node) <= maxNode {
		client.node = node
		client.wait(s)
		ask = append(ask, b.ask(client, now)...)
	}
	return ask
}

// named is the hash that an element names; ok is false for other functions
// than SHA-1, the old format without any, and what is no hash.
func named(c stanza.Element) (hash digest, ok bool) {
	if how, _ := c.AttrRaw("hash"); string(how) != "sha-1" {
		return hash, false
	}
	ver, _ := c.AttrRaw("ver")
	if len(ver) != base64.StdEncoding.EncodedLen(len(hash)) {
		return hash, false
	}
	var room [len(hash) + 2]byte
	n, err := base64.StdEncoding.Strict().Decode(room[:], ver)
	return digest(room[:len(hash)]), err == nil && n == len(hash)
}

// add makes room for a hash that nobody has named before; mu is held.
func (b *book) add(c *ability) {
	if len(b.hashes)-b.proven >= maxHashes {
		b.evict(false)
	}
	b.hashes[c.hash] = c
}

// evict gives up one hash of those that are proven or of those that are not:
// one that nobody has before others, then the one that was named least lately.
func (b *book) evict(proven bool) {
	var worst *ability
	for _, c := range b.hashes {
		if (c.info != nil) != proven {
			continue
		}
		if used := c.sessions > 0; worst == nil || used != (worst.sessions > 0) && !used ||
			used == (worst.sessions > 0) && c.used.Before(worst.used) {
			worst = c
		}
	}
	if worst != nil {
		b.remove(worst)
	}
}

// remove forgets a hash; mu is held.
func (b *book) remove(c *ability) {
	delete(b.hashes, c.hash)
	if c.info != nil {
		b.proven--
	}
	if c.question != nil {
		delete(b.asked, c.question.id)
	}
	c.evicted, c.info, c.question, c.waiting = true, nil, nil, nil
}

// move notes which hash a session names now, nil for none; mu is held.
func (b *book) move(s *session.Session, to *ability, now time.Time) (ask []*question) {
	from := b.sessions[s]
	if from == to {
		return nil
	}
	if from != nil {
		from.sessions--
		from.waiting = slices.DeleteFunc(from.waiting, func(w *session.Session) bool { return w == s })
		if q := from.question; q != nil && q.session == s { // it may answer no more; that is nobody's failure
			b.closed(q)
			ask = b.ask(from, now)
		}
		delete(b.sessions, s)
		if len(b.sessions) == 0 { // a map does not shrink by itself
			b.sessions = make(map[*session.Session]*ability)
		}
	}
	if to != nil {
		to.sessions++
		b.sessions[s] = to
	}
	return ask
}

// forget is told that a session has no client any more that could be asked.
func (b *book) forget(s *session.Session, now time.Time) []*question {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.move(s, nil, now)
}

// wants reports whether somebody is to be asked for the hash.
func (c *ability) wants(now time.Time) bool {
	return c.question == nil && !c.evicted && (c.info == nil || now.Sub(c.since) >= fresh) && !now.Before(c.next)
}

// wait remembers a session that may be asked.
func (c *ability) wait(s *session.Session) {
	if len(c.waiting) < maxWaiting && !slices.Contains(c.waiting, s) {
		c.waiting = append(c.waiting, s)
	}
}

// ask makes the question for a hash, of the first session that waits and did
// not fail just now; mu is held.
func (b *book) ask(c *ability, now time.Time) []*question {
	if !c.wants(now) || len(b.asked) >= maxAsked {
		return nil
	}
	at := slices.IndexFunc(c.waiting, func(s *session.Session) bool {
		return s.JID != c.last || now.Sub(c.lastAt) >= sameAgain
	})
	if at < 0 {
		return nil
	}
	q := &question{
		id: "caps-" + rand.Text(), node: c.node + "#" + base64.StdEncoding.EncodeToString(c.hash[:]),
		session: c.waiting[at], client: c, until: now.Add(patience),
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	c.question, b.asked[q.id] = q, q
	return []*question{q}
}

// closed takes a question out; mu is held.
func (b *book) closed(q *question) {
	delete(b.asked, q.id)
	q.client.question = nil
}

// answered takes the answer of a session; mine is false when nobody asked it.
func (b *book) answered(s *session.Session, iq *stanza.Stanza, now time.Time) (ask []*question, mine bool) {
	b.mu.Lock()
	q := b.asked[string(iq.ID())]
	b.mu.Unlock()
	if q == nil || q.session != s {
		return nil, false
	}
	var info *router.Info
	if payload, ok := iq.First(); ok && iq.Type == stanza.Result {
		if told, err := readInfo(payload); err == nil && digestOf(told) == q.client.hash {
			info = told
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked[q.id] != q {
		return nil, true // it came too late
	}
	if info == nil {
		return b.failed(q, now), true
	}
	b.closed(q)
	b.prove(q.client, info, now)
	return nil, true
}

// prove believes an answer; mu is held.
func (b *book) prove(c *ability, info *router.Info, now time.Time) {
	if c.info == nil {
		if b.proven >= maxHashes {
			b.evict(true)
		}
		b.proven++
	}
	c.info, c.since = info, now
	c.name, c.kind = clientOf(info)
	c.waiting, c.failed, c.last = nil, 0, jid.JID{}
}

// failed notes a wrong answer, or none; mu is held.
func (b *book) failed(q *question, now time.Time) []*question {
	c := q.client
	b.closed(q)
	c.failed++
	c.last, c.lastAt = q.session.JID, now
	c.next = now.Add(pauseAfter(c.failed))
	if c.failed >= maxFailed && c.info != nil { // it was proven a day ago and more; nobody says so any more
		c.info = nil
		if b.proven--; len(b.hashes)-b.proven > maxHashes {
			b.evict(false)
		}
	}
	return b.ask(c, now)
}

// late gives up the questions that were not answered in time.
func (b *book) late(now time.Time) (ask []*question) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.asked {
		if !now.Before(q.until) && b.asked[q.id] == q {
			ask = append(ask, b.failed(q, now)...)
		}
	}
	return ask
}

// A holder is a session and what it names.
type holder struct {
	session *session.Session
	client  *ability
}

// holders are all sessions that name a hash.
func (b *book) holders() []holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]holder, 0, len(b.sessions))
	for s, c := range b.sessions {
		list = append(list, holder{s, c})
	}
	return list
}

// sweep forgets sessions that gone tells to be over, and hashes that nobody has
// named for long; of what is due to be asked again it asks somebody.
func (b *book) sweep(gone func(*session.Session) bool, now time.Time) (ask []*question) {
	list := b.holders()
	list = slices.DeleteFunc(list, func(h holder) bool {
		if !gone(h.session) {
			return false
		}
		ask = append(ask, b.forget(h.session, now)...)
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.hashes {
		keep := forgetAfter
		if c.info != nil {
			keep = fresh
		}
		if c.sessions == 0 && now.Sub(c.used) >= keep && !now.Before(c.next) {
			b.remove(c)
		}
	}
	for _, h := range list {
		if c := h.client; b.sessions[h.session] == c && c.wants(now) {
			c.wait(h.session)
			ask = append(ask, b.ask(c, now)...)
		}
	}
	return ask
}
