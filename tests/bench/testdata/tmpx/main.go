package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

func main() {
	rate, _ := strconv.Atoi(os.Args[2])
	secs, _ := strconv.Atoi(os.Args[3])
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{URL: "sqlite:" + os.Args[1], Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		log.Fatal(err)
	}
	orgs, _ := s.Orgs(ctx)
	org := orgs[0].ID
	var locals []string
	for i := range 10000 {
		locals = append(locals, "p"+strconv.Itoa(i))
	}
	ids, err := s.AccountIDs(ctx, org, locals)
	if err != nil {
		log.Fatal(err)
	}
	peers := make([]store.Peer, len(locals))
	for i, l := range locals {
		peers[i] = s.Peer(jid.MustParse(l + "@bench.example"))
	}
	g, _ := s.Greatest(ctx)
	at := max(int64(binary.BigEndian.Uint64(g[:8])), time.Now().UnixMilli()<<16)
	var lat []time.Duration
	start := time.Now()
	sent := 0
	body := strings.Repeat("y", 300)
	for time.Since(start) < time.Duration(secs)*time.Second {
		due := int(time.Since(start).Seconds() * float64(rate))
		if due <= sent {
			time.Sleep(time.Millisecond)
			continue
		}
		n := min(due-sent, 512)
		b := &store.Batch{}
		planned := start.Add(time.Duration(float64(sent) / float64(rate) * 1e9))
		for range n {
			at++
			f, t := rand.IntN(10000), rand.IntN(10000)
			m := store.Message{Org: org, Stanza: []byte(body), Copies: []store.Copy{
				{Owner: ids[locals[f]], Peer: peers[t], Origin: rand.Uint64()},
				{Owner: ids[locals[t]], Peer: peers[f], Flags: store.FlagIn | store.FlagBody}}}
			if f == t {
				m.Copies = m.Copies[:1]
			}
			binary.BigEndian.PutUint64(m.ID[:8], uint64(at))
			binary.BigEndian.PutUint64(m.ID[8:], rand.Uint64())
			b.Messages = append(b.Messages, m)
			if rand.IntN(3) == 0 {
				b.Cursors = append(b.Cursors, store.Cursor{Org: org, Owner: ids[locals[t]], ID: m.ID})
			}
		}
		sent += n
		if err := s.AppendBatch(ctx, b); err != nil {
			log.Fatal(err)
		}
		d := time.Since(planned)
		for range n {
			lat = append(lat, d)
		}
	}
	slices.Sort(lat)
	q := func(p float64) float64 { return float64(lat[int(p*float64(len(lat)-1))]) / 1e6 }
	st := s.DB().Stats()
	fmt.Printf("%d messages p50 %.1f p90 %.1f p99 %.1f p99.9 %.1f max %.1f ms; jobs %d waited %.2f ms each, longest %.1f over %d\n", len(lat), q(.5), q(.9), q(.99), q(.999), q(1),
		st.WriterJobs, float64(st.WriterWaited)/1e6/float64(st.WriterJobs), float64(st.WriterLongest)/1e6, st.WriterOver)
	t := time.Now()
	s.Close()
	fmt.Println("close", time.Since(t))
}
