package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// A person of the demo: signs in, writes, answers, reads what was said, leaves
// and comes back.
type person struct {
	demo   *demo
	jid    jid.JID
	team   string
	mates  []jid.JID
	config client.Config
	count  int
	heard  chan heard
}

// heard is a message that wants an answer.
type heard struct {
	from jid.JID
	text string
}

var (
	demoNames  = [...]string{"anna", "ben", "chloe", "daan", "elif", "farid", "greta", "hugo", "ines", "jonas", "kemal", "lotte"}
	demoGroups = [...]string{"care", "sales", "support", "design", "office"}
	demoTalk   = [...]string{
		"Good morning! How was your weekend?", "Did the report come through?", "Shall we talk at ten?",
		"Thank you, that helped a lot.", "I am stuck with the calendar again.", "Lunch?",
		"The new colleague starts on Monday.", "Could you look at this when you have a minute?",
		"How are you today?", "On my way.", "Yes, let us do it like that.", "I will be back in an hour.",
	}
	demoShows = [...]string{"", "<show>away</show>", "<show>dnd</show><status>in a meeting</status>", "<status>at my desk</status>"}
)

func newPerson(d *demo, i int) *person {
	team := demoGroups[i%demoTeams]
	first := demoNames[i/demoTeams%len(demoNames)]
	local := first + "." + team
	if round := i / demoTeams / len(demoNames); round > 0 {
		local += fmt.Sprint(round + 1)
	}
	return &person{
		demo: d, jid: jid.MustParse(local + "@" + demoDomain), team: strings.ToUpper(team[:1]) + team[1:],
		heard: make(chan heard, 16),
	}
}

// live is one person until ctx ends: online for a while, away for a while.
func (p *person) live(ctx context.Context) {
	for {
		err := p.day(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, client.ErrClosed) {
			p.demo.node.Log.Warn("a person of the demo lost the connection", "jid", p.jid.String(), "cause", err)
		}
		if !pause(ctx, time.Duration(3+rand.IntN(12))*time.Second) {
			return
		}
	}
}

// day is one stream.
func (p *person) day(ctx context.Context) error {
	c, err := client.Connect(ctx, p.config, new(client.Session))
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	c.Handle(p.hear)
	if err := c.Presence(stanza.Available, nil); err != nil {
		return err
	}
	p.demo.came(1)
	defer p.demo.came(-1)
	for range 10 + rand.IntN(60) {
		select {
		case <-ctx.Done():
			return nil
		case h := <-p.heard:
			err = p.answer(ctx, c, h)
		case <-time.After(time.Duration(500+rand.IntN(5000)) * time.Millisecond):
			err = p.act(c)
		}
		if err = errors.Join(err, c.Ended()); err != nil {
			return err
		}
	}
	return c.Presence(stanza.Unavailable, nil)
}

// act does one thing of a working day.
func (p *person) act(c *client.Client) error {
	switch r := rand.IntN(10); {
	case r < 7 && len(p.mates) > 0:
		return p.say(c, p.mates[rand.IntN(len(p.mates))], demoTalk[rand.IntN(len(demoTalk))])
	case r < 9:
		return c.Presence(stanza.Available, []byte(demoShows[rand.IntN(len(demoShows))]))
	}
	p.count++
	return c.Send([]byte(fmt.Sprintf("<iq xmlns='jabber:client' type='set' id='mam%d'><query xmlns='urn:xmpp:mam:2'>"+
		"<set xmlns='http://jabber.org/protocol/rsm'><max>20</max><before/></set></query></iq>", p.count)))
}

// say writes to somebody; the time until it arrives is measured.
func (p *person) say(c *client.Client, to jid.JID, text string) error {
	p.count++
	id := fmt.Sprintf("%s-%d-%d", p.jid.Local(), p.count, rand.Uint32())
	x := new(stanza.XML)
	x.Element("body", text).Empty("active", "xmlns", "http://jabber.org/protocol/chatstates").
		Empty("origin-id", "xmlns", "urn:xmpp:sid:0", "id", id)
	p.demo.under(id)
	return c.Message(stanza.Chat, to, id, x.Bytes())
}

// answer replies after the time it takes to type.
func (p *person) answer(ctx context.Context, c *client.Client, h heard) error {
	if err := c.Message(stanza.Chat, h.from, "", []byte("<composing xmlns='http://jabber.org/protocol/chatstates'/>")); err != nil {
		return err
	}
	if !pause(ctx, time.Duration(400+rand.IntN(1500))*time.Millisecond) {
		return nil
	}
	text := demoTalk[rand.IntN(len(demoTalk))]
	if h.from.Local() == demoYou {
		text = fmt.Sprintf("Hello! You wrote %q. %s", h.text, text)
	}
	return p.say(c, h.from, text)
}

// hear runs on the reading goroutine of the client.
func (p *person) hear(v client.View) {
	if v.Stanza == nil || v.Stanza.Kind != stanza.Message || v.Stanza.Type != stanza.Chat {
		return
	}
	body, ok := v.Stanza.Child(stanza.NSClient, "body")
	if !ok {
		return
	}
	p.demo.arrived(string(v.Stanza.ID()))
	from, err := jid.Parse(stanza.Unescape(v.Stanza.RawFrom()))
	if err != nil || from.Local() != demoYou && rand.IntN(2) == 0 {
		return
	}
	select {
	case p.heard <- heard{from.Bare(), body.Text()}:
	default: // too much to answer
	}
}

func (d *demo) came(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.online += n
}

// under notes that a message is under way.
func (d *demo) under(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sent) > 10000 { // their recipients were away
		clear(d.sent)
	}
	d.sent[id] = time.Now()
}

func (d *demo) arrived(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.sent[id]; ok {
		delete(d.sent, id)
		d.latency = append(d.latency, time.Since(at))
		d.messages++
	}
}

// take empties what was measured since the last call.
func (d *demo) take() (online, messages int, p99 time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.latency)
	if n := len(d.latency); n > 0 {
		p99 = d.latency[n*99/100]
	}
	online, messages = d.online, d.messages
	d.latency, d.messages = d.latency[:0], 0
	return online, messages, p99
}

// watch tells what happens, in one line that lives, until ctx ends.
func (d *demo) watch(ctx context.Context) {
	every := 2 * time.Second
	if !d.terminal {
		every = 10 * time.Second
	}
	statements := func() (n int64) {
		for _, row := range d.node.Board.Snapshot() {
			n += row.Statements
		}
		return n
	}
	before, last := statements(), time.Now()
	for pause(ctx, every) {
		online, messages, p99 := d.take()
		now, sql := time.Now(), statements()
		seconds := now.Sub(last).Seconds()
		line := fmt.Sprintf("%3d people online   %6.1f messages/s   p99 %6.2f ms   %6.1f SQL/s",
			online, float64(messages)/seconds, float64(p99.Microseconds())/1000, float64(sql-before)/seconds)
		before, last = sql, now
		if d.terminal {
			fmt.Fprintf(d.out, "\r\x1b[K%s", line)
		} else {
			fmt.Fprintln(d.out, line)
		}
	}
}
