package xep

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const (
	nsMAM         = "urn:xmpp:mam:2"
	nsMAMExtended = "urn:xmpp:mam:2#extended"
	nsMAMForm     = "jabber:x:data"
	nsMAMRSM      = "http://jabber.org/protocol/rsm"
)

const (
	mamTurns      = 64
	maxMAMWaiting = 256              // queries of a node that may wait for room in a mailbox
	mamPatience   = 30 * time.Second // how long one waits
	mamStamp      = "2006-01-02T15:04:05.000Z"
	maxQueryID    = 1023 // bytes of a queryid, which each result repeats
)

// mam answers queries. Each page is bounded by number and by bytes; a page that
// is cut short is a page that is not complete, and the client asks for the rest.
type mam struct {
	host    *router.Host
	waiting chan struct{}        // holds one token per query that waits
	turn    [mamTurns]sync.Mutex // by account; held while a page is put into a mailbox that has room
}

// MAM lets people read their archive (XEP-0313), page by page (XEP-0059).
func MAM(h *router.Host) router.Module {
	m := &mam{host: h, waiting: make(chan struct{}, maxMAMWaiting)}
	return router.Module{
		Name: "mam",
		Doc:  "XEP-0313 1.1.3, XEP-0059 1.0: people read their archive, also by id, both ways, flipped",
		Levers: []feature.Lever{{
			Name: "mam.page", Default: 50, Min: 1, Max: archive.MaxPage,
			Doc: "messages of a page when the client does not say how many",
		}},
		AccountDisco: []string{nsMAM, nsMAMExtended},
		IQ: []router.IQ{
			{Type: stanza.Set, NS: nsMAM, Local: "query", To: router.Account, Scoped: true, Absent: true, Func: m.query},
			{Type: stanza.Get, NS: nsMAM, Local: "query", To: router.Account, Scoped: true, Absent: true, Func: mamFields},
			{Type: stanza.Get, NS: nsMAM, Local: "metadata", To: router.Account, Scoped: true, Absent: true, Func: m.metadata},
		},
	}
}

// A mamQuery is a query as it was asked.
type mamQuery struct {
	archive.Query
	id     string // queryid, echoed
	hasID  bool
	flip   bool
	count  bool               // max is 0: no messages are wanted
	never  bool               // nothing can match
	must   []stanza.ArchiveID // messages that have to be there
	bySize int                // of the page, 0: not said
	hidden stanza.ArchiveID   // up to here nothing is shown
}

// query answers one query.
//  1. Read it. 2. Wait for room in the mailbox, off this goroutine, for it
//     reads the acknowledgements that make room. 3. Read the page. 4. Send it.
func (m *mam) query(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	payload, _ := iq.First()
	q, err := mamQueryOf(payload)
	if err != nil {
		return err
	}
	if scope := c.Session.Scope; !scope.IsZero() {
		if q.With.IsZero() {
			q.With = scope
		}
		if q.With.Bare() != scope {
			return stanza.Forbidden("this sign-in is for one conversation only")
		}
	}
	q.shownAfter(c.Session.After)
	q.Owner = c.Account.ID
	if q.Limit = q.bySize; q.Limit == 0 {
		q.Limit = int(m.host.Board.Dial("mam.page").Int(c.Org))
	}
	q.Bytes = int(m.host.Board.Dial("session.mailbox").Int(c.Org) / 8)
	room, err := m.now(c, iq, q)
	if room == nil {
		return err
	}
	return m.later(c, iq, q, room)
}

// shownAfter leaves out what a session is not shown (Session.After).
func (q *mamQuery) shownAfter(limit stanza.ArchiveID) {
	if q.After.Less(limit) {
		q.After = limit
	}
	if !q.Before.IsZero() && !q.After.IsZero() && !q.After.Less(q.Before) {
		q.never = true
	}
	q.hidden = limit
}

