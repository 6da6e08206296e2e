package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// RelayConfig says where e-mail goes.
type RelayConfig struct {
	// URL is smtp://user:password@host:port, with STARTTLS required unless the
	// host is this machine or ?tls=may or ?tls=never says otherwise; or
	// smtps://… for TLS from the first byte. Ports default to 587 and 465.
	URL     string
	Helo    string        // how this machine calls itself; "": its host name
	Timeout time.Duration // of each answer of the relay; 0: one minute
	Keys    []Key
	TLS     *tls.Config // nil: the system's roots
}

// A Relay is a mail server that takes e-mail from us. It is safe for many
// goroutines; each connection is for one.
type Relay struct {
	client  *gomail.Client
	timeout time.Duration
	keys    map[string]*dkim.SignOptions
}

// NewRelay checks the configuration. It does not connect.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	host, options, err := relayOptions(cfg)
	if err != nil {
		return nil, err
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail relay: %w", err)
	}
	r := &Relay{client: client, timeout: cfg.Timeout, keys: make(map[string]*dkim.SignOptions, len(cfg.Keys))}
	for _, k := range cfg.Keys {
		s, err := k.signer()
		if err != nil {
			return nil, err
		}
		r.keys[strings.ToLower(k.Domain)] = s
	}
	return r, nil
}

// relayOptions reads the URL.
func relayOptions(cfg RelayConfig) (host string, options []gomail.Option, err error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" {
		return "", nil, errors.New("mail relay: write smtp://user:password@host:port or smtps://…")
	}
	host = u.Hostname()
	port := u.Port()
	options = []gomail.Option{gomail.WithTimeout(cfg.Timeout), gomail.WithoutNoop()}
	if cfg.Helo != "" {
		options = append(options, gomail.WithHELO(cfg.Helo))
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		config = cfg.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	options = append(options, gomail.WithTLSConfig(config))
	if u.Scheme == "smtps" {
		options = append(options, gomail.WithSSL())
		if port == "" {
			port = "465"
		}
	} else {
		policy, err := tlsPolicy(u.Query(), host)
		if err != nil {
			return "", nil, err
		}
		options = append(options, gomail.WithTLSPolicy(policy))
		if port == "" {
			port = "587"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", nil, fmt.Errorf("mail relay: %q is no port", port)
	}
	options = append(options, gomail.WithPort(int(n)))
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, gomail.WithUsername(u.User.Username()), gomail.WithPassword(password),
			gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
	}
	return host, options, nil
}

func tlsPolicy(query url.Values, host string) (gomail.TLSPolicy, error) {
	for k := range query {
		if k != "tls" {
			return 0, fmt.Errorf("mail relay: unknown option %q; there is tls", k)
		}
	}
	switch how := query.Get("tls"); how {
	case "must":
		return gomail.TLSMandatory, nil
	case "may":
		return gomail.TLSOpportunistic, nil
	case "never":
		return gomail.NoTLS, nil
	case "":
	default:
		return 0, fmt.Errorf("mail relay: tls=%s; write must, may or never", how)
	}
	if a, err := netip.ParseAddr(host); host == "localhost" || err == nil && a.IsLoopback() {
		return gomail.NoTLS, nil
	}
	return gomail.TLSMandatory, nil
}

// A State is what is known about a message.
type State uint8

// States of a message after Send.
const (
	Accepted  State = iota // the relay has it
	Refused                // it does not want it, now or later (5xx)
	Later                  // it does not have it; another try may succeed
	Ambiguous              // it may have it: the line broke before its answer
)

func (s State) String() string { return [...]string{"accepted", "refused", "later", "ambiguous"}[s] }

// An Outcome is what became of a message.
type Outcome struct {
	State  State
	Code   int    // of the relay's answer (RFC 5321 §4.2), 0 when there was none
	Status string // enhanced (RFC 3463), or ""
	Reason string // for people: the relay's words, or what went wrong
}

// A Conn is a connection to the relay, for one goroutine.
type Conn struct {
	relay *Relay
	smtp  *smtp.Client
	stop  func() bool // of the context's watch
	dead  bool
}

// Dial connects, starts TLS and signs in. The connection ends with ctx.
func (r *Relay) Dial(ctx context.Context) (*Conn, error) {
	client, err := r.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("mail relay: %w", err)
	}
	c := &Conn{relay: r, smtp: client}
	c.stop = context.AfterFunc(ctx, func() { _ = client.Text.Close() }) // an error would change nothing
	return c, nil
}

