package main

import (
	"fmt"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

// Rates of the open model, messages a second, without an archive and with one.
var (
	plainRates = []float64{5_000, 10_000}
	savedRates = []float64{200, 1_000}
)

// beyond is the share of the closed model's rate above which the open model
// is left out: it would measure a queue that grows.
const beyond = 0.9

// chat measures 100 pairs with 4 messages under way each, then constant rates.
// A message is complete when it is delivered: what an acknowledgement promises
// differs between servers.
func chat(s *server, _ int, res *result) error {
	c, err := s.crowd(rehearse.Wishes{Presence: true})
	if err != nil {
		return err
	}
	defer c.Loop.Close()
	if _, err := c.SignIn(s.people(), inFlight); err != nil {
		return s.short(err)
	}
	saved := s.w.archive
	model := rehearse.Chat{Body: 100, Durable: saved, Delivered: true, Origin: saved, Warm: 2 * time.Second, Length: 8 * time.Second}
	if s.b.quick {
		model.Warm, model.Length = time.Second, 4*time.Second
	}
	closed := model
	closed.Window = 2
	before, err := s.mark()
	if err != nil {
		return err
	}
	o, err := c.Talk(closed)
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		return s.short(err)
	}
	u, _, err := s.since(before)
	if err != nil {
		return err
	}
	res.Figures["messages/s"] = o.Rate()
	res.spoke("", o)
	res.Figures["CPU a message, µs"] = micro(o.CPU())
	if s.hasSQL() {
		res.Figures["SQL a message"] = u.sql / float64(max(1, o.Sent))
	}
	res.busy("", &o.Span, "")
	rates := plainRates
	if saved {
		rates = savedRates
	}
	for _, rate := range rates {
		if rate > beyond*o.Rate() {
			continue
		}
		open := model
		open.Rate = rate
		o, err := c.Talk(open)
		if err == nil {
			err = o.Check()
		}
		if err != nil {
			return s.short(fmt.Errorf("at %.0f messages a second: %w", rate, err))
		}
		res.spoke(fmt.Sprintf(" at %.0f/s", rate), o)
		res.Figures[fmt.Sprintf("CPU a message, µs at %.0f/s", rate)] = micro(o.CPU())
	}
	return nil
}

func (r *result) spoke(how string, o *rehearse.Outcome) {
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}} {
		r.Figures[q.name+", ms"+how] = milli(o.Delivery.Quantile(q.at))
	}
}