// now answers if the mailbox has room; else it returns what tells of it. Of
// several queries of an account one has its turn, so that they do not fill the
// same room.
func (m *mam) now(c *router.Ctx, iq *stanza.Stanza, q *mamQuery) (room <-chan struct{}, err error) {
	turn := &m.turn[uint64(c.Account.ID)%mamTurns]
	turn.Lock()
	defer turn.Unlock()
	if room := c.Session.Room(); room != nil {
		return room, nil
	}
	return nil, m.answer(c, iq, q)
}

// later answers when the mailbox has room, on a goroutine of its own that ends
// with the answer or when patience does.
func (m *mam) later(c *router.Ctx, iq *stanza.Stanza, q *mamQuery, room <-chan struct{}) error {
	select {
	case m.waiting <- struct{}{}:
	default:
		return stanza.ResourceConstraint("too many wait for their archive; try again in a few seconds")
	}
	kept, err := stanza.Parse(iq.Wire().Stored())
	if err != nil {
		return err
	}
	kept.From, kept.To = iq.From, iq.To
	own := *c // its stream goes on with another stanza
	own.Span = nil
	go func() {
		defer func() { <-m.waiting }()
		patience := time.NewTimer(mamPatience)
		defer patience.Stop()
		var err error
		for room != nil && err == nil {
			select {
			case <-room:
				room, err = m.now(&own, kept, q)
			case <-patience.C:
				err = stanza.ResourceConstraint("your client does not take what it asked for before")
			}
		}
		if err != nil {
			own.Fail(kept, err)
		}
	}()
	return nil
}

func (m *mam) answer(c *router.Ctx, iq *stanza.Stanza, q *mamQuery) error {
	page, err := m.page(c, q)
	if err != nil {
		return err
	}
	cursor, err := m.reached(c, q, page)
	if err != nil {
		return err
	}
	if q.flip {
		slices.Reverse(page.Rows)
	}
	for i := range page.Rows {
		if !c.Send(mamResult(c.Session, q, &page.Rows[i])) {
			return nil // the session is over
		}
	}
	if q.flip {
		slices.Reverse(page.Rows)
	}
	w := stanza.ResultOf(iq, mamFin(page))
	w.ID = cursor
	c.Session.Paged(cursor)
	c.Send(w)
	return nil
}

// page reads the page that is asked for.
func (m *mam) page(c *router.Ctx, q *mamQuery) (archive.Page, error) {
	for _, id := range q.must {
		there, err := m.there(c, q, id)
		if err != nil {
			return archive.Page{}, err
		}
		if !there {
			return archive.Page{}, stanza.ItemNotFound("")
		}
	}
	if q.never {
		return archive.Page{Complete: true}, nil
	}
	if len(q.IDs) > 0 {
		return m.byIDs(c, q)
	}
	if q.count {
		q.Limit = 1
	}
	page, err := m.host.Archive.Page(c.Context, c.Org, q.Query)
	if err != nil {
		return archive.Page{}, err
	}
	if q.count {
		return archive.Page{Complete: page.Complete && len(page.Rows) == 0}, nil
	}
	return mamCut(page, q.Backward, q.Bytes), nil
}

// there reports whether a message is in the archive as the session sees it:
// for one that is for a single peer, that conversation is all there is.
func (m *mam) there(c *router.Ctx, q *mamQuery, id stanza.ArchiveID) (bool, error) {
	if !q.hidden.Less(id) {
		return false, nil
	}
	if c.Session.Scope.IsZero() {
		return m.host.Store.Has(c.Context, c.Org, q.Owner, store.ID(id))
	}
	page, err := m.host.Archive.Page(c.Context, c.Org, archive.Query{
		Owner: q.Owner, With: c.Session.Scope, IDs: []stanza.ArchiveID{id},
	})
	return len(page.Rows) > 0, err
}

