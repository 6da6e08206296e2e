package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// invitees are the people of the campaign that is measured.
const invitees = 30_000

// inviteWord has this program send invitations instead of measure.
const inviteWord = "send-invitations"

// inviting is what the sender is told, and what it tells.
type inviting struct {
	URL, Sink string
	Signed    bool
	People    int
	Seconds   float64 // from the launch to the last outcome
	CPU       float64 // of the process meanwhile, seconds
	Accepted  int
}

// outreach measures invitations that are claimed, rendered, handed and accepted,
// without a pace: a process of its own on the server's core, the mail server
// that takes them on the loader's.
func (b *bench) outreach() error {
	for _, c := range []struct {
		name           string
		signed, shared bool
	}{{"SQLite", false, false}, {"SQLite, DKIM Ed25519", true, false}, {"MariaDB", false, true}, {"MariaDB, DKIM Ed25519", true, true}} {
		for range b.runs {
			if err := b.invite(c.name, c.signed, c.shared); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return nil
}

func (b *bench) invite(name string, signed, shared bool) error {
	dir, err := os.MkdirTemp("", "bearhug-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	url := "sqlite:" + filepath.Join(dir, "bearhug.db")
	if shared {
		srv, err := mariadb.Start(b.ctx, filepath.Join(dir, "db"))
		if err != nil {
			return err
		}
		defer srv.Stop() // the directory goes anyway
		if url, err = srv.Create(b.ctx, "invite"); err != nil {
			return err
		}
	}
	sink := &mailtest.Sink{Light: true}
	if err := sink.Start(nil); err != nil {
		return err
	}
	defer sink.Close() // what it took is counted
	self, err := os.Executable()
	if err != nil {
		return err
	}
	job, err := json.Marshal(inviting{URL: url, Sink: sink.URL(), Signed: signed, People: int(invitees * b.part)})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(b.ctx, "taskset", "-c", strconv.Itoa(b.serverCore), self, inviteWord, string(job))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var got inviting
	if err := json.Unmarshal(bytes.TrimSpace(out), &got); err != nil {
		return fmt.Errorf("%q: %w", out, err)
	}
	for id, n := range sink.Counts() {
		if n != 1 {
			return fmt.Errorf("%s was sent %d times", id, n)
		}
	}
	if sink.Taken() != got.People || got.Accepted != got.People {
		return fmt.Errorf("%d of %d are accepted, the sink took %d", got.Accepted, got.People, sink.Taken())
	}
	b.report.add("invitations a second, "+name, "1/s", float64(got.People)/got.Seconds).atLeast(2000)
	b.report.add("CPU per invitation, "+name, "µs", got.CPU*1e6/float64(got.People))
	return nil
}

// sendInvitations is the process that is measured.
func sendInvitations(text string) error {
	var j inviting
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	board := feature.NewBoard()
	if err := outreach.Declare(board); err != nil {
		return err
	}
	if err := board.Set(outreach.DialRate, feature.Scope{}, 100_000, 0); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{URL: j.URL, Board: board})
	if err != nil {
		return err
	}
	defer s.Close() // the figures are taken before
	relay, err := inviteRelay(&j)
	if err != nil {
		return err
	}
	e, err := outreach.New(outreach.Config{
		Store: s, Board: board, Relay: relay, Clock: outreach.Clock{Now: time.Now, After: time.After},
		Organisation: func(context.Context, feature.Org) (*outreach.Organisation, error) {
			return &outreach.Organisation{Domain: domain, From: mail.Address{Name: "Acme", Mail: "hr@" + domain}, Language: "en", Web: "https://" + domain}, nil
		},
	})
	if err != nil {
		return err
	}
	org, id, err := inviteCampaign(ctx, s, e, j.People)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	started, used := time.Now(), cpuTime()
	if err := e.Launch(ctx, org, id); err != nil {
		return err
	}
	go func() { ended <- e.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
		c, err := s.Campaign(ctx, org, id)
		if err != nil {
			return err
		}
		if c.State == store.CampaignDone {
			break
		}
	}
	j.Seconds, j.CPU = time.Since(started).Seconds(), (cpuTime() - used).Seconds()
	counts, err := s.InvitationCounts(ctx, org, id)
	if err != nil {
		return err
	}
	j.Accepted = counts[store.Accepted]
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	st := s.DB().Stats()
	fmt.Fprintf(os.Stderr, "    %d transactions, the longest %v, %d above 20 ms\n", st.WriterJobs, time.Duration(st.WriterLongest), st.WriterOver)
	return json.NewEncoder(os.Stdout).Encode(&j)
}

func inviteRelay(j *inviting) (*mail.Relay, error) {
	cfg := mail.RelayConfig{URL: j.Sink, Helo: "localhost"}
	if j.Signed {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		cfg.Keys = []mail.Key{{Domain: domain, Selector: "s1", PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}}
	}
	return mail.NewRelay(cfg)
}

// inviteCampaign makes people and a campaign for all of them.
func inviteCampaign(ctx context.Context, s *store.Store, e *outreach.Engine, people int) (feature.Org, int64, error) {
	org, err := s.AddOrg(ctx, domain)
	if err != nil {
		return 0, 0, err
	}
	for i := range people {
		name := "p" + strconv.Itoa(i)
		if _, err := s.AddPerson(ctx, org, store.Person{Ext: name, Name: "Person " + name, Email: name + "@example.net", Zone: "Europe/Berlin"}); err != nil {
			return 0, 0, err
		}
	}
	set, err := json.Marshal(outreach.Settings{
		Schedule: calendar.Schedule{Kind: calendar.Once, Instant: true, Start: calendar.Moment{Date: calendar.DateOf(time.Now(), time.UTC), Clock: 0}},
		Channels: []calendar.Channel{calendar.Email}, Language: "en",
		Texts: map[string]mail.Text{"en": {Subject: "How are you, {{.first_name}}?",
			Text: "Hello {{.name}},\n\nwe should like to know how your week was. It takes two minutes:\n\n{{.link}}\n\nThank you\n{{.organisation}}\n"}},
	})
	if err != nil {
		return 0, 0, err
	}
	id, err := e.Create(ctx, &store.Campaign{Org: org, Name: "pulse", Kind: "once", Weight: 1000, Settings: set})
	return org, id, err
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
