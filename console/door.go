package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// sessionCookie is the name of the cookie of who signed in.
const sessionCookie = "bearhug_session"

// Bounds of requests.
const (
	maxKeyName = 190       // bytes of an idempotency key
	maxBody    = 1 << 20   // of a request, where an operation says nothing else
	maxLarge   = 128 << 20 // of any request
	maxKept    = 1 << 20   // of an answer that is kept for an idempotency key
)

// who is who asks. The zero value is nobody.
type who struct {
	Org    feature.Org // 0: the whole server
	Role   Role
	Name   string   // in the audit log and as the maker of things
	Key    string   // in limits and idempotency keys; short
	Scopes []string // of a token; none: all of the role's
	Local  string   // the account, when it is a person
}

// call is one request on its way.
type call struct {
	*Console
	who    who
	org    feature.Org // that the request is about
	domain string
	op     *operation

	address string
	secure  bool
	cookie  string
	sum     []byte // of the request, when it has an idempotency key
	out     *recorder
	audited bool
	subject string
}

// callKey finds the call in the context of a request: huma's functions are
// given nothing else.
type callKey struct{}

// door is what every request goes through.
func (c *Console) door(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p == http.ErrAbortHandler { // an answer that was cut short looks so
				panic(p)
			} else if p != nil {
				c.Log.Error("request panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if out.status == 0 {
					refuse(out, http.StatusInternalServerError, "this failed on the server's side; its log says why")
				}
			}
		}()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if err := c.origin.Check(r); err != nil {
			refuse(out, http.StatusForbidden, "this request comes from another site")
			return
		}
		k, wait, err := c.enter(r)
		k.out = out
		switch {
		case wait > 0:
			out.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			refuse(out, http.StatusTooManyRequests, fmt.Sprintf("too many requests; try again in %v", wait.Round(time.Second)))
		case errors.Is(err, store.ErrNotFound):
			refuse(out, http.StatusUnauthorized, "this token or session is not known, or its time is over: sign in again")
		case err != nil:
			c.Log.Log(r.Context(), store.Severity(err), "request not let in", "cause", err)
			out.Header().Set("Retry-After", "5")
			refuse(out, http.StatusServiceUnavailable, "the database does not answer; try again in a few seconds")
		default:
			c.read(k, next, r)
		}
	})
}

// enter finds who asks and whether they may ask now.
func (c *Console) enter(r *http.Request) (k *call, wait time.Duration, err error) {
	k = &call{Console: c}
	k.address, k.secure = c.Client(r)
	now := c.Now()
	auth := r.Header.Get("Authorization")
	cookie, _ := r.Cookie(sessionCookie) // no cookie is no error
	switch {
	case auth != "":
		text, ok := cutBearer(auth)
		if !ok {
			return k, c.limits.take("address "+k.address, 1, now), store.ErrNotFound
		}
		if wait := c.failed.check("address "+k.address, 1, now); wait > 0 {
			return k, wait, nil
		}
		var t *store.APIToken
		if t, err = c.Store.Token(r.Context(), text, now); err == nil {
			k.who = who{Org: t.Org, Role: Role(t.Role), Name: "token " + t.Name, Key: fmt.Sprintf("token %d", t.ID), Scopes: t.Scopes}
		}
	case cookie != nil && cookie.Value != "":
		var s *store.WebSession
		if s, err = c.Store.WebSession(r.Context(), cookie.Value, now); err == nil {
			k.cookie = cookie.Value
			sum := sha256.Sum256([]byte(s.Account))
			k.who = who{Org: s.Org, Role: Role(s.Role), Name: s.Account, Key: fmt.Sprintf("account %x", sum[:16]), Local: s.Account}
		} else if errors.Is(err, store.ErrNotFound) && r.URL.Path == sessionPath {
			err = nil // whoever signs in anew has an old cookie
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		c.failed.take("address "+k.address, 1, now)
	}
	name := "address " + k.address
	if k.who.Role != "" {
		name = fmt.Sprintf("%d %s", k.who.Org, k.who.Key)
	}
	return k, c.limits.take(name, 1, now), err
}

func cutBearer(text string) (token string, ok bool) {
	const scheme = "bearer "
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(text[len(scheme):]), true
}

// read bounds the body, sums it up when the request has an idempotency key, and
// goes on.
func (c *Console) read(k *call, next http.Handler, r *http.Request) {
	r.Body = http.MaxBytesReader(k.out, r.Body, maxLarge)
	if r.ContentLength > maxBody || r.ContentLength < 0 {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
		default:
			k.out.Header().Set("Retry-After", "10")
			refuse(k.out, http.StatusServiceUnavailable, "other large files are being read; try again in a few seconds")
			return
		}
	}
	name := r.Header.Get("Idempotency-Key")
	if name != "" && r.Method != http.MethodGet {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		switch {
		case err != nil:
			refuse(k.out, http.StatusBadRequest, "the body could not be read to its end")
			return
		case len(body) > maxBody || len(name) > maxKeyName:
			refuse(k.out, http.StatusUnprocessableEntity, fmt.Sprintf("a request with an Idempotency-Key has at most %d bytes, the key %d", maxBody, maxKeyName))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h := sha256.New()
		fmt.Fprintf(h, "%s\x00%s\x00", r.Method, r.URL.RequestURI())
		h.Write(body)
		k.sum = h.Sum(nil)
	}
	next.ServeHTTP(k.out, r.WithContext(context.WithValue(r.Context(), callKey{}, k)))
}

// recorder keeps an answer for an idempotency key, as far as it is not too long.
type recorder struct {
	http.ResponseWriter
	status int
	keeps  bool
	body   bytes.Buffer
	cut    bool
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.keeps {
		if r.body.Len()+len(b) > maxKept {
			r.cut = true
		} else {
			r.body.Write(b)
		}
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
