package router

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// A Module is one feature of the server: what it is called and where it
// listens. Fields that are zero mean "not interested".
type Module struct {
	Name   string          // one word: account, switch, log key, line of docs/xeps.md
	Doc    string          // one sentence, the standard first: "XEP-0280 1.0.1: copies …"
	Off    bool            // the switch is off by default
	Always bool            // there is no switch
	Levers []feature.Lever // dials of this module
	Disco  []string        // features of the server announced while the switch is on
	// AccountDisco are features announced by accounts (XEP-0030 to a bare address).
	AccountDisco []string
	// Identities are what the server is, AccountIdentities what accounts are;
	// Forms extend what the server tells (XEP-0128).
	Identities, AccountIdentities []Identity
	Forms                         []Form

	IQ      []IQ
	Sent    func(*Ctx, *stanza.Stanza) Verdict // a local resource sent it; before routing
	SentOf  []stanza.Kind                      // the stanzas Sent is called for; nil: all
	Arrived func(*Ctx, *Arrival) Verdict       // it reached a local account; before delivery
	Missed  func(*Ctx, *Arrival)               // no resource took it
	// Refused is told of a message of a local resource that is not taken, before
	// the resource is told why. It may say more.
	Refused func(*Ctx, *stanza.Stanza, *stanza.Error)
	Bound   func(*Ctx)                  // a resource became available
	Unbound func(*Ctx)                  // a session ended
	Run     func(context.Context) error // background work, ends with ctx
	HTTP    func(*http.ServeMux)        // a handler on the HTTP listeners
	// Features adds to the stream features offered before and after sign-in.
	Features func(x *stanza.XML, org feature.Org, signedIn bool)
	// Node tells about a node of the server (XEP-0030 §3.2), nil when it is
	// not its own.
	Node func(org feature.Org, node string) *Info
	// PreAuth answers requests made before sign-in (XEP-0077); ok is false
	// when the request is not its own.
	PreAuth func(context.Context, *PreAuth) (answer *stanza.Wire, ok bool)
}

// A Verdict says whether a stanza goes on.
type Verdict uint8

// Pass lets the stanza go on, Stop ends its way: whoever says so has answered.
const (
	Pass Verdict = iota
	Stop
)

// Addressee says to whom an IQ is addressed.
type Addressee uint8

// Whom a module answers for.
const (
	Server  Addressee = 1 << iota // the domain
	Self                          // the sender's own account, or no 'to'
	Other                         // the account of somebody else
	Account = Self | Other
)

// An IQ is a request that a module answers, found by type, namespace and name
// of its payload.
type IQ struct {
	Type   stanza.Type // Get or Set
	NS     string
	Local  string
	To     Addressee
	Scoped bool // may be asked by a session with a scope (decision 16)
	// Absent has Func called also for an account that does not exist, with a
	// nil Ctx.Target, so that the answer need not tell the two apart.
	Absent bool
	// Func answers by Ctx.Result, or returns an error: *stanza.Error is told
	// to the sender, any other is logged and told as internal-server-error.
	Func func(*Ctx, *stanza.Stanza) error
}

// A PreAuth is an IQ on a stream that has not signed in.
type PreAuth struct {
	Domain  string
	Org     feature.Org
	Address string // of the client, without port
	Secure  bool   // over TLS, or where none is asked for
	Stanza  *stanza.Stanza
}

// An Arrival is a message that reached an account.
type Arrival struct {
	Wire    *stanza.Wire
	Plain   *stanza.Wire       // Wire without the recipient's stanza-id
	SentID  stanza.ArchiveID   // in the sender's archive; zero when it is not there
	To      []*session.Session // the resources it goes to; not to be kept
	Account *presence.Account  // whose it is
	From    *presence.Account  // the sender's
	Traits  archive.Traits
	Sender  *session.Session // nil when the server speaks
}

// A Ctx is what a handler works with. One lives as long as its stream; it is
// used by the goroutine that handles the stream's stanzas.
type Ctx struct {
	*Host
	Context context.Context
	Session *session.Session
	Account *presence.Account // the sender's
	Org     feature.Org
	Domain  string
	Span    *feature.Span // measures whose work is under way; may be nil

	// Target is, in an IQ handler for accounts, the account it is addressed to.
	Target *presence.Account

	last     []byte // raw 'to' of the stanza before
	lastJID  jid.JID
	lastPeer *presence.Account // held
	number   uint32            // who pays for the answer
}

// Result answers an IQ.
func (c *Ctx) Result(iq *stanza.Stanza, payload []byte) error {
	w := stanza.ResultOf(iq, payload)
	w.Number = c.number
	c.Session.Send(w)
	return nil
}

// Send sends a stanza to the session of the context, charged to the feature
// that is running.
func (c *Ctx) Send(w *stanza.Wire) bool {
	w.Number = c.number
	return c.Session.Send(w)
}

// Number is the ledger account that pays for what the running handler sends.
func (c *Ctx) Number() uint32 { return c.number }

// Fail answers a stanza with an error; nothing happens for stanzas that must
// not be answered (RFC 6120 §8.3.1).
func (c *Ctx) Fail(st *stanza.Stanza, err error) {
	var e *stanza.Error
	if !errors.As(err, &e) {
		c.Log.Log(c.Context, store.Severity(err), "stanza not handled", "jid", c.Session.JID.String(), "kind", st.Kind.String(), "cause", err)
		// What fails here is the store: what was asked for may go well later.
		e = stanza.InternalServerError("try again in a few seconds")
		e.Type = stanza.Wait
	}
	from := st.To
	if from.IsZero() {
		from = c.Session.JID.Bare()
	}
	if w := stanza.Reply(st, from, e); w != nil {
		w.Number = c.number
		c.Session.Send(w)
		if st.Kind == stanza.Message {
			c.Session.Answered()
		}
	}
}

// A Host is what modules may use.
type Host struct {
	Router    *Router
	Directory *presence.Directory
	Rosters   *roster.Rosters
	Archive   *archive.Archive
	Overload  *overload.Signal // is told what waits; may be nil
	Store     *store.Store
	Board     *feature.Board
	Log       *slog.Logger
	Version   string
	Started   time.Time
	Contacts  map[string][]string // XEP-0157: kind → addresses
	// Limits are those of a stream (XEP-0478).
	Limits Limits
	// TokenKey signs the bearer tokens of this server.
	TokenKey []byte
	// Visitor finds the address of who asks over HTTP, and whether over TLS;
	// proxies that are trusted speak for it. It is set before the listeners open.
	Visitor func(*http.Request) (address string, secure bool)
	// Concerns reports whether what two accounts say to each other is about an
	// open case, by one look-up in memory; nil: there are none. A module sets it.
	Concerns func(from, to jid.JID) bool
	// Registration says whether and how often accounts may be made in band.
	Registration Registration
	// Clients is set by the module that knows of them; its fields are nil where
	// there is none.
	Clients Clients
}

// Limits are what XEP-0478 announces.
type Limits struct {
	MaxBytes   int           // of a stanza
	FirstBytes int           // of an element before sign-in; 0 is not announced
	Idle       time.Duration // after which a silent stream is closed; 0 means never
}

// Registration bounds XEP-0077.
type Registration struct {
	Allow      bool
	PerAddress int // accounts per address and window
	Window     time.Duration
}
