package client

import (
	"crypto/x509"
	"strings"
	"sync"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/sasl"
)

// Keys keeps what SCRAM derived from passwords (RFC 5802 §5.1), so that a second sign-in costs no PBKDF2. The zero
// value is ready, a nil one keeps nothing. It may be shared by any number of Clients.
type Keys struct {
	mu sync.Mutex
	m  map[keyName]sasl.ClientKeys // guarded by mu
}

type keyName struct {
	who  jid.JID
	mech string // without -PLUS
}

func (k *Keys) get(who jid.JID, mech string) (sasl.ClientKeys, bool) {
	if k == nil {
		return sasl.ClientKeys{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.m[keyName{who.Bare(), strings.TrimSuffix(mech, "-PLUS")}]
	return v, ok
}

func (k *Keys) put(who jid.JID, mech string, v sasl.ClientKeys) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.m == nil {
		k.m = make(map[keyName]sasl.ClientKeys)
	}
	k.m[keyName{who.Bare(), strings.TrimSuffix(mech, "-PLUS")}] = v
}

// saslConfig is what there is to sign in with; mech "" leaves the mechanism open.
func (c *Client) saslConfig(mech string) sasl.ClientConfig {
	cc := sasl.ClientConfig{
		Local: c.cfg.Account.Local(), Password: c.cfg.Password, Token: c.cfg.Token,
		Offered: c.feats.Mechanisms, Types: c.feats.Bindings, AllowPlain: c.link.secure,
	}
	if k, ok := c.cfg.Keys.get(c.cfg.Account, mech); ok {
		cc.Keys = &k
	}
	if st, ok := c.tlsState(); ok {
		var server *x509.Certificate
		if len(st.PeerCertificates) > 0 {
			server = st.PeerCertificates[0]
		}
		cc.Binding = sasl.NewBinding(&st, server)
	}
	return cc
}
