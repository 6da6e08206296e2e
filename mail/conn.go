package mail

import (
	"bytes"
	"errors"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

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

// Dead says that the address does not work, so nothing more is written to it:
// what a hard [Bounce] would say. In doubt it is false.
func (o Outcome) Dead() bool {
	kind, _ := judge(o.Status, o.Reason)
	return o.State == Refused && o.Code > 0 && kind == Hard
}

// A Conn is a connection to the relay, for one goroutine.
type Conn struct {
	relay *Relay
	line  *line
	smtp  *smtp.Client
	stop  func() bool // of the context's watch
	// What the relay offers: RFC 2920, 6531, 1870.
	pipelining, utf8, size bool
	dead                   bool
	content                []byte // of the message, with its dots doubled; reused
}

// Alive says whether another message may be sent.
func (c *Conn) Alive() bool { return !c.dead }

// farewell is how long Close waits at most.
const farewell = 5 * time.Second

// Close says good-bye.
func (c *Conn) Close() error {
	c.stop()
	if c.dead {
		return nil
	}
	c.dead = true
	err := c.line.expect(min(farewell, c.relay.timeout))
	if err == nil {
		_, err = c.command(2, "QUIT\r\n")
	}
	return errors.Join(err, c.line.Close())
}

// Send hands a message to the relay. Once the relay has taken sender and
// recipient, and before it hears DATA, handing is called: it writes down that
// the message is about to go, and when it fails nothing is sent. After a crash
// a message that was not handed was not sent.
func (c *Conn) Send(m *Message, handing func() error) Outcome {
	if c.dead {
		return Outcome{State: Later, Reason: "the connection to the mail relay is closed"}
	}
	e, err := m.envelope()
	var raw []byte
	if err == nil {
		raw, err = m.bytes(c.relay.key(m.From))
	}
	if err == nil && e.utf8 && !c.utf8 {
		err = errors.New("the mail relay takes no address with letters beyond ASCII before the @ (SMTPUTF8)")
	}
	if err != nil {
		return Outcome{State: Refused, Reason: err.Error()}
	}
	if err := c.address(e, len(raw)); err != nil {
		return c.refused(err)
	}
	if err := handing(); err != nil {
		c.reset()
		return Outcome{State: Later, Reason: err.Error()}
	}
	return c.data(raw)
}

// errOutOfStep: after an answer too many, the next ones would be taken for
// those of other commands.
var errOutOfStep = errors.New("it answered what was not asked")

// address names sender and recipient, both in one packet where the relay
// takes that.
func (c *Conn) address(e envelope, size int) error {
	from := "MAIL FROM:<" + e.from + ">"
	if c.size {
		from += " SIZE=" + strconv.Itoa(size)
	}
	if e.utf8 { // never without need: the next server may not know it
		from += " SMTPUTF8 BODY=8BITMIME"
	}
	from += "\r\n"
	to := "RCPT TO:<" + e.to + ">\r\n"
	if c.smtp.Text.R.Buffered() > 0 {
		return errOutOfStep
	}
	if err := c.line.expect(c.relay.timeout); err != nil {
		return err
	}
	if !c.pipelining {
		if _, err := c.command(2, from); err != nil {
			return err
		}
		if err := c.line.expect(c.relay.timeout); err != nil {
			return err
		}
		_, err := c.command(2, to)
		return err
	}
	_, refused := c.command(2, from+to)
	if refused != nil && (!answered(refused) || codeOf(refused) == 421) {
		return refused
	}
	if err := c.line.expect(c.relay.timeout); err != nil {
		return err
	}
	_, _, err := c.smtp.Text.ReadResponse(2)
	if refused != nil {
		return refused
	}
	return err
}

// command writes lines and reads one answer, whose code begins with a digit.
func (c *Conn) command(want int, lines string) (string, error) {
	if _, err := c.smtp.Text.W.WriteString(lines); err != nil {
		return "", err
	}
	if err := c.smtp.Text.W.Flush(); err != nil {
		return "", err
	}
	_, words, err := c.smtp.Text.ReadResponse(want)
	return words, err
}

// answered: the error is an answer of the relay.
func answered(err error) bool { return codeOf(err) > 0 }

func codeOf(err error) int {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// chunk is what is written under one deadline, bytes (RFC 5321 §4.5.3.2.5).
const chunk = 64 << 10

// data sends the content and waits for the verdict.
func (c *Conn) data(raw []byte) Outcome {
	if c.smtp.Text.R.Buffered() > 0 {
		return c.refused(errOutOfStep)
	}
	if err := c.line.expect(c.relay.timeout); err != nil {
		return c.refused(err)
	}
	if _, err := c.command(3, "DATA\r\n"); err != nil {
		return c.refused(err)
	}
	c.content = appendDotted(c.content[:0], raw)
	for rest := c.content; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := c.write(rest[:n], c.relay.timeout); err != nil {
			// Without its last line no relay delivers it (RFC 5321 §4.1.1.4). The
			// line is cut, for a QUIT would end the content first.
			c.drop()
			return Outcome{State: Later, Reason: "the mail relay went away while it was sent: " + err.Error()}
		}
		rest = rest[n:]
	}
	if cap(c.content) > 1<<20 {
		c.content = nil // a great one does not stay
	}
	err := c.write([]byte(".\r\n"), 2*c.relay.timeout)
	words := ""
	if err == nil {
		_, words, err = c.smtp.Text.ReadResponse(2)
	}
	switch code := codeOf(err); {
	case err == nil:
		o := Outcome{State: Accepted, Code: 250}
		o.Status, o.Reason = enhanced(words)
		return o
	case code >= 400 && code < 600:
		return c.refused(err)
	}
	c.drop()
	return Outcome{State: Ambiguous, Reason: "the mail relay did not answer after the message: " + err.Error()}
}

// write writes at once what fits under one deadline.
func (c *Conn) write(b []byte, within time.Duration) error {
	if err := c.line.expect(within); err != nil {
		return err
	}
	if _, err := c.smtp.Text.W.Write(b); err != nil {
		return err
	}
	return c.smtp.Text.W.Flush()
}

// appendDotted doubles a dot at the beginning of a line (RFC 5321 §4.5.2). The
// lines end with CR LF already; a last one that does not gets its end.
func appendDotted(b, raw []byte) []byte {
	for len(raw) > 0 {
		if raw[0] == '.' {
			b = append(b, '.')
		}
		end := bytes.IndexByte(raw, '\n') + 1
		if end == 0 {
			return append(append(b, raw...), "\r\n"...)
		}
		b = append(b, raw[:end]...)
		raw = raw[end:]
	}
	return b
}

// refused tells what an error of a command means, and makes the connection
// ready for the next message, or drops it.
func (c *Conn) refused(err error) Outcome {
	var answer *textproto.Error
	if !errors.As(err, &answer) || answer.Code < 400 || answer.Code > 599 {
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

// reset ends what was begun; what cannot be reset is dropped.
func (c *Conn) reset() {
	err := c.line.expect(c.relay.timeout)
	if err == nil {
		_, err = c.command(2, "RSET\r\n")
	}
	if err != nil {
		c.drop()
	}
}

func (c *Conn) drop() {
	c.stop()
	c.dead = true
	_ = c.line.Close() // nothing follows on it
}

// enhanced parts the status of RFC 3463 from the words of an answer, and makes
// one line of them.
func enhanced(answer string) (status, words string) {
	var b strings.Builder
	for text := range strings.Lines(answer[:min(len(answer), 8*maxReason)]) {
		first, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch {
		case !validStatus(first) || status != "" && first != status:
			b.WriteString(text)
		default: // every line has it
			status = first
			b.WriteString(rest)
		}
		b.WriteByte(' ')
	}
	return status, oneLineOf(b.String())
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
