// Command peers lets Bearhug, ejabberd and Prosody do the same work on the
// same machine, one after the other and round again, and writes the figures
// into docs/benchmarks.md. docs/peers.md says what each server is given.
//
//	go run ./tests/peers -bearhug bin/bearhug [flags] [WORK…]
//
//	main.go      flags, and the order in which things are done
//	plan.go      how often, and how long that is expected to take
//	works.go     what is measured, at which sizes
//	results.go   the file of finished figures, by which a run resumes
//	server.go    a server process, its database, what it uses
//	bearhug.go, ejabberd.go, prosody.go   how each is prepared and started
//	signin.go, chat.go, back.go, storm.go the works
//	report.go    the section of docs/benchmarks.md
//
// Each finished figure is kept in a file: a run that was interrupted goes on
// where it ended. The server and its database have one core, the load another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bearhug/bearhug/rehearse"
	"github.com/bearhug/bearhug/sasl"
)

// options are what the flags say.
type options struct {
	bearhug    string
	results    string
	docs       string
	servers    string
	sizes      string
	quick      bool
	runs       int
	patience   time.Duration
	serverCore int
	loadCore   int
	keep       bool
	planOnly   bool
}

// bench is one run of this program.
type bench struct {
	options
	ctx     context.Context
	keys    sasl.ClientKeys
	results *results
	kinds   []*kind
}

