package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

const (
	many     = 15000
	inFlight = 64
)

// signIn measures 15,000 sign-ins one after the other, and the return of all
// of them after a cut.
func (b *bench) signIn() error {
	people, err := b.people(many)
	if err != nil {
		return err
	}
	for i := range b.runs {
		if err := b.signInOnce(people, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) signInOnce(people []*rehearse.Person, run int) (err error) {
	s, err := b.server(people, "", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(); err != nil {
		return err
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Manage: true, Presence: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	time.Sleep(2 * time.Second)

	step := func(name string, target, sql float64, enter func() (*rehearse.Arrival, error)) error {
		before, err := s.statements()
		if err != nil {
			return err
		}
		done := s.profiled(fmt.Sprintf("%s-%d", name, run), 3*time.Second)
		a, err := enter()
		done()
		if err != nil {
			return err
		}
		after, err := s.statements()
		if err != nil {
			return err
		}
		b.report.add(name+": people/s", "1/s", a.Rate()).atLeast(target)
		b.report.add(name+": server CPU each", "µs", micro(a.Server/many))
		b.report.add(name+": SQL each", "", (after-before)/many).atMost(sql)
		b.report.add(name+": p99", "ms", milli(a.Times.Quantile(0.99)))
		b.report.add(name+": loader busy", "%", 100*a.LoaderBusy())
		fmt.Printf("    %s: %.0f/s, server %.0f µs each and %.0f %% busy, %.4f SQL each, p99 %.1f ms, loader %.0f %% busy\n",
			name, a.Rate(), micro(a.Server/many), 100*a.ServerBusy(), (after-before)/many, milli(a.Times.Quantile(0.99)), 100*a.LoaderBusy())
		return nil
	}
	// 1.001: the housekeeping of those seconds is in the count as well.
	if err := step("signin", 3000, 1.01, func() (*rehearse.Arrival, error) { return crowd.SignIn(people, inFlight) }); err != nil {
		return err
	}
	crowd.CutOff()
	time.Sleep(2 * time.Second)
	return step("resume", 0, 0.01, func() (*rehearse.Arrival, error) { return crowd.Resume(inFlight) })
}

// idle measures memory per person who is signed in and says nothing.
func (b *bench) idle() error {
	people, err := b.people(many)
	if err != nil {
		return err
	}
	secure := &tls.Config{InsecureSkipVerify: true, ServerName: domain}
	for _, t := range []struct {
		rehearse.Transport
		listener string
		target   float64
	}{
		{rehearse.Transport{Name: "TCP"}, "c2s.listen", 10},
		{rehearse.Transport{Name: "TLS", TLS: secure}, "c2s.tls_listen", 18},
		{rehearse.Transport{Name: "WebSocket", WebSocket: true}, "http.listen", 14},
		{rehearse.Transport{Name: "WSS", TLS: secure, WebSocket: true}, "http.tls_listen", 24},
	} {
		for range b.runs {
			if err := b.idleOnce(people, t.Transport, t.listener, t.target); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
		}
	}
	return nil
}

func (b *bench) idleOnce(people []*rehearse.Person, t rehearse.Transport, listener string, target float64) (err error) {
	s, err := b.server(people, "", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	base, err := rehearse.RSS(s.pid())
	if err != nil {
		return err
	}
	t.Address = s.ports[listener].String()
	var h rehearse.Household
	defer func() { err = errors.Join(err, h.Leave()) }()
	began := time.Now()
	if err := h.Settle(people, t, rehearse.Wishes{Presence: true}, inFlight); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := rehearse.RSS(s.pid())
	if err != nil {
		return err
	}
	time.Sleep(60 * time.Second)
	settled, err := rehearse.RSS(s.pid())
	if err != nil {
		return err
	}
	each := float64(settled-base) / many / 1024
	b.report.add("idle "+t.Name+": RSS a person", "KB", each).atMost(target)
	b.report.add("idle "+t.Name+": RSS of the fresh process", "MB", float64(base)/(1<<20))
	fmt.Printf("    %s: %.1f KB each; process %.1f MB fresh, %.1f MB after the last sign-in, %.1f MB 60 s later; %.0f sign-ins/s\n",
		t.Name, each, float64(base)/(1<<20), float64(after)/(1<<20), float64(settled)/(1<<20), many/took.Seconds())
	if body, err := s.get("/debug/pprof/heap"); err == nil && b.profile != "" {
		return errors.Join(h.Lost(), os.WriteFile(filepath.Join(b.profile, "idle-"+t.Name+".heap"), body, 0o644))
	}
	return h.Lost()
}

// imports measures `user import` on a server on which people chat.
func (b *bench) imports() error {
	for range b.runs {
		if err := b.importOnce(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) importOnce() (err error) {
	const accounts = 100000
	s, crowd, end, err := b.stage(&scene{people: 200, chat: rehearse.Chat{Durable: true}})
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	strangers, err := b.people(200 + accounts)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "many.csv")
	if err := os.WriteFile(file, b.csv(strangers[200:]), 0o600); err != nil {
		return err
	}
	// The command runs on the loader's core: there it takes from the loader,
	// which is idle for most of the time, and nothing from the server.
	cmd := exec.CommandContext(b.ctx, b.bearhug, s.arguments("user", "import", file)...)
	took := make(chan time.Duration, 1)
	failed := make(chan error, 1)
	go func() {
		time.Sleep(warm + 2*time.Second)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took <- time.Since(began)
		if err != nil {
			err = fmt.Errorf("user import: %w: %s", err, out)
		}
		failed <- err
	}()
	o, err := crowd.Talk(rehearse.Chat{
		Body: 100, Durable: true, Origin: true, Rate: 1000, Warm: warm, Length: max(b.length, 15*time.Second),
	})
	seconds := (<-took).Seconds()
	if err = errors.Join(err, <-failed); err != nil {
		return err
	}
	b.report.add("import of 100,000 accounts", "s", seconds).atMost(10)
	b.report.add("import: acknowledged p99 meanwhile, 1,000/s", "ms", milli(o.Acknowledgement.Quantile(0.99)))
	fmt.Printf("    import: %.1f s; acknowledged p50 %.2f p99 %.2f ms meanwhile at %.0f/s\n", seconds,
		milli(o.Acknowledgement.Quantile(0.5)), milli(o.Acknowledgement.Quantile(0.99)), o.Rate())
	return o.Check()
}
