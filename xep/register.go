package xep

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/stream"
)

const (
	nsRegister        = "jabber:iq:register"
	nsRegisterFeature = "http://jabber.org/features/iq-register"
)

const (
	maxRegisterPassword  = 1023  // bytes
	maxRegisterAddresses = 20000 // addresses whose tries are counted
)

// registrar counts who made how many accounts.
type registrar struct {
	host *router.Host

	mu    sync.Mutex
	tries map[netip.Prefix]registerTries
}

// registerTries are those of one address since the window began.
type registerTries struct {
	since time.Time
	n     int
}

// Register lets people make, change and cancel their account from the client
// (XEP-0077). It is off unless the configuration says otherwise, and each
// network address may make a few accounts only.
func Register(h *router.Host) router.Module {
	g := &registrar{host: h, tries: make(map[netip.Prefix]registerTries)}
	return router.Module{
		Name:  "register",
		Doc:   "XEP-0077 2.4: people make, change and cancel their account from their client",
		Off:   true,
		Disco: []string{nsRegister},
		Features: func(x *stanza.XML, _ feature.Org, signedIn bool) {
			if !signedIn {
				x.Empty("register", "xmlns", nsRegisterFeature)
			}
		},
		PreAuth: g.preAuth,
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsRegister, Local: "query", To: router.Server | router.Self, Func: registerAsk},
			{Type: stanza.Set, NS: nsRegister, Local: "query", To: router.Server | router.Self, Func: g.set},
		},
	}
}

// preAuth answers on a stream that has not signed in.
func (g *registrar) preAuth(ctx context.Context, p *router.PreAuth) (*stanza.Wire, bool) {
	st := p.Stanza
	payload, ok := st.First()
	if !ok || st.Kind != stanza.IQ || st.ID() == nil || !payload.Is(nsRegister, "query") {
		return nil, false
	}
	server, err := jid.New("", p.Domain, "")
	if err != nil {
		return nil, false
	}
	if raw := st.RawTo(); raw != nil {
		if to, err := jid.Parse(stanza.Unescape(raw)); err != nil || to != server {
			return nil, false
		}
	}
	st.From, st.To = jid.JID{}, server
	switch st.Type {
	case stanza.Get:
		return stanza.ResultOf(st, registerForm("")), true
	case stanza.Set:
		if err := g.create(ctx, p, payload); err != nil {
			return g.refusal(st, server, err), true
		}
		return stanza.ResultOf(st, nil), true
	}
	return nil, false
}

func (g *registrar) refusal(st *stanza.Stanza, server jid.JID, err error) *stanza.Wire {
	var e *stanza.Error
	if !errors.As(err, &e) {
		g.host.Log.Log(context.Background(), store.Severity(err), "account not made", "feature", "register", "cause", err)
		e = stanza.InternalServerError("")
	}
	return stanza.Reply(st, server, e)
}

// registerForm asks for name and password; of those who have an account it
// tells the name.
func registerForm(local string) []byte {
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsRegister)
	if local != "" {
		x.Empty("registered")
	} else {
		x.Element("instructions", "Choose a name and a password.")
	}
	x.Element("username", local).Empty("password")
	return x.End().Bytes()
}

func registerAsk(c *router.Ctx, iq *stanza.Stanza) error {
	return c.Result(iq, registerForm(c.Account.JID.Local()))
}

// create makes an account, §3.1.
//  1. Is the request whole? 2. Has the address made too many? 3. Derive the
//     keys, which costs most. 4. Write.
func (g *registrar) create(ctx context.Context, p *router.PreAuth, payload stanza.Element) error {
	if _, remove := payload.Child(nsRegister, "remove"); remove {
		return stanza.UnexpectedRequest("sign in first") // §3.2
	}
	name, password, err := registerFields(payload)
	if err != nil {
		return err
	}
	if name == "" || password == "" {
		return stanza.NotAcceptable("a name and a password are needed")
	}
	who, err := jid.New(name, p.Domain, "")
	if err != nil {
		return stanza.NotAcceptable("this cannot be a name")
	}
	if !g.admit(p.Address, time.Now()) {
		return stanza.ResourceConstraint("too many accounts were made from your address; try again later")
	}
	keys, err := registerKeys(password)
	if err != nil {
		return stanza.NotAcceptable("this cannot be a password")
	}
	_, err = g.host.Store.CreateAccount(ctx, p.Org, who.Local(), keys)
	if errors.Is(err, store.ErrExists) {
		return stanza.Conflict("this name is taken")
	}
	return err
}

