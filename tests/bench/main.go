// Command bench measures a Bearhug server as its operator would see it: a
// process of its own, started with `bearhug serve`, pinned to one core, while
// package rehearse loads it from another. docs/benchmarks.md says what the
// figures mean and has those of the last release.
//
//	go run ./tests/bench -bearhug bin/bearhug [flags] [MEASUREMENT…]
//
// Every measuring run is a check as well: a message that is lost, doubled or
// out of order fails it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/rehearse"
)

// options are what the flags say.
type options struct {
	bearhug    string // the program under test
	cache      string
	json       string
	runs       int
	length     time.Duration
	serverCore int
	loadCore   int
	profile    string
	keep       bool
	rate       float64
	part       float64
}

// measurements in the order in which they run.
var measurements = []struct {
	name, doc string
	run       func(*bench) error
}{
	{"primitives", "go test -bench of the packages on the hot path", (*bench).primitives},
	{"routed", "messages that need no row", (*bench).routed},
	{"durable", "stored and acknowledged, SQLite, 200 people, empty archive", (*bench).durable},
	{"loaded", "the same, 10,000 people, random pairs, 2,000,000 messages stored before", (*bench).loaded},
	{"mariadb", "durable on MariaDB", (*bench).mariadb},
	{"signin", "15,000 sign-ins, then all cut off and resumed", (*bench).signIn},
	{"idle", "memory of 15,000 people over TCP, TLS, WebSocket, WSS", (*bench).idle},
	{"import", "100,000 accounts imported while people chat", (*bench).imports},
	{"people-import", "100,000 people imported, changed and undone while people chat", (*bench).peopleImport},
	{"group-add", "one person joins a group that 10,000 see, and leaves it", (*bench).groupAdd},
	{"growth", "the exponent of presence: 200, 600, 2,000 people, one group and groups of 50", (*bench).growth},
	{"top", "`bearhug top` while 2,000 people of one group connect at once", (*bench).top},
	{"ledger", "what the ledger's measuring costs: storms and chat with and without it, in turns", (*bench).ledger},
	{"lever", "presence made coarse in the middle of a storm of 1,000 people, and full again", (*bench).lever},
	{"outreach", "30,000 invitations claimed, rendered, handed and accepted, without a pace", (*bench).outreach},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveWord {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == inviteWord {
		if err := sendInvitations(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	o := options{}
	flag.StringVar(&o.bearhug, "bearhug", "bin/bearhug", "the server's `program`")
	flag.StringVar(&o.cache, "cache", "", "`directory` of prepared archives; default is the user's cache")
	flag.StringVar(&o.json, "json", "", "write the figures to this `file`")
	flag.IntVar(&o.runs, "runs", 3, "runs of each measurement; the median is reported")
	flag.DurationVar(&o.length, "length", 10*time.Second, "measured time of a run")
	flag.IntVar(&o.serverCore, "server-core", 0, "core of the server, and of its database")
	flag.IntVar(&o.loadCore, "load-core", 1, "core of the loader")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of the server to this `directory`")
	flag.Float64Var(&o.rate, "rate", 0, "only the open model, at this `rate` (messages a second)")
	flag.Float64Var(&o.part, "share", 1, "only this `part` of the people, in measurements of presence, to try them")
	flag.BoolVar(&o.keep, "keep", false, "keep the data directories")
	flag.Usage = usage
	flag.Parse()
	if err := o.main(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [flags] [MEASUREMENT…]\n\nmeasurements (all, when none is named):")
	for _, m := range measurements {
		fmt.Fprintf(os.Stderr, "  %-13s %s\n", m.name, m.doc)
	}
	fmt.Fprintln(os.Stderr, "\nflags:")
	flag.PrintDefaults()
}

func (o *options) main(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(measurements, func(m struct {
			name, doc string
			run       func(*bench) error
		}) bool {
			return m.name == name
		}) {
			return fmt.Errorf("there is no measurement %q; -h lists them", name)
		}
	}
	if err := rehearse.PinSelf(o.loadCore); err != nil {
		return err
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache: %w", err)
		}
		o.cache = filepath.Join(dir, "bearhug-bench")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b := &bench{options: *o, ctx: ctx}
	b.report.Conditions = conditions()
	var errs []error
	for _, m := range measurements {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		fmt.Printf("\n== %s: %s\n", m.name, m.doc)
		if err := m.run(b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			fmt.Println("   ", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	b.report.print(os.Stdout)
	if o.json != "" {
		out, err := json.MarshalIndent(&b.report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.json, append(out, '\n'), 0o644)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// conditions tells where the figures come from.
func conditions() map[string]string {
	c := map[string]string{
		"time": time.Now().UTC().Format(time.RFC3339), "go": runtime.Version(),
		"system": runtime.GOOS + "/" + runtime.GOARCH, "command": strings.Join(os.Args[1:], " "),
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				c["processor"] = strings.TrimSpace(value)
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		c["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		c["load before"] = strings.TrimSpace(string(b))
	}
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		c["commit"] = strings.TrimSpace(string(out))
	}
	return c
}