// byIDs reads single messages: all of them have to be there. The other filters
// and the paging apply to what was found.
func (m *mam) byIDs(c *router.Ctx, q *mamQuery) (archive.Page, error) {
	page, err := m.host.Archive.Page(c.Context, c.Org, archive.Query{Owner: q.Owner, With: c.Session.Scope, IDs: q.IDs})
	if err != nil {
		return archive.Page{}, err
	}
	page.Rows = slices.DeleteFunc(page.Rows, func(r archive.Row) bool { return !q.hidden.Less(r.ID) })
	if len(page.Rows) < len(q.IDs) {
		return archive.Page{}, stanza.ItemNotFound("")
	}
	page.Rows = slices.DeleteFunc(page.Rows, func(r archive.Row) bool { return !q.matches(&r, c.Account.JID) })
	if q.count {
		return archive.Page{Complete: len(page.Rows) == 0}, nil
	}
	page.Complete = true
	if over := len(page.Rows) - q.Limit; over > 0 {
		page.Complete = false
		if q.Backward {
			page.Rows = page.Rows[over:]
		} else {
			page.Rows = page.Rows[:q.Limit]
		}
	}
	return mamCut(page, q.Backward, q.Bytes), nil
}

// matches applies the filters to one message of the owner. With the owner's
// own address only messages to oneself match (§4.1.1).
func (q *mamQuery) matches(r *archive.Row, owner jid.JID) bool {
	if !q.After.IsZero() && !q.After.Less(r.ID) || !q.Before.IsZero() && !r.ID.Less(q.Before) {
		return false
	}
	from, to := r.Stanza.From, r.Stanza.To
	switch with := q.With; {
	case with.IsZero():
		return true
	case with.Bare() == owner && (from.Bare() != owner || to.Bare() != owner):
		return false
	case with.IsBare():
		return from.Bare() == with || to.Bare() == with
	default:
		return from == with || to == with
	}
}

// mamCut shortens a page to so many bytes, but for one message: the end
// farther from where the reader comes from is left for the next page.
func mamCut(p archive.Page, backward bool, bytes int) archive.Page {
	n := 0
	for i := range p.Rows {
		row := &p.Rows[i]
		if backward {
			row = &p.Rows[len(p.Rows)-1-i]
		}
		n += row.Stanza.Len()
		if n <= bytes || i == 0 {
			continue
		}
		p.Complete = false
		if backward {
			p.Rows = p.Rows[len(p.Rows)-i:]
		} else {
			p.Rows = p.Rows[:i]
		}
		break
	}
	return p
}

// reached is how far the delivery cursor moves once the client has the page:
// what it has paged over does not come again (decision 6). That holds for a
// page of everything that begins at the cursor or before it.
func (m *mam) reached(c *router.Ctx, q *mamQuery, p archive.Page) (none stanza.ArchiveID, err error) {
	if len(p.Rows) == 0 || len(q.IDs) > 0 || !q.With.IsZero() || !c.Account.Inbox.Behind() {
		return none, nil
	}
	cursor, err := m.host.Archive.Cursor(c.Context, c.Org, q.Owner)
	if err != nil {
		return none, err
	}
	first, last := p.Rows[0].ID, p.Rows[len(p.Rows)-1].ID
	covers := !cursor.Less(q.After)
	if q.Backward {
		covers = covers && p.Complete || !cursor.Less(first)
	}
	if !covers || !cursor.Less(last) {
		return none, nil
	}
	return m.host.Archive.Paged(c.Context, c.Org, q.Owner, cursor, last)
}

// mamResult wraps one message, §5.2.
func mamResult(s *session.Session, q *mamQuery, r *archive.Row) *stanza.Wire {
	b := make([]byte, 0, 320)
	b = append(b, "<message xmlns='jabber:client' from='"...)
	b = append(stanza.AppendEscaped(b, s.JID.Bare().String()), "' to='"...)
	b = append(stanza.AppendEscaped(b, s.JID.String()), "'><result xmlns='"+nsMAM+"'"...)
	if q.hasID {
		b = append(stanza.AppendEscaped(append(b, " queryid='"...), q.id), '\'')
	}
	b = append(append(append(b, " id='"...), archive.FormatID(r.ID)...), "'><forwarded xmlns='urn:xmpp:forward:0'>"...)
	b = append(b, "<delay xmlns='urn:xmpp:delay' stamp='"...)
	b = append(archive.TimeOf(r.ID).AppendFormat(b, mamStamp), "'/>"...)
	return r.Stanza.Wrap(b, []byte("</forwarded></result></message>"))
}

