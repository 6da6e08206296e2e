package c2s_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/c2s"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
	"github.com/bearhug/bearhug/stream"
)

const (
	domain   = "hug.example"
	password = "but soft"
	// patience is how long what must come is waited for; only a failing test does.
	patience = 20 * time.Second
)

// A house is a server with people in it.
type house struct {
	tb     testing.TB
	server *c2s.Server
	router *router.Router
	store  *store.Store
	org    feature.Org
	cert   tls.Certificate
	doors  *doors
}

// doors is a listener of pipes.
type doors struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (d *doors) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

func (d *doors) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}

func (d *doors) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func newHouse(t *testing.T, prepare ...func(*c2s.Config)) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{tb: t, store: storetest.Open(t), doors: &doors{conns: make(chan net.Conn), done: make(chan struct{})}}
	var err error
	h.org, err = h.store.AddOrg(ctx, domain)
	h.check(err)
	other, err := h.store.AddOrg(ctx, "other.example")
	h.check(err)
	log := slog.New(slog.DiscardHandler)
	host := &router.Host{
		Rosters: roster.New(h.store), Store: h.store, Board: feature.NewBoard(), Log: log, Started: time.Now(),
		Limits: router.Limits{MaxBytes: 262144, FirstBytes: 10000}, TokenKey: []byte("thirty-two bytes of a token key!"),
	}
	h.router, err = router.New(ctx, host, map[string]feature.Org{domain: h.org, "other.example": other})
	h.check(err)
	h.check(h.router.Use([]func(*router.Host) router.Module{testModule}))
	poller, err := stream.NewPoller(stream.Options{})
	h.check(err)
	h.cert = certificate(t)
	cfg := c2s.Config{
		Router: h.router, Log: log, Poller: poller, FirstBytes: 10000, Negotiation: time.Hour, Failures: 1000,
		Plaintext: true, ScramSecret: []byte("sixteen bytes or more"),
		TLS: func(alpn ...string) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{h.cert}, NextProtos: alpn, MinVersion: tls.VersionTLS12}
		},
		Leaf:  func(string) (*x509.Certificate, error) { return h.cert.Leaf, nil },
		Hosts: func(host string) (string, bool) { return domain, host == "chat.hug.example" },
	}
	for _, f := range prepare {
		f(&cfg)
	}
	h.server = c2s.New(cfg)
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.doors, false) }()
	t.Cleanup(func() {
		h.doors.Close()
		h.check(<-served)
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		h.server.Drain(ctx)
		if n := h.server.Count().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}
		h.check(host.Archive.Close(ctx))
		h.check(poller.Close())
	})
	return h
}

// testModule answers one request of accounts, one before sign-in.
func testModule(*router.Host) router.Module {
	return router.Module{
		Name: "test", Doc: "answers",
		IQ: []router.IQ{
			{Type: stanza.Get, NS: "urn:test", Local: "open", To: router.Account | router.Server, Scoped: true,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error { return c.Result(iq, nil) }},
			{Type: stanza.Get, NS: "urn:test", Local: "whole", To: router.Account | router.Server,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error { return c.Result(iq, nil) }},
		},
		PreAuth: func(_ context.Context, p *router.PreAuth) (*stanza.Wire, bool) {
			el, ok := p.Stanza.First()
			if !ok || !el.Is("urn:test", "early") {
				return nil, false
			}
			return stanza.ResultOf(p.Stanza, nil), true
		},
	}
}

func (h *house) check(err error) {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatal(err)
	}
}

// people makes accounts with keys for the mechanisms, or for both.
func (h *house) people(names []string, mechanisms ...string) {
	h.tb.Helper()
	if len(mechanisms) == 0 {
		mechanisms = []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256}
	}
	for _, name := range names {
		var keys []store.Key
		for _, m := range mechanisms {
			k, err := sasl.Derive(m, password, 4096, []byte("salt and more"))
			h.check(err)
			keys = append(keys, store.Key(k))
		}
		_, err := h.store.CreateAccount(context.Background(), h.org, name, keys)
		h.check(err)
	}
}

func certificate(tb testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A talk is a client that says bytes and looks at bytes.
type talk struct {
	tb testing.TB
	nc net.Conn

	mu   sync.Mutex
	more *sync.Cond
	all  string // what came
	at   int    // how much of it was looked at
	end  error
}

// pipe connects to the server.
func (h *house) pipe() net.Conn {
	ours, theirs := net.Pipe()
	h.doors.conns <- ours
	return theirs
}

func (h *house) dial() *talk {
	h.tb.Helper()
	return h.talkOver(h.pipe())
}

func (h *house) talkOver(nc net.Conn) *talk {
	c := &talk{tb: h.tb, nc: nc}
	c.more = sync.NewCond(&c.mu)
	h.tb.Cleanup(func() { c.nc.Close() })
	go c.read()
	return c
}

func (c *talk) read() {
	b := make([]byte, 4096)
	for {
		n, err := c.nc.Read(b)
		c.mu.Lock()
		c.all += string(b[:n])
		if err != nil {
			c.end = err
		}
		c.more.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// say writes; a stream that the server ends meanwhile is no failure.
func (c *talk) say(s string) *talk {
	_, _ = c.nc.Write([]byte(s))
	return c
}

// hear waits until something comes behind what was heard last, and returns
// what came before it.
func (c *talk) hear(what string) string {
	c.tb.Helper()
	begin := time.Now()
	late := time.AfterFunc(patience, c.more.Broadcast)
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if i := strings.Index(c.all[c.at:], what); i >= 0 {
			before := c.all[c.at : c.at+i+len(what)]
			c.at += i + len(what)
			return before
		}
		if c.end != nil || time.Since(begin) >= patience {
			c.tb.Fatalf("no %q in %q; %v", what, c.all[c.at:], c.end)
		}
		c.more.Wait()
	}
}

const head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" + domain + "'>"

// open begins a stream and returns the features.
func (c *talk) open() string {
	c.tb.Helper()
	return c.say(head).hear("</stream:features>")
}

func plain(name, password string) string {
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password)) + "</auth>"
}

// signIn signs in with a password.
func (c *talk) signIn(name string) *talk {
	c.tb.Helper()
	c.open()
	c.say(plain(name, password)).hear("<success")
	c.open()
	return c
}

const bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"

// bind signs in and binds; the address is returned.
func (c *talk) bind(name string) string {
	c.tb.Helper()
	c.signIn(name).say(bind).hear("<jid>")
	return strings.TrimSuffix(c.hear("</jid>"), "</jid>")
}

// token is a bearer's, for one peer or for all.
func (h *house) token(name, scope string, change ...func(*sasl.Claims)) string {
	claims := sasl.Claims{Org: uint32(h.org), Local: name, Scope: scope, Expires: time.Now().Add(time.Hour)}
	for _, f := range change {
		f(&claims)
	}
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='OAUTHBEARER'>" + base64.StdEncoding.EncodeToString(
		[]byte("n,,\x01auth=Bearer "+sasl.Mint(h.router.TokenKey, claims)+"\x01\x01")) + "</auth>"
}
