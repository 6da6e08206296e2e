package presence

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// A board is where the presence of one organisation stands. Each change gets
// the next version; audiences list entries by it, and viewers remember how far
// they have read. So a change costs one line per audience, whatever the number
// of those who see it, and who sees it costs what is delivered.
type board struct {
	directory *Directory
	org       feature.Org

	mu      sync.RWMutex
	version uint64 // of the last change
	bucket  uint64 // grows when level coarse tells what has changed
	viewers map[*viewer]struct{}
	remote  map[cluster.Node]map[*entry]bool // entries of other nodes; false: in doubt
	watched map[jid.JID]map[*viewer]struct{} // who sees a contact; only where there are other nodes
	groups  map[*roster.Group]*audience

	personal Level        // as relevel read it last
	tick     *appointment // the end of the bucket, while anything is coarse
}

// An audience lists resources that have their viewers in common: those of one
// account, for its personal contacts and its own resources; or those of the
// members of one shared group. All of it is guarded by board.mu.
type audience struct {
	account *Account      // whose it is; nil for a group
	group   *roster.Group // nil for an account
	level   Level         // of the group, as board.relevel read it last

	log     []slot // by version, ascending; holes where something newer stands behind
	shown   int    // slots of what is shown
	gone    int    // slots of what was shown
	next    int    // length of log at which it is trimmed
	floor   uint64 // what was gone up to here may be forgotten
	viewers []*attachment
	left    []departure // of a group: accounts, lately

	pace // guarded by flusher.mu
}

// A departure is when an account left an audience.
type departure struct {
	account jid.JID
	version uint64
}

// A slot is one line of an audience: the state of an entry since a version.
type slot struct {
	version uint64
	since   uint64 // from when on the entry could be seen here
	caps    uint64 // from when on its wire had these capabilities
	wire    *stanza.Wire
	thin    *stanza.Wire // wire without its capabilities, for who has them; may be nil
	entry   *entry       // nil: a hole
	shown   bool         // false: it is gone, or it is in the audience no more
}

// An entry is one resource as it is shown. It may outlive its session, for as
// long as somebody may have to be told that it is gone.
type entry struct {
	jid     jid.JID // full
	account *Account
	session *session.Session // nil while it is nobody's: it lingers, or is on another node
	node    cluster.Node     // which one; 0: this
	scope   jid.JID          // the only account it is shown to; zero means no limit
	wire    *stanza.Wire     // its last available presence; nil when it is gone
	thin    *stanza.Wire
	caps    string // its capabilities, as they came
	places  []place
	linger  *appointment // its end, while it lingers
	changed time.Time
	coarse  atomic.Pointer[stanza.Wire] // what is shown of it at level coarse
}

// A place is where an entry stands in an audience.
type place struct {
	audience    *audience
	at          uint64 // version of its slot
	since, caps uint64
}

// An attachment is a viewer's place before an audience.
type attachment struct {
	viewer   *viewer
	audience *audience
	at       int    // in audience.viewers
	born     uint64 // the version at its begin
	seen     uint64 // everything up to here has been delivered
	told     uint64 // at a lower level: what that shows up to here has been delivered
	bucket   uint64 // of board.bucket, at level coarse
	level    Level  // of a group; guarded by viewer.turn
	leaving  bool   // what was seen is to be taken back, up to version done
	left     bool   // and has been
	done     uint64
}

// reach notes how far a viewer has read; whole, that a round has ended there.
func (at *attachment) reach(version uint64, whole bool) {
	switch level := at.viewer.level(at); {
	case at.leaving:
		at.done, at.left = version, whole
	case level == Full:
		at.seen = version
	default:
		at.told = version
		if whole {
			at.bucket = at.viewer.account.board.bucket
		}
	}
}

func newBoard(d *Directory, org feature.Org) *board {
	return &board{directory: d, org: org, viewers: make(map[*viewer]struct{}), groups: make(map[*roster.Group]*audience), bucket: 1}
}

// attach puts a viewer before an audience; the viewer's lists are the caller's.
func (b *board) attach(v *viewer, aud *audience) *attachment {
	at := &attachment{viewer: v, audience: aud, at: len(aud.viewers), born: b.version}
	aud.viewers = append(aud.viewers, at)
	return at
}

// leave takes an attachment out of its audience; the viewer's list is the
// caller's.
func (b *board) leave(at *attachment) {
	aud := at.audience
	last := len(aud.viewers) - 1
	aud.viewers[last].at = at.at
	aud.viewers[at.at] = aud.viewers[last]
	aud.viewers[last] = nil
	aud.viewers = aud.viewers[:last]
	if last == 0 {
		aud.viewers = nil
		b.unpin(aud)
	}
}

// own returns the audience of an account, made when there is none. The account
// stays in memory while there is one.
func (b *board) own(a *Account) *audience {
	if a.own == nil {
		a.own = &audience{account: a}
		a.Hold()
	}
	return a.own
}