// mamFin ends the results. How many there are in all nobody counts. A search
// that has found nothing so far tells the message it has come to, as if it were
// the page: from there the client goes on.
func mamFin(p archive.Page) []byte {
	x := new(stanza.XML)
	x.Start("fin", "xmlns", nsMAM)
	if p.Complete {
		x.Attr("complete", "true")
	}
	x.Start("set", "xmlns", nsMAMRSM)
	first, last := p.Reached, p.Reached
	if n := len(p.Rows); n > 0 {
		first, last = p.Rows[0].ID, p.Rows[n-1].ID
	}
	if !first.IsZero() {
		x.Element("first", archive.FormatID(first)).Element("last", archive.FormatID(last))
	}
	return x.End().End().Bytes()
}

// mamFields answers with the form of all fields, §4.1.6.
func mamFields(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsMAM).Start("x", "xmlns", nsMAMForm, "type", "form")
	x.Start("field", "type", "hidden", "var", "FORM_TYPE").Element("value", nsMAM).End()
	x.Empty("field", "type", "jid-single", "var", "with")
	for _, name := range []string{"start", "end", "before-id", "after-id"} {
		x.Empty("field", "type", "text-single", "var", name)
	}
	x.Start("field", "type", "list-multi", "var", "ids")
	x.Start("validate", "xmlns", "http://jabber.org/protocol/xdata-validate", "datatype", "xs:string").Empty("open")
	return c.Result(iq, x.Bytes())
}

// metadata tells the first and the last message, §6.
func (m *mam) metadata(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	var ends [2]stanza.ArchiveID
	for i, backward := range []bool{false, true} {
		page, err := m.host.Archive.Page(c.Context, c.Org, archive.Query{
			Owner: c.Account.ID, With: c.Session.Scope, After: c.Session.After, Backward: backward, Limit: 1,
		})
		if err != nil {
			return err
		}
		if len(page.Rows) > 0 {
			ends[i] = page.Rows[0].ID
		}
	}
	x := new(stanza.XML)
	x.Start("metadata", "xmlns", nsMAM)
	for i, name := range []string{"start", "end"} {
		if !ends[i].IsZero() && !ends[0].IsZero() {
			x.Empty(name, "id", archive.FormatID(ends[i]), "timestamp", archive.TimeOf(ends[i]).Format(mamStamp))
		}
	}
	return c.Result(iq, x.End().Bytes())
}

// mamQueryOf reads a query. What it returns is bounded whatever is asked.
func mamQueryOf(payload stanza.Element) (*mamQuery, error) {
	q := new(mamQuery)
	if _, node := payload.Attr("node"); node {
		return nil, stanza.ItemNotFound("")
	}
	q.id, q.hasID = payload.Attr("queryid")
	if len(q.id) > maxQueryID {
		return nil, stanza.PolicyViolation("a queryid has at most " + strconv.Itoa(maxQueryID) + " bytes")
	}
	_, q.flip = payload.Child(nsMAM, "flip-page")
	if form, ok := payload.Child(nsMAMForm, "x"); ok {
		if err := q.form(form); err != nil {
			return nil, err
		}
	}
	if set, ok := payload.Child(nsMAMRSM, "set"); ok {
		if err := q.rsm(set); err != nil {
			return nil, err
		}
	}
	if !q.After.IsZero() && !q.Before.IsZero() && !q.After.Less(q.Before) {
		q.never = true
	}
	return q, nil
}

