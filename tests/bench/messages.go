package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

// warm is how long people chat before it counts.
const warm = 3 * time.Second

// A scene is people chatting on a server of a kind.
type scene struct {
	name     string
	people   int
	chat     rehearse.Chat
	database func() (url string, pids []int, end func() error, err error) // nil: SQLite
	archive  func() (dir string, err error)                               // nil: an empty one
	target   float64                                                      // messages per second
	deep     bool                                                         // the closed model only
}

// few is how many messages of one person are under way in the closed model: a
// pair has four, as in the measurements of other servers. With many, several
// travel in one read and one write.
const few, plenty = 2, 16

func (b *bench) routed() error {
	for _, sc := range []*scene{
		{name: "routed", people: 200, target: 40000, chat: rehearse.Chat{Body: 100, Window: few}},
		{name: "routed, 16 under way", people: 200, deep: true, chat: rehearse.Chat{Body: 100, Window: plenty}},
	} {
		if err := b.play(sc); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) durable() error {
	stored := rehearse.Chat{Body: 100, Window: few, Durable: true, Origin: true}
	deep := stored
	deep.Window = plenty
	for _, sc := range []*scene{
		{name: "durable", people: 200, target: 12000, chat: stored},
		{name: "durable, 16 under way", people: 200, deep: true, chat: deep},
	} {
		if err := b.play(sc); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) loaded() error {
	return b.play(&scene{
		name: "loaded", people: 10000, target: 8000, archive: b.preloaded,
		chat: rehearse.Chat{Body: 100, Total: 1000, Durable: true, Origin: true, Random: true},
	})
}

func (b *bench) mariadb() error {
	return b.play(&scene{
		name: "mariadb", people: 200, database: b.startMariaDB,
		chat: rehearse.Chat{Body: 100, Window: few, Durable: true, Origin: true},
	})
}

// play runs a scene: as fast as it goes, then at half of that speed.
func (b *bench) play(sc *scene) error {
	for i := range b.runs {
		if err := b.playOnce(sc, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) playOnce(sc *scene, run int) (err error) {
	s, crowd, end, err := b.stage(sc)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	chat := sc.chat
	chat.Warm, chat.Length = warm, b.length
	if b.rate == 0 {
		if err := b.closed(sc, chat, s, crowd, run); err != nil {
			return err
		}
	}
	if sc.deep {
		return nil
	}
	chat.Window, chat.Total = 0, 0
	if b.rate > 0 {
		return b.open(sc, fmt.Sprintf("%s, %.0f/s", sc.name, b.rate), b.rate, chat, s, crowd)
	}
	if err := b.open(sc, sc.name+", half rate", b.report.median(sc.name+", closed: messages/s")/2, chat, s, crowd); err != nil || sc.target == 0 {
		return err
	}
	return b.open(sc, sc.name+", half of the target", sc.target/2, chat, s, crowd)
}

// open lets people chat at a constant rate, whatever becomes of it.
func (b *bench) open(sc *scene, name string, rate float64, chat rehearse.Chat, s *server, crowd *rehearse.Crowd) error {
	chat.Rate = rate
	done := s.profiled(strings.NewReplacer(", ", "-", " ", "-", "/", "-").Replace(name), warm+b.length)
	o, err := crowd.Talk(chat)
	done()
	if err != nil {
		return err
	}
	b.note(name, 0, true, o)
	s.tellWriter()
	return o.Check()
}

// closed lets people chat as fast as it goes.
func (b *bench) closed(sc *scene, chat rehearse.Chat, s *server, crowd *rehearse.Crowd, run int) error {
	done := s.profiled(fmt.Sprintf("%s-%d", sc.name, run), warm+b.length)
	closed, err := crowd.Talk(chat)
	done()
	if err != nil {
		return err
	}
	b.note(sc.name+", closed", sc.target, false, closed)
	s.tellWriter()
	return closed.Check()
}

// note puts an outcome into the report. Latencies have a target in the open
// model: in the closed one they only say how much was under way.
func (b *bench) note(name string, target float64, open bool, o *rehearse.Outcome) {
	r := &b.report
	r.add(name+": messages/s", "1/s", o.Rate()).atLeast(target)
	r.add(name+": server CPU/message", "µs", micro(o.CPU()))
	most := 0.0
	if open {
		most = 50
	}
	r.add(name+": delivered p50", "ms", milli(o.Delivery.Quantile(0.5)))
	r.add(name+": delivered p99", "ms", milli(o.Delivery.Quantile(0.99))).atMost(most)
	if o.Acknowledgement.Count() > 0 {
		r.add(name+": acknowledged p50", "ms", milli(o.Acknowledgement.Quantile(0.5)))
		r.add(name+": acknowledged p99", "ms", milli(o.Acknowledgement.Quantile(0.99))).atMost(most)
	}
	r.add(name+": loader busy", "%", 100*o.LoaderBusy())
	r.add(name+": server busy", "%", 100*o.ServerBusy())
	fmt.Printf("    %s: %.0f/s, delivered p50 %.2f p99 %.2f ms, acknowledged p50 %.2f p99 %.2f ms, server %.1f µs each and %.0f %% busy, loader %.0f %% busy\n",
		name, o.Rate(), milli(o.Delivery.Quantile(0.5)), milli(o.Delivery.Quantile(0.99)),
		milli(o.Acknowledgement.Quantile(0.5)), milli(o.Acknowledgement.Quantile(0.99)),
		micro(o.CPU()), 100*o.ServerBusy(), 100*o.LoaderBusy())
}

func micro(d time.Duration) float64 { return float64(d) / 1e3 }
func milli(d time.Duration) float64 { return float64(d) / 1e6 }

// stage starts a server and signs a crowd in. end undoes what was done, also
// after an error.
func (b *bench) stage(sc *scene) (s *server, crowd *rehearse.Crowd, end func() error, err error) {
	var undo []func() error
	end = func() (err error) {
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		return err
	}
	url, archive := "", ""
	var pids []int
	if sc.database != nil {
		var stop func() error
		if url, pids, stop, err = sc.database(); err != nil {
			return nil, nil, end, err
		}
		undo = append(undo, stop)
	}
	if sc.archive != nil {
		if archive, err = sc.archive(); err != nil {
			return nil, nil, end, err
		}
	}
	people, err := b.people(sc.people)
	if err != nil {
		return nil, nil, end, err
	}
	if s, err = b.server(people, url, archive); err != nil {
		return nil, nil, end, err
	}
	undo = append(undo, s.stop)
	if err := s.start(); err != nil {
		return nil, nil, end, err
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Manage: sc.chat.Durable, Presence: true})
	if err != nil {
		return nil, nil, end, err
	}
	undo = append(undo, leave)
	crowd.PIDs = append(crowd.PIDs, pids...)
	_, err = crowd.SignIn(people, 64)
	return s, crowd, end, err
}

// crowd opens a loader for a server.
func (b *bench) crowd(s *server, wishes rehearse.Wishes) (*rehearse.Crowd, func() error, error) {
	loop, err := rehearse.NewLoop()
	if err != nil {
		return nil, nil, err
	}
	return &rehearse.Crowd{
		Loop: loop, Address: s.ports["c2s.listen"], Wishes: wishes, PIDs: []int{s.pid()},
	}, loop.Close, nil
}
