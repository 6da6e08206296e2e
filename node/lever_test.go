package node_test

import (
	"context"
	"fmt"
	"os/user"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// place is a node's configuration with an organisation and a group.
func orgAndGroup(t *testing.T) *node.Config {
	t.Helper()
	cfg := config(t)
	do(t, cfg, "org.add", node.Organisation{Domain: "a.example"}, nil)
	do(t, cfg, "org.add", node.Organisation{Domain: "b.example"}, nil)
	s, err := store.Open(t.Context(), store.Config{URL: cfg.DatabaseURL()})
	if err != nil {
		t.Fatal(err)
	}
	orgs, err := s.Orgs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddGroup(t.Context(), orgs[0].ID, 0, store.GroupRow{Name: "team"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// move does an operation on a lever.
func move(t *testing.T, cfg *node.Config, op string, args node.LeverArgs) (node.LeverDone, error) {
	t.Helper()
	var done node.LeverDone
	err := node.Do(t.Context(), cfg, false, ops.Request{Op: "lever." + op, Args: args}, &done)
	return done, err
}

func mustMove(t *testing.T, cfg *node.Config, op string, args node.LeverArgs) node.LeverDone {
	t.Helper()
	done, err := move(t, cfg, op, args)
	if err != nil {
		t.Fatalf("%s %+v: %v", op, args, err)
	}
	return done
}

// TestLevers moves levers on a running server and, in the same way, without one.
func TestLevers(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			cfg := orgAndGroup(t)
			if running {
				n := start(t, cfg)
				defer stop(t, n)
			}
			levers(t, cfg)
			badLevers(t, cfg)
		})
	}
}

func levers(t *testing.T, cfg *node.Config) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	done := mustMove(t, cfg, "set", node.LeverArgs{Name: "carbons", Value: "off", Why: "a storm of copies"})
	if done.Value != "off" || done.Before != "on" || done.Setting.Who != me.Username || done.Setting.Version == 0 {
		t.Errorf("%+v", done)
	}
	for _, c := range []struct{ name, value, want string }{
		{"carbons", "YES", "on"}, {"carbons", "false", "off"},
		{"presence", "coarse", "coarse"},
		{"archive.wait", "300", "300 ms"}, {"archive.wait", "2s", "2000 ms"}, {"archive.wait", "40 ms", "40 ms"},
		{"session.mailbox", "64KiB", "65536 bytes"}, {"session.mailbox", "1.5MiB", "1572864 bytes"}, {"session.mailbox", "100kB", "100000 bytes"},
		{"session.resume", "1h30m", "5400 s"}, {"session.resume", "0.5d", "43200 s"}, {"session.streams", "7", "7"},
	} {
		if done := mustMove(t, cfg, "set", node.LeverArgs{Name: c.name, Value: c.value}); done.Value != c.want {
			t.Errorf("%s %s: %q, want %q", c.name, c.value, done.Value, c.want)
		}
	}
	mustMove(t, cfg, "set", node.LeverArgs{Name: "presence", Value: "off", Org: "a.example", Group: "team", For: time.Hour})
	mustMove(t, cfg, "set", node.LeverArgs{Name: "presence", Value: "visible", Org: "a.example"})
	var list node.LeverList
	do(t, cfg, "lever.ls", node.LeverArgs{Name: "presence", Org: "a.example", Group: "team"}, &list)
	if len(list.Levers) != 1 || list.Levers[0].Value != "off" || len(list.Levers[0].Settings) != 3 || list.Levers[0].Range != "full, visible, coarse, off" {
		t.Fatalf("%+v", list)
	}
	if s := list.Levers[0].Settings[2]; s.Group != "team" || s.Org != "a.example" || s.Until.IsZero() || !s.InForce {
		t.Errorf("%+v", s)
	}
	do(t, cfg, "lever.ls", node.LeverArgs{Name: "presence", Org: "b.example"}, &list)
	if list.Levers[0].Value != "coarse" || len(list.Levers[0].Settings) != 1 {
		t.Errorf("another organisation: %+v", list)
	}
	if done := mustMove(t, cfg, "undo", node.LeverArgs{Why: "enough"}); done.Name != "presence" || done.Before != "visible" || done.Value != "coarse" {
		t.Errorf("%+v", done)
	}
	mustMove(t, cfg, "set", node.LeverArgs{Name: "ping", Value: "off"})
	if done := mustMove(t, cfg, "undo", node.LeverArgs{Name: "presence"}); done.Before != "off" || done.Value != "coarse" || done.Setting.Group != "team" {
		t.Errorf("%+v", done)
	}
	if done := mustMove(t, cfg, "reset", node.LeverArgs{Name: "presence"}); done.Value != "full" {
		t.Errorf("%+v", done)
	}
	var history []node.LeverSetting
	do(t, cfg, "lever.history", node.LeverArgs{Name: "presence"}, &history)
	if len(history) != 6 || !history[0].Reset || history[1].Undoes == 0 || history[2].Why != "enough" || history[5].Value != "coarse" {
		t.Errorf("%+v", history)
	}
}

