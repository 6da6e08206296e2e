package sasl

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
)

// scramServer is what the server's end of SCRAM remembers between the two messages of the client.
type scramServer struct {
	// text begins with the client's GS2 header; what follows is AuthMessage (RFC 5802 §3): client-first-message-bare, server-first-message and, at the
	// end, client-final-message-without-proof, with commas between.
	text     []byte
	gs2      int // length of the GS2 header
	nonce    [2]int
	keys     Keys
	known    bool // the keys are those of an account, not made up
	disabled bool
	fixed    string // the server's nonce, in tests of published vectors
}

// nonceSize is the number of random bytes in a nonce.
const nonceSize = 18

// errProof is the one answer to a wrong password, an unknown account, and an account that has no keys for the mechanism.
func errProof() error { return fail(NotAuthorized, "") }

// scramFirst takes client-first-message and gives server-first-message (RFC 5802 §5).
func (s *Server) scramFirst(in []byte) ([]byte, bool, error) {
	g, ok := parseGS2(in)
	if !ok {
		return nil, false, fail(MalformedRequest, "the GS2 header is not well-formed")
	}
	if err := s.checkFlag(g); err != nil {
		return nil, false, err
	}
	bare := in[g.size:]
	name, clientNonce, err := parseClientFirst(bare)
	if err != nil {
		return nil, false, err
	}
	local, ok := s.cfg.name(name)
	if err := s.cfg.authorize(g.authzid, local); err != nil {
		return nil, false, err
	}
	cr, err := s.cfg.credentials(local, ok)
	if err != nil {
		return nil, false, err
	}
	sc := &s.scram
	// Made up for all, so that it takes no longer for those who do not exist.
	sc.keys = s.cfg.decoy(s.hash, local)
	if k, found := cr.keys(s.hash.name); found {
		sc.keys, sc.known, sc.disabled = k, true, cr.Disabled
	}
	s.result.Local, s.result.Binding = local, g.binding

	// One buffer for the whole exchange: the client's last message repeats the nonce and adds the channel binding.
	n := len(in) + 2*len(clientNonce) + len(sc.keys.Salt)*4/3 + g.size*4/3 + 256
	sc.text = append(append(make([]byte, 0, n), in...), ',')
	sc.gs2 = g.size
	first := len(sc.text)
	sc.text = append(sc.text, "r="...)
	sc.nonce[0] = len(sc.text)
	sc.text = sc.appendNonce(append(sc.text, clientNonce...))
	sc.nonce[1] = len(sc.text)
	sc.text = appendAttribute(append(sc.text, ','), 's', sc.keys.Salt)
	sc.text = strconv.AppendInt(append(sc.text, ",i="...), int64(sc.keys.Iterations), 10)
	if !s.cfg.HideOffer {
		sc.text = appendOffer(append(sc.text, ','), s.hash, s.cfg.Offered, s.cfg.Types)
	}
	s.step = (*Server).scramFinal
	end := len(sc.text)
	return sc.text[first:end:end], false, nil
}

// checkFlag compares what the client says of channel binding with what was offered (RFC 5802 §6).
func (s *Server) checkFlag(g gs2Header) error {
	plus := strings.HasSuffix(s.result.Mechanism, "-PLUS")
	switch {
	case plus != (g.flag == 'p'):
		return fail(MalformedRequest, "the GS2 header does not fit the mechanism")
	case plus && !slices.Contains(s.cfg.Types, g.binding):
		return fail(NotAuthorized, "channel binding type "+g.binding+" was not announced")
	case g.flag == 'y' && s.cfg.plus():
		// The client would have bound the channel, but somebody has hidden from it that we do.
		return fail(NotAuthorized, "channel binding was offered: somebody in between has changed the offer")
	}
	return nil
}

