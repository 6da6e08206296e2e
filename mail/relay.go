package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/wneessen/go-mail/smtp"
)

// RelayConfig says where e-mail goes.
type RelayConfig struct {
	// URL is smtp://user:password@host:port, with STARTTLS required unless the
	// host is this machine or ?tls=may or ?tls=never says otherwise; or
	// smtps://… for TLS from the first byte. Ports default to 587 and 465.
	URL     string
	Helo    string        // how this machine calls itself; "": its host name
	Timeout time.Duration // of each answer of the relay; 0: one minute. The last answer may take twice as long (RFC 5321 §4.5.3.2.6)
	Keys    []Key
	TLS     *tls.Config // nil: the system's roots
}

// A Relay is a mail server that takes e-mail from us. It is safe for many
// goroutines; each connection is for one.
type Relay struct {
	host, address  string
	helo           string
	user, password string
	how            security
	loopback       bool
	tls            *tls.Config
	timeout        time.Duration
	keys           map[string]*dkim.SignOptions // by domain: lower case, A-labels
}

// security is when TLS begins.
type security uint8

const (
	fromStart security = iota // smtps
	must                      // STARTTLS, or nothing
	may                       // STARTTLS when it is offered
	never
)

// NewRelay checks the configuration. It does not connect.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	r := &Relay{helo: cfg.Helo, timeout: cfg.Timeout, keys: make(map[string]*dkim.SignOptions, len(cfg.Keys))}
	if r.timeout <= 0 {
		r.timeout = time.Minute
	}
	if r.helo == "" {
		if name, err := os.Hostname(); err == nil {
			r.helo = name
		}
	}
	if err := header("helo", r.helo); err != nil || strings.Contains(r.helo, " ") {
		return nil, fmt.Errorf("mail relay: %q is no host name", r.helo)
	}
	if r.helo == "" {
		r.helo = "localhost"
	}
	if err := r.read(cfg.URL); err != nil {
		return nil, err
	}
	r.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		r.tls = cfg.TLS.Clone()
	}
	if r.tls.ServerName == "" {
		r.tls.ServerName = r.host
	}
	for _, k := range cfg.Keys {
		s, err := k.signer()
		if err != nil {
			return nil, err
		}
		r.keys[strings.ToLower(s.Domain)] = s
	}
	return r, nil
}

// read reads the URL.
func (r *Relay) read(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" {
		return errors.New("mail relay: write smtp://user:password@host:port or smtps://…")
	}
	r.host = u.Hostname()
	a, err := netip.ParseAddr(r.host)
	r.loopback = r.host == "localhost" || err == nil && a.IsLoopback()
	port := "465"
	if u.Scheme == "smtp" {
		port = "587"
		if r.how, err = securityOf(u.Query(), r.loopback); err != nil {
			return err
		}
	}
	if p := u.Port(); p != "" {
		port = p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("mail relay: %q is no port", port)
	}
	r.address = net.JoinHostPort(r.host, port)
	if u.User != nil {
		r.user = u.User.Username()
		r.password, _ = u.User.Password()
	}
	return nil
}

func securityOf(query url.Values, loopback bool) (security, error) {
	for k := range query {
		if k != "tls" {
			return 0, fmt.Errorf("mail relay: unknown option %q; there is tls", k)
		}
	}
	switch how := query.Get("tls"); how {
	case "must":
		return must, nil
	case "may":
		return may, nil
	case "never":
		return never, nil
	case "":
	default:
		return 0, fmt.Errorf("mail relay: tls=%s; write must, may or never", how)
	}
	if loopback {
		return never, nil
	}
	return must, nil
}

// key signs for a sender, or is nil.
func (r *Relay) key(from Address) *dkim.SignOptions {
	domain, err := asciiDomain(from.Domain())
	if err != nil {
		return nil
	}
	return r.keys[strings.ToLower(domain)]
}

// Dial connects, starts TLS and signs in. The connection ends with ctx.
func (r *Relay) Dial(ctx context.Context) (*Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", r.address)
	if err != nil {
		return nil, fmt.Errorf("mail relay: %w", err)
	}
	c := &Conn{relay: r, line: &line{Conn: raw}}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.Close() }) // an error would change nothing
	if err := c.greet(); err != nil {
		c.drop()
		return nil, fmt.Errorf("mail relay: %w", err)
	}
	return c, nil
}

// greet is the conversation before the first message.
func (c *Conn) greet() error {
	r := c.relay
	if err := c.line.expect(r.timeout); err != nil {
		return err
	}
	var conn net.Conn = c.line
	encrypted := r.how == fromStart
	if encrypted {
		conn = tls.Client(c.line, r.tls)
	}
	var err error
	if c.smtp, err = smtp.NewClient(conn, r.host); err != nil {
		return err
	}
	if err := errors.Join(c.line.expect(r.timeout), c.smtp.Hello(r.helo)); err != nil {
		return err
	}
	if offered, _ := c.smtp.Extension("STARTTLS"); offered && (r.how == must || r.how == may) {
		if err := errors.Join(c.line.expect(r.timeout), c.smtp.StartTLS(r.tls)); err != nil {
			return err
		}
		encrypted = true
	} else if r.how == must {
		return errors.New("it offers no STARTTLS; write smtps://, or ?tls=may when the way to it is safe")
	}
	if r.user != "" {
		_, offered := c.smtp.Extension("AUTH")
		auth, err := r.auth(offered, encrypted)
		if err != nil {
			return err
		}
		if err := errors.Join(c.line.expect(r.timeout), c.smtp.Auth(auth)); err != nil {
			return fmt.Errorf("sign in as %s: %w", r.user, err)
		}
	}
	c.pipelining, _ = c.smtp.Extension("PIPELINING")
	c.utf8, _ = c.smtp.Extension("SMTPUTF8")
	c.size, _ = c.smtp.Extension("SIZE")
	return nil
}

// auth chooses how to sign in: the password goes over the line only where
// nobody listens.
func (r *Relay) auth(offered string, encrypted bool) (smtp.Auth, error) {
	has := strings.Fields(strings.ToUpper(offered))
	safe := encrypted || r.loopback
	switch {
	case slices.Contains(has, "SCRAM-SHA-256"):
		return smtp.ScramSHA256Auth(r.user, r.password), nil
	case safe && slices.Contains(has, "PLAIN"):
		return smtp.PlainAuth("", r.user, r.password, r.host, true), nil
	case safe && slices.Contains(has, "LOGIN"):
		return smtp.LoginAuth(r.user, r.password, r.host, true), nil
	case slices.Contains(has, "SCRAM-SHA-1"):
		return smtp.ScramSHA1Auth(r.user, r.password), nil
	case slices.Contains(has, "CRAM-MD5"):
		return smtp.CRAMMD5Auth(r.user, r.password), nil
	}
	if len(has) == 0 {
		return nil, errors.New("it does not let anybody sign in; leave user and password out")
	}
	return nil, fmt.Errorf("it lets nobody sign in in a way that is safe here (%s)", strings.Join(has, " "))
}

// maxAnswer is what a relay may send in answer to one command, bytes; a
// handshake of TLS counts as one.
const maxAnswer = 256 << 10

// A line is the connection beneath TLS. What comes over it until the next
// command is bounded.
type line struct {
	net.Conn
	left int // bytes
}

// expect is called before a command.
func (l *line) expect(within time.Duration) error {
	l.left = maxAnswer
	return l.SetDeadline(time.Now().Add(within))
}

func (l *line) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("it does not stop talking")
	}
	n, err := l.Conn.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
