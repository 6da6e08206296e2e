package sasl

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
)

// scramClient is what the client's end of SCRAM remembers.
type scramClient struct {
	hash    hashing
	binding string // channel binding type, "" for none
	text    []byte // GS2 header and AuthMessage, as in scramServer
	gs2     int
	nonce   string
	keys    ClientKeys
	fixed   string // the client's nonce, in tests of published vectors
}

// scramFirst gives client-first-message.
func (c *Client) scramFirst([]byte) ([]byte, bool, error) {
	sc := &c.scram
	if sc.nonce = sc.fixed; sc.nonce == "" {
		var b [nonceSize]byte
		rand.Read(b[:]) // never fails
		sc.nonce = strict.EncodeToString(b[:])
	}
	b := append(make([]byte, 0, 512), c.flag()...)
	b = append(b, ',')
	if c.cfg.Authzid != "" {
		b = appendSaslname(append(b, "a="...), c.cfg.Authzid)
	}
	b = append(b, ',')
	sc.gs2 = len(b)
	b = appendSaslname(append(b, "n="...), c.cfg.Local)
	sc.text = append(append(b, ",r="...), sc.nonce...)
	c.step = (*Client).scramFinal
	return slices.Clone(sc.text), false, nil
}

// flag says what the client does about channel binding (RFC 5802 §6). It says y, would bind but was not offered to, only if that is so: a server that did
// offer takes y for a sign that somebody has changed the offer.
func (c *Client) flag() string {
	switch {
	case c.scram.binding != "":
		return "p=" + c.scram.binding
	case c.cfg.Binding == nil, slices.ContainsFunc(c.cfg.Offered, func(m string) bool { return strings.HasSuffix(m, "-PLUS") }):
		return "n"
	}
	return "y"
}

// scramFinal takes server-first-message and gives client-final-message.
func (c *Client) scramFinal(in []byte) ([]byte, bool, error) {
	sc := &c.scram
	combined, salt, iterations, err := c.parseServerFirst(in)
	if err != nil {
		return nil, false, err
	}
	if k := c.cfg.Keys; k != nil && k.Mechanism == sc.hash.name && k.Iterations == iterations && bytes.Equal(k.Salt, salt) {
		sc.keys = *k
	} else {
		if c.cfg.Password == "" {
			return nil, false, fail(Aborted, "the keys are of another salt or iteration count, and there is no password")
		}
		if sc.keys, err = DeriveClient(sc.hash.name, c.cfg.Password, iterations, salt); err != nil {
			return nil, false, &Failure{Condition: Aborted, Cause: err}
		}
	}
	channel := slices.Clone(sc.text[:sc.gs2])
	if sc.binding != "" {
		data, err := c.cfg.Binding(sc.binding)
		if err != nil {
			return nil, false, &Failure{Condition: Aborted, Cause: err}
		}
		channel = append(channel, data...)
	}
	sc.text = append(append(append(sc.text, ','), in...), ',')
	start := len(sc.text)
	sc.text = appendAttribute(sc.text, 'c', channel)
	sc.text = append(append(sc.text, ",r="...), combined...)
	var buf [64]byte
	proof := sc.hash.mac(buf[:0], sc.hash.sum(nil, sc.keys.ClientKey), sc.text[sc.gs2:])
	subtle.XORBytes(proof, proof, sc.keys.ClientKey)
	c.step = (*Client).scramVerify
	return appendAttribute(append(slices.Clone(sc.text[start:]), ','), 'p', proof), false, nil
}

// parseServerFirst reads server-first-message and checks it: it must go on with our nonce, ask for a sensible number of iterations, and if it has the hash
// of the offer, that must be of the offer we saw (XEP-0474).
func (c *Client) parseServerFirst(in []byte) (combined, salt []byte, iterations int, err error) {
	sc := &c.scram
	bad := func(text string) ([]byte, []byte, int, error) { return nil, nil, 0, fail(Aborted, text) }
	if bytes.HasPrefix(in, []byte("m=")) {
		return bad("the server asks for an extension that is not supported")
	}
	combined, rest, more, ok := attribute(in, 'r')
	if !ok || !more || !nonce(combined) || len(combined) <= len(sc.nonce) || string(combined[:len(sc.nonce)]) != sc.nonce {
		return bad("the server's nonce is not well-formed or does not go on with ours")
	}
	encoded, rest, more, ok := attribute(rest, 's')
	if !ok || !more {
		return bad("the salt is missing")
	}
	if salt, ok = decode(nil, encoded, maxSalt); !ok || len(salt) == 0 {
		return bad("the salt is not well-formed")
	}
	count, rest, more, ok := attribute(rest, 'i')
	if !ok || count[0] < '1' || count[0] > '9' {
		return bad("the iteration count is missing or not well-formed")
	}
	if iterations, err = strconv.Atoi(string(count)); err != nil {
		return bad("the iteration count is not well-formed")
	}
	least := c.cfg.MinIterations
	if least == 0 {
		least = DefaultIterations
	}
	if iterations < least || iterations > MaxIterations {
		return bad("the iteration count is too small or too great: " + strconv.Itoa(iterations))
	}
	changed := false
	if more && !extensions(rest, "rsi", func(name byte, val []byte) {
		if name == 'h' && len(c.cfg.Offered) > 0 {
			want := appendOffer(nil, sc.hash, c.cfg.Offered, c.cfg.Types)[len("h="):]
			changed = subtle.ConstantTimeCompare(val, want) != 1
		}
	}) {
		return bad("an extension is not well-formed")
	}
	if changed {
		return bad("what the server offered has been changed on the way")
	}
	return combined, salt, iterations, nil
}

// scramVerify takes server-final-message: the server proves that it knows the account.
func (c *Client) scramVerify(in []byte) ([]byte, bool, error) {
	sc := &c.scram
	if val, _, _, ok := attribute(in, 'e'); ok {
		return nil, false, fail(NotAuthorized, "the server says "+strconv.QuoteToASCII(string(val)))
	}
	val, rest, more, ok := attribute(in, 'v')
	if !ok || more && !extensions(rest, "v", nil) {
		return nil, false, fail(Aborted, "the server's proof is missing or not well-formed")
	}
	var buf, enc [64]byte
	want := strict.AppendEncode(enc[:0], sc.hash.mac(buf[:0], sc.keys.ServerKey, sc.text[sc.gs2:]))
	if subtle.ConstantTimeCompare(val, want) != 1 {
		return nil, false, fail(Aborted, "the server does not know the account: its proof is wrong")
	}
	return nil, true, nil
}
