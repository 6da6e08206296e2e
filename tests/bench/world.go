package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/rehearse"
)

// groupSize is the size of the small groups.
const groupSize = 50

// share is a number of people, or the part of it that -share says, in whole
// small groups.
func (b *bench) share(n int) int {
	return max(1, int(b.part*float64(n))/groupSize) * groupSize
}

// grouped is a server with shared groups of a size, which see themselves:
// number i is in group i/size.
func (b *bench) grouped(people []*rehearse.Person, in, size int) (s *server, err error) {
	if s, err = b.server(people, "", ""); err != nil {
		return nil, err
	}
	var rows bytes.Buffer
	rows.WriteString("group,jid\n")
	for i, p := range people[:in] {
		name := fmt.Sprintf("g%04d@%s", i/size, domain)
		if i%size == 0 {
			if err := s.command("group", "add", name); err != nil {
				return nil, errors.Join(err, s.stop())
			}
		}
		fmt.Fprintf(&rows, "%s,%s\n", name, p.JID())
	}
	if err := s.importGroups(rows.Bytes()); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) importGroups(rows []byte) error {
	file := filepath.Join(s.dir, "groups.csv")
	if err := os.WriteFile(file, rows, 0o600); err != nil {
		return err
	}
	return s.command("group", "import", file)
}

// ctl asks the control socket for an operation.
func (s *server) ctl(op string, args, result any) error {
	c, err := ops.Dial(s.b.ctx, filepath.Join(s.dir, "data", "ctl"))
	if err != nil {
		return err
	}
	return c.Call(s.b.ctx, ops.Request{Op: op, Args: args}, result)
}

// featureStatements is how many SQL statements each feature has asked for, by
// the ledger.
func (s *server) featureStatements() (map[string]float64, error) {
	all, err := s.metrics()
	if err != nil {
		return nil, err
	}
	const prefix, suffix = "bearhug_", "_statements_total"
	out := map[string]float64{}
	for name, v := range all {
		if len(name) > len(prefix)+len(suffix) && name[:len(prefix)] == prefix && name[len(name)-len(suffix):] == suffix {
			out[name[len(prefix):len(name)-len(suffix)]] = v
		}
	}
	return out, nil
}

// quiet waits until the server has used less than a twentieth of its core for
// two seconds, while the loader takes what it sends.
func (s *server) quiet(c *rehearse.Crowd) error {
	last, err := rehearse.CPU(s.pid())
	for n, calm := 0, 0; err == nil && calm < 4 && n < 120; n++ {
		if err := c.Stay(500 * time.Millisecond); err != nil {
			return err
		}
		var now time.Duration
		if now, err = rehearse.CPU(s.pid()); now-last < 25*time.Millisecond {
			calm++
		} else {
			calm = 0
		}
		last = now
	}
	return err
}
