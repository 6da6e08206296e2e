package rehearse

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Transport is how people reach the server.
type Transport struct {
	Name      string
	Address   string
	TLS       *tls.Config // nil for none
	WebSocket bool
}

// A Household is people who sign in and stay. Each has a goroutine here: it
// is for transports that the Loop does not speak, and for few elements.
type Household struct {
	mu    sync.Mutex
	conns []net.Conn
	lost  error
	wait  sync.WaitGroup
}

// Settle signs people in over a transport, inFlight at a time, and keeps their
// lines open until Leave.
func (h *Household) Settle(people []*Person, t Transport, wishes Wishes, inFlight int) error {
	var wg sync.WaitGroup
	todo := make(chan int)
	var failed error
	for range inFlight {
		wg.Go(func() {
			for i := range todo {
				if err := h.settle(people[i], t, wishes, i); err != nil {
					h.mu.Lock()
					failed = errors.Join(failed, err)
					h.mu.Unlock()
				}
			}
		})
	}
	for i := range people {
		h.mu.Lock()
		stop := failed != nil
		h.mu.Unlock()
		if stop {
			break
		}
		todo <- i
	}
	close(todo)
	wg.Wait()
	return failed
}

func (h *Household) settle(p *Person, t Transport, wishes Wishes, n int) error {
	pipe, err := dial(t, n)
	if err != nil {
		return fmt.Errorf("%s over %s: %w", p.Local, t.Name, err)
	}
	l := &login{person: p, wishes: wishes, ws: t.WebSocket}
	if err := pipe.signIn(l); err != nil {
		return errors.Join(fmt.Errorf("%s over %s: %w", p.Local, t.Name, err), pipe.nc.Close())
	}
	h.mu.Lock()
	h.conns = append(h.conns, pipe.nc)
	h.mu.Unlock()
	h.wait.Go(func() {
		var small [64]byte
		for {
			if _, err := pipe.nc.Read(small[:]); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					h.mu.Lock()
					h.lost = errors.Join(h.lost, fmt.Errorf("%s: %w", p.Local, err))
					h.mu.Unlock()
				}
				return
			}
		}
	})
	return nil
}

// Lost is an error when somebody's line broke.
func (h *Household) Lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// Leave ends all lines.
func (h *Household) Leave() error {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	var errs []error
	for _, nc := range conns {
		errs = append(errs, nc.Close())
	}
	h.wait.Wait()
	return errors.Join(errs...)
}

// pipe is a line on a goroutine.
type pipe struct {
	nc net.Conn
	ws bool
	r  *bufio.Reader
	in []byte
}

func dial(t Transport, n int) (p *pipe, err error) {
	d := net.Dialer{Timeout: 20 * time.Second}
	if host, _, err := net.SplitHostPort(t.Address); err == nil && net.ParseIP(host).IsLoopback() {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+n%sources))}
	}
	nc, err := d.Dial("tcp4", t.Address)
	if err != nil {
		return nil, err
	}
	if t.TLS != nil {
		nc = tls.Client(nc, t.TLS)
	}
	p = &pipe{nc: nc, ws: t.WebSocket, r: bufio.NewReader(nc)}
	if err = nc.SetDeadline(time.Now().Add(30 * time.Second)); err == nil && t.WebSocket {
		err = p.upgrade(t.Address)
	}
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return p, nil
}

// upgrade is the client's part of RFC 6455 §4.1.
func (p *pipe) upgrade(host string) error {
	var key [16]byte
	rand.Read(key[:]) // never fails
	if _, err := fmt.Fprintf(p.nc, "GET /xmpp-websocket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Key: %s\r\n\r\n",
		host, base64.StdEncoding.EncodeToString(key[:])); err != nil {
		return err
	}
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("no WebSocket: %s", res.Status)
	}
	return nil
}

// signIn plays a login to its end.
func (p *pipe) signIn(l *login) error {
	if err := p.write(l.begin()); err != nil {
		return err
	}
	for done := false; !done; {
		el, err := p.next()
		if err != nil {
			return err
		}
		var out [][]byte
		if out, done, _, err = l.next(el); err != nil {
			return err
		}
		for _, b := range out {
			if err := p.write(b); err != nil {
				return err
			}
		}
	}
	p.r, p.in = nil, nil
	return p.nc.SetDeadline(time.Time{})
}

func (p *pipe) write(b []byte) error {
	if p.ws { // masked by zeros: the rule is kept, the bytes stay
		head := []byte{0x81, 0x80 | byte(len(b))}
		if len(b) > 125 {
			head = binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(b)))
		}
		b = append(append(head, 0, 0, 0, 0), b...)
	}
	_, err := p.nc.Write(b)
	return err
}

// next reads one element.
func (p *pipe) next() ([]byte, error) {
	if p.ws {
		return p.frame()
	}
	for {
		el, n, err := cut(p.in)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			p.in = p.in[n:]
			return el, nil
		}
		var more [4096]byte
		got, err := p.r.Read(more[:])
		p.in = append(p.in, more[:got]...)
		if err != nil && got == 0 {
			return nil, err
		}
	}
}

// frame reads one text frame of the server.
func (p *pipe) frame() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1])
	switch {
	case head[0] != 0x81 || n == 127:
		return nil, fmt.Errorf("frame begins with %x", head)
	case n == 126:
		if _, err := io.ReadFull(p.r, head[:]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(head[:]))
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p.r, b)
	return b, err
}
