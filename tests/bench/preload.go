package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/rehearse"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/mariadb"
)

const (
	oldMessages = 2_000_000
	oldPeople   = 10_000
	batchSize   = 500
)

// preloaded gives a data directory whose archive holds 2,000,000 messages of
// 10,000 people. It is made once per schema and kept in the cache.
func (b *bench) preloaded() (string, error) {
	schema, err := os.ReadFile("store/migrations.sql")
	if err != nil {
		return "", fmt.Errorf("read the schema (run this in the repository): %w", err)
	}
	sum := sha256.Sum256(schema)
	dir := filepath.Join(b.cache, fmt.Sprintf("archive-%d-%x", oldMessages, sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Printf("    storing %d messages in %s, once\n", oldMessages, dir)
	making := dir + ".making"
	if err := os.RemoveAll(making); err != nil {
		return "", err
	}
	if err := os.MkdirAll(making, 0o700); err != nil {
		return "", err
	}
	if err := b.preload("sqlite:"+filepath.Join(making, "bearhug.db"), oldMessages); err != nil {
		return "", errors.Join(fmt.Errorf("store old messages: %w", err), os.RemoveAll(making))
	}
	return dir, os.Rename(making, dir)
}

func (b *bench) preload(url string, messages int) (err error) {
	ctx := context.WithoutCancel(b.ctx)
	s, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	org, err := s.AddOrg(ctx, domain)
	if err != nil {
		return err
	}
	people, err := b.people(oldPeople)
	if err != nil {
		return err
	}
	owners, err := b.accounts(ctx, s, org, people)
	if err != nil {
		return err
	}
	w := &writer{org: org, owners: owners, random: rand.New(rand.NewPCG(3, 4)), at: time.Now().Add(-365*24*time.Hour).UnixMilli() << 16}
	for done := 0; done < messages; done += batchSize {
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		if err := s.AppendBatch(ctx, w.batch()); err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

// owner is an account with what its rows need.
type owner struct {
	address string
	id      store.AccountID
	peer    store.Peer
}

// accounts imports people and finds their numbers.
func (b *bench) accounts(ctx context.Context, s *store.Store, org feature.Org, people []*rehearse.Person) ([]owner, error) {
	k := b.keys.Keys()
	rows := make([]store.ImportRow, len(people))
	locals := make([]string, len(people))
	for i, p := range people {
		rows[i] = store.ImportRow{Line: i + 2, Local: p.Local, Domain: domain, Key: store.Key(k)}
		locals[i] = p.Local
	}
	res, err := s.Import(ctx, rows, store.ImportOptions{})
	if err == nil && len(res.Problems) > 0 {
		err = fmt.Errorf("import: %+v", res.Problems[0])
	}
	if err != nil {
		return nil, err
	}
	ids, err := s.AccountIDs(ctx, org, locals)
	if err != nil {
		return nil, err
	}
	owners := make([]owner, len(people))
	for i, p := range people {
		j, err := jid.Parse(p.JID())
		if err != nil {
			return nil, err
		}
		owners[i] = owner{p.JID(), ids[p.Local], s.Peer(j)}
	}
	return owners, nil
}

// writer makes old messages between random people.
type writer struct {
	org    feature.Org
	owners []owner
	random *rand.Rand
	at     int64 // of the last id: milliseconds << 16
}

func (w *writer) batch() *store.Batch {
	b := &store.Batch{Messages: make([]store.Message, batchSize)}
	body := strings.Repeat("y", 100)
	for i := range b.Messages {
		from, to := &w.owners[w.random.IntN(len(w.owners))], &w.owners[w.random.IntN(len(w.owners))]
		w.at += 15 << 16 // a message every 15 ms: 2,000,000 in 8 hours
		m := &b.Messages[i]
		m.Org = w.org
		binary.BigEndian.PutUint64(m.ID[:8], uint64(w.at))
		binary.BigEndian.PutUint64(m.ID[8:], w.random.Uint64())
		m.Stanza = fmt.Appendf(nil, "<message xmlns='jabber:client' from='%s/phone' to='%s' type='chat' id='%x'><body>%s</body><origin-id xmlns='urn:xmpp:sid:0' id='%x'/></message>",
			from.address, to.address, w.at, body, w.at)
		m.Copies = []store.Copy{{Owner: from.id, Peer: to.peer, Origin: w.random.Uint64()}}
		if from != to {
			m.Copies = append(m.Copies, store.Copy{Owner: to.id, Peer: from.peer, Flags: store.FlagIn | store.FlagBody})
		}
	}
	cursors := map[store.AccountID]store.ID{}
	for i := range b.Messages {
		for _, c := range b.Messages[i].Copies {
			cursors[c.Owner] = b.Messages[i].ID
		}
	}
	for id, at := range cursors {
		b.Cursors = append(b.Cursors, store.Cursor{Org: w.org, Owner: id, ID: at})
	}
	return b
}

// startMariaDB starts a database server on the core of the chat server.
func (b *bench) startMariaDB() (url string, pids []int, end func() error, err error) {
	dir, err := os.MkdirTemp("", "bearhug-bench-mariadb-")
	if err != nil {
		return "", nil, nil, err
	}
	db, err := mariadb.Start(b.ctx, dir)
	if err != nil {
		return "", nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	end = func() error { return errors.Join(db.Stop(), os.RemoveAll(dir)) }
	if url, err = db.Create(b.ctx, "bearhug"); err == nil {
		err = rehearse.Pin(db.PID(), b.serverCore)
	}
	if err != nil {
		return "", nil, nil, errors.Join(err, end())
	}
	return url, []int{db.PID()}, end, nil
}