// badLevers are refused, each with a sentence, and leave nothing behind.
func badLevers(t *testing.T, cfg *node.Config) {
	var before, after []node.LeverSetting
	do(t, cfg, "lever.history", node.LeverArgs{Name: "carbons"}, &before)
	for _, c := range []struct {
		args node.LeverArgs
		says string
	}{
		{node.LeverArgs{Name: "carbon", Value: "off"}, `unknown lever "carbon": did you mean "carbons"?`},
		{node.LeverArgs{Name: "blocking", Value: "off"}, "blocking is always on"},
		{node.LeverArgs{Name: "carbons", Value: "of"}, `did you mean "off"?`},
		{node.LeverArgs{Name: "carbons"}, "the value is missing: want off, on"},
		{node.LeverArgs{Name: "presence", Value: "corse"}, `did you mean "coarse"?`},
		{node.LeverArgs{Name: "archive.wait", Value: "0"}, "0 is out of range: want 1 to 60000 ms"},
		{node.LeverArgs{Name: "archive.wait", Value: "2h"}, "2h is out of range: want 1 to 60000 ms"},
		{node.LeverArgs{Name: "archive.wait", Value: "1.5"}, "1.5 is no whole number of ms"},
		{node.LeverArgs{Name: "archive.wait", Value: "soon"}, `"soon" is no value for it`},
		{node.LeverArgs{Name: "archive.wait", Value: "NaN"}, `"NaN" is no value for it`},
		{node.LeverArgs{Name: "session.mailbox", Value: "4 parsecs"}, "is no value for it"},
		{node.LeverArgs{Name: "carbons", Value: "off", Org: "a.exampel"}, "no organisation a.exampel here: did you mean a.example?"},
		{node.LeverArgs{Name: "presence", Value: "off", Org: "a.example", Group: "taem"}, "no group taem@a.example here: did you mean team@a.example?"},
		{node.LeverArgs{Name: "presence", Value: "off", Org: "b.example", Group: "team"}, "no group team@b.example here"},
		{node.LeverArgs{Name: "presence", Value: "off", Group: "team"}, "say of which organisation"},
		{node.LeverArgs{Name: "carbons", Value: "off", Org: "a.example", Group: "team"}, "not for a group"},
		{node.LeverArgs{Name: "archive.wait", Value: "5", Org: "a.example"}, "one value for the whole server"},
		{node.LeverArgs{Name: "carbons", Value: "off", For: time.Millisecond}, "want 1s to"},
		{node.LeverArgs{Name: "carbons", Value: "off", For: -time.Hour}, "want 1s to"},
		{node.LeverArgs{Name: "carbons", Value: "off", Why: strings.Repeat("x", 1<<20)}, "the reason has 1048576 bytes: want 1000 at most"},
		{node.LeverArgs{Name: "archive.wait", Value: strings.Repeat("9", 1<<20)}, "the value has 1048576 bytes"},
		{node.LeverArgs{Name: strings.Repeat("x", 1<<20), Value: "off"}, "a name has no 1048576 bytes"},
		{node.LeverArgs{Name: "archive.wait", Value: "5KiB"}, "is no value for it"},
		{node.LeverArgs{Name: "session.mailbox", Value: "5s"}, "is no value for it"},
	} {
		if _, err := move(t, cfg, "set", c.args); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.args, err, c.says)
		}
	}
	if _, err := move(t, cfg, "undo", node.LeverArgs{Name: "carbon"}); err == nil || !strings.Contains(err.Error(), `did you mean "carbons"?`) {
		t.Error(err)
	}
	if _, err := move(t, cfg, "undo", node.LeverArgs{Name: "time"}); err == nil || !strings.Contains(err.Error(), "no setting of time could be taken back") {
		t.Error(err)
	}
	do(t, cfg, "lever.history", node.LeverArgs{Name: "carbons"}, &after)
	if len(after) != len(before) {
		t.Errorf("something was kept of what was refused: %+v", after)
	}
}

