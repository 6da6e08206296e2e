package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gobwas/ws"

	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// Kind says what an Item is.
type Kind uint8

// What is received.
const (
	Open    Kind = iota + 1 // a stream header
	Stanza                  // message, presence, iq
	Element                 // anything else: features, SASL, stream management, stream errors
	Close                   // the server has ended its stream
)

// An Item is one thing received, a copy that may be kept.
type Item struct {
	Kind   Kind
	Raw    []byte        // as it stood on the wire; of Open and Close nil
	Header stream.Header // of Open
	doc    []byte
}

// Doc is the item as a document of its own, with all its namespaces declared.
func (it Item) Doc() []byte { return it.doc }

// Stanza parses the item. It fails for what is no stanza.
func (it Item) Stanza() (*stanza.Stanza, error) {
	if it.Kind != Stanza {
		return nil, errors.New("no stanza")
	}
	return stanza.Parse(it.doc)
}

// Element parses the item.
func (it Item) Element() (stanza.Element, error) { return stanza.ParseElement(it.doc) }

// Is says whether the item is the element of that name.
func (it Item) Is(ns, local string) bool {
	if it.Kind != Stanza && it.Kind != Element {
		return false
	}
	e, err := it.Element()
	return err == nil && e.Is(ns, local)
}

// A View is one thing received, valid until the function given to Handle returns.
type View struct {
	Kind    Kind
	Stanza  *stanza.Stanza // of Stanza
	Element stanza.Element // of Stanza and Element
	Err     error          // the connection has ended: the last View, Kind is 0
}

// Handle gives everything that is received from now on to f, on the reading goroutine; what waits in the queue is
// dropped. f must not wait for this Client.
func (c *Client) Handle(f func(View)) {
	c.mu.Lock()
	c.handle, c.queue = f, nil
	end := c.end
	c.mu.Unlock()
	if end != nil {
		f(View{Err: end})
	}
}

// read is the reading goroutine: it ends with the connection.
func (c *Client) read() {
	defer close(c.link.done)
	var err error
	if c.link.ws {
		err = c.readMessages()
	} else {
		err = c.readBytes()
	}
	c.link.cut()
	select {
	case c.tlsErr <- err:
	default:
	}
	c.mu.Lock()
	c.end = fmt.Errorf("%w: %w", ErrClosed, err)
	f := c.handle
	c.mu.Unlock()
	c.ring()
	if f != nil {
		f(View{Err: err})
	}
}

func (c *Client) readBytes() error {
	var (
		buf  = make([]byte, 0, 2048)
		it   stream.Item
		from int
	)
	for {
		for from < len(buf) {
			n, err := c.framer.Next(buf[from:], &it)
			if err != nil {
				return fmt.Errorf("what the server sent is no XMPP: %w", err)
			}
			if n == 0 {
				break
			}
			if err := c.got(&it); err != nil {
				return err
			}
			from += n
			if c.link.upgraded(&it) {
				if from < len(buf) {
					return errors.New("the server sent bytes after <proceed/>")
				}
				if err := c.shake(); err != nil {
					return err
				}
			}
		}
		buf = buf[:copy(buf, buf[from:])]
		from = 0
		if cap(buf)-len(buf) < 1024 {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := c.link.nc.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return err
		}
	}
}

// upgraded says whether this is the <proceed/> of STARTTLS (RFC 6120 §5.4.2.3).
func (l *link) upgraded(it *stream.Item) bool {
	return it.Kind == stream.Element && it.Element.Is(nsTLS, "proceed")
}

// shake does the TLS handshake where the stream asked for it, on the reading goroutine.
func (c *Client) shake() error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	c.wmu.Lock()
	err := c.link.secureAs(ctx, c.cfg, "xmpp-client")
	c.wmu.Unlock()
	c.framer.Restart()
	c.tlsErr <- err
	return err
}

func (c *Client) readMessages() error {
	var (
		buf []byte
		it  stream.Item
		err error
	)
	for {
		if buf, err = c.link.message(buf, c.cfg.Limits.Bytes, c.writeFrame); err != nil {
			return err
		}
		n, err := c.framer.Next(buf, &it)
		if err != nil {
			return fmt.Errorf("what the server sent is no XMPP: %w", err)
		}
		if n != len(buf) {
			return fmt.Errorf("a message must hold one whole element (RFC 7395 §3.3): %q", buf)
		}
		if err := c.got(&it); err != nil {
			return err
		}
	}
}

func (c *Client) writeFrame(f ws.Frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked(appendFrame(nil, f.Header.OpCode, f.Payload))
}

// got sorts one item: stream management first, then the handler or the queue.
func (c *Client) got(it *stream.Item) error {
	k := kindOf(it.Kind)
	if k == 0 {
		return nil
	}
	if c.cfg.Trace != nil && it.Element.Exists() {
		c.cfg.Trace(false, it.Element.Bytes())
	}
	if k == Stanza || k == Element {
		if mine, err := c.managed(k, it.Element); mine || err != nil {
			return err
		}
	}
	if k == Element && it.Element.Is(nsSASL, "success") {
		c.framer.Restart()
	}
	c.mu.Lock()
	f := c.handle
	c.mu.Unlock()
	if f != nil {
		f(View{Kind: k, Stanza: it.Stanza, Element: it.Element})
		return nil
	}
	out := Item{Kind: k}
	if it.Header != nil {
		out.Header = *it.Header
	}
	if k == Stanza || k == Element {
		out.Raw = append([]byte(nil), it.Element.Bytes()...)
		out.doc = it.Element.AppendStandalone(nil)
	}
	c.mu.Lock()
	c.queue = append(c.queue, out)
	c.mu.Unlock()
	c.ring()
	return nil
}

func kindOf(k stream.ItemKind) Kind {
	switch k {
	case stream.Open:
		return Open
	case stream.Close:
		return Close
	case stream.Stanza:
		return Stanza
	case stream.Element:
		return Element
	}
	return 0
}

// ring tells whoever waits that something changed.
func (c *Client) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Receive takes the next item. When the connection has ended and the queue is empty it returns ErrClosed.
// One goroutine at a time may wait.
func (c *Client) Receive(ctx context.Context) (Item, error) {
	return c.Take(ctx, func(Item) bool { return true })
}

// Take takes the first item that want accepts, and leaves the others where they are.
func (c *Client) Take(ctx context.Context, want func(Item) bool) (Item, error) {
	seen := 0
	for {
		c.mu.Lock()
		for i := seen; i < len(c.queue); i++ {
			if it := c.queue[i]; want(it) {
				c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
				c.mu.Unlock()
				return it, nil
			}
		}
		seen = len(c.queue)
		end := c.end
		c.mu.Unlock()
		if end != nil {
			return Item{}, end
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return Item{}, ctx.Err()
		}
	}
}

// Waiting is what the queue holds, without taking it.
func (c *Client) Waiting() []Item {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Item(nil), c.queue...)
}

// Ended is why the connection has ended, nil while it stands.
func (c *Client) Ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// writeLocked writes one whole item.
func (c *Client) writeLocked(b []byte) error {
	if c.cfg.Trace != nil {
		c.cfg.Trace(true, b)
	}
	if c.link.ws {
		c.wbuf = appendFrame(c.wbuf[:0], ws.OpText, b)
		b = c.wbuf
	}
	return c.flushLocked(b)
}

func (c *Client) flushLocked(b []byte) error {
	if err := c.link.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.link.nc.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		return ErrClosed
	}
	return err
}
