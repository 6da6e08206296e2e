package c2s_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// A device is one client of an account: it connects, is cut, comes back or
// does not.
type device struct {
	h    *house
	keys *client.Keys
	who  jid.JID
	name string

	mu   sync.Mutex
	more *sync.Cond
	got  []int // messages of the present session, resumptions included
	ever map[int]bool
	sm   *client.Session
	c    *client.Client
}

func newDevice(h *house, who, name string, keys *client.Keys) *device {
	d := &device{h: h, who: jid.MustParse(who + "@" + domain), name: name, keys: keys, ever: map[int]bool{}}
	d.more = sync.NewCond(&d.mu)
	return d
}

// connect resumes the session there was, if it can, or makes a new one.
func (d *device) connect(ctx context.Context, resume bool) error {
	c := client.New(d.h.pipe(), client.Config{
		Account: d.who, Password: password, Resource: d.name, Keys: d.keys, Security: client.TLSNever, Mechanism: "SCRAM-SHA-1",
		Trace: d.heard,
	})
	d.c = c
	if err := c.SignIn(ctx); err != nil {
		return err
	}
	if resume && d.sm != nil && d.sm.ID() != "" {
		err := c.Resume(ctx, d.sm)
		var no *client.ResumeError
		if !errors.As(err, &no) {
			return err
		}
	}
	if err := c.Bind(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.got = nil
	d.mu.Unlock()
	d.sm = &client.Session{}
	return c.Enable(ctx, d.sm)
}

// heard notes the messages that came.
func (d *device) heard(sent bool, b []byte) {
	if sent || !bytes.HasPrefix(b, []byte("<message")) {
		return
	}
	st, err := stanza.Parse(b)
	if err != nil {
		return
	}
	n, err := strconv.Atoi(string(st.ID()))
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, n)
	d.ever[n] = true
	d.more.Broadcast()
}

// doubled finds a message that came twice in the session.
func (d *device) doubled() (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[int]bool{}
	for _, n := range d.got {
		if seen[n] {
			return n, true
		}
		seen[n] = true
	}
	return 0, false
}

// live goes through the lives of a device until stop is closed.
func (d *device) live(t *testing.T, rnd *rand.Rand, stop <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	for round := 0; ; round++ {
		if err := d.connect(ctx, rnd.IntN(3) > 0); err != nil {
			t.Errorf("%s: connect: %v", d.name, err)
			return
		}
		for range rnd.IntN(6) {
			var err error
			switch rnd.IntN(6) {
			case 0:
				err = d.c.Presence(stanza.Unavailable, nil)
			case 1:
				err = d.c.Presence(stanza.Available, []byte("<priority>-1</priority>"))
			case 2:
				err = d.c.AwaitAcks(ctx)
			default:
				err = d.c.Presence(stanza.Available, fmt.Appendf(nil, "<priority>%d</priority>", rnd.IntN(3)))
			}
			if err != nil {
				t.Errorf("%s: %v", d.name, err)
				return
			}
			if n, twice := d.doubled(); twice {
				t.Errorf("%s: %d came twice in one session: %v", d.name, n, d.got)
				return
			}
		}
		select {
		case <-stop:
			d.c.Cut()
			return
		default:
		}
		if rnd.IntN(4) == 0 {
			if err := d.c.Close(ctx); err != nil {
				t.Errorf("%s: close: %v", d.name, err)
				return
			}
			d.sm = nil
		} else {
			d.c.Cut()
		}
	}
}

// TestNothingIsLost: whatever the devices of an account do, every message that
// was acknowledged to its sender reaches one of them, none twice in a session;
// the last to come finds what nobody has, and the one after it nothing.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHouse(t)
			h.people([]string{"ada", "bob"})
			keys := &client.Keys{}
			ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
			defer cancel()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var devices []*device
			for i := range 3 {
				d := newDevice(h, "ada", fmt.Sprint("d", i), keys)
				devices = append(devices, d)
				wg.Go(func() { d.live(t, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
			}
			bob := newDevice(h, "bob", "desk", keys)
			h.check(bob.connect(ctx, false))
			const all = 150
			rnd := rand.New(rand.NewPCG(seed, 99))
			for n := range all {
				to := devices[0].who
				if rnd.IntN(3) == 0 {
					to = jid.MustParse(to.String() + "/d" + strconv.Itoa(rnd.IntN(4)))
				}
				h.check(bob.c.Chat(to, strconv.Itoa(n), "hello"))
				if n%10 == 9 {
					h.check(bob.c.AwaitAcks(ctx))
				}
			}
			h.check(bob.c.AwaitAcks(ctx))
			close(stop)
			wg.Wait()
			if t.Failed() {
				return
			}
			missing := func(ds ...*device) (list []string) {
				for n := range all {
					has := false
					for _, d := range ds {
						d.mu.Lock()
						has = has || d.ever[n]
						d.mu.Unlock()
					}
					if !has {
						list = append(list, strconv.Itoa(n))
					}
				}
				return list
			}
			last := newDevice(h, "ada", "last", keys)
			h.check(last.connect(ctx, false))
			h.check(last.c.Presence(stanza.Available, nil))
			begin := time.Now()
			late := time.AfterFunc(patience, last.more.Broadcast)
			defer late.Stop()
			last.mu.Lock()
			for {
				last.mu.Unlock()
				m := missing(append(devices, last)...)
				last.mu.Lock()
				if len(m) == 0 {
					break
				}
				if time.Since(begin) >= patience {
					last.mu.Unlock()
					t.Fatalf("lost: %s", strings.Join(m, " "))
				}
				last.more.Wait()
			}
			last.mu.Unlock()
			if n, twice := last.doubled(); twice {
				t.Errorf("%d came twice: %v", n, last.got)
			}
		})
	}
}
