package sasl

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// Credentials is what the store has of an account. The zero value stands for an account that does not exist; an exchange does not let the peer see that.
type Credentials struct {
	Keys     []Keys // at most one per mechanism
	Disabled bool   // told only to who has proven the password
}

// keys returns the keys for a mechanism without -PLUS.
func (c Credentials) keys(mech string) (Keys, bool) {
	for _, k := range c.Keys {
		if k.Mechanism == mech {
			return k, k.Validate() == nil
		}
	}
	return Keys{}, false
}

// ServerConfig is what a Server needs to know of its stream and its domain. The functions are called in Step, by its goroutine.
type ServerConfig struct {
	Domain  string   // of the stream, canonical
	Offered []string // all mechanisms that the stream offered, and no other; sorted is faster

	// Lookup gives what the store has of a localpart. An error is one of the store, and becomes temporary-auth-failure. For SCRAM and PLAIN.
	Lookup func(local string) (Credentials, error)
	// Bearer decides on a token, for OAUTHBEARER. An error refuses it: a *Failure as it says, ErrTokenExpired with credentials-expired, all others with
	// not-authorized. The condition temporary-auth-failure stands for a token that could not be decided on.
	Bearer func(token string) (Claims, error)
	// Local prepares a localpart (RFC 7622 §3.3). nil leaves names as they are.
	Local func(name string) (string, error)
	// Bare prepares a bare JID, given as the identity to act as. nil leaves it as it is.
	Bare func(address string) (string, error)

	Binding Binding  // channel bindings of the stream; nil without TLS
	Types   []string // channel binding types that the stream announced (XEP-0440), and no other

	// Secret makes up salts for accounts that do not exist. It must outlive restarts, be the same on all nodes, and have 16 bytes or more: a salt that
	// changes tells that an account does not exist.
	Secret []byte
	// Shapes tells how the keys of accounts that exist look, by mechanism without -PLUS: those made up for an account that does not exist look like some of
	// them. nil, or an empty answer, stands for keys as NewKeys makes them.
	Shapes func(mech string) []Shape
	// HideOffer leaves the hash of the offer out of SCRAM (XEP-0474), for streams on which not everything offered is known here.
	HideOffer bool
	// OpenIDConfiguration is the address of the token issuer's metadata, told when OAUTHBEARER refuses (RFC 7628 §3.2.2); may be "".
	OpenIDConfiguration string
}

// plus tells whether the stream offered channel binding.
func (c *ServerConfig) plus() bool {
	return slices.ContainsFunc(c.Offered, func(m string) bool { return strings.HasSuffix(m, "-PLUS") })
}

// name prepares the localpart that a client gave. ok is false for what cannot be the name of an account.
func (c *ServerConfig) name(authcid string) (local string, ok bool) {
	if c.Local == nil {
		return authcid, true
	}
	local, err := c.Local(authcid)
	if err != nil {
		return authcid, false
	}
	return local, true
}

// authorize checks the identity to act as: none, or the account itself (RFC 6120 §6.3.8).
func (c *ServerConfig) authorize(authzid, local string) error {
	if authzid == "" {
		return nil
	}
	if c.Bare != nil {
		var err error
		if authzid, err = c.Bare(authzid); err != nil {
			return &Failure{Condition: InvalidAuthzid, Cause: err}
		}
	}
	if name, domain, _ := strings.Cut(authzid, "@"); name != local || domain != c.Domain {
		return fail(InvalidAuthzid, "one can only act as the account itself")
	}
	return nil
}

// credentials asks the store for an account whose name could be prepared.
func (c *ServerConfig) credentials(local string, ok bool) (Credentials, error) {
	if !ok {
		return Credentials{}, nil
	}
	cr, err := c.Lookup(local)
	if err != nil {
		return Credentials{}, &Failure{Condition: TemporaryAuthFailure, Cause: err}
	}
	return cr, nil
}

// A Shape is what a client is told of keys before it has proven anything, and on how many accounts they are.
type Shape struct {
	Iterations int
	Salt       int // bytes
	Accounts   int
}

// usualShape is that of NewKeys.
var usualShape = Shape{Iterations: DefaultIterations, Salt: saltSize}

// shape picks one for a name, each as often as accounts have it; at is what it is picked by. The fewest iterations come first: while accounts move on to
// more of them, a name moves on too, and never back.
func (c *ServerConfig) shape(mech string, at uint32) Shape {
	var shapes []Shape
	if c.Shapes != nil {
		shapes = slices.SortedFunc(slices.Values(c.Shapes(mech)), func(a, b Shape) int {
			return cmp.Or(cmp.Compare(a.Iterations, b.Iterations), cmp.Compare(a.Salt, b.Salt))
		})
	}
	all := uint64(0)
	for _, s := range shapes {
		all += uint64(s.Accounts)
	}
	place := uint64(at) * all >> 32
	for _, s := range shapes {
		if place < uint64(s.Accounts) {
			return s
		}
		place -= uint64(s.Accounts)
	}
	return usualShape
}

