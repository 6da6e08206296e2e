package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// ErrNoServer says that nobody answers on the control socket.
var ErrNoServer = errors.New("no server is running")

// Caller is the command's end of the control socket.
type Caller struct {
	dial func(context.Context) (net.Conn, error)
}

// Request is one operation to be asked for.
type Request struct {
	Op       string
	Args     any                              // sent as JSON
	Send     func(next func(any) error) error // sends what follows the request; may be nil
	Progress func(done, total int)            // may be nil
}

// Dial finds the server behind a control socket. ErrNoServer when there is none.
func Dial(ctx context.Context, path string) (*Caller, error) {
	c := &Caller{func(ctx context.Context) (net.Conn, error) { return open(ctx, path) }}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, conn.Close()
}

// Caller reaches the operations without a socket, from the same process: what
// a command does when no server runs.
func (c *Control) Caller() *Caller { return c.CallerAs("") }

// CallerAs is a Caller in the name of somebody who was let in elsewhere: Call.User
// is that name. "" is who this process runs as.
func (c *Control) CallerAs(user string) *Caller {
	return &Caller{func(ctx context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go c.serve(ctx, far, user) // ends with the call
		return near, nil
	}}
}

func open(ctx context.Context, path string) (conn net.Conn, err error) {
	err = short(path, func(name string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", name)
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoServer
	}
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	return conn, nil
}

// Call asks for an operation and decodes its result (nil: not wanted). An
// error of the server is told in its own words.
func (c *Caller) Call(ctx context.Context, r Request, result any) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	args, err := json.Marshal(r.Args)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Op, err)
	}
	w := bufio.NewWriterSize(conn, 64<<10)
	out := json.NewEncoder(w)
	if err := out.Encode(request{Op: r.Op, Args: args}); err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(r, w, out, conn) }() // ends with the connection
	err = c.answers(ctx, conn, r, result)
	if err != nil {
		conn.Close()
	}
	if serr := <-sent; err == nil && serr != nil {
		err = serr
	}
	return err
}

func send(r Request, w *bufio.Writer, out *json.Encoder, conn net.Conn) error {
	if r.Send != nil {
		if err := r.Send(out.Encode); err != nil {
			conn.Close() // the operation must not take half for all
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	return nil
}

func (c *Caller) answers(ctx context.Context, conn net.Conn, r Request, result any) error {
	in := json.NewDecoder(conn)
	for {
		var a reply
		if err := in.Decode(&a); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("%s: the server hung up; whether it was done is not known", r.Op)
			}
			return fmt.Errorf("%s: %w", r.Op, err)
		}
		switch {
		case a.Error != "":
			return errors.New(a.Error)
		case a.Result != nil:
			if result == nil {
				return nil
			}
			if err := json.Unmarshal(a.Result, result); err != nil {
				return fmt.Errorf("%s: answer: %w", r.Op, err)
			}
			return nil
		case r.Progress != nil:
			r.Progress(a.Done, a.Total)
		}
	}
}
