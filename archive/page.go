package archive

import (
	"context"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// MaxPage is the most messages one page gives.
const MaxPage = 250

// MaxSearch is how many messages one query for a full address looks through.
const MaxSearch = 4 * MaxPage

// A Query asks for a page of an owner's archive (XEP-0313 §4). Bounds are
// exclusive; zero leaves a side open.
type Query struct {
	Owner         store.AccountID
	With          jid.JID // zero means everybody; a full address its messages only
	After, Before stanza.ArchiveID
	Backward      bool // the last Limit messages before Before
	Limit         int  // 1 to MaxPage
	Bytes         int  // of messages, after which the page ends soon; 0 for any
	IDs           []stanza.ArchiveID
}

// A Row is one message of a page.
type Row struct {
	ID     stanza.ArchiveID
	Stanza *stanza.Wire
	Hidden bool // the owner does not see it in the archive
}

// A Page is what a query found, the oldest first. Complete means that nothing
// lies beyond it in the direction of the query. A search that found nothing in
// MaxSearch messages is not complete, and goes on from Reached, the last of
// them; else Reached is zero.
type Page struct {
	Rows     []Row
	Complete bool
	Reached  stanza.ArchiveID
}

// Page reads a page of what the owner may see.
func (a *Archive) Page(ctx context.Context, org feature.Org, q Query) (Page, error) {
	if len(q.IDs) > 0 {
		return a.byIDs(ctx, org, q)
	}
	sq := store.PageQuery{
		Owner: q.Owner, After: store.ID(q.After), Before: store.ID(q.Before),
		Limit: q.Limit, Bytes: q.Bytes, Backward: q.Backward, MAMOnly: true,
	}
	if !q.With.IsZero() {
		sq.Peer = a.Store.Peer(q.With.Bare())
	}
	if q.With.Resource() == "" {
		rows, complete, err := a.Store.Page(ctx, org, sq)
		if err != nil {
			return Page{}, err
		}
		p, err := open(rows, q.With)
		p.Complete = complete
		return p, err
	}
	return a.filtered(ctx, org, q, sq)
}

// filtered pages on until enough messages of one full address are found, or
// MaxSearch were looked through.
func (a *Archive) filtered(ctx context.Context, org feature.Org, q Query, sq store.PageQuery) (page Page, err error) {
	sq.Limit = MaxPage
	size := 0
	for read := 0; read < MaxSearch && len(page.Rows) < q.Limit && !page.Complete && (q.Bytes == 0 || size < q.Bytes); {
		rows, complete, err := a.Store.Page(ctx, org, sq)
		if err != nil {
			return Page{}, err
		}
		more, err := open(rows, q.With)
		if err != nil {
			return Page{}, err
		}
		if len(rows) == 0 && !complete {
			break // they were all deleted this moment
		}
		page.Complete = complete
		read += len(rows)
		for i := range more.Rows {
			size += more.Rows[i].Stanza.Len()
		}
		if q.Backward {
			page.Rows = append(more.Rows, page.Rows...)
		} else {
			page.Rows = append(page.Rows, more.Rows...)
		}
		switch {
		case len(rows) == 0:
		case q.Backward:
			sq.Before = rows[0].ID
		default:
			sq.After = rows[len(rows)-1].ID
		}
	}
	if over := len(page.Rows) - q.Limit; over > 0 {
		page.Complete = false
		if q.Backward {
			page.Rows = page.Rows[over:]
		} else {
			page.Rows = page.Rows[:q.Limit]
		}
	}
	if len(page.Rows) == 0 && !page.Complete {
		if page.Reached = stanza.ArchiveID(sq.After); q.Backward {
			page.Reached = stanza.ArchiveID(sq.Before)
		}
	}
	return page, nil
}

func (a *Archive) byIDs(ctx context.Context, org feature.Org, q Query) (Page, error) {
	ids := make([]store.ID, len(q.IDs))
	for i, id := range q.IDs {
		ids[i] = store.ID(id)
	}
	rows, err := a.Store.ByIDs(ctx, org, q.Owner, ids)
	if err != nil {
		return Page{}, err
	}
	p, err := open(rows, q.With)
	p.Complete = true
	return p, err
}

// open reads the rows. with sorts out what the hash of the peer let through.
func open(rows []store.Row, with jid.JID) (Page, error) {
	p := Page{Rows: make([]Row, 0, len(rows))}
	for _, row := range rows {
		w, err := stanza.Load(row.Stanza)
		if err != nil {
			return Page{}, err
		}
		if !with.IsZero() && !matches(w, with) {
			continue
		}
		p.Rows = append(p.Rows, Row{
			ID: stanza.ArchiveID(row.ID), Stanza: w, Hidden: row.Flags&store.FlagHidden != 0,
		})
	}
	return p, nil
}

// matches reports whether the message came from or went to the address.
func matches(w *stanza.Wire, with jid.JID) bool {
	if with.IsBare() {
		return w.From.Bare() == with || w.To.Bare() == with
	}
	return w.From == with || w.To == with
}

// undeliveredBytes is what of the delivery log is in memory at once for one
// resource, about.
const undeliveredBytes = 1 << 20

// Undelivered reads the delivery log after the owner's cursor: inbound
// messages, the oldest first.
func (a *Archive) Undelivered(ctx context.Context, org feature.Org, owner store.AccountID, after stanza.ArchiveID) (Page, error) {
	rows, complete, err := a.Store.Page(ctx, org, store.PageQuery{
		Owner: owner, After: store.ID(after), Limit: 100, Bytes: undeliveredBytes, Undelivered: true,
	})
	if err != nil {
		return Page{}, err
	}
	p, err := open(rows, jid.JID{})
	p.Complete = complete
	return p, err
}

// Paged tells how far the owner's cursor may move when a client has been shown
// everything that it may see up to last: not past a message that is kept out
// of the view and still waits to be delivered. Zero means not at all.
func (a *Archive) Paged(ctx context.Context, org feature.Org, owner store.AccountID, cursor, last stanza.ArchiveID) (stanza.ArchiveID, error) {
	reached := cursor
	for reached.Less(last) {
		rows, complete, err := a.Store.Page(ctx, org, store.PageQuery{
			Owner: owner, After: store.ID(reached), Limit: MaxPage, Bytes: undeliveredBytes, Undelivered: true,
		})
		if err != nil {
			return stanza.ArchiveID{}, err
		}
		for _, row := range rows {
			id := stanza.ArchiveID(row.ID)
			if row.Flags&store.FlagHidden != 0 || last.Less(id) {
				return passed(cursor, reached), nil
			}
			reached = id
		}
		if complete || len(rows) == 0 { // or they were all deleted this moment
			break
		}
	}
	return passed(cursor, reached), nil
}

func passed(cursor, reached stanza.ArchiveID) stanza.ArchiveID {
	if cursor.Less(reached) {
		return reached
	}
	return stanza.ArchiveID{}
}

// Cursor is the last message that is known to have reached the owner: the
// greatest that anybody knows of, for a cursor that is moved back stays.
func (a *Archive) Cursor(ctx context.Context, org feature.Org, owner store.AccountID) (stanza.ArchiveID, error) {
	a.mu.Lock()
	last := a.cursors[owner].ID
	if id := a.saving[owner].ID; last.Compare(id) < 0 {
		last = id
	}
	a.mu.Unlock()
	if id, err := a.Store.Cursor(ctx, org, owner); err != nil {
		return stanza.ArchiveID{}, err
	} else if last.Compare(id) < 0 {
		last = id
	}
	return stanza.ArchiveID(last), nil
}

// Delay is the XEP-0203 stamp of a message that is delivered late.
func Delay(from string, at time.Time) []byte {
	x := new(stanza.XML)
	x.Empty("delay", "xmlns", "urn:xmpp:delay", "from", from, "stamp", at.UTC().Format("2006-01-02T15:04:05.000Z"))
	return x.Bytes()
}

// StanzaID is the <stanza-id/> that by gives a message, XEP-0359 §3.
func StanzaID(by jid.JID, id stanza.ArchiveID) []byte {
	x := new(stanza.XML)
	x.Empty("stanza-id", "xmlns", nsSID, "id", FormatID(id), "by", by.String())
	return x.Bytes()
}