// admit counts a try of an address; an IPv6 address stands for its /64.
func (g *registrar) admit(address string, now time.Time) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	network, err := ip.Prefix(bits)
	if err != nil {
		return false
	}
	limit, window := g.host.Registration.PerAddress, g.host.Registration.Window
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.tries[network]
	if !ok && len(g.tries) >= maxRegisterAddresses {
		g.sweep(now, window)
		if len(g.tries) >= maxRegisterAddresses {
			return false
		}
	}
	if now.Sub(t.since) >= window {
		t = registerTries{since: now}
	}
	if t.n >= limit {
		return false
	}
	t.n++
	g.tries[network] = t
	return true
}

// sweep forgets addresses whose window is over; the caller holds mu.
func (g *registrar) sweep(now time.Time, window time.Duration) {
	for network, t := range g.tries {
		if now.Sub(t.since) >= window {
			delete(g.tries, network)
		}
	}
}

// registerFields reads name and password, from a form if there is one (§4).
func registerFields(payload stanza.Element) (name, password string, err error) {
	const nsForm = "jabber:x:data"
	if form, ok := payload.Child(nsForm, "x"); ok {
		for f := range form.Children() {
			v, _ := f.Child(nsForm, "value")
			if !v.Exists() {
				continue
			}
			switch key, _ := f.Attr("var"); key {
			case "username":
				name = v.Text()
			case "password":
				password = v.Text()
			}
		}
	}
	if el, ok := payload.Child(nsRegister, "username"); ok {
		name = el.Text()
	}
	if el, ok := payload.Child(nsRegister, "password"); ok {
		password = el.Text()
	}
	if len(password) > maxRegisterPassword {
		return "", "", stanza.NotAcceptable("the password is too long")
	}
	return name, password, nil
}

// registerKeys derives what is kept of a password: for both SCRAMs, so that
// any client can sign in.
func registerKeys(password string) ([]store.Key, error) {
	derived, err := sasl.NewKeys(password)
	keys := make([]store.Key, len(derived))
	for i, k := range derived {
		keys[i] = store.Key(k)
	}
	return keys, err
}

// set changes the password (§3.3), which ends the other sessions of the account,
// or cancels the account (§3.2).
func (g *registrar) set(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	n := 0
	for range payload.Children() {
		n++
	}
	if _, remove := payload.Child(nsRegister, "remove"); remove {
		if n != 1 {
			return stanza.BadRequest("<remove/> stands alone")
		}
		return g.cancel(c, iq)
	}
	name, password, err := registerFields(payload)
	if err != nil {
		return err
	}
	if name == "" || password == "" {
		return stanza.BadRequest("a name and a password are needed")
	}
	if who, err := jid.New(name, c.Domain, ""); err != nil || who != c.Account.JID {
		return stanza.NotAllowed("this is not your account")
	}
	keys, err := registerKeys(password)
	if err != nil {
		return stanza.NotAcceptable("this cannot be a password")
	}
	if err := c.Store.SetKeys(c.Context, c.Org, c.Account.JID.Local(), keys); err != nil {
		return err
	}
	// Whoever else is signed in may have been why it was changed.
	c.Router.CloseAccount(c.Account.JID, c.Session, stream.NewError(stream.Reset, "the password was changed"))
	return c.Result(iq, nil)
}

// cancel removes the account of the session: contacts are told as if each had
// been taken off the roster, the account goes, its sessions end.
func (g *registrar) cancel(c *router.Ctx, iq *stanza.Stanza) error {
	if err := g.leaveContacts(c.Context, c.Account); err != nil {
		return err
	}
	if err := c.Store.DeleteAccount(c.Context, c.Org, c.Account.JID.Local()); err != nil && !errors.Is(err, store.ErrUnfinished) {
		return err
	}
	if err := c.Result(iq, nil); err != nil {
		return err
	}
	c.Router.Dismiss(c.Context, c.Account.JID, stream.NewError(stream.NotAuthorized, "the account was cancelled"))
	return nil
}

func (g *registrar) leaveContacts(ctx context.Context, a *presence.Account) error {
	ro, err := a.Roster(ctx)
	if err != nil {
		return err
	}
	items, _ := ro.Items()
	g.host.Rosters.Close(ro)
	for _, it := range items {
		if _, err := g.host.Directory.Remove(ctx, a, it.JID); err != nil {
			return err
		}
	}
	return nil
}
