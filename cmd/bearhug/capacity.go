package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type capacityCmd struct {
	Org  string        `placeholder:"DOMAIN" help:"Play people of this organisation; needed where there are several."`
	Yes  bool          `help:"Measure a running server although rehearse.allow is false. People who are online may feel it for a minute."`
	For  time.Duration `default:"1m" help:"How long to look for it."`
	Last bool          `help:"Print what was measured last, and measure nothing."`
	JSON bool          `name:"json" help:"Print JSON."`
}

// Help is what `--help` adds.
func (c *capacityCmd) Help() string {
	return `A self-test of about a minute: 200 virtual people of the organisation, made for
it and taken away afterwards with all that they wrote, talk to each other and
sign in, ever more of it, until what people feel (classes 0 to 2) has to wait in
the server for as long as the lever overload.target says. The result is kept for
the preview of a launch. A server that runs is measured as it is, with whoever
is online, if rehearse.allow is true; if none runs, one is started for the test.`
}

func (c *capacityCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if c.Last {
		var last node.Capacity
		if err := node.Do(ctx, cfg, false, ops.Request{Op: "capacity.last"}, &last); err != nil {
			return err
		}
		return c.print(e.out, &last)
	}
	if c.For < 10*time.Second || c.For > time.Hour {
		return errors.New("--for: want 10s to 1h")
	}
	run := node.CapacityRun{
		CapacityArgs: node.CapacityArgs{Org: c.Org, Yes: c.Yes}, Time: c.For,
		Told: func(s node.CapacityStep) { told(e.err, &s) },
	}
	caller, err := ops.Dial(ctx, cfg.Socket())
	if errors.Is(err, ops.ErrNoServer) || errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(cfg.Data); err != nil {
			return fmt.Errorf("no data directory %s here: name it with --data", cfg.Data)
		}
		var stop func() error
		if caller, stop, err = c.serve(ctx, e, cfg); err != nil {
			return err
		}
		run.Yes = true
		defer func() {
			if fault := stop(); fault != nil {
				fmt.Fprintln(e.err, "bearhug: the server for the test:", fault)
			}
		}()
	} else if err != nil {
		return err
	}
	result, err := node.MeasureCapacity(ctx, caller, run)
	if err != nil {
		return err
	}
	return c.print(e.out, result)
}

// serverStart is how long a server may take to answer.
const serverStart = time.Minute

// serve starts a server for the test, with the same configuration.
func (c *capacityCmd) serve(ctx context.Context, e *env, cfg *node.Config) (*ops.Caller, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("start a server for the test: %w", err)
	}
	args := []string{"serve"}
	if e.config != "" {
		args = append(args, "--config="+e.config)
	}
	for name, value := range e.flags {
		args = append(args, "--"+name+"="+value)
	}
	var said strings.Builder
	server := exec.Command(self, args...)
	server.Env, server.Stderr = e.environ, &said
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is ours: the people go first
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() { // ends with the server; who dies with a thread dies with this one
		runtime.LockOSThread()
		err := server.Start()
		if started <- err; err == nil {
			ended <- server.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, nil, fmt.Errorf("start a server for the test: %w", err)
	}
	fmt.Fprintln(e.err, "no server runs here: one is started for the test")
	for until := time.Now().Add(serverStart); ; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			return nil, nil, fmt.Errorf("the server for the test ended (%v): %s", err, lines[len(lines)-1])
		default:
		}
		caller, err := ops.Dial(ctx, cfg.Socket())
		if err == nil {
			return caller, func() error {
				if err := server.Process.Signal(syscall.SIGTERM); err != nil {
					return err
				}
				return <-ended
			}, nil
		}
		if ctx.Err() != nil || time.Now().After(until) {
			err = errors.Join(server.Process.Kill(), <-ended)
			return nil, nil, fmt.Errorf("the server for the test did not answer on %s: %v", cfg.Socket(), err)
		}
	}
}

// told prints a step.
func told(w io.Writer, s *node.CapacityStep) {
	how := "held"
	if !s.Held {
		how = "not held: " + s.Why()
	}
	fmt.Fprintf(w, "%8.0f exchanges/s  queueing %6.1f ms  answered in %7.1f ms (p99)  server %3.0f %%  loader %3.0f %%  %s\n",
		s.Rate, s.Wait, s.P99, s.Server, s.Loader, how)
}

// print tells a result.
func (c *capacityCmd) print(w io.Writer, r *node.Capacity) error {
	if c.JSON {
		return printJSON(w, r)
	}
	atLeast := ""
	if r.AtLeast {
		atLeast = "at least "
	}
	_, err := fmt.Fprintf(w, `%s%d conversations at once, measured %s
  %.0f exchanges and %.1f sign-ins a second before what people feel waits %.0f ms (overload.target)
  assumed: a conversation takes %.0f s and has %d exchanges of %d bytes; answered by %s
  %s, %s, %d processors, %d others online
`, atLeast, r.Conversations, r.At.Local().Format("2006-01-02 15:04"), r.Exchanges, r.SignIns, r.Target,
		r.Seconds, r.PerTalk, r.MessageBytes, r.Answerer, r.Version, r.Engine, r.CPUs, r.Online)
	return err
}