// parseClientFirst reads client-first-message-bare: the name, decoded, and the nonce.
func parseClientFirst(b []byte) (name string, clientNonce []byte, err error) {
	if bytes.HasPrefix(b, []byte("m=")) {
		return "", nil, fail(MalformedRequest, "a mandatory extension is not supported")
	}
	n, rest, more, ok := attribute(b, 'n')
	if !ok || !more {
		return "", nil, fail(MalformedRequest, "the user name is missing")
	}
	if name, ok = saslname(n); !ok {
		return "", nil, fail(MalformedRequest, "the user name is not well-formed")
	}
	clientNonce, rest, more, ok = attribute(rest, 'r')
	if !ok || !nonce(clientNonce) {
		return "", nil, fail(MalformedRequest, "the nonce is missing or not well-formed")
	}
	if more && !extensions(rest, "nr", nil) {
		return "", nil, fail(MalformedRequest, "an extension is not well-formed")
	}
	return name, clientNonce, nil
}

func (sc *scramServer) appendNonce(dst []byte) []byte {
	if sc.fixed != "" {
		return append(dst, sc.fixed...)
	}
	var b [nonceSize]byte
	rand.Read(b[:]) // never fails
	return strict.AppendEncode(dst, b[:])
}

// scramFinal takes client-final-message and gives server-final-message.
func (s *Server) scramFinal(in []byte) ([]byte, bool, error) {
	sc := &s.scram
	// The proof is the last attribute, and covers what precedes it.
	at := bytes.LastIndex(in, []byte(",p="))
	if at < 0 {
		return nil, false, fail(MalformedRequest, "the proof is missing")
	}
	var buf [64]byte
	proof, ok := decode(buf[:0], in[at+len(",p="):], s.hash.size)
	if !ok || len(proof) != s.hash.size {
		return nil, false, fail(MalformedRequest, "the proof is not well-formed")
	}
	binding, rest, more, ok := attribute(in[:at], 'c')
	if !ok || !more {
		return nil, false, fail(MalformedRequest, "the channel binding is missing")
	}
	echo, rest, more, ok := attribute(rest, 'r')
	if !ok || more && !extensions(rest, "crp", nil) {
		return nil, false, fail(MalformedRequest, "the nonce is missing or an extension is not well-formed")
	}
	if err := s.checkBinding(binding); err != nil {
		return nil, false, err
	}
	if subtle.ConstantTimeCompare(echo, sc.text[sc.nonce[0]:sc.nonce[1]]) != 1 {
		return nil, false, fail(MalformedRequest, "the nonce is not the one of the challenge")
	}
	sc.text = append(append(sc.text, ','), in[:at]...)
	return s.prove(sc.text[sc.gs2:], proof)
}

// checkBinding compares the client's c attribute with the GS2 header it sent and the channel as we see it.
func (s *Server) checkBinding(got []byte) error {
	var buf [256]byte
	want := append(buf[:0], s.scram.text[:s.scram.gs2]...)
	if s.result.Binding != "" {
		data, err := s.cfg.Binding(s.result.Binding)
		if err != nil {
			return &Failure{Condition: TemporaryAuthFailure, Text: "the channel binding is not to be had", Cause: err}
		}
		want = append(want, data...)
	}
	var enc [384]byte
	if subtle.ConstantTimeCompare(got, strict.AppendEncode(enc[:0], want)) != 1 {
		return fail(NotAuthorized, "the channel bindings do not match")
	}
	return nil
}

// prove checks the client's proof and makes the server's. The proof is spent.
func (s *Server) prove(message, proof []byte) ([]byte, bool, error) {
	h, sc := s.hash, &s.scram
	var buf, digest [64]byte
	signature := h.mac(buf[:0], sc.keys.StoredKey, message)
	subtle.XORBytes(proof, proof, signature) // now ClientKey
	match := subtle.ConstantTimeCompare(h.sum(digest[:0], proof), sc.keys.StoredKey) == 1
	// The server's proof is made before it is known whether it will be sent, so that a refusal takes as long.
	signature = h.mac(buf[:0], sc.keys.ServerKey, message)
	if !match || !sc.known {
		return nil, false, errProof()
	}
	if sc.disabled {
		return nil, false, fail(AccountDisabled, "")
	}
	return appendAttribute(make([]byte, 0, 48), 'v', signature), true, nil
}