// unpin drops an audience that nobody is in and nobody sees.
func (b *board) unpin(aud *audience) {
	if len(aud.viewers) > 0 || aud.shown > 0 {
		return
	}
	for i := range aud.log {
		if e := aud.log[i].entry; e != nil {
			e.forget(aud)
		}
	}
	aud.log, aud.gone, aud.floor = nil, 0, b.version
	if a := aud.account; a != nil && a.own == aud {
		a.own = nil
		a.Release()
	} else if aud.group != nil && b.groups[aud.group] == aud {
		delete(b.groups, aud.group)
	}
}

// show puts the presence of an entry before the audiences of its account. thin,
// if there is one, is what those need who have its capabilities already.
func (b *board) show(e *entry, w, thin *stanza.Wire) {
	b.version++
	if e.wire == nil {
		e.account.shown++
	}
	e.wire, e.thin, e.changed = w, thin, time.Now()
	e.coarse.Store(nil)
	for _, aud := range e.account.places {
		b.put(aud, e, w, true)
	}
}

// hide tells the audiences that an entry is gone, in the words of w.
func (b *board) hide(e *entry, w *stanza.Wire) {
	if e.wire == nil {
		return
	}
	b.version++
	a := e.account
	a.shown--
	a.fewer = b.version
	e.wire, e.thin, e.session, e.changed = nil, nil, nil, time.Now()
	e.coarse.Store(nil)
	if a.shown == 0 {
		b.directory.rosters.Groups.SetOnline(a.JID, false)
	}
	for _, aud := range a.places {
		b.put(aud, e, w, false)
		if a.shown == 0 {
			b.unpin(aud)
		}
	}
}

// put writes the state of an entry into an audience, in place of what stood
// there of it before.
func (b *board) put(aud *audience, e *entry, w *stanza.Wire, shown bool) {
	s := slot{version: b.version, since: b.version, caps: b.version, wire: w, entry: e, shown: shown}
	if p := e.place(aud); p != nil {
		old := &aud.log[aud.after(p.at-1)]
		if old.shown {
			aud.shown--
			if shown && e.thin != nil {
				s.caps, s.thin = p.caps, e.thin
			}
		} else {
			aud.gone--
		}
		// Whoever saw it before it was gone may not have been told yet.
		s.since = p.since
		*old = slot{version: old.version}
		p.at, p.caps = s.version, s.caps
	} else if shown {
		e.places = append(e.places, place{aud, s.version, s.since, s.caps})
	} else {
		return
	}
	if shown {
		aud.shown++
	} else {
		aud.gone++
	}
	aud.log = append(aud.log, s)
	if len(aud.log) >= max(aud.next, 16) {
		b.trim(aud)
	}
}

// after is the index of the first slot behind a version.
func (aud *audience) after(version uint64) int {
	return sort.Search(len(aud.log), func(i int) bool { return aud.log[i].version > version })
}

// depart notes that an account is in the audience no more.
func (aud *audience) depart(account jid.JID, version uint64) {
	if len(aud.left) >= maxPast { // half of them, so that it is not done each time
		aud.left = append(aud.left[:0:0], aud.left[maxPast/2:]...)
	}
	aud.left = append(aud.left, departure{account, version})
}

// kept is how many slots of what is gone an audience keeps for slow readers,
// beyond as many as it shows. Who is further behind is told everything anew.
const kept = 256

// trim drops holes, and of what is gone that which everybody has been told.
func (b *board) trim(aud *audience) {
	told := b.version
	for _, at := range aud.viewers {
		if since := at.owed(); since != 0 {
			told = min(told, since)
		}
	}
	excess := aud.gone - aud.shown - kept
	log := make([]slot, 0, aud.shown+aud.gone+8)
	for i := range aud.log {
		s := &aud.log[i]
		switch {
		case s.entry == nil:
		case s.shown:
			log = append(log, *s)
		case s.version <= told || excess > 0:
			excess--
			aud.gone--
			aud.floor = s.version
			s.entry.forget(aud)
		default:
			log = append(log, *s)
		}
	}
	aud.log, aud.next = log, 2*len(log)+16
}

// place finds where the entry stands in an audience.
func (e *entry) place(aud *audience) *place {
	for i := range e.places {
		if e.places[i].audience == aud {
			return &e.places[i]
		}
	}
	return nil
}

// forget drops a place, and with the last one an entry that is gone.
func (e *entry) forget(aud *audience) {
	e.places = slices.DeleteFunc(e.places, func(p place) bool { return p.audience == aud })
	if a := e.account; len(e.places) == 0 && e.wire == nil && slices.Contains(a.entries, e) {
		// A new list: whoever goes over the old one may be why this was trimmed.
		a.entries = slices.DeleteFunc(slices.Clone(a.entries), func(other *entry) bool { return other == e })
		a.Release()
	}
}

// entry finds the entry of a resource by its full address, or makes one. The
// account stays in memory while it has one.
func (a *Account) entry(full jid.JID) *entry {
	for _, e := range a.entries {
		if e.jid == full {
			return e
		}
	}
	e := &entry{jid: full, account: a}
	a.entries = append(a.entries, e)
	a.Hold()
	return e
}
