package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

// importedPeople is how many people a file has.
const importedPeople = 100_000

// peopleImport measures `people import` and `people undo` on a server on which
// people chat: nobody there may feel it.
func (b *bench) peopleImport() error {
	for range b.runs {
		if err := b.peopleImportOnce(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) peopleImportOnce() (err error) {
	s, crowd, end, err := b.stage(&scene{people: 200, chat: rehearse.Chat{Durable: true}})
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "many.csv")
	for _, step := range []struct {
		name string
		team string // of the file; "" for no file
		args []string
	}{
		{name: "nothing"},
		{name: "all new, with accounts", team: "Ops", args: []string{"people", "import", domain, file}},
		{name: "all changed", team: "Sales", args: []string{"people", "import", domain, file}},
		{name: "undo", args: []string{"people", "undo", domain}},
	} {
		if step.team != "" {
			if err := os.WriteFile(file, peopleFile(importedPeople, step.team), 0o600); err != nil {
				return err
			}
		}
		if err := b.besideChat(s, crowd, "people: "+step.name, step.args); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// peopleFile is a file of people as an organisation has it.
func peopleFile(n int, team string) []byte {
	var out bytes.Buffer
	out.WriteString("id,jid,email,name,zone,language,manager,team,start,Country,Grade\n")
	zones := []string{"Europe/Berlin", "Europe/Amsterdam", "America/New_York", "Asia/Tokyo"}
	for i := range n {
		fmt.Fprintf(&out, "%d,w%06d,w%06d@mail.example,\"Person %d, of many\",%s,%s,%d,%s %d,20%02d-%02d-%02d,%s,%d\n",
			i+1, i, i, i, zones[i%len(zones)], []string{"en", "de", "nl"}[i%3], i/10, team, i/50,
			10+i%15, 1+i%12, 1+i%28, []string{"DE", "NL", "US", "JP"}[i%4], i%12)
	}
	return out.Bytes()
}

// besideChat runs a command, if there is one, while the crowd talks.
func (b *bench) besideChat(s *server, crowd *rehearse.Crowd, name string, args []string) error {
	took, failed := make(chan time.Duration, 1), make(chan error, 1)
	go func() {
		if args == nil {
			took <- 0
			failed <- nil
			return
		}
		time.Sleep(warm + 2*time.Second)
		began := time.Now()
		// On the loader's core, as in importOnce.
		out, err := exec.CommandContext(b.ctx, b.bearhug, s.arguments(args...)...).CombinedOutput()
		took <- time.Since(began)
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", args, err, out)
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
	figures, err := s.metrics()
	if err != nil {
		return err
	}
	over := figures["bearhug_db_writer_over_total"]
	if args != nil {
		b.report.add(name, "s", seconds).atMost(60)
	}
	b.report.add(name+": acknowledged p99 meanwhile, 1,000/s", "ms", milli(o.Acknowledgement.Quantile(0.99)))
	b.report.add(name+": transactions so far that held the writer over 20 ms", "", over)
	fmt.Printf("    %s: %.1f s; acknowledged p50 %.2f p99 %.2f p99.9 %.2f ms meanwhile at %.0f/s; %.0f holds over 20 ms so far\n", name, seconds,
		milli(o.Acknowledgement.Quantile(0.5)), milli(o.Acknowledgement.Quantile(0.99)), milli(o.Acknowledgement.Quantile(0.999)), o.Rate(), over)
	return o.Check()
}
