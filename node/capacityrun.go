package node

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/rehearse"
	"github.com/bearhug/bearhug/sasl"
)

// What a conversation with the bot is, as long as none has been counted: a
// person signs in, says so much in so long, and is answered each time, by an
// account that answers over a stream of its own.
const (
	conversationTime      = 5 * time.Minute
	conversationExchanges = 10
	conversationBody      = 120 // bytes of a message
)

const (
	firstRate    = 25 // exchanges a second
	coarseStep   = 2 * time.Second
	fineStep     = 4 * time.Second
	settleFor    = 2 * time.Second // between steps, at most
	lookEvery    = 100 * time.Millisecond
	fineEnough   = 1.06 // the knee is known so well
	leastRate    = 0.5
	greatest     = 200000
	loaderLate   = 200 * time.Millisecond // the loader is the limit
	loaderBusy   = 0.9
	lateAtMost   = 3                // steps in a row; a machine that has something else to do
	answerWithin = 10 * time.Second // of the last ones
)

// Capacity is how much a server was found to carry.
type Capacity struct {
	At            time.Time `json:"at"`
	Conversations int       `json:"conversations"` // at once
	// AtLeast: it was not the server that was at its end, but the loader.
	AtLeast   bool    `json:"at_least,omitempty"`
	Exchanges float64 `json:"exchanges_per_second"`
	SignIns   float64 `json:"sign_ins_per_second"`

	// The assumption, to be replaced when true conversations are counted.
	Seconds      float64 `json:"conversation_seconds"`
	PerTalk      int     `json:"exchanges_per_conversation"`
	MessageBytes int     `json:"message_bytes"`
	Answerer     string  `json:"answerer"`

	// The conditions.
	Target  float64        `json:"target_ms"`
	Version string         `json:"version"`
	Engine  string         `json:"engine"`
	CPUs    int            `json:"cpus"`
	Online  int            `json:"online"`
	People  int            `json:"virtual_people"`
	Steps   []CapacityStep `json:"steps"`
}

// CapacityStep is one rate that was tried. Times in ms.
type CapacityStep struct {
	Rate   float64 `json:"exchanges_per_second"`
	Wait   float64 `json:"queueing_ms"`    // of classes 0 to 2, in the second half
	P99    float64 `json:"p99_ms"`         // from planned to answered, by the loader
	Server float64 `json:"server_percent"` // of one processor
	Loader float64 `json:"loader_percent"`
	Open   int     `json:"unanswered"`
	Held   bool    `json:"held"`
	why    string
}

// Why says in words why a step was not held, "" when it was.
func (s *CapacityStep) Why() string { return s.why }

// CapacityRun says how to measure.
type CapacityRun struct {
	CapacityArgs
	// Time is how long, without making and taking away the people: a second or
	// more, a minute to know something.
	Time time.Duration
	Told func(CapacityStep) // is called after each step; may be nil
}

