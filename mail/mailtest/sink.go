// Package mailtest is a mail server for tests: it keeps what it takes, and
// misbehaves as it is told.
package mailtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// A Fault is how the sink misbehaves with one message.
type Fault uint8

// Faults, in the order of the conversation.
const (
	None       Fault = iota
	Later            // 451 to RCPT
	Never            // 550 to RCPT
	LaterData        // 451 after the content
	NeverData        // 554 after the content
	HangUp           // closes after the content, which it has thrown away
	TakeHangUp       // takes the message and closes without an answer
	Silent           // takes the message and never answers
	Busy             // 421 to RCPT, then closes
)

// A Delivery is a message that the sink took.
type Delivery struct {
	ID   string // of Message-ID, without brackets
	From string // of the envelope
	To   string
	Raw  []byte
	At   time.Time
}

// A Sink is a mail server on loopback.
type Sink struct {
	// Fault decides about a message by its recipient and its turn on this
	// sink, counted from 1; nil: none. It is called at RCPT.
	Fault func(to string, turn int) Fault
	// Light keeps no raw bytes.
	Light bool

	server   *smtp.Server
	listener net.Listener
	quit     chan struct{}
	ended    chan struct{}

	mu        sync.Mutex
	turn      int
	delivered []Delivery
	count     map[string]int // by id
}

// Start listens on a free port of 127.0.0.1, with STARTTLS when there is a
// certificate.
func (s *Sink) Start(cert *tls.Certificate) error {
	s.count = make(map[string]int)
	s.quit, s.ended = make(chan struct{}), make(chan struct{})
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &visit{sink: s, conn: c}, nil
	}))
	s.server.Domain = "sink.test"
	s.server.MaxMessageBytes = 8 << 20
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = silent{}
	if cert != nil {
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("mail sink: %w", err)
	}
	s.listener = l
	go func() { // ends with Close
		defer close(s.ended)
		_ = s.server.Serve(l) // it ends with an error by design
	}()
	return nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// URL is what a relay is configured with.
func (s *Sink) URL() string { return "smtp://" + s.listener.Addr().String() }

// Close ends it; streams are cut.
func (s *Sink) Close() error {
	close(s.quit)
	err := s.server.Close()
	<-s.ended
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// Deliveries is what it has taken so far, in order.
func (s *Sink) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.delivered...)
}

// Counts is how often each message id was taken.
func (s *Sink) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, len(s.count))
	for id, n := range s.count {
		counts[id] = n
	}
	return counts
}

// Taken is how many messages it has taken.
func (s *Sink) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.delivered)
}

func (s *Sink) take(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered = append(s.delivered, d)
	s.count[d.ID]++
}

func (s *Sink) next(to string) Fault {
	s.mu.Lock()
	s.turn++
	turn := s.turn
	s.mu.Unlock()
	if s.Fault == nil {
		return None
	}
	return s.Fault(to, turn)
}

// A visit is one connection.
type visit struct {
	sink     *Sink
	conn     *smtp.Conn
	from, to string
	fault    Fault
}

func answer(code, class, subject, detail int, words string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: words}
}

func (v *visit) Reset()        { v.from, v.to, v.fault = "", "", None }
func (v *visit) Logout() error { return nil }

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	v.from = from
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.to, v.fault = to, v.sink.next(to)
	switch v.fault {
	case Later:
		return answer(451, 4, 2, 1, "mailbox busy, try again")
	case Never:
		return answer(550, 5, 1, 1, "no such user")
	case Busy:
		return answer(421, 4, 3, 2, "too busy")
	}
	return nil
}

func (v *visit) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch v.fault {
	case LaterData:
		return answer(451, 4, 3, 0, "try again later")
	case NeverData:
		return answer(554, 5, 7, 1, "looks like spam")
	case HangUp:
		return v.hangUp()
	}
	d := Delivery{From: v.from, To: v.to, At: time.Now()}
	if m, err := netmail.ReadMessage(bytes.NewReader(raw)); err == nil {
		d.ID = trim(m.Header.Get("Message-Id"))
	}
	if !v.sink.Light {
		d.Raw = raw
	}
	v.sink.take(d)
	switch v.fault {
	case TakeHangUp:
		return v.hangUp()
	case Silent:
		<-v.sink.quit
		return v.hangUp()
	}
	return nil
}

func (v *visit) hangUp() error {
	_ = v.conn.Conn().Close() // that is the fault
	return io.ErrClosedPipe
}

func trim(id string) string {
	return string(bytes.Trim([]byte(id), "<> "))
}
