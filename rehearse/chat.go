package rehearse

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Chat says how people write to each other.
type Chat struct {
	// Random makes each message go to somebody else; otherwise guest 2n and
	// guest 2n+1 write to each other.
	Random bool
	// Durable messages are stored, and complete when they are delivered and
	// acknowledged (XEP-0198). Others ask not to be stored, and are complete
	// when they are delivered.
	Durable bool
	// Delivered: durable messages are complete when they are delivered, as many
	// servers acknowledge what they have received, not what they have stored.
	Delivered bool
	Origin    bool // with an origin-id (XEP-0359), as clients send it
	Body      int  // bytes
	// Window is how many messages of one person may be under way, Total of all
	// people, each by somebody else (closed model; one of the two). Rate, when
	// it is not 0, is messages per second of all, whatever becomes of them
	// (open model); latencies count from the planned time.
	Window, Total int
	Rate          float64

	Warm, Length time.Duration
	Patience     time.Duration // how long to wait for the last ones; 0 is 20 s
	// Stop, when it is closed, ends the measured time before its Length.
	Stop <-chan struct{}
}

// acked reports whether a message has to be acknowledged.
func (c *Chat) acked() bool { return c.Durable && !c.Delivered }

// An Outcome is what became of a chat. All must hold: Lost, Doubled and
// Disordered are 0.
type Outcome struct {
	Span
	Sent, Complete  int // Complete: within the span
	Delivery        Histogram
	Acknowledgement Histogram
	Lost            int // never delivered
	Unacknowledged  int
	Doubled         int
	Disordered      int // overtaken by a later one of the same two people
}

// Rate is complete messages per second.
func (o *Outcome) Rate() float64 { return float64(o.Complete) / o.Length.Seconds() }

// CPU is processor time of the server per complete message.
func (o *Outcome) CPU() time.Duration { return o.Server / time.Duration(max(1, o.Complete)) }

// Check is an error when a message was lost, doubled or out of order.
func (o *Outcome) Check() error {
	if o.Lost+o.Unacknowledged+o.Doubled+o.Disordered == 0 {
		return nil
	}
	return fmt.Errorf("of %d messages %d were lost, %d never acknowledged, %d doubled, %d out of order",
		o.Sent, o.Lost, o.Unacknowledged, o.Doubled, o.Disordered)
}

// State bits of a message.
const (
	isDelivered = 1 << iota
	isAcked
)

// talk is a chat under way.
type talk struct {
	Chat
	crowd   *Crowd
	senders []sender
	order   map[uint64]uint32 // recipient and sender: the number after the last
	heads   [][]byte          // by recipient: a message up to the value of its id
	middle  []byte            // from there to the value of its origin-id, or to the end
	tail    []byte
	random  *rand.Rand
	out     Outcome

	whole    uint8 // the bits of a complete message
	sending  bool
	from, to time.Duration // the span, by the loop's clock
	open     int           // messages under way
}

// sender is what is known of the messages of one guest.
type sender struct {
	planned []time.Duration
	state   []uint8
	before  uint32 // our stanzas before the first message
	acked   uint32
}

// Talk lets the people of a crowd chat: for Warm without looking, for Length
// measured; then it waits until all have arrived.
func (c *Crowd) Talk(chat Chat) (*Outcome, error) {
	t := &talk{Chat: chat, crowd: c, order: make(map[uint64]uint32), random: rand.New(rand.NewPCG(1, 2)), sending: true}
	t.prepare()
	c.talks++
	c.handle = t.handle
	defer func() { c.handle = nil }()
	t.from = c.Loop.Now() + chat.Warm
	t.to = t.from + chat.Length
	if chat.Rate == 0 {
		for range chat.Window {
			for _, g := range c.Guests {
				t.send(g, c.Loop.Now())
			}
		}
		for range chat.Total {
			t.send(t.anybody(), c.Loop.Now())
		}
	}
	if err := t.run(); err != nil {
		return nil, err
	}
	t.judge()
	return &t.out, nil
}

func (t *talk) prepare() {
	t.senders = make([]sender, len(t.crowd.Guests))
	if t.whole = isDelivered; t.Chat.acked() {
		t.whole |= isAcked
	}
	kind, body := "chat", strings.Repeat("x", t.Body)
	end := "<body>" + body + "</body></message>"
	if !t.Durable {
		end = "<body>" + body + "</body><no-store xmlns='urn:xmpp:hints'/></message>"
	}
	t.middle = []byte("'>" + end)
	if t.Origin {
		t.middle = []byte("'><body>" + body + "</body><origin-id xmlns='urn:xmpp:sid:0' id='")
		t.tail = []byte("'/></message>")
	}
	for i, g := range t.crowd.Guests {
		t.senders[i].before = g.sent
		t.heads = append(t.heads, []byte("<message to='"+g.Person.JID()+"' type='"+kind+"' id='"))
	}
}

