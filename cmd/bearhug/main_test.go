package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bearhug-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "bearhug")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// place is a directory in which commands run.
type place struct {
	t   *testing.T
	dir string
	env []string
}

func newPlace(t *testing.T) *place { return &place{t: t, dir: t.TempDir()} }

func (p *place) command(in string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(in)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}, p.env...)
	return cmd
}

// run runs a command line and returns what it wrote and its exit code.
func (p *place) run(in string, args ...string) (out, errs string, code int) {
	p.t.Helper()
	cmd := p.command(in, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed and write this.
func (p *place) ok(want, in string, args ...string) {
	p.t.Helper()
	out, errs, code := p.run(in, args...)
	if code != 0 || out != want || errs != "" {
		p.t.Errorf("bearhug %s: exit %d\n out %q\nwant %q\n err %q", strings.Join(args, " "), code, out, want, errs)
	}
}

// fails runs a command that must fail and tell this in one line.
func (p *place) fails(want, in string, args ...string) {
	p.t.Helper()
	out, errs, code := p.run(in, args...)
	if code == 0 || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "bearhug: ") {
		p.t.Errorf("bearhug %s: exit %d, out %q\n err %q\nwant %q", strings.Join(args, " "), code, out, errs, want)
	}
}

func TestHelp(t *testing.T) {
	p := newPlace(t)
	p.env = []string{"BEARHUG_C2S_LISTN=nonsense"} // help needs no configuration
	commands := []string{"serve", "demo", "org", "org add", "org ls", "user", "user add", "user passwd", "user del", "user ls",
		"user import", "user token", "backup", "restore", "config", "version", "help"}
	for _, c := range append(commands, "") {
		words := strings.Fields(c)
		for _, args := range [][]string{append(words, "--help"), append([]string{"--help"}, words...), append(words, "-h"),
			append([]string{"--data", "x"}, append(words, "--help", "--c2s.listen=:1")...), append([]string{"help"}, words...)} {
			out, errs, code := p.run("", args...)
			if code != 0 || errs != "" || !strings.HasPrefix(out, strings.TrimSpace("Usage: bearhug "+c)) || !strings.Contains(out, "--config=FILE") {
				t.Errorf("bearhug %s: exit %d, err %q, out:\n%s", strings.Join(args, " "), code, errs, out)
			}
		}
	}
	out, _, _ := p.run("", "help")
	for _, c := range commands {
		if c != "org" && c != "user" && !strings.Contains(out, "\n  "+c+" ") {
			t.Errorf("help does not list %s:\n%s", c, out)
		}
	}
	_, errs, code := p.run("")
	if code != 2 || !strings.HasPrefix(errs, "Usage: bearhug") {
		t.Errorf("without arguments: exit %d, %q", code, errs)
	}
}

func TestCommandLineErrors(t *testing.T) {
	p := newPlace(t)
	p.fails(`unexpected argument usr, did you mean "user"?; see bearhug --help`, "", "usr", "add", "x@y")
	p.fails(`expected "<jid>"; see bearhug user add --help`, "", "user", "add")
	p.fails(`unexpected argument y`, "", "user", "add", "x@y", "y")
	p.fails(`unknown flag --passwordstdin`, "", "user", "add", "x@y", "--passwordstdin")
	p.fails(`unknown key c2s.lisen: did you mean c2s.listen?`, "", "serve", "--c2s.lisen=:1")
	p.fails(`--c2s.failures: c2s.failures: "lots" found, want a number from 1 to 1000000`, "", "serve", "--c2s.failures", "lots")
	p.fails(`--http.listen: the value is missing`, "", "serve", "--http.listen")
	p.fails(`read configuration: open nowhere.toml`, "", "serve", "--config", "nowhere.toml")
	p.fails(`this version plays the role chat only`, "", "serve", "--roles", "chat,outreach")
	p.fails(`this version sends no e-mail`, "", "serve", "--mail.smtp=localhost")
	p.fails(`unexpected argument usr`, "", "help", "usr")
	p.fails(`unexpected argument usr`, "", "usr", "--help")
	p.env = []string{"BEARHUG_OPS_LISTN=:1"}
	p.fails(`unknown variable BEARHUG_OPS_LISTN: did you mean BEARHUG_OPS_LISTEN?`, "", "config")
	if entries, err := os.ReadDir(p.dir); err != nil || len(entries) > 0 {
		t.Errorf("commands that failed left %v", entries)
	}
}

func TestConfigCommand(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(filepath.Join(p.dir, "bearhug.toml"), []byte("[http]\nlisten = \":80\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"BEARHUG_C2S_LISTEN=:1", "BEARHUG_LOG_FORMAT=json"}
	out, errs, code := p.run("", "--data", "/x", "config", "--c2s.listen", ":2", "--c2s.plaintext", "--org.a.example.hosts=b.example")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d %s", code, errs)
	}
	for _, want := range []string{
		"data = \"/x\"", "this value: --data", "listen = \":80\"", "this value: bearhug.toml:2", "listen = \":2\"", "plaintext = true",
		"format = \"json\"", "this value: BEARHUG_LOG_FORMAT", "[org.\"a.example\"]", "hosts = [\"b.example\"]",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	p.env = []string{"BEARHUG_CONFIG=other.toml"}
	p.fails("open other.toml", "", "config")
}

func TestVersion(t *testing.T) {
	out, _, code := newPlace(t).run("", "version")
	if code != 0 || !regexp.MustCompile(`^bearhug \S+ \(go1\.\d+\S*, \w+/\w+\)\n$`).MatchString(out) {
		t.Errorf("exit %d, %q", code, out)
	}
}

// administer is what commands do, with a server or without.
func administer(t *testing.T, p *place, serving bool) {
	data := []string{"--data", "d"}
	ok := func(want, in string, args ...string) { t.Helper(); p.ok(want, in, append(args, data...)...) }
	fails := func(want, in string, args ...string) { t.Helper(); p.fails(want, in, append(data, args...)...) }

	ok("a.example added\n", "", "org", "add", "A.example")
	fails("add organisation a.example: it is there already", "", "org", "add", "a.example")
	fails("not a domain", "", "org", "add", "x@a.example")
	ok("b.example added\n", "", "org", "add", "b.example")
	ok("a.example\nb.example\n", "", "org", "ls")

	ok("anna@a.example added\n", "geheim\n", "user", "add", "anna@a.example", "--password-stdin")
	ok("anna@b.example added\n", "geheim", "user", "add", "anna@b.example", "--password-stdin")
	fails("it is there already", "x\n", "user", "add", "anna@a.example", "--password-stdin")
	fails("no organisation c.example here", "x\n", "user", "add", "anna@c.example", "--password-stdin")
	fails("standard input has no password", "\n", "user", "add", "bert@a.example", "--password-stdin")
	fails("standard input has several lines", "x\ny\n", "user", "add", "bert@a.example", "--password-stdin")
	fails("more than 4096 bytes", strings.Repeat("x", 4097), "user", "add", "bert@a.example", "--password-stdin")
	fails("no terminal to ask for a password: use --password-stdin", "", "user", "add", "bert@a.example")
	ok("anna@a.example has a new password\n", "neu\r\n", "user", "passwd", "anna@a.example", "--password-stdin")
	fails("there is no such account", "neu\n", "user", "passwd", "bert@a.example", "--password-stdin")
	ok("anna@a.example\nanna@b.example\n", "", "user", "ls")
	ok("anna@b.example\n", "", "user", "ls", "b.example")
	fails("no organisation c.example here", "", "user", "ls", "c.example")
	ok("anna@b.example deleted\n", "", "user", "del", "anna@b.example")
	fails("there is no such account", "", "user", "del", "anna@b.example")

	token, errs, code := p.run("", append(data, "user", "token", "anna@a.example", "--scope", "bot@a.example", "--ttl", "1m")...)
	if code != 0 || !regexp.MustCompile(`^[A-Za-z0-9_-]{40,}\n$`).MatchString(token) {
		t.Errorf("token: exit %d, %q, %q", code, token, errs)
	}
	importing(t, p, data)

	file := fmt.Sprintf("backup-%v.db", serving)
	out, errs, code := p.run("", append(data, "backup", file)...)
	if code != 0 || errs != "" || !regexp.MustCompile(`^`+file+`: \d+ bytes, verified\n$`).MatchString(out) {
		t.Errorf("backup: exit %d, %q, %q", code, out, errs)
	}
	fails("the file is there already", "", "backup", file)
	fails("backup to /nowhere/b.db: unable to open", "", "backup", "/nowhere/b.db")
}

func importing(t *testing.T, p *place, data []string) {
	t.Helper()
	file := func(name, text string) {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file("good.csv", "jid,password\nbert@a.example,x\ncarl@b.example,y\n")
	file("bad.csv", "dora@a.example,x\nemil@nowhere.example,x\n@@,x\nbert@a.example,x\n")
	p.ok("2 accounts would be imported\n", "", append(data, "user", "import", "good.csv", "--dry-run")...)
	out, errs, code := p.run("", append(data, "user", "import", "good.csv")...)
	if code != 0 || !strings.HasPrefix(out, "2 accounts imported in ") {
		t.Errorf("import: exit %d, %q, %q", code, out, errs)
	}
	out, errs, code = p.run("", append(data, "user", "import", "bad.csv")...)
	want := `bad.csv:2: emil@nowhere.example: no organisation has this domain
bad.csv:3: @@: no account's address; want one such as anna@example.org
bad.csv:4: bert@a.example: the account exists already
bearhug: nothing imported: mend 3 lines of bad.csv and run it again
`
	if code != 1 || out != "" || errs != want {
		t.Errorf("import: exit %d, %q,\n got %s\nwant %s", code, out, errs, want)
	}
	for _, kind := range []string{"user", "group"} { // more is wrong than is read
		file("worse.csv", strings.Repeat("nothing\n", 30000))
		out, errs, code = p.run("", append(data, kind, "import", "worse.csv")...)
		if want := "bearhug: nothing imported: mend at least 1000 lines of worse.csv and run it again\n"; code != 1 || out != "" || !strings.HasSuffix(errs, want) {
			t.Errorf("import: exit %d, %q,\n got %s\nwant %s", code, out, errs[max(0, len(errs)-300):], want)
		}
	}
	p.fails("there is no group none: `bearhug group ls` lists those there are", "", append(data, "group", "del", "none@b.example")...)
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", append(data, "user", "ls")...)
	p.ok("anna@a.example\n", "", append(data, "user", "search", "AN@a.example")...)
	p.ok("", "", append(data, "user", "search", "nn@a.example")...)
	p.ok("anna@a.example\n", "", append(data, "user", "search", "--inside", "nn@a.example")...)
	p.fails("has no text or no domain: write TEXT@DOMAIN", "", append(data, "user", "search", "anna")...)
	p.fails("did you mean a.example?", "", append(data, "user", "search", "an@a.exampel")...)
	p.fails("--limit 0 is out of range: want 1 to 1000", "", append(data, "user", "search", "an@a.example", "--limit", "0")...)
	p.fails("import accounts: open none.csv", "", append(data, "user", "import", "none.csv")...)
}

func TestWithoutServer(t *testing.T) {
	p := newPlace(t)
	p.fails("no data directory d here: name it with --data, or make one with `bearhug org add DOMAIN`", "", "user", "ls", "--data", "d")
	administer(t, p, false)

	// Restoring.
	data := []string{"--data", "d"}
	p.ok("bert@a.example deleted\n", "", append(data, "user", "del", "bert@a.example")...)
	out, errs, code := p.run("", append(data, "restore", "backup-false.db")...)
	if code != 0 || errs != "" || !strings.Contains(out, "d/bearhug.db: ") || !strings.Contains(out, "3 accounts, verified\nthe database that was there is kept as d/bearhug.db.before-") {
		t.Errorf("restore: exit %d, %q, %q", code, out, errs)
	}
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", append(data, "user", "ls")...)
	p.ok("anna@a.example\nbert@a.example\n", "", append(data, "user", "ls", "a.example")...)
	p.fails("restore none.db", "", append(data, "restore", "none.db")...)
	if err := os.WriteFile(filepath.Join(p.dir, "text.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails("file is not a database", "", append(data, "restore", "text.db")...)
	damaged, err := os.ReadFile(filepath.Join(p.dir, "backup-false.db"))
	if err != nil {
		t.Fatal(err)
	}
	for i := len(damaged) / 2; i < len(damaged)/2+20000; i++ {
		damaged[i] ^= 0xa5
	}
	if err := os.WriteFile(filepath.Join(p.dir, "damaged.db"), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails("restore damaged.db", "", append(data, "restore", "damaged.db")...)
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", append(data, "user", "ls")...)

	// The process ended while it put the files in place: the next command goes on.
	db := filepath.Join(p.dir, "d", "bearhug.db")
	if err := os.Rename(db, db+".restored"); err != nil {
		t.Fatal(err)
	}
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", append(data, "user", "ls")...)

	// Into a directory that does not exist yet.
	if out, errs, code := p.run("", "--data", "fresh", "restore", "backup-false.db"); code != 0 || strings.Contains(out, "kept") {
		t.Errorf("restore: exit %d, %q, %q", code, out, errs)
	}
	p.ok("a.example\nb.example\n", "", "org", "ls", "--data", "fresh")
}

// server is a running `bearhug serve`.
type server struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer
	ops  string
	done chan error
}

func (p *place) serve(args ...string) *server {
	p.t.Helper()
	s := &server{log: &bytes.Buffer{}, done: make(chan error, 1)}
	s.cmd = p.command("", append([]string{"serve", "--data", "d", "--c2s.listen=127.0.0.1:0", "--c2s.tls_listen=127.0.0.1:0",
		"--http.listen=127.0.0.1:0", "--http.tls_listen=127.0.0.1:0", "--ops.listen=127.0.0.1:0"}, args...)...)
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	serving := make(chan string, 1)
	go func() { // ends with the process
		address := regexp.MustCompile(`"?listener"?[=:]"?ops"?[ ,]"?address"?[=:]"?([0-9.:]+)`)
		serves := regexp.MustCompile(`"?msg"?[=:]"?serving`)
		buf := make([]byte, 4096)
		told := false
		for {
			n, err := pipe.Read(buf)
			s.log.Write(buf[:n])
			if m := address.FindStringSubmatch(s.log.String()); m != nil && !told && serves.MatchString(s.log.String()) {
				told = true
				serving <- m[1]
			}
			if err != nil {
				break
			}
		}
		s.done <- s.cmd.Wait()
	}()
	select {
	case s.ops = <-serving:
	case <-s.done:
		p.t.Fatalf("the server ended:\n%s", s.log)
	}
	return s
}

// stop sends a signal and waits.
func (s *server) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-s.done
	return s.cmd.ProcessState.ExitCode()
}

func TestWithServer(t *testing.T) {
	p := newPlace(t)
	s := p.serve()
	administer(t, p, true)
	resp, err := http.Get("http://" + s.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(text), "listeners: ok") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	p.fails(fmt.Sprintf("d belongs to one process, and process %d has it", s.cmd.Process.Pid), "", "serve", "--data", "d")
	p.fails("restore: stop the server first", "", "restore", "backup-true.db", "--data", "d")
	if code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, s.log)
	}
	if !strings.Contains(s.log.String(), "msg=stopped") {
		t.Errorf("log:\n%s", s.log)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "d", "ctl")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is left: %v", err)
	}
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", "user", "ls", "--data", "d")

	// A server that was killed leaves a socket that nobody answers.
	s = p.serve()
	s.stop(t, syscall.SIGKILL)
	p.ok("anna@a.example\nbert@a.example\ncarl@b.example\n", "", "user", "ls", "--data", "d")
	s = p.serve("--log.format=json", "--log.level=debug")
	if code := s.stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("SIGINT: exit %d\n%s", code, s.log)
	}
}

func TestServeRefuses(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(filepath.Join(p.dir, "bearhug.toml"), []byte("[c2s]\nplain = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails("bearhug.toml:2: unknown key c2s.plain: ", "", "serve")
}
