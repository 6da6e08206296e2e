package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver, by its name "mysql"
	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/rehearse"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// What all servers are given alike.
const (
	domain     = "peers.example"
	password   = "correct horse battery staple"
	salt       = "salt of the peers"
	iterations = 4096
)

// kind is one of the servers that are compared.
type kind struct {
	name     string
	build    string // what its figures belong to: a hash of version and configuration, or of the program
	version  string
	settings string // what it is given, in a line
	without  string // why it cannot have shared groups yet; "": it can
	database string // the name of its database; "": it has none
	// prepare writes configuration, accounts, rosters and groups.
	prepare func(s *server) error
	// command is the program in the foreground.
	command func(s *server) *exec.Cmd
	orderly bool // it is ended by SIGTERM, and has to end well
}

// peer reports whether it is one of those that Bearhug is compared with.
func (k *kind) peer() bool { return k.name != bearhugName && k.name != bearhugSQLite }

// server is a server of a kind, with what it keeps.
type server struct {
	b *bench
	k *kind
	w world

	dir      string
	port     int // of c2s
	ops      int // Bearhug's, for figures of its own
	database *mariadb.Server
	sql      *sql.DB
	cmd      *exec.Cmd
	ended    chan error
}

// find names the servers, and looks at what is installed.
func (b *bench) find(names []string) (kinds []*kind, err error) {
	for _, name := range names {
		var k *kind
		switch name = strings.TrimSpace(name); name {
		case bearhugName, bearhugSQLite:
			k, err = b.bearhugKind(name)
		case ejabberdName:
			k, err = b.ejabberdKind()
		case prosodyName, prosodySQL:
			k, err = b.prosodyKind(name)
		default:
			err = fmt.Errorf("there is no server %q; there are %s", name, strings.Join(everyone, ", "))
		}
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s: %s\n", k.name, k.version)
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// allowFiles lets this process and those it starts have 65,536 open files, or as
// many as they may. Bearhug asks for more by itself; peers are given theirs by
// service files that are not used here.
func allowFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = min(limit.Max, 65_536)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// packaged asks Debian which version of a package is installed.
func packaged(name string) (string, error) {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil || len(out) == 0 {
		return "", fmt.Errorf("%s is not installed: run make peers, or tests/tools peers", name)
	}
	return string(out), nil
}

// buildOf tells configurations apart: figures of another are measured again.
func buildOf(version, config string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(version+"\n"+config)))[:16]
}

// dirPrefix and the number of this process begin a server's directory.
const dirPrefix = "bearhug-peers-"

// sweep removes the directories of runs that were killed. (Their servers ended
// with them: the kernel saw to it.)
func sweep() error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*-*"))
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if n, bad := strconv.Atoi(pid); bad != nil || syscall.Kill(n, 0) != syscall.ESRCH {
			continue
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// prepare makes a server with its world, and starts it.
func (b *bench) prepare(k *kind, w world) (*server, error) {
	s := &server{b: b, k: k, w: w}
	if err := s.furnish(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *server) furnish() (err error) {
	if s.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid())); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	if s.k.database != "" {
		if err := s.startDatabase(); err != nil {
			return err
		}
	}
	if err := s.k.prepare(s); err != nil {
		return fmt.Errorf("prepare %s: %w", s.k.name, err)
	}
	if err := s.start(); err != nil {
		return err
	}
	return s.quiet(30 * time.Second)
}

// freePort is a port of loopback that is free now, below those that the kernel
// gives to outgoing connections.
func freePort() (int, error) {
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// startDatabase starts a MariaDB of the server's own, on the server's core.
func (s *server) startDatabase() (err error) {
	dir := filepath.Join(s.dir, "mariadb")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if s.database, err = mariadb.Start(s.b.ctx, dir); err != nil {
		return err
	}
	if err := rehearse.Pin(s.database.PID(), s.b.serverCore); err != nil {
		return err
	}
	if _, err := s.database.Create(s.b.ctx, s.k.database); err != nil {
		return err
	}
	s.sql, err = sql.Open("mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s?multiStatements=true&interpolateParams=true", s.database.Port, s.k.database))
	if err != nil {
		return err
	}
	s.sql.SetMaxOpenConns(1)
	return nil
}

// insert writes rows, many in a statement. Each row is "(?,?)" and its values.
func (s *server) insert(into, row string, n int, values func(i int) []any) error {
	const batch = 500
	for at := 0; at < n; at += batch {
		var args []any
		last := min(n, at+batch)
		for i := at; i < last; i++ {
			args = append(args, values(i)...)
		}
		rows := strings.Repeat(row+",", last-at)
		if _, err := s.sql.ExecContext(s.b.ctx, "INSERT INTO "+into+" VALUES "+rows[:len(rows)-1], args...); err != nil {
			return fmt.Errorf("insert into %s: %w", into, err)
		}
	}
	return nil
}

// questions is how many statements the database was asked; 0 without one. The
// question itself is one of them.
func (s *server) questions() (n float64, err error) {
	if s.sql == nil {
		return 0, nil
	}
	var name string
	err = s.sql.QueryRowContext(context.Background(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n)
	return n, err
}

// fill writes a file of the server's directory from a template.
func (s *server) fill(name, text string) error {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return err
	}
	data := map[string]any{
		"SQL": s.k.database != "",
		"Dir": s.dir, "Domain": domain, "Port": s.port, "Database": 0,
		"Groups": s.w.group > 0, "Archive": s.w.archive, "Offline": s.w.offline,
	}
	if s.database != nil {
		data["Database"] = s.database.Port
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), out.Bytes(), 0o644)
}