// MeasureCapacity finds how many conversations a running server carries at
// once: virtual people talk and come in at a rate that is doubled until the
// queueing time of what people feel reaches the target, and then closed in on.
func MeasureCapacity(ctx context.Context, c *ops.Caller, run CapacityRun) (result *Capacity, err error) {
	var door CapacityDoor
	if err := c.Call(ctx, ops.Request{Op: "capacity.open", Args: run.CapacityArgs}, &door); err != nil {
		return nil, err
	}
	defer func() {
		kept := result
		if err != nil {
			kept = nil
		}
		// However it ended: the people go.
		e := c.Call(context.WithoutCancel(ctx), ops.Request{Op: "capacity.close", Args: kept}, nil)
		if err == nil && e != nil {
			err = fmt.Errorf("keep the capacity: %w", e)
		}
	}()
	loop, err := rehearse.NewLoop()
	if err != nil {
		return nil, err
	}
	m := &measurement{caller: c, door: &door, run: run, looks: make(chan Pressure, 64)}
	defer func() {
		if e := loop.Close(); err == nil {
			err = e
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := m.signIn(ctx, loop); err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	looking := make(chan struct{})
	go func() { defer close(looking); m.look(ctx) }()
	defer func() { cancel(); <-looking }()
	if err := m.find(); err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	if err := m.talk.Crowd.SignOut(5 * time.Second); err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	return m.result(), nil
}

// measurement is the other end: the loader.
type measurement struct {
	caller *ops.Caller
	door   *CapacityDoor
	run    CapacityRun
	talk   rehearse.Conversations
	looks  chan Pressure
	target float64 // ms, as it was told last
	last   float64 // wait, likewise
	steps  []CapacityStep
	search search
	loader bool // it is the limit
	late   int  // steps in a row in which the loader was late
}

// signIn brings the people in; visitors sign in as the first half of them.
func (m *measurement) signIn(ctx context.Context, loop *rehearse.Loop) error {
	keys, err := sasl.DeriveClient(sasl.SCRAMSHA1, m.door.Password, m.door.Iterations, m.door.Salt)
	if err != nil {
		return err
	}
	address, err := netip.ParseAddrPort(m.door.Address)
	if err != nil {
		return err
	}
	people := make([]*rehearse.Person, m.door.People)
	for i := range people {
		people[i] = &rehearse.Person{Local: fmt.Sprintf("%s%d", m.door.Prefix, i), Domain: m.door.Domain, Keys: &keys}
	}
	pids := []int{m.door.PID}
	if _, err := rehearse.CPU(m.door.PID); err != nil {
		pids = nil // a server in another container
	}
	m.talk = rehearse.Conversations{
		Crowd: &rehearse.Crowd{Loop: loop, Address: address, PIDs: pids, Attempts: 3, Stop: ctx.Done()},
		Body:  conversationBody, Visits: 1.0 / conversationExchanges,
	}
	return m.talk.Pair(people, 20)
}

// look asks the server how long work waits, ten times a second.
func (m *measurement) look(ctx context.Context) {
	defer close(m.looks)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var p Pressure
		if err := m.caller.Call(ctx, ops.Request{Op: "capacity.look"}, &p); err != nil {
			return
		}
		select {
		case m.looks <- p:
		default: // the loader is busy; it will have newer ones
		}
	}
}

// find tries rates until the knee is known or the time is over.
func (m *measurement) find() error {
	m.search = search{rate: firstRate}
	end := time.Now().Add(m.run.Time)
	for {
		length := coarseStep
		if m.search.high > 0 {
			length = fineStep
		}
		if time.Now().Add(length).After(end) {
			return nil
		}
		s, err := m.step(m.search.rate, length)
		if err != nil {
			return err
		}
		m.steps = append(m.steps, s)
		if m.run.Told != nil {
			m.run.Told(s)
		}
		if m.loader || m.late == 0 && m.search.next(s.Held) {
			return nil
		}
		if err := m.settle(); err != nil {
			return err
		}
	}
}

// step tries one rate.
func (m *measurement) step(rate float64, length time.Duration) (CapacityStep, error) {
	s := CapacityStep{Rate: rate}
	half := time.Now().Add(length / 2)
	sum, n, lost := 0.0, 0, false
	p, err := m.talk.Step(rate, length, func() bool {
		for {
			select {
			case p, ok := <-m.looks:
				if !ok {
					lost = true
					return true
				}
				m.target, m.last = p.Target, p.Wait
				if time.Now().After(half) {
					sum, n = sum+p.Wait, n+1
				}
			default:
				return false
			}
		}
	})
	if err != nil {
		return s, err
	}
	if lost {
		return s, fmt.Errorf("the server does not tell any more how long work waits; look at its log")
	}
	if s.Wait = m.last; n > 0 {
		s.Wait = sum / float64(n)
	}
	s.P99, s.Open = ms(p.Times.Quantile(0.99)), p.Open
	s.Server, s.Loader = 100*p.ServerBusy(), 100*p.LoaderBusy()
	switch {
	case s.Wait >= m.target:
		s.why = fmt.Sprintf("queueing %.1f ms", s.Wait)
	case p.LoaderBusy() > loaderBusy || p.Late > loaderLate && m.late == lateAtMost-1:
		s.why, m.loader = "the loader was at its end", true
	case p.Late > loaderLate:
		m.late++
		s.why = fmt.Sprintf("the loader itself was %.0f ms late; again", ms(p.Late))
		return s, nil
	case p.Refused > 0:
		s.why = fmt.Sprintf("%d refused", p.Refused)
	case float64(p.Open) > max(rate, 20):
		s.why = fmt.Sprintf("%d unanswered", p.Open)
	default:
		s.Held = true
	}
	m.late = 0
	return s, nil
}

// settle waits until nothing is open, and the last step is out of the signal.
func (m *measurement) settle() error {
	_, err := m.talk.Drain(answerWithin)
	if err != nil {
		return err
	}
	for until := time.Now().Add(settleFor); time.Now().Before(until) && m.last > m.target/4; {
		if err := m.talk.Crowd.Stay(lookEvery); err != nil {
			return err
		}
		for more := true; more; {
			select {
			case p, ok := <-m.looks:
				if more = ok; ok {
					m.last = p.Wait
				}
			default:
				more = false
			}
		}
	}
	return nil
}

// result is what was found: the greatest rate that was held.
func (m *measurement) result() *Capacity {
	rate := m.search.low
	return &Capacity{
		At: time.Now().UTC(), Conversations: Conversations(rate), AtLeast: m.loader || m.search.high == 0,
		Exchanges: rate, SignIns: rate / conversationExchanges,
		Seconds: conversationTime.Seconds(), PerTalk: conversationExchanges, MessageBytes: conversationBody,
		Answerer: "accounts that answer over streams of their own; not the bot",
		Target:   m.target, Version: m.door.Version, Engine: m.door.Engine, CPUs: m.door.CPUs, Online: m.door.Online,
		People: m.door.People, Steps: m.steps,
	}
}

// Conversations is how many conversations at once make so many exchanges a
// second.
func Conversations(exchanges float64) int {
	return int(exchanges * conversationTime.Seconds() / conversationExchanges)
}

// search closes in on the greatest rate that is held: it doubles until one is
// not, or halves until one is, and then takes the middle, by ratio.
type search struct {
	rate      float64 // to be tried
	low, high float64 // held, and not; 0: none so far
}

// next takes how the rate did, and says whether the search is over.
func (s *search) next(held bool) (over bool) {
	if held {
		s.low = s.rate
	} else {
		s.high = s.rate
	}
	switch {
	case s.high == 0:
		s.rate = 2 * s.low
		return s.rate > greatest
	case s.low == 0:
		s.rate = s.high / 2
		return s.rate < leastRate
	}
	s.rate = math.Sqrt(s.low * s.high)
	return s.high/s.low < fineEnough
}