// decoy makes up the keys of an account that does not exist: always the same ones for the same name, which no password fits. When the name gets another
// shape, as accounts do that change their password, the salt is another too.
func (c *ServerConfig) decoy(h hashing, name string) Keys {
	seed, _ := hashOf(SCRAMSHA256)
	var buf [192]byte
	b := append(append(buf[:0], h.name...), 0)
	b = append(append(b, c.Domain...), 0)
	b = append(b, name...)
	k := seed.mac(make([]byte, 0, 2*seed.size), c.Secret, b)
	shape := c.shape(h.name, binary.BigEndian.Uint32(k[saltSize:]))
	salt := k[:saltSize:saltSize]
	if shape.Iterations != usualShape.Iterations || shape.Salt != usualShape.Salt {
		salt = nil
		for i := byte(0); len(salt) < shape.Salt; i++ {
			salt = seed.mac(salt, c.Secret, binary.BigEndian.AppendUint32(append(b, 0, i), uint32(shape.Iterations)))
		}
		salt = salt[:shape.Salt]
	}
	stored := h.sum(k, k)[len(k):]
	return Keys{Mechanism: h.name, Iterations: shape.Iterations, Salt: salt, StoredKey: stored, ServerKey: stored}
}

// Result is who signed in, and how.
type Result struct {
	Mechanism string
	Local     string // canonical localpart
	Binding   string // channel binding type that was used, "" for none
	Claims    Claims // of the token; zero without OAUTHBEARER
}

// Server is the server's end of one exchange.
type Server struct {
	cfg    ServerConfig
	hash   hashing
	step   func(s *Server, in []byte) (out []byte, done bool, err error) // what takes the next message; nil when the exchange is over
	scram  scramServer
	result Result // filled as it becomes known, shown when done
	lacked []Keys // see Lacked
	begun  bool
	done   bool
}

// errConfig says that a mechanism was offered which cannot be carried out.
var errConfig = errors.New("the configuration lacks Lookup, Bearer, Binding or 16 bytes of Secret, which the mechanism needs")

// NewServer starts an exchange with the mechanism that the client chose. It fails with invalid-mechanism if that was not offered, and with
// temporary-auth-failure if the configuration lacks what it needs.
func NewServer(mech string, cfg ServerConfig) (*Server, error) {
	if !slices.Contains(cfg.Offered, mech) {
		return nil, fail(InvalidMechanism, "")
	}
	s := &Server{cfg: cfg, result: Result{Mechanism: mech}}
	hash, scram := hashOf(mech)
	passwords := cfg.Lookup != nil && len(cfg.Secret) >= 16
	switch {
	case mech == Plain && passwords:
		s.step = (*Server).plain
	case mech == OAuthBearer && cfg.Bearer != nil:
		s.step = (*Server).bearer
	case scram && passwords && (cfg.Binding != nil || !strings.HasSuffix(mech, "-PLUS")):
		s.hash, s.step = hash, (*Server).scramFirst
	default:
		return nil, &Failure{Condition: TemporaryAuthFailure, Cause: errConfig}
	}
	return s, nil
}

// Step takes a message of the client; nil says that it came without an initial response, empty that the initial response is empty (RFC 6120 §6.4.2).
// Without done, out is the next challenge, perhaps empty. With done the client is signed in, and out is the additional data of the success, nil for none.
// in is not kept, out is good until the next Step. An error is a *Failure and ends the exchange.
func (s *Server) Step(in []byte) (out []byte, done bool, err error) {
	if s.step == nil {
		return nil, false, fail(MalformedRequest, "the exchange is over")
	}
	if !s.begun {
		s.begun = true
		if in == nil {
			return []byte{}, false, nil
		}
	}
	if len(in) > maxMessage {
		s.step = nil
		return nil, false, fail(MalformedRequest, "the message is too long")
	}
	out, s.done, err = s.step(s, in)
	if err != nil {
		out, s.done = nil, false
	}
	if err != nil || s.done {
		s.step = nil
	}
	return out, s.done, err
}

// Lacked gives, once Step says done, keys of the password for the mechanisms that the account has none for: with PLAIN the server has seen the password, and
// the next time it need not. nil when there are none, and after other mechanisms.
func (s *Server) Lacked() []Keys {
	if !s.done {
		return nil
	}
	return s.lacked
}

// Result tells who signed in. It is zero until Step says done.
func (s *Server) Result() Result {
	if !s.done {
		return Result{}
	}
	return s.result
}