// TestLeversAfterRestart: what was set is in force before the first listener
// opens, and what has an end falls back by itself, there as well.
func TestLeversAfterRestart(t *testing.T) {
	cfg := orgAndGroup(t)
	n := start(t, cfg)
	mustMove(t, cfg, "set", node.LeverArgs{Name: "archive.wait", Value: "300"})
	mustMove(t, cfg, "set", node.LeverArgs{Name: "archive.wait", Value: "500", For: 2 * time.Second})
	mustMove(t, cfg, "set", node.LeverArgs{Name: "carbons", Value: "off", For: time.Second})
	wait := func(n *node.Node) int64 { return n.Board.Dial("archive.wait").Int(0) }
	carbons := func(n *node.Node) int64 { return n.Board.Dial("carbons").Int(0) }
	if wait(n) != 500 || carbons(n) != 0 {
		t.Errorf("in force: %d %d", wait(n), carbons(n))
	}
	eventually(t, "the end of a setting", func() bool { return carbons(n) == 1 })
	stop(t, n)
	n = start(t, cfg)
	defer stop(t, n)
	eventually(t, "the end of a setting, after a restart", func() bool { return wait(n) == 300 })
	if carbons(n) != 1 {
		t.Error("what had run out is in force again")
	}
}

// TestRegisterFallsBack: a lever whose default the configuration changes goes
// back to that.
func TestRegisterFallsBack(t *testing.T) {
	cfg := orgAndGroup(t)
	cfg.Register.Allow = true
	n := start(t, cfg)
	defer stop(t, n)
	mustMove(t, cfg, "set", node.LeverArgs{Name: "register", Value: "off"})
	if done := mustMove(t, cfg, "reset", node.LeverArgs{Name: "register"}); done.Value != "on" {
		t.Errorf("%+v", done)
	}
}

// talker is one of two people who write to each other.
func talker(t *testing.T, n *node.Node, local string) *client.Client {
	t.Helper()
	account, err := jid.Parse(local + "@a.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Connect(t.Context(), client.Config{
		Server: n.Addr("c2s").String(), Account: account, Resource: "x", Password: "secret", Security: client.TLSNever,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Cut)
	return c
}

func isMessage(it client.Item) bool { return it.Is("jabber:client", "message") }

// TestLeversUnderLoad: while two people write to each other, every lever that
// has nothing to do with it is moved, again and again. No message is lost,
// doubled or overtaken, no stream ends, and a setting is in force when the
// answer comes.
func TestLeversUnderLoad(t *testing.T) {
	cfg := orgAndGroup(t)
	cfg.C2S.Plaintext = true
	for _, who := range []string{"anna", "bert"} {
		do(t, cfg, "user.add", node.User{JID: who + "@a.example", Password: "secret"}, nil)
	}
	n := start(t, cfg)
	defer stop(t, n)
	anna, bert := talker(t, n, "anna"), talker(t, n, "bert")
	if err := bert.Presence(stanza.Available, nil); err != nil {
		t.Fatal(err)
	}
	const messages = 2000
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var sent atomic.Int64
	failed := make(chan error, 1)
	go func() { // ends with the messages
		for i := range messages {
			if err := anna.Chat(bert.JID(), fmt.Sprint("m", i), "hello"); err != nil {
				failed <- err
				return
			}
			sent.Add(1)
		}
		failed <- nil
	}()
	moves := 0
	received := make(chan error, 1)
	go func() { // ends with the messages
		for i := range messages {
			it, err := bert.Take(ctx, isMessage)
			if err != nil {
				received <- fmt.Errorf("message %d: %w", i, err)
				return
			}
			st, err := it.Stanza()
			if err != nil {
				received <- err
				return
			}
			if got := string(st.ID()); got != fmt.Sprint("m", i) {
				received <- fmt.Errorf("message %d is %s", i, got)
				return
			}
		}
		received <- nil
	}()
	names := []string{"carbons", "ping", "vcard", "caps", "disco", "version", "lastactivity", "private"}
	for over := false; !over; moves++ {
		name, value := names[moves%len(names)], []string{"off", "on"}[moves/len(names)%2]
		mustMove(t, cfg, "set", node.LeverArgs{Name: name, Value: value, Org: []string{"", "a.example"}[moves/16%2]})
		org := []feature.Org{0, 1}[moves/16%2]
		if got := n.Board.Dial(name).Word(n.Board.Dial(name).Int(org)); got != value {
			t.Fatalf("%s is %s when the answer says %s", name, got, value)
		}
		select {
		case err := <-received:
			if err != nil {
				t.Fatal(err)
			}
			over = true
		default:
		}
	}
	if err := <-failed; err != nil || sent.Load() != messages {
		t.Fatalf("%d sent: %v", sent.Load(), err)
	}
	if moves < 3 {
		t.Errorf("%d moves only", moves)
	}
	for _, c := range []*client.Client{anna, bert} {
		if err := c.Ended(); err != nil {
			t.Errorf("a stream ended: %v", err)
		}
	}
}