// Alive says whether another message may be sent.
func (c *Conn) Alive() bool { return !c.dead }

// Close says good-bye.
func (c *Conn) Close() error {
	c.stop()
	if c.dead {
		return nil
	}
	c.dead = true
	if err := c.smtp.UpdateDeadline(c.relay.timeout); err != nil {
		return c.smtp.Close()
	}
	if err := c.smtp.Quit(); err != nil {
		return errors.Join(err, c.smtp.Close())
	}
	return nil
}

// Send hands a message to the relay. Once the relay has taken sender and
// recipient, and before it hears DATA, handing is called: it writes down that
// the message is about to go, and when it fails nothing is sent. After a crash
// a message that was not handed was not sent.
func (c *Conn) Send(m *Message, handing func() error) Outcome {
	if c.dead {
		return Outcome{State: Later, Reason: "the connection to the mail relay is closed"}
	}
	raw, err := m.bytes(c.relay.keys[strings.ToLower(m.From.Domain())])
	if err != nil {
		return Outcome{State: Refused, Reason: err.Error()}
	}
	sender := m.Sender
	if sender == "" {
		sender = m.From.Mail
	}
	if err := c.envelope(sender, m.To.Mail); err != nil {
		return c.refused(err)
	}
	if err := handing(); err != nil {
		c.reset()
		return Outcome{State: Later, Reason: err.Error()}
	}
	w, err := c.smtp.Data()
	if err != nil {
		return c.refused(err)
	}
	return c.data(w, raw)
}

func (c *Conn) envelope(sender, recipient string) error {
	if err := c.smtp.UpdateDeadline(c.relay.timeout); err != nil {
		return err
	}
	if err := c.smtp.Mail("<" + sender + ">"); err != nil {
		return err
	}
	return c.smtp.Rcpt("<" + recipient + ">")
}

// data sends the content and waits for the verdict.
func (c *Conn) data(w io.WriteCloser, raw []byte) Outcome {
	if err := c.smtp.UpdateDeadline(c.relay.timeout); err != nil {
		c.drop()
		return Outcome{State: Later, Reason: err.Error()}
	}
	if _, err := io.Copy(w, bytes.NewReader(raw)); err != nil {
		// Without its last line no relay delivers it (RFC 5321 §4.1.1.4). The
		// line is cut, for a QUIT would end the content first.
		c.drop()
		return Outcome{State: Later, Reason: "the mail relay went away while it was sent: " + err.Error()}
	}
	err := w.Close()
	var answer *textproto.Error
	switch {
	case err == nil:
		o := Outcome{State: Accepted, Code: 250}
		if d, ok := w.(*smtp.DataCloser); ok {
			o.Status, o.Reason = enhanced(d.ServerResponse())
		}
		return o
	case errors.As(err, &answer):
		return c.refused(err)
	}
	c.drop()
	return Outcome{State: Ambiguous, Reason: "the mail relay did not answer after the message: " + err.Error()}
}

// refused tells what an error of a command means, and makes the connection
// ready for the next message, or drops it.
func (c *Conn) refused(err error) Outcome {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		c.drop()
		return Outcome{State: Later, Reason: "mail relay: " + err.Error()}
	}
	o := Outcome{State: Later, Code: answer.Code}
	o.Status, o.Reason = enhanced(answer.Msg)
	o.Reason = strconv.Itoa(answer.Code) + " " + strings.TrimSpace(o.Status+" "+o.Reason)
	if answer.Code >= 500 {
		o.State = Refused
	}
	if answer.Code == 421 { // RFC 5321 §3.8: the relay closes
		c.drop()
	} else {
		c.reset()
	}
	return o
}

func (c *Conn) reset() {
	if err := c.smtp.Reset(); err != nil {
		c.drop()
	}
}

func (c *Conn) drop() {
	c.stop()
	c.dead = true
	_ = c.smtp.Text.Close() // nothing follows on it
}

// enhanced parts the status of RFC 3463 from the words of an answer, and makes
// one line of them.
func enhanced(answer string) (status, words string) {
	words = strings.Join(strings.Fields(answer), " ")
	if len(words) > 500 {
		words = strings.ToValidUTF8(words[:500], "")
	}
	first, rest, _ := strings.Cut(words, " ")
	if validStatus(first) {
		return first, rest
	}
	return "", words
}

// validStatus: class "." subject "." detail, class 2, 4 or 5 (RFC 3463 §2).
func validStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("245", parts[0]) {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n > 999 {
			return false
		}
	}
	return true
}