// start runs the server on its core and waits until it accepts people.
func (s *server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := s.k.command(s)
	c.Args = append([]string{"taskset", "-c", strconv.Itoa(s.b.serverCore)}, c.Args...)
	if c.Path, err = exec.LookPath("taskset"); err != nil {
		return fmt.Errorf("taskset is missing (apt-get install util-linux): %w", err)
	}
	c.Err = nil
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a Ctrl-C is for us
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.k.name, err)
	}
	s.cmd, s.ended = c, make(chan error, 1)
	go func(ended chan error) { ended <- c.Wait() }(s.ended)
	for range 600 {
		nc, err := net.DialTimeout("tcp4", s.address().String(), time.Second)
		if err == nil {
			return nc.Close()
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("%s ended at its start (%v): %s", s.k.name, err, s.log())
		case <-s.b.ctx.Done():
			return s.b.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer: %s", s.k.name, s.log())
}

// gone reports whether the server has ended by itself.
func (s *server) gone() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		return true
	default:
		return false
	}
}

// restart starts the server anew on what it keeps; the database goes on.
func (s *server) restart() error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	return s.quiet(30 * time.Second)
}

// stop ends the server. What peers keep is thrown away: they are killed.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	sig := syscall.SIGKILL
	if s.k.orderly {
		sig = syscall.SIGTERM
	}
	_ = s.cmd.Process.Signal(sig) // it may be gone
	var err error
	select {
	case end := <-s.ended:
		if s.k.orderly && end != nil {
			err = fmt.Errorf("%s ended badly: %w: %s", s.k.name, end, s.log())
		}
	case <-time.After(60 * time.Second):
		err = errors.Join(fmt.Errorf("%s did not end within 60 s", s.k.name), s.cmd.Process.Kill())
		<-s.ended
	}
	s.cmd = nil
	return err
}

// remove ends everything and removes the directory.
func (s *server) remove() error {
	errs := []error{s.stop()}
	if s.sql != nil {
		errs = append(errs, s.sql.Close())
	}
	if s.database != nil {
		errs = append(errs, s.database.Kill())
	}
	if !s.b.keep {
		errs = append(errs, os.RemoveAll(s.dir))
	} else {
		fmt.Println("    kept", s.dir)
	}
	return errors.Join(errs...)
}

// log is how the server's logs end.
func (s *server) log() string {
	var all []byte
	for _, name := range []string{"out", "log", "ejabberd.log", "error.log"} {
		b, _ := os.ReadFile(filepath.Join(s.dir, name))
		all = append(all, b[max(0, len(b)-1500):]...)
	}
	return strings.TrimSpace(string(all))
}

func (s *server) address() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.port))
}

// pids are the processes whose processor time is the server's.
func (s *server) pids() []int {
	if s.database != nil {
		return []int{s.cmd.Process.Pid, s.database.PID()}
	}
	return []int{s.cmd.Process.Pid}
}

// used is the processor time of the server and its database so far.
func (s *server) used() (sum time.Duration, err error) {
	for _, pid := range s.pids() {
		d, err := rehearse.CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// othersBusy is the figure of what other processes used before a run, in
// percent of one core.
const othersBusy = "others busy, %"

// othersBusy looks at the machine for a moment while nothing of ours runs.
func (b *bench) othersBusy() (float64, error) {
	const moment = 300 * time.Millisecond
	before, err := busyTicks()
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(moment):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	after, err := busyTicks()
	return float64(after-before) / moment.Seconds(), err // a tick is 1 % of a second
}

// busyTicks is for how many hundredths of a second all cores were busy, or taken
// away, since the machine started.
func busyTicks() (busy int, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	const idle, wait, guests = 3, 4, 8 // guests are counted twice
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %q", line)
		}
		if i != idle && i != wait && i < guests {
			busy += n
		}
	}
	return busy, nil
}

// quiet waits until the server has used less than a twentieth of its core for
// a second: what was asked of it before is done. After patience it goes on.
func (s *server) quiet(patience time.Duration) error {
	const step, calm = 250 * time.Millisecond, 4
	last, err := s.used()
	for deadline, n := time.Now().Add(patience), 0; err == nil && n < calm && time.Now().Before(deadline); {
		select {
		case <-s.b.ctx.Done():
			return s.b.ctx.Err()
		case <-time.After(step):
		}
		var now time.Duration
		if now, err = s.used(); now-last < step/20 {
			n++
		} else {
			n = 0
		}
		last = now
	}
	return err
}

// people are those of the world.
func (s *server) people() []*rehearse.Person {
	list := make([]*rehearse.Person, s.w.people)
	for i := range list {
		list[i] = &rehearse.Person{Local: rehearse.Name(i), Domain: domain, Keys: &s.b.keys}
	}
	return list
}

// others are people whom nobody knows.
func (s *server) others() []*rehearse.Person {
	list := make([]*rehearse.Person, s.w.others)
	for i := range list {
		list[i] = &rehearse.Person{Local: fmt.Sprintf("a%05d", i), Domain: domain, Keys: &s.b.keys}
	}
	return list
}

// accounts are both.
func (s *server) accounts() []*rehearse.Person { return append(s.people(), s.others()...) }

// contacts are the numbers of a person's contacts: the next ones on both sides
// of a ring.
func (w *world) numbers(i int) (list []int) {
	for d := 1; d <= w.contacts/2; d++ {
		list = append(list, (i+d)%w.people, (i-d+w.people)%w.people)
	}
	return list
}

// groupName is the group a person is in.
func (w *world) groupName(i int) string { return fmt.Sprintf("g%04d", i/w.group) }
