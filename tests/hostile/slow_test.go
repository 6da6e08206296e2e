package hostile

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

var streamsGauge = regexp.MustCompile(`(?m)^bearhug_c2s_streams (\S+)$`)

// streams is how many streams the server says it has.
func streams(t *testing.T, s *house.Server) int {
	t.Helper()
	r, err := http.Get("http://" + s.Addr("ops") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := streamsGauge.FindSubmatch(b)
	if m == nil {
		t.Fatalf("no bearhug_c2s_streams in the metrics:\n%s", b)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(house.Patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after %v", what, house.Patience)
		}
	}
}

// TestNobodySpeaks: 5,000 connections that never say a word are held, then
// told connection-timeout.
//
// Bound: 8 KiB of memory for each.
func TestNobodySpeaks(t *testing.T) {
	const crowd = 5000
	s := start(t, map[string]string{"c2s.negotiation_timeout": "20s"})
	n := settle(t, s)
	var silent []*wire
	memory(t, s, crowd*8<<10, func() {
		for i := range crowd {
			w, err := tryDial(s.Addr("c2s"), fmt.Sprintf("127.0.1.%d", 1+i%20))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.Close() })
			silent = append(silent, w)
			if i == crowd/2 {
				n.progress()
			}
		}
		n.progress()
		t.Logf("%d streams at once", streams(t, s))
	})
	told := 0
	for _, w := range silent {
		w.t = t
		if condition(w.rest()) == "connection-timeout" {
			told++
		}
	}
	if told != crowd {
		t.Errorf("%d of %d were told connection-timeout", told, crowd)
	}
	n.progress()
	await(t, "only the neighbours are left", func() bool { return streams(t, s) == 2 })
	n.leave()
}

// TestSlow: who is slow on purpose, or stops half-way, is cut off in the end,
// wherever that is.
func TestSlow(t *testing.T) {
	s := start(t, map[string]string{"c2s.negotiation_timeout": "3s"})
	n := settle(t, s)
	scram := "<auth xmlns='" + nsSASL + "' mechanism='SCRAM-SHA-1'>biwsbj1ldmUscj1hYmM=</auth>"
	cases := []struct {
		name, listener string
		begin          func(w *wire)
		drip           string // a byte at a time
	}{
		{"slow header", "c2s", nil, header},
		{"slow element", "c2s", func(w *wire) { w.open() }, "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + repeat("A", 9000)},
		{"white space for ever", "c2s", func(w *wire) { w.open() }, repeat(" ", 100_000)},
		{"header and no more", "c2s", func(w *wire) { w.open() }, ""},
		{"sign-in begun", "c2s", func(w *wire) { w.open(); w.say(scram); w.hear("</challenge>") }, ""},
		{"signed in, not bound", "c2s", func(w *wire) { w.signIn("eve") }, ""},
		{"STARTTLS without a handshake", "c2s", func(w *wire) {
			w.open()
			w.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
			w.hear("<proceed")
		}, ""},
		{"slow handshake", "c2s-tls", nil, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + repeat("\x11", 500)},
		{"direct TLS, silent", "c2s-tls", nil, ""},
		{"HTTP, silent", "http", nil, ""},
		{"slow HTTP header", "http", nil, "GET /xmpp-websocket HTTP/1.1\r\nHost: " + domain + "\r\n" + repeat("X-A: b\r\n", 4000)},
		{"HTTPS, silent", "http-tls", nil, ""},
		{"WebSocket, silent", "http", func(w *wire) { w.upgrade() }, ""},
		{"WebSocket, half a frame", "http", func(w *wire) { w.upgrade(); w.say("\x81\xfe\x01\x00abcd<open") }, ""},
		{"half-closed", "c2s", func(w *wire) { w.open(); w.half() }, ""},
		{"half-closed at once", "c2s", func(w *wire) { w.half() }, ""},
	}
	var wait sync.WaitGroup
	for _, c := range cases {
		for range 8 {
			w := dial(t, s.Addr(c.listener), "")
			wait.Go(func() { slow(t, w, c.name, c.begin, c.drip) })
		}
	}
	wait.Wait()
	await(t, "only the neighbours are left", func() bool { return streams(t, s) == 2 })
	n.leave()
}

// slow begins, drips, and waits for the end.
func slow(t *testing.T, w *wire, name string, begin func(*wire), drip string) {
	if begin != nil {
		begin(w)
	}
	var over atomic.Bool
	done := make(chan struct{})
	go func() { // ends with the connection
		defer close(done)
		for i := range len(drip) {
			if _, err := w.Write([]byte(drip[i : i+1])); err != nil || over.Load() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	b, err := io.ReadAll(w)
	if err != nil && isTimeout(err) {
		t.Errorf("%s: the connection stays open; heard %q", name, append(w.read, b...))
	}
	over.Store(true)
	w.Close()
	<-done
	if got := condition(string(append(w.read, b...))); got != "" && got != "connection-timeout" {
		t.Errorf("%s: ended with %s", name, got)
	}
}

// half closes our direction only.
func (w *wire) half() {
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		w.t.Error(err)
	}
}

// TestSlowReader: a client that never reads is cut off with
// resource-constraint when its mailbox is full; who writes to it is not held
// up, and the archive has everything.
//
// Bound: for one such client twice the mailbox (1 MiB). Besides, storing the
// 200 MB that are sent here fills SQLite's caches (64 MiB and 4 times 8), has up
// to 256 messages under way, and leaves garbage between two collections
// (32 MiB), twice for good measure: 256 MiB, where keeping everything would
// take 200 more.
func TestSlowReader(t *testing.T) {
	for _, managed := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream management %v", managed), func(t *testing.T) {
			s := start(t, nil)
			n := settle(t, s)
			w := dial(t, s.Addr("c2s"), "")
			w.bind("eve", "deaf")
			if managed {
				w.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
				w.hear("<enabled")
			}
			w.say("<presence/>")
			const count, size = 4000, 50_000
			mal := s.Connect("mal", &client.Session{})
			memory(t, s, 256<<20, func() {
				for i := range count {
					text := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("x"), size))
					if err := mal.Chat(s.JID("eve"), "", text); err != nil {
						t.Fatal(err)
					}
				}
				if err := mal.AwaitAcks(house.Context(t)); err != nil {
					t.Fatalf("the sender is held up: %v", err)
				}
				n.progress()
			})
			heard := w.rest()
			if got := condition(heard); got != "resource-constraint" {
				t.Errorf("the reader's stream ended with %q: %q", got, heard[max(0, len(heard)-300):])
			}
			t.Logf("of %d MB it had %d when its stream was closed", count*size/1_000_000, len(heard)/1_000_000)
			complete(t, s, count)
			n.leave()
		})
	}
}

// complete checks that eve finds number 0 to count-1 in her archive, and that
// what she never got is delivered when she comes back.
func complete(t *testing.T, s *house.Server, count int) {
	t.Helper()
	eve := s.Connect("eve", &client.Session{})
	rows, err := house.Archive(house.Context(t), eve, 20)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != count {
		t.Fatalf("the archive has %d messages of %d", len(rows), count)
	}
	for i := range rows {
		if number, _, _ := strings.Cut(rows[i].Body, " "); number != strconv.Itoa(i) {
			t.Fatalf("message %d of the archive is number %s", i, number)
		}
	}
	if err := eve.Presence(stanza.Available, nil); err != nil {
		t.Fatal(err)
	}
}
