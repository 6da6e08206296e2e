package caps

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// A play drives a book of clients by a clock of its own.
type play struct {
	t   *testing.T
	b   *book
	now time.Time
	n   int
}

func newPlay(t *testing.T) *play {
	return &play{t: t, b: newBook(), now: time.Unix(1e9, 0)}
}

func (p *play) session() *session.Session {
	p.n++
	return session.New(&session.Host{}, nil, jid.MustParse(fmt.Sprintf("p%d@hug.example/x", p.n)))
}

// abilities are an answer with one feature, and its hash.
func (p *play) abilities(feature string) (payload, ver string) {
	sum := sha1.Sum([]byte("client/pc//Bear<" + feature + "<"))
	return "<query xmlns='" + nsDiscoInfo + "'><identity category='client' type='pc' name='Bear'/><feature var='" + feature + "'/></query>",
		base64.StdEncoding.EncodeToString(sum[:])
}

func (p *play) heard(s *session.Session, ver string) []*question {
	p.t.Helper()
	el, err := stanza.ParseElement([]byte("<c xmlns='" + nsCaps + "' hash='sha-1' node='urn:n' ver='" + ver + "'/>"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.b.heard(s, el, p.now)
}

// one asserts that exactly one session is asked.
func (p *play) one(ask []*question, s *session.Session) *question {
	p.t.Helper()
	if len(ask) != 1 || ask[0].session != s {
		p.t.Fatalf("asked: %+v", ask)
	}
	return ask[0]
}

func (p *play) none(ask []*question) {
	p.t.Helper()
	if len(ask) != 0 {
		p.t.Fatalf("%s is asked", ask[0].session.JID)
	}
}

func (p *play) answer(s *session.Session, id, payload string) (ask []*question, mine bool) {
	p.t.Helper()
	st, err := stanza.Parse([]byte("<iq xmlns='jabber:client' type='result' id='" + id + "'>" + payload + "</iq>"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.b.answered(s, st, p.now)
}

// TestAskedOnce: of many who name a hash one is asked, all profit, and an
// answer counts only from who was asked.
func TestAskedOnce(t *testing.T) {
	p := newPlay(t)
	payload, ver := p.abilities("urn:a")
	first, others := p.session(), make([]*session.Session, 500)
	q := p.one(p.heard(first, ver), first)
	if q.node != "urn:n#"+ver || len(q.id) < 20 {
		t.Errorf("%+v", q)
	}
	for i := range others {
		others[i] = p.session()
		p.none(p.heard(others[i], ver))
	}
	p.none(p.heard(first, ver))
	if _, mine := p.answer(others[0], q.id, payload); mine {
		t.Error("somebody else answered")
	}
	if _, mine := p.answer(first, q.id+"x", payload); mine {
		t.Error("an id that nobody made")
	}
	if p.b.of(first) != nil {
		t.Error("known before the answer")
	}
	ask, mine := p.answer(first, q.id, payload)
	if p.none(ask); !mine || p.b.of(others[499]) == nil || !p.b.of(first).Has("urn:a") {
		t.Error("not known after the answer")
	}
	if _, mine := p.answer(first, q.id, payload); mine {
		t.Error("answered twice")
	}
	p.none(p.heard(p.session(), ver))
	if c := p.b.count(); len(c) != 1 || c[0].Sessions != 502 || c[0].Name != "Bear" || c[0].Type != "pc" {
		t.Errorf("%+v", c)
	}
	for _, s := range append(others, first) {
		p.none(p.b.forget(s, p.now))
	}
	if c := p.b.count(); len(c) != 1 || c[0].Sessions != 1 || len(p.b.sessions) != 1 || len(p.b.asked) != 0 {
		t.Errorf("%+v %d %d", c, len(p.b.sessions), len(p.b.asked))
	}
}

// TestAskedAgain: a wrong answer, none in time and a client that goes away
// have another asked; failures are further and further apart.
func TestAskedAgain(t *testing.T) {
	p := newPlay(t)
	payload, ver := p.abilities("urn:a")
	wrong, _ := p.abilities("urn:b")
	a, b, c := p.session(), p.session(), p.session()
	q := p.one(p.heard(a, ver), a)
	p.none(p.heard(b, ver))
	p.none(p.heard(c, ver))
	q2 := p.one(p.b.forget(a, p.now), b) // gone is nobody's failure
	if _, mine := p.answer(a, q.id, payload); mine {
		t.Error("the answer of who has gone")
	}
	ask, mine := p.answer(b, q2.id, wrong)
	if q3 := p.one(ask, c); !mine || q3.id == q2.id {
		t.Error("a wrong answer")
	}
	p.now = p.now.Add(patience - 1)
	p.none(p.b.late(p.now))
	p.now = p.now.Add(1)
	p.none(p.b.late(p.now)) // the second failure: nobody for a minute
	if len(p.b.asked) != 0 {
		t.Error("a question stays")
	}
	d := p.session()
	p.none(p.heard(d, ver))
	alive := func(*session.Session) bool { return false }
	p.now = p.now.Add(time.Minute)
	for i, pause := range []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour, 24 * time.Hour} {
		ask := p.b.sweep(alive, p.now)
		if len(ask) != 1 {
			t.Fatalf("round %d: %d questions", i, len(ask))
		}
		if ask, mine := p.answer(ask[0].session, ask[0].id, wrong); !mine || len(ask) > 0 {
			t.Fatalf("round %d: %v %v", i, ask, mine)
		}
		p.none(p.b.sweep(alive, p.now.Add(pause-1)))
		p.now = p.now.Add(pause)
	}
	last := p.b.sweep(alive, p.now)
	if p.answer(last[0].session, last[0].id, payload); p.b.of(d) == nil {
		t.Error("right at last")
	}
}

// TestExpire: what was proven is asked again after a day of somebody who is
// still there, and forgotten when nobody is.
func TestExpire(t *testing.T) {
	p := newPlay(t)
	payload, ver := p.abilities("urn:a")
	_, rare := p.abilities("urn:b")
	a, b := p.session(), p.session()
	prove := func(ask []*question, payload string) {
		t.Helper()
		q := p.one(ask, ask[0].session)
		p.answer(q.session, q.id, payload)
	}
	prove(p.heard(a, ver), payload)
	p.heard(b, rare)
	p.b.forget(b, p.now)
	gone := map[*session.Session]bool{}
	over := func(s *session.Session) bool { return gone[s] }
	p.now = p.now.Add(forgetAfter)
	p.none(p.b.sweep(over, p.now))
	if len(p.b.hashes) != 1 {
		t.Errorf("%d hashes", len(p.b.hashes))
	}
	p.now = p.now.Add(fresh)
	ask := p.b.sweep(over, p.now)
	p.one(ask, a)
	if p.b.of(a) == nil {
		t.Error("what is asked again is known meanwhile")
	}
	prove(ask, payload)
	p.none(p.b.sweep(over, p.now))
	gone[a] = true // its end was not told: the switch was off
	p.none(p.b.sweep(over, p.now))
	p.now = p.now.Add(fresh)
	p.none(p.b.sweep(over, p.now))
	if len(p.b.hashes) != 0 || len(p.b.sessions) != 0 || p.b.proven != 0 {
		t.Errorf("left: %d %d %d", len(p.b.hashes), len(p.b.sessions), p.b.proven)
	}
}

// TestBounded: somebody who makes up hashes, with and without the answer to
// them, pushes out nothing that others have.
func TestBounded(t *testing.T) {
	p := newPlay(t)
	payload, ver := p.abilities("urn:a")
	a, evil := p.session(), p.session()
	q := p.one(p.heard(a, ver), a)
	p.answer(a, q.id, payload)
	for i := range 3 * maxHashes {
		p.now = p.now.Add(time.Second)
		payload, ver := p.abilities(fmt.Sprint("urn:evil:", i))
		for _, q := range p.heard(evil, ver) {
			if i%2 == 0 {
				p.answer(evil, q.id, payload)
			}
		}
		if len(p.b.hashes)-p.b.proven > maxHashes || p.b.proven > maxHashes || len(p.b.asked) > maxAsked || len(p.b.sessions) != 2 {
			t.Fatalf("%d hashes, %d proven, %d asked", len(p.b.hashes), p.b.proven, len(p.b.asked))
		}
	}
	if p.b.of(a) == nil {
		t.Error("what somebody has was pushed out")
	}
}

// TestRandom: whatever happens in whatever order, the counts are right and
// nothing is left over.
func TestRandom(t *testing.T) {
	p := newPlay(t)
	dice := rand.New(rand.NewPCG(1, 2))
	var all []*session.Session
	for range 20 {
		all = append(all, p.session())
	}
	var open []*question
	for range 20000 {
		s := all[dice.IntN(len(all))]
		payload, ver := p.abilities(fmt.Sprint("urn:", dice.IntN(8)))
		switch dice.IntN(8) {
		case 0, 1, 2:
			open = append(open, p.heard(s, ver)...)
		case 3:
			open = append(open, p.b.forget(s, p.now)...)
		case 4, 5:
			if len(open) > 0 {
				q := open[dice.IntN(len(open))]
				if dice.IntN(2) == 0 {
					for i := range 8 { // one of these is right
						payload, ver = p.abilities(fmt.Sprint("urn:", i))
						if strings.HasSuffix(q.node, ver) {
							break
						}
					}
				}
				ask, _ := p.answer(q.session, q.id, payload)
				open = append(open, ask...)
			}
		case 6:
			p.now = p.now.Add(time.Duration(dice.IntN(int(10 * time.Minute))))
			open = append(open, p.b.late(p.now)...)
		case 7:
			open = append(open, p.b.sweep(func(s *session.Session) bool { return dice.IntN(10) == 0 }, p.now)...)
		}
		proven, sessions, asked := 0, map[*ability]int{}, 0
		for _, c := range p.b.sessions {
			sessions[c]++
		}
		for _, c := range p.b.hashes {
			if c.info != nil {
				proven++
			}
			if c.question != nil {
				asked++
				if p.b.asked[c.question.id] != c.question || p.b.sessions[c.question.session] != c {
					t.Fatal("a question of nobody")
				}
			}
			if c.sessions != sessions[c] {
				t.Fatalf("%d sessions, counted %d", sessions[c], c.sessions)
			}
		}
		if proven != p.b.proven || asked != len(p.b.asked) {
			t.Fatalf("%d proven, counted %d; %d asked, %d open", proven, p.b.proven, asked, len(p.b.asked))
		}
	}
}