// form reads the filters, §4.1.
func (q *mamQuery) form(form stanza.Element) error {
	if t, ok := form.Attr("type"); ok && t != "submit" {
		return stanza.BadRequest("a query is a form of type submit")
	}
	for f := range form.Children() {
		if !f.Is(nsMAMForm, "field") {
			continue
		}
		name, _ := f.Attr("var")
		if name == "ids" {
			if err := q.ids(f); err != nil {
				return err
			}
			continue
		}
		value := ""
		if v, ok := f.Child(nsMAMForm, "value"); ok {
			value = strings.TrimSpace(v.Text())
		}
		if err := q.field(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (q *mamQuery) field(name, value string) (err error) {
	switch name {
	case "FORM_TYPE":
		if value != nsMAM {
			return stanza.BadRequest("this is the form of something else")
		}
		return nil
	case "with", "start", "end", "before-id", "after-id":
	default:
		return stanza.FeatureNotImplemented("there is no field " + strconv.Quote(name))
	}
	if value == "" {
		return nil
	}
	switch name {
	case "with":
		if q.With, err = jid.Parse(value); err != nil {
			return stanza.JIDMalformed("'with' is no address")
		}
	case "start", "end":
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return stanza.BadRequest("'" + name + "' is no date and time of XEP-0082")
		}
		q.moment(name == "end", at)
	case "before-id":
		return q.known(value, q.below)
	case "after-id":
		return q.known(value, q.above)
	}
	return nil
}

// moment narrows the query to messages from, or up to, a moment. Messages have
// milliseconds.
func (q *mamQuery) moment(end bool, at time.Time) {
	if end {
		if at.UnixMilli() < 0 {
			q.never = true
			return
		}
		q.below(archive.FirstID(at.Truncate(time.Millisecond).Add(time.Millisecond)))
		return
	}
	if at.Truncate(time.Millisecond) != at {
		at = at.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	if id := archive.FirstID(at); !id.IsZero() {
		q.above(id.Before())
	}
}

// above and below narrow the range; its bounds are exclusive.
func (q *mamQuery) above(id stanza.ArchiveID) {
	if q.After.Less(id) {
		q.After = id
	}
}

func (q *mamQuery) below(id stanza.ArchiveID) {
	if q.Before.IsZero() || id.Less(q.Before) {
		q.Before = id
	}
}

// known reads the id of a message that has to exist.
func (q *mamQuery) known(text string, use func(stanza.ArchiveID)) error {
	id, ok := archive.ParseID(text)
	if !ok || id.IsZero() {
		return stanza.ItemNotFound("")
	}
	if !slices.Contains(q.must, id) {
		q.must = append(q.must, id)
		if len(q.must) > 8 { // there are four places for one
			return stanza.BadRequest("too many ids")
		}
	}
	use(id)
	return nil
}

func (q *mamQuery) ids(f stanza.Element) error {
	for v := range f.Children() {
		if !v.Is(nsMAMForm, "value") {
			continue
		}
		id, ok := archive.ParseID(strings.TrimSpace(v.Text()))
		if !ok || id.IsZero() {
			return stanza.ItemNotFound("")
		}
		if slices.Contains(q.IDs, id) {
			continue
		}
		if len(q.IDs) == archive.MaxPage {
			return stanza.PolicyViolation("ask for " + strconv.Itoa(archive.MaxPage) + " ids at most")
		}
		q.IDs = append(q.IDs, id)
	}
	return nil
}

// rsm reads the paging, XEP-0059 §2.
func (q *mamQuery) rsm(set stanza.Element) error {
	if _, ok := set.Child(nsMAMRSM, "index"); ok {
		return stanza.FeatureNotImplemented("there are no indexes, only ids")
	}
	if el, ok := set.Child(nsMAMRSM, "max"); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(el.Text()), 10, 32)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return stanza.BadRequest("'max' is no number")
		}
		q.bySize, q.count = int(min(n, archive.MaxPage)), n == 0
	}
	if el, ok := set.Child(nsMAMRSM, "before"); ok {
		q.Backward = true
		if text := strings.TrimSpace(el.Text()); text != "" {
			if err := q.known(text, q.below); err != nil {
				return err
			}
		}
	}
	if el, ok := set.Child(nsMAMRSM, "after"); ok {
		if text := strings.TrimSpace(el.Text()); text != "" {
			q.Backward = false
			return q.known(text, q.above)
		}
	}
	return nil
}
