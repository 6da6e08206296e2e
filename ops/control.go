package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// The control socket carries one request per connection, as JSON values each
// followed by a line feed:
//
//	→ {"op": "user.add", "args": {…}}
//	→ …                                  further values, if the operation reads any;
//	                                     which one is the last is its own matter
//	← {"done": 100, "total": 5000}       any number of times
//	← {"result": …}  or  {"error": "…"}
//
// Whoever may open the socket (mode 0600, in the data directory) may do
// everything. Hanging up cancels the operation's context.

// Handler does one operation. What it returns is sent as JSON.
type Handler func(*Call) (any, error)

// Call is one request while it is being answered.
type Call struct {
	ctx  context.Context
	user string
	args json.RawMessage
	in   *json.Decoder

	mu  sync.Mutex // one value at a time
	out *json.Encoder
}

type request struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

type reply struct {
	Done   int             `json:"done,omitempty"`
	Total  int             `json:"total,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Context ends when the caller hangs up or the server stops.
func (c *Call) Context() context.Context { return c.ctx }

// Args decodes the arguments; a field that the operation does not know is an
// error.
func (c *Call) Args(v any) error {
	if len(c.args) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(c.args)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	return nil
}

// Read decodes the next value that the caller sends after the request.
func (c *Call) Read(v any) error { return c.in.Decode(v) }

// Progress tells the caller how far the operation has come.
func (c *Call) Progress(done, total int) {
	c.send(reply{Done: done, Total: total})
}

func (c *Call) send(r reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.out.Encode(r) // a caller that hung up has cancelled ctx
}

// Control answers on the control socket.
type Control struct {
	log *slog.Logger

	mu       sync.Mutex
	handlers map[string]Handler

	ln     net.Listener
	path   string
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewControl makes a registry of operations; Listen opens its socket.
func NewControl(log *slog.Logger) *Control {
	return &Control{log: log, handlers: map[string]Handler{}}
}

// Handle registers an operation ("user.add"). A name that is taken is replaced.
func (c *Control) Handle(op string, h Handler) {
	c.mu.Lock()
	c.handlers[op] = h
	c.mu.Unlock()
}

// Listen opens the socket at path, readable by its owner only. The caller
// holds the lock of the directory, so a socket that is there is a left-over.
func (c *Control) Listen(path string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open control socket: %w", err)
	}
	var ln net.Listener
	err := short(fresh, func(name string) (err error) {
		ln, err = net.Listen("unix", name)
		return err
	})
	if err != nil {
		return fmt.Errorf("open control socket %s: %w", path, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		ln.Close()
		return fmt.Errorf("open control socket %s: %w", path, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.ln, c.path, c.cancel = ln, path, cancel
	c.wg.Go(func() { c.accept(ctx) }) // ends with Close
	return nil
}

// short calls fn with a name for path that fits into a socket address (107
// bytes), however deep the directory lies.
func short(path string, fn func(string) error) error {
	if len(path) <= 100 {
		return fn(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// Close stops answering: running operations are cancelled and awaited.
func (c *Control) Close() error {
	if c.ln == nil {
		return nil
	}
	c.cancel()
	err := c.ln.Close()
	c.wg.Wait()
	if rm := os.Remove(c.path); err == nil && !errors.Is(rm, os.ErrNotExist) {
		err = rm
	}
	c.ln = nil
	return err
}

func (c *Control) accept(ctx context.Context) {
	for {
		conn, err := c.ln.Accept()
		switch {
		case err == nil:
			c.wg.Go(func() { c.serve(ctx, conn, "") }) // ends with its connection or Close
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // no descriptors: just when an operator wants to be heard
			c.log.Warn("a command was not accepted; trying again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptAgain):
			}
		}
	}
}

// acceptAgain is how long the socket waits when a command cannot be accepted.
const acceptAgain = 100 * time.Millisecond

// serve answers one call; user is who calls, "" is who is at the other end.
func (c *Control) serve(ctx context.Context, conn net.Conn, user string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if user == "" {
		user = callerOf(conn)
	}
	call := &Call{ctx: ctx, user: user, out: json.NewEncoder(conn)}
	var req request
	in := json.NewDecoder(readAhead(ctx, conn, cancel))
	if err := in.Decode(&req); err != nil {
		if !errors.Is(err, io.EOF) {
			call.send(reply{Error: "control socket: not a request: " + err.Error()})
		}
		return
	}
	call.args, call.in = req.Args, in
	result, err := c.run(req.Op, call)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(result); err == nil {
			call.send(reply{Result: text})
			return
		}
	}
	call.send(reply{Error: err.Error()})
}

// ahead reads a connection one piece ahead of the operation, so that the end
// of the connection is noticed also while the operation reads nothing.
type ahead struct {
	pieces chan []byte
	rest   []byte
}

// readAhead begins to read; at the end of the connection it calls hungUp.
func readAhead(ctx context.Context, conn net.Conn, hungUp context.CancelFunc) *ahead {
	a := &ahead{pieces: make(chan []byte, 1)}
	go func() { // ends with the connection or ctx
		defer close(a.pieces)
		defer hungUp()
		for {
			b := make([]byte, 64<<10)
			n, err := conn.Read(b)
			if n > 0 {
				select {
				case a.pieces <- b[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

// Read gives what has been read, and io.EOF behind it.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		var ok bool
		if a.rest, ok = <-a.pieces; !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// run finds and runs the operation; a panic in it is an error of it alone.
func (c *Control) run(op string, call *Call) (result any, err error) {
	c.mu.Lock()
	h := c.handlers[op]
	names := make([]string, 0, len(c.handlers))
	for n := range c.handlers {
		names = append(names, n)
	}
	c.mu.Unlock()
	if h == nil {
		if near := feature.Nearest(op, names); near != "" {
			return nil, fmt.Errorf("the server knows no operation %q: did you mean %q?", op, near)
		}
		sort.Strings(names)
		return nil, fmt.Errorf("the server knows no operation %q, only %s", op, strings.Join(names, ", "))
	}
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("control operation panicked", "op", op, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: internal error, see the server's log", op)
		}
	}()
	result, err = h(call)
	if err != nil {
		c.log.Info("control operation refused", "op", op, "err", err)
	} else {
		c.log.Debug("control operation done", "op", op)
	}
	return result, err
}
