package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/rehearse"
)

// topEvery is how far apart the captures of a storm are.
const topEvery = 700 * time.Millisecond

// top captures `bearhug top --once` while everybody of one group connects at
// once: presence has to be the dearest of all.
func (b *bench) top() error {
	for range b.runs {
		if err := b.topOnce(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) topOnce() (err error) {
	people, err := b.people(b.share(2000))
	if err != nil {
		return err
	}
	s, err := b.grouped(people, len(people), len(people))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(); err != nil {
		return err
	}
	// A view of the last two seconds instead of the last ten.
	if err := s.ctl("lever.set", node.LeverArgs{Name: "ledger.every", Value: "1s"}, nil); err != nil {
		return err
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Roster: true, Presence: true, Caps: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	time.Sleep(3 * time.Second)
	defer beside()()
	g := &rehearse.Gathering{Crowd: crowd, Size: len(people), Patience: 120 * time.Second}
	connect := func() (*rehearse.Meeting, error) { return g.Connect(people) }
	if err := b.capture(s, g, "rosters fetched", connect); err != nil {
		return err
	}
	if err := crowd.SignOut(30 * time.Second); err != nil {
		return err
	}
	if err := s.quiet(crowd); err != nil {
		return err
	}
	return b.capture(s, g, "with ver", g.Return)
}

// capture looks at a storm.
func (b *bench) capture(s *server, g *rehearse.Gathering, how string, storm func() (*rehearse.Meeting, error)) error {
	over, captured := make(chan struct{}), make(chan capture, 1)
	go func() { captured <- s.captures(over) }()
	m, err := storm()
	if err == nil {
		err = g.Crowd.Stay(2500 * time.Millisecond) // what was spent last is in the view
	}
	close(over)
	c := <-captured
	if err = errors.Join(err, c.err); err != nil {
		return err
	}
	if !m.Complete() {
		return fmt.Errorf("the storm is not complete: %s", g.Missing())
	}
	name := "top, " + how
	b.report.add(name+": storm complete", "s", m.Length.Seconds())
	b.report.add(name+": CPU of presence at its most", "%", c.percent)
	b.report.add(name+": share of the server's CPU that features name then", "%", c.named).atLeast(80)
	b.report.add(name+": views", "", float64(c.views))
	b.report.add(name+": views with presence on top", "", float64(c.onTop)).atLeast(1)
	fmt.Printf("    %s: storm of %d complete after %.1f s, loader %.0f %% busy; presence on top of %d of %d views; the one with most presence:\n\n%s\n",
		how, len(g.Crowd.Guests), m.Length.Seconds(), 100*m.LoaderBusy(), c.onTop, c.views, c.text)
	if b.profile == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(b.profile, strings.ReplaceAll(name, ", ", "-")+".txt"), []byte(c.text), 0o644)
}

// beside lets a second thread of this process run, on the same core, where the
// kernel shares it out.
func beside() (end func()) {
	cores := runtime.GOMAXPROCS(2)
	return func() { runtime.GOMAXPROCS(cores) }
}

// A capture is the view of the top with most presence in it.
type capture struct {
	text         string
	percent      float64 // of a processor, of presence
	named        float64 // of the process, by features
	views, onTop int
	err          error
}

// captures looks again and again until it is over.
func (s *server) captures(over <-chan struct{}) (c capture) {
	for {
		select {
		case <-over:
			if c.views == 0 {
				c.err = errors.New("the storm was over before anybody looked")
			}
			return c
		case <-time.After(topEvery):
		}
		// Both come from one reading, most often; the text is what is shown.
		text, err := s.output("top", "--once")
		var t node.Top
		if err == nil {
			t, err = s.topNow()
		}
		if err != nil {
			c.err = errors.Join(c.err, err)
			return c
		}
		i := slices.IndexFunc(t.Rows, func(r node.TopRow) bool { return r.Feature == "presence" })
		if i < 0 || t.Rows[i].CPU <= 0 {
			continue
		}
		c.views++
		if i == 0 {
			c.onTop++
		}
		if t.Rows[i].CPU > c.percent && presenceFirst(string(text)) == (i == 0) {
			c.text, c.percent, c.named = string(text), t.Rows[i].CPU, 100*t.Named/max(t.CPU, 1e-9)
		}
	}
}

// presenceFirst reads the first line of a view's table.
func presenceFirst(view string) bool {
	_, rows, ok := strings.Cut(view, "FEATURE")
	if ok {
		_, rows, ok = strings.Cut(rows, "\n")
	}
	fields := strings.Fields(rows)
	return ok && len(fields) > 0 && fields[0] == "presence"
}

// How the lever is measured.
const (
	stirring = 16 * time.Second // before: the ledger's view is of the last ten to fifteen
	compared = 5 * time.Second  // of processor time, before and after
	pairRate = 50               // messages a second
	trial    = 2 * time.Second  // of a rate of changes
	aim      = 0.45             // of a processor, that the server is to use
	// full is a loader, in percent of a processor, that may be the limit itself,
	// and kept the part of the rate of changes that one which is not keeps.
	full, kept = 85.0, 0.95
	// restless is how many seconds a person rests at least, on average: beyond
	// that it would be the changes that are measured, and the loader.
	restless = 2.5
)

// lever turns presence to coarse in the middle of a storm, and takes it back.
func (b *bench) lever() error {
	for range b.runs {
		if err := b.leverOnce(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) leverOnce() (err error) {
	n := b.share(1000)
	people, err := b.people(n + 2)
	if err != nil {
		return err
	}
	s, err := b.grouped(people, n, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(); err != nil {
		return err
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Roster: true, Presence: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	pair, part, err := b.crowd(s, rehearse.Wishes{Presence: true, Manage: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, part()) }()
	if _, err := pair.SignIn(people[n:], 1); err != nil {
		return err
	}
	stir := &rehearse.Stir{Crowd: crowd, Size: n}
	if err := stir.Enter(people[:n], inFlight, 60*time.Second); err != nil {
		return err
	}
	if err := b.calibrate(s, stir); err != nil {
		return err
	}
	defer beside()()
	over, said := make(chan struct{}), make(chan error, 1)
	go func() { said <- b.chat(pair, over) }()
	turned := make(chan turn, 1)
	go func() { turned <- s.turn(crowd.Loop, over) }()
	err = stir.Run(10*time.Minute, over)
	t := <-turned
	if err = errors.Join(err, t.err, <-said); err != nil {
		return err
	}
	if err := stir.Settle(10 * time.Second); err != nil {
		return fmt.Errorf("after the undo: %w", err)
	}
	return b.judge(stir, &t)
}

// calibrate finds a rate of changes at which the server, or the loader, is about
// half busy, or people change as often as they may.
func (b *bench) calibrate(s *server, stir *rehearse.Stir) error {
	stir.Rate = float64(len(stir.Crowd.Guests)) / 10
	for range 4 {
		if err := stir.Run(500*time.Millisecond, b.ctx.Done()); err != nil {
			return err
		}
		before, err := rehearse.CPU(s.pid())
		if err != nil {
			return err
		}
		mine, err := rehearse.CPU(os.Getpid())
		if err != nil {
			return err
		}
		made := stir.Changes
		if err := stir.Run(trial, b.ctx.Done()); err != nil {
			return err
		}
		after, err := rehearse.CPU(s.pid())
		if err != nil {
			return err
		}
		ours, err := rehearse.CPU(os.Getpid())
		if err != nil {
			return err
		}
		busy := max(after-before, ours-mine).Seconds() / trial.Seconds()
		if float64(stir.Changes-made) < kept*stir.Rate*trial.Seconds() {
			busy = max(busy, 2*aim) // it did not keep up, whatever for
		}
		stir.Rate = min(stir.Rate*min(max(aim/max(busy, 0.01), 0.25), 4), float64(len(stir.Crowd.Guests))/restless)
	}
	return stir.Settle(20 * time.Second)
}

// chat lets the pair write until it is over.
func (b *bench) chat(pair *rehearse.Crowd, over <-chan struct{}) error {
	o, err := pair.Talk(rehearse.Chat{Body: 100, Durable: true, Origin: true, Rate: pairRate, Length: time.Hour, Stop: over})
	if err != nil {
		return err
	}
	b.report.add("lever: messages of the pair", "", float64(o.Sent))
	b.report.add("lever: delivered p99 of the pair", "ms", milli(o.Delivery.Quantile(0.99)))
	fmt.Printf("    a pair wrote %d messages meanwhile, none lost; delivered p99 %.0f ms\n", o.Sent, milli(o.Delivery.Quantile(0.99)))
	return o.Check()
}

// A turn is what was seen of the lever; times are of the loop's clock.
type turn struct {
	announced     node.LeverSaving
	list          string        // of lever ls
	set, answered time.Duration // the command, and its answer
	settled       time.Duration // when after began, compared after set
	undo          time.Duration
	before, after float64 // server, % of a processor
	loader        float64 // before
	err           error
}

// turn moves the lever and takes it back; over is closed at the end.
func (s *server) turn(loop *rehearse.Loop, over chan<- struct{}) (t turn) {
	defer close(over)
	do := func(f func() error) {
		if t.err == nil {
			t.err = f()
		}
	}
	wait := func(d time.Duration) {
		if t.err == nil {
			time.Sleep(d)
		}
	}
	// At the end of a bucket all is told at once, which is another matter.
	const bucket = 5 * time.Minute
	need := stirring + 4*compared
	if left := time.Until(time.Now().Truncate(bucket).Add(bucket)); left < need {
		wait(left)
	}
	wait(stirring - compared)
	do(func() (err error) { t.before, t.loader, err = s.busy(compared); return err })
	do(func() (err error) { t.announced, t.list, err = s.announced(); return err })
	do(func() error {
		t.set = loop.Now()
		err := s.ctl("lever.set", node.LeverArgs{Name: "presence", Value: "coarse", Why: "the core burns"}, nil)
		t.answered = loop.Now()
		return err
	})
	wait(time.Second)
	t.settled = loop.Now()
	do(func() (err error) { t.after, _, err = s.busy(compared); return err })
	do(func() error {
		t.undo = loop.Now()
		return s.ctl("lever.undo", node.LeverArgs{}, nil)
	})
	wait(3 * time.Second)
	return t
}

// busy is how much of a processor the server uses, and the loader, in percent.
func (s *server) busy(d time.Duration) (server, loader float64, err error) {
	pids := [...]int{s.pid(), os.Getpid()}
	var spent [len(pids)]time.Duration
	start := time.Now()
	for i, pid := range pids {
		if spent[i], err = rehearse.CPU(pid); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(d)
	took := time.Since(start).Seconds()
	for i, pid := range pids {
		now, err := rehearse.CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		spent[i] = now - spent[i]
	}
	return 100 * spent[0].Seconds() / took, 100 * spent[1].Seconds() / took, nil
}

// announced asks what coarse would save.
func (s *server) announced() (node.LeverSaving, string, error) {
	out, err := s.output("lever", "ls", "presence", "--json")
	if err != nil {
		return node.LeverSaving{}, "", err
	}
	var list node.LeverList
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&list); err != nil {
		return node.LeverSaving{}, "", err
	}
	text, err := s.output("lever", "ls", "presence")
	for _, l := range list.Levers {
		for _, saves := range l.Saves {
			if saves.Value == "coarse" {
				return saves, string(text), err
			}
		}
	}
	return node.LeverSaving{}, "", errors.Join(err, fmt.Errorf("lever ls does not tell what coarse saves: %s", text))
}

// judge holds what was announced against what came.
func (b *bench) judge(stir *rehearse.Stir, t *turn) error {
	const step = 50 * time.Millisecond
	usual := float64(stir.CameBetween(t.set-compared, t.set)) / float64(compared/step)
	effect := time.Duration(-1)
	for at := t.set; at+step <= t.undo; at += step {
		if float64(stir.CameBetween(at, at+step)) >= usual/10 {
			effect = -1
		} else if effect < 0 {
			effect = at - t.set
		}
	}
	// The loop is open: as much goes on after as before, unless the loader is the
	// limit, or the server. Then what came is told for as many changes as before, and not judged.
	each := func(from time.Duration) float64 {
		return float64(stir.MadeBetween(from, from+compared)) / compared.Seconds()
	}
	earlier, later := each(t.set-compared), each(t.settled)
	pairs := len(stir.Crowd.Guests) * (stir.Size - 1)
	behind := stir.Waited(t.set-compared, t.set) > pairs/2 // then it is told of the last change of several
	bound := behind || t.loader >= full || earlier < kept*stir.Rate || later < kept*stir.Rate
	came := t.before - t.after*earlier/max(later, 1)
	r := &b.report
	r.add("lever: answer of the command", "ms", milli(t.answered-t.set))
	r.add("lever: presences below a tenth after", "s", effect.Seconds()).atMost(1)
	r.add("lever: server busy before", "%", t.before)
	r.add("lever: server busy after", "%", t.after)
	r.add("lever: loader busy before", "%", t.loader)
	r.add("lever: saving announced", "% of a processor", t.announced.CPU)
	r.add("lever: saving that came", "% of a processor", came)
	r.add("lever: changes before", "1/s", earlier)
	r.add("lever: changes after", "1/s", later)
	measured := r.add("lever: announced, of what came", "%", 100*t.announced.CPU/came)
	switch {
	case behind:
		fmt.Println("    the server was the limit: more than half of what people saw was not the last change; the saving is not judged")
	case bound:
		fmt.Printf("    the loader was the limit: %.0f %% busy, %.0f changes a second before and %.0f after instead of %.0f; what came is told for as many changes as before, and not judged\n",
			t.loader, earlier, later, stir.Rate)
	default:
		measured.between(70, 130)
	}
	caught, ok := stir.Caught(t.undo, stir.Waited(t.set-compared, t.set))
	r.add("lever: no more behind than before, after the undo", "s", (caught - t.undo).Seconds())
	fmt.Printf("    %.0f changes and %.0f presences a second; coarse answered after %.0f ms, in effect after %.2f s\n",
		stir.Rate, usual*float64(time.Second/step), milli(t.answered-t.set), effect.Seconds())
	fmt.Printf("    server %.1f %% busy, loader %.0f %%; then server %.1f %%: %.1f %% announced, %.1f %% came, the one is %.0f %% of the other; lever ls had said:\n%s",
		t.before, t.loader, t.after, t.announced.CPU, came, 100*t.announced.CPU/came, t.list)
	fmt.Printf("    undone: all was caught up with %.2f s later, and every view right when people rested\n", (caught - t.undo).Seconds())
	switch {
	case !ok:
		return errors.New("what was not told was not caught up with in the 3 s after the undo")
	case effect < 0:
		return errors.New("presences never fell below a tenth")
	case stir.Disordered > 0:
		return fmt.Errorf("%d presences came after a newer one", stir.Disordered)
	}
	return nil
}