func main() {
	o := options{}
	flag.StringVar(&o.bearhug, "bearhug", "bin/bearhug", "the `program` of Bearhug")
	flag.StringVar(&o.results, "results", "", "`file` of finished figures (bin/peers.jsonl, with -quick bin/peers-quick.jsonl)")
	flag.StringVar(&o.docs, "docs", "", "write the figures into the section of this `file`, between its marks")
	flag.StringVar(&o.servers, "servers", strings.Join(everyone, ","), "which servers, a `list`")
	flag.StringVar(&o.sizes, "sizes", "", "only these numbers of people, a `list`")
	flag.BoolVar(&o.quick, "quick", false, "few people, one run of each: that it works, and a first idea")
	flag.IntVar(&o.runs, "runs", 3, "runs of each, of long ones of peers fewer; medians are reported")
	flag.DurationVar(&o.patience, "patience", 180*time.Second, "how long anything that people wait for may take")
	flag.IntVar(&o.serverCore, "server-core", 0, "core of the server, and of its database")
	flag.IntVar(&o.loadCore, "load-core", 1, "core of the loader")
	flag.BoolVar(&o.keep, "keep", false, "keep the directories of the servers")
	flag.BoolVar(&o.planOnly, "plan", false, "only print what would be done, and how long it would take")
	flag.Usage = usage
	flag.Parse()
	if err := o.main(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: peers [flags] [WORK…]\n\nworks (all, when none is named):")
	for _, w := range works {
		fmt.Fprintf(os.Stderr, "  %-13s %s\n", w.name, w.doc)
	}
	fmt.Fprintln(os.Stderr, "\nflags:")
	flag.PrintDefaults()
}

func (o *options) main(names []string) (err error) {
	for _, name := range names {
		if !slices.ContainsFunc(works, func(w *work) bool { return w.name == name }) {
			return fmt.Errorf("there is no work %q; -h lists them", name)
		}
	}
	if err := rehearse.PinSelf(o.loadCore); err != nil {
		return err
	}
	if o.quick {
		o.runs, o.patience = 1, min(o.patience, 60*time.Second)
	}
	if o.results == "" {
		o.results = "bin/peers.jsonl"
		if o.quick {
			o.results = "bin/peers-quick.jsonl"
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	b := &bench{options: *o, ctx: ctx}
	if b.keys, err = sasl.DeriveClient(sasl.SCRAMSHA1, password, iterations, []byte(salt)); err != nil {
		return err
	}
	if b.kinds, err = b.find(strings.Split(o.servers, ",")); err != nil {
		return err
	}
	if b.results, err = openResults(o.results, b.kinds); err != nil {
		return err
	}
	if b.plan(os.Stdout, names); o.planOnly {
		return b.results.close()
	}
	if err := errors.Join(sweep(), allowFiles()); err != nil {
		return err
	}
	return b.all(names)
}

// all does everything that is not done yet: a run of each work, each size of
// it, each server in turn, then the next run.
func (b *bench) all(names []string) (err error) {
	defer func() { err = errors.Join(err, b.results.close()) }()
	var failed []error
	for run := 1; run <= b.runs; run++ {
		for _, w := range works {
			if len(names) > 0 && !slices.Contains(names, w.name) {
				continue
			}
			for _, size := range b.sizesOf(w) {
				for _, k := range b.kinds {
					err := b.one(w, size, k, run)
					if b.ctx.Err() != nil {
						return errors.New("interrupted; the same command goes on from here")
					}
					if err != nil {
						failed = append(failed, err)
						fmt.Println("   ", err)
					}
				}
			}
		}
	}
	if err := b.report(os.Stdout); err != nil {
		return err
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("not everything could be measured; the same command tries the rest again: %w", err)
	}
	if len(names) == 0 && b.sizes == "" && len(b.kinds) == len(everyone) {
		return b.results.finish()
	}
	return nil
}

// unasked reports whether a work is none of a server's. One that is asked for
// alone does everything.
func (b *bench) unasked(w *work, k *kind) bool {
	return !slices.Contains(w.servers, k.name) && len(b.kinds) > 1
}

// one does one piece of work, unless it is done.
func (b *bench) one(w *work, size int, k *kind, run int) error {
	key := key{w.name, k.name, size, run}
	switch {
	case b.unasked(w, k), run > b.runsOf(w, k, size), b.results.has(key):
		return nil
	case b.results.incomplete(w.name, k.name, size):
		return nil // it could not do this many before: not more, and not again
	case w.needsGroups && k.without != "":
		fmt.Printf("%s, %d people, %s: left out, %s\n", w.name, size, k.name, k.without)
		return nil
	}
	began := time.Now()
	others, err := b.othersBusy()
	if err != nil {
		return err
	}
	fmt.Printf("%s %s, %d people, %s, run %d\n", began.Format("15:04:05"), w.name, size, k.name, run)
	if others > 5 {
		fmt.Printf("    other processes use %.0f %% of a core: these figures will not be worth much\n", others)
	}
	res := result{key: key, Build: k.build, Figures: figures{othersBusy: others}}
	err = b.do(w, size, k, &res)
	if b.ctx.Err() != nil {
		return b.ctx.Err() // what went wrong is our doing
	}
	var fell *fellShort
	if errors.As(err, &fell) {
		res.Note, err = fell.Error(), nil
	}
	if err != nil {
		return fmt.Errorf("%s, %d people, %s: %w", w.name, size, k.name, err)
	}
	res.At, res.Seconds = time.Now().UTC(), time.Since(began).Seconds()
	res.tell(os.Stdout)
	return b.results.add(res)
}

// fellShort is what a server could not do: a figure of its own.
type fellShort struct{ err error }

func (e *fellShort) Error() string { return e.err.Error() }

// do starts a server and does the work on it.
func (b *bench) do(w *work, size int, k *kind, res *result) (err error) {
	s, err := b.prepare(k, w.world(size))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if err = w.do(s, size, res); err != nil && s.gone() {
		err = s.short(fmt.Errorf("%s ended in the middle of it: %w", k.name, err))
	}
	return err
}

// short makes an error of the load a figure.
func (s *server) short(err error) error {
	if err == nil {
		return nil
	}
	return &fellShort{err}
}

func (r *result) tell(w io.Writer) {
	fmt.Fprintf(w, "    %.0f s", r.Seconds)
	for _, name := range r.names() {
		fmt.Fprintf(w, " · %s %s", name, decimal(r.Figures[name]))
	}
	if r.Note != "" {
		fmt.Fprintf(w, " · NOT COMPLETE: %s", r.Note)
	}
	fmt.Fprintln(w)
}
