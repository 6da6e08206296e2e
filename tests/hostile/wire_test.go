// Package hostile sends the real server what no client should, and sees to it
// that each gets the right error, that memory stays bounded, and that nobody
// else notices.
package hostile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/tests/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m.Run)) }

const (
	nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind = "urn:ietf:params:xml:ns:xmpp-bind"
	domain = "house.test"
	header = "<?xml version='1.0'?><stream:stream to='" + domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)

// wire is a bare connection.
type wire struct {
	t *testing.T
	net.Conn
	read []byte // not heard yet
}

// dial connects; from is the source address, "" for any.
func dial(t *testing.T, address, from string) *wire {
	t.Helper()
	w, err := tryDial(address, from)
	if err != nil {
		t.Fatal(err)
	}
	w.t = t
	t.Cleanup(func() { w.Close() })
	return w
}

func tryDial(address, from string) (*wire, error) {
	d := net.Dialer{Timeout: house.Patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(house.Patience)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &wire{Conn: c}, nil
}

// say sends; what the server no longer takes is no matter here, for its answer
// is what counts.
func (w *wire) say(text string) { _, _ = io.WriteString(w, text) }

// hear reads up to and including a text.
func (w *wire) hear(text string) string {
	w.t.Helper()
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(w.read, []byte(text)); i >= 0 {
			heard := string(w.read[:i+len(text)])
			w.read = w.read[i+len(text):]
			return heard
		}
		n, err := w.Read(buf)
		w.read = append(w.read, buf[:n]...)
		if n == 0 && err != nil {
			w.t.Fatalf("%q was not heard but %q: %v", text, w.read, err)
		}
	}
}

// rest reads until the server closes.
func (w *wire) rest() string {
	b, err := io.ReadAll(w)
	if err != nil && isTimeout(err) {
		w.t.Helper()
		w.t.Fatalf("the connection stays open; heard %q", append(w.read, b...))
	}
	return string(append(w.read, b...))
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// open opens a stream.
func (w *wire) open() *wire {
	w.t.Helper()
	w.say(header)
	w.hear("</stream:features>")
	return w
}

// signIn goes on to a stream that has signed in.
func (w *wire) signIn(local string) *wire {
	w.t.Helper()
	w.open()
	w.say("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + plain(local, house.Password) + "</auth>")
	w.hear("<success")
	w.hear(">")
	return w.open()
}

// bind goes on to a bound resource.
func (w *wire) bind(local, resource string) *wire {
	w.t.Helper()
	w.signIn(local)
	w.say("<iq type='set' id='b'><bind xmlns='" + nsBind + "'><resource>" + resource + "</resource></bind></iq>")
	w.hear("</iq>")
	return w
}

func plain(local, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + local + "\x00" + password))
}

// condition is that of the stream error among what was heard.
func condition(heard string) string {
	_, after, ok := strings.Cut(heard, "<stream:error>")
	if !ok {
		return ""
	}
	_, after, _ = strings.Cut(after, "<")
	end := strings.IndexAny(after, " />")
	if end < 0 {
		return ""
	}
	return after[:end]
}

// memory bounds what the server's memory may grow by while f runs, and says
// what it did.
func memory(t *testing.T, s *house.Server, bound int64, f func()) {
	t.Helper()
	before, _, err := s.Resident()
	if err != nil {
		t.Fatal(err)
	}
	f()
	after, most, err := s.Resident()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("server memory: %d MiB before, %d MiB after, %d MiB at most; bound: %d MiB more than before",
		before>>20, after>>20, most>>20, bound>>20)
	if most-before > bound {
		t.Errorf("the server's memory grew by %d MiB, bound %d MiB", (most-before)>>20, bound>>20)
	}
}

// start starts a server for these tests.
func start(t *testing.T, flags map[string]string) *house.Server {
	t.Helper()
	all := map[string]string{"c2s.plaintext": "true"}
	for k, v := range flags {
		all[k] = v
	}
	return house.New(t, house.Options{Domain: domain, People: []string{"ada", "bob", "eve", "mal"}, Flags: all})
}

func repeat(text string, n int) string { return strings.Repeat(text, n) }

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