// run turns the loop through warming up, measuring and waiting.
func (t *talk) run() (err error) {
	loop := t.crowd.Loop
	patience := t.Patience
	if patience == 0 {
		patience = 20 * time.Second
	}
	next, step := loop.Now(), time.Duration(0)
	if t.Rate > 0 {
		step = time.Duration(float64(time.Second) / t.Rate)
	}
	measuring, measured := false, false
	for {
		now := loop.Now()
		switch {
		case !measuring && now >= t.from:
			measuring = true
			if t.out.Span, err = begin(t.crowd.PIDs); err != nil {
				return err
			}
			t.from = loop.Now()
			t.to = t.from + t.Length
		case measuring && !measured && (now >= t.to || t.stopped()):
			measured, t.sending = true, false
			if err := t.out.end(); err != nil {
				return err
			}
			t.to = now
		case measured && (t.open == 0 || now > t.to+patience):
			return nil
		}
		wait := 20 * time.Millisecond
		if step > 0 && t.sending {
			for ; next <= now; next += step {
				t.send(t.anybody(), next)
			}
			wait = next - now
		}
		if err := t.crowd.turn(wait); err != nil {
			return err
		}
	}
}

func (t *talk) stopped() bool {
	select {
	case <-t.Stop:
		return true
	default: // a nil channel is never ready
		return false
	}
}

func (t *talk) anybody() *Guest { return t.crowd.Guests[t.random.IntN(len(t.crowd.Guests))] }

// send writes the next message of a guest.
func (t *talk) send(g *Guest, planned time.Duration) {
	s := &t.senders[g.index]
	to := g.index ^ 1
	if t.Random {
		if to = t.random.IntN(len(t.heads) - 1); to >= g.index {
			to++
		}
	}
	b := append(g.line.Buffer(), t.heads[to]...)
	b = t.appendID(b, g.index, len(s.planned))
	b = append(b, t.middle...)
	if t.Origin {
		b = append(t.appendID(b, g.index, len(s.planned)), t.tail...)
	}
	g.line.Sent(b)
	g.sent++
	s.planned = append(s.planned, planned)
	s.state = append(s.state, 0)
	t.open++
	t.out.Sent++
}

// appendID appends sender, number, and which talk of the crowd it is: an
// origin-id that came before would be taken for a repetition.
func (t *talk) appendID(b []byte, from, seq int) []byte {
	b = append(strconv.AppendInt(b, int64(from), 10), '.')
	b = append(strconv.AppendInt(b, int64(seq), 10), '.')
	return strconv.AppendInt(b, int64(t.crowd.talks), 10)
}

func (t *talk) handle(g *Guest, el []byte) error {
	switch {
	case el[1] == 'm':
		return t.delivered(g, el)
	case el[1] == 'a':
		h, _ := number(attr(el, "h"))
		return t.acked(g, uint32(h))
	}
	return nil
}

func (t *talk) delivered(g *Guest, el []byte) error {
	from, rest := number(attr(el, "id"))
	if len(rest) < 2 || from >= uint64(len(t.senders)) {
		return fmt.Errorf("%s got %.300s", g.Person.Local, el)
	}
	seq, _ := number(rest[1:])
	s := &t.senders[from]
	if string(attr(el, "type")) == "error" || seq >= uint64(len(s.state)) {
		return fmt.Errorf("%s got %.300s", g.Person.Local, el)
	}
	if s.state[seq]&isDelivered != 0 {
		t.out.Doubled++
		return nil
	}
	key := uint64(g.index)<<32 | from
	if after := t.order[key]; uint32(seq) < after {
		t.out.Disordered++
	}
	t.order[key] = uint32(seq) + 1
	t.mark(t.crowd.Guests[from], uint32(seq), isDelivered, &t.out.Delivery)
	return nil
}

// acked takes the count of an <a/>.
func (t *talk) acked(g *Guest, h uint32) error {
	s := &t.senders[g.index]
	covered := int32(h - s.before)
	if covered > int32(len(s.state)) {
		return fmt.Errorf("the server acknowledged %d stanzas of %s, who sent %d", h, g.Person.Local, g.sent)
	}
	for ; int32(s.acked) < covered; s.acked++ {
		t.mark(g, s.acked, isAcked, &t.out.Acknowledgement)
	}
	return nil
}

// mark notes one half of a message's way; with the second it is complete.
func (t *talk) mark(g *Guest, seq uint32, bit uint8, times *Histogram) {
	s := &t.senders[g.index]
	now := t.crowd.Loop.Now()
	planned := s.planned[seq]
	in := now >= t.from && now < t.to
	if t.Rate > 0 {
		in = planned >= t.from && planned < t.to
	}
	if in {
		times.Add(now - planned)
	}
	s.state[seq] |= bit
	if s.state[seq]&t.whole != t.whole || bit&t.whole == 0 {
		return
	}
	t.open--
	if now >= t.from && now < t.to {
		t.out.Complete++
	}
	if t.Rate == 0 && t.sending {
		if t.Total > 0 {
			g = t.anybody()
		}
		t.send(g, now)
	}
}

// judge counts what is missing.
func (t *talk) judge() {
	for i := range t.senders {
		for _, state := range t.senders[i].state {
			if state&isDelivered == 0 {
				t.out.Lost++
			}
			if t.Chat.acked() && state&isAcked == 0 {
				t.out.Unacknowledged++
			}
		}
	}
}
