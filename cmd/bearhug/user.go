package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type orgCmd struct {
	Add orgAddCmd `cmd:"" help:"Add an organisation."`
	Ls  orgLsCmd  `cmd:"" help:"List organisations."`
}

type orgAddCmd struct {
	Domain string `arg:"" help:"Its XMPP domain, such as example.org."`
}

func (c *orgAddCmd) Run(ctx context.Context, e *env) error {
	var done node.Organisation
	if err := e.call(ctx, true, ops.Request{Op: "org.add", Args: node.Organisation{Domain: c.Domain}}, &done); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s added\n", done.Domain)
	return nil
}

type orgLsCmd struct{}

func (c *orgLsCmd) Run(ctx context.Context, e *env) error {
	var list []node.Organisation
	if err := e.call(ctx, false, ops.Request{Op: "org.ls"}, &list); err != nil {
		return err
	}
	for _, o := range list {
		fmt.Fprintln(e.out, o.Domain)
	}
	return nil
}

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add an account."`
	Passwd userPasswdCmd `cmd:"" help:"Change a password; sessions that are open are closed."`
	Del    userDelCmd    `cmd:"" help:"Delete an account with all it has."`
	Ls     userLsCmd     `cmd:"" help:"List accounts."`
	Search userSearchCmd `cmd:"" help:"List the accounts whose name begins with a text."`
	Import userImportCmd `cmd:"" help:"Add accounts from a CSV file, all or none."`
	Token  userTokenCmd  `cmd:"" help:"Print a bearer token with which an account signs in (SASL OAUTHBEARER)."`
}

// call does one operation on the running server, or on the store.
func (e *env) call(ctx context.Context, create bool, r ops.Request, result any) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return node.Do(ctx, cfg, create, r, result)
}

type userAddCmd struct {
	JID           string `arg:"" name:"jid" help:"Its address, such as anna@example.org."`
	PasswordStdin bool   `help:"Read the password from standard input."`
}

func (c *userAddCmd) Run(ctx context.Context, e *env) error {
	password, err := e.password(c.JID, c.PasswordStdin)
	if err != nil {
		return err
	}
	var done node.User
	if err := e.call(ctx, false, ops.Request{Op: "user.add", Args: node.User{JID: c.JID, Password: password}}, &done); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s added\n", done.JID)
	return nil
}

type userPasswdCmd struct {
	JID           string `arg:"" name:"jid" help:"Its address."`
	PasswordStdin bool   `help:"Read the password from standard input."`
}

func (c *userPasswdCmd) Run(ctx context.Context, e *env) error {
	password, err := e.password(c.JID, c.PasswordStdin)
	if err != nil {
		return err
	}
	var done node.User
	if err := e.call(ctx, false, ops.Request{Op: "user.passwd", Args: node.User{JID: c.JID, Password: password}}, &done); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s has a new password\n", done.JID)
	return nil
}

// maxPasswordInput is how many bytes of standard input may be a password.
const maxPasswordInput = 4096

// password asks for a password: one line of standard input, or twice on the
// terminal, without echo.
func (e *env) password(who string, stdin bool) (string, error) {
	if stdin {
		text, err := io.ReadAll(io.LimitReader(e.in, maxPasswordInput+1))
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		if len(text) > maxPasswordInput {
			return "", fmt.Errorf("standard input has more than %d bytes: want the password alone", maxPasswordInput)
		}
		line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		switch {
		case line == "":
			return "", errors.New("standard input has no password: write one line to it")
		case strings.ContainsAny(line, "\r\n"):
			return "", errors.New("standard input has several lines: want the password alone")
		}
		return line, nil
	}
	if !term.IsTerminal(int(e.in.Fd())) {
		return "", errors.New("no terminal to ask for a password: use --password-stdin")
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(e.err, prompt)
		text, err := term.ReadPassword(int(e.in.Fd()))
		fmt.Fprintln(e.err)
		return string(text), err
	}
	first, err := ask("Password for " + who + ": ")
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	second, err := ask("Again: ")
	switch {
	case err != nil:
		return "", fmt.Errorf("read password: %w", err)
	case first != second:
		return "", errors.New("the two passwords differ: nothing was changed")
	case first == "":
		return "", errors.New("the password is empty: nothing was changed")
	}
	return first, nil
}

type userDelCmd struct {
	JID string `arg:"" name:"jid" help:"Its address."`
}

func (c *userDelCmd) Run(ctx context.Context, e *env) error {
	var done node.User
	if err := e.call(ctx, false, ops.Request{Op: "user.del", Args: node.User{JID: c.JID}}, &done); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s deleted\n", done.JID)
	return nil
}

type userLsCmd struct {
	Domain string `arg:"" optional:"" help:"Only this organisation's."`
}

func (c *userLsCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		domains := []node.Organisation{{Domain: c.Domain}}
		if c.Domain == "" {
			if err := caller.Call(ctx, ops.Request{Op: "org.ls"}, &domains); err != nil {
				return err
			}
		}
		for _, d := range domains {
			if err := listUsers(ctx, caller, d.Domain, e.out); err != nil {
				return err
			}
		}
		return nil
	})
}

// listUsers prints a domain's accounts, page by page.
func listUsers(ctx context.Context, caller *ops.Caller, domain string, out io.Writer) error {
	for after := ""; ; {
		var page []node.UserLine
		if err := caller.Call(ctx, ops.Request{Op: "user.ls", Args: node.UserPage{Domain: domain, After: after}}, &page); err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for _, u := range page {
			suffix := ""
			if u.Disabled {
				suffix = "\tdisabled"
			}
			if _, err := fmt.Fprintln(out, u.JID+suffix); err != nil {
				return err
			}
		}
		last := page[len(page)-1].JID
		after = last[:strings.LastIndexByte(last, '@')]
	}
}

type userSearchCmd struct {
	Text   string `arg:"" name:"text@domain" help:"How the address begins, such as an@example.org."`
	Inside bool   `help:"The text may stand anywhere in the name."`
	Limit  int    `default:"50" help:"How many to print, 1 to 1000."`
}

func (c *userSearchCmd) Run(ctx context.Context, e *env) error {
	at := strings.LastIndexByte(c.Text, '@')
	switch {
	case at < 1:
		return fmt.Errorf("%q has no text or no domain: write TEXT@DOMAIN, such as an@example.org", c.Text)
	case c.Limit < 1 || c.Limit > 1000:
		return fmt.Errorf("--limit %d is out of range: want 1 to 1000", c.Limit)
	}
	args := node.UserSearch{Domain: c.Text[at+1:], Text: c.Text[:at], Inside: c.Inside, Limit: c.Limit}
	var found node.UserFound
	if err := e.call(ctx, false, ops.Request{Op: "user.search", Args: args}, &found); err != nil {
		return err
	}
	for _, who := range found.JIDs {
		if _, err := fmt.Fprintln(e.out, who); err != nil {
			return err
		}
	}
	if found.More {
		fmt.Fprintln(e.err, "there are more: give more of the name, or raise --limit")
	}
	return nil
}

type userTokenCmd struct {
	JID   string        `arg:"" name:"jid" help:"The account that signs in with it."`
	Scope string        `placeholder:"PEER" help:"The one address it may talk to."`
	TTL   time.Duration `name:"ttl" default:"10m" help:"How long it can be used to sign in, at most 24h."`
}

func (c *userTokenCmd) Run(ctx context.Context, e *env) error {
	var done node.Token
	args := node.Token{JID: c.JID, Scope: c.Scope, TTL: c.TTL}
	if err := e.call(ctx, false, ops.Request{Op: "user.token", Args: args}, &done); err != nil {
		return err
	}
	fmt.Fprintln(e.out, done.Token)
	return nil
}

type userImportCmd struct {
	File   string `arg:"" help:"CSV: jid,password or jid,mechanism,iterations,salt,stored_key,server_key (the last three in base64)."`
	DryRun bool   `help:"Only report what would be done."`
}

// maxTold is how many problems of a file are printed.
const maxTold = 50

func (c *userImportCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("import accounts: %w", err)
	}
	defer file.Close()
	p := progress{out: e.err, began: time.Now()}
	var report node.ImportReport
	err = node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		report, err = node.ImportUsers(ctx, caller, file, node.ImportOptions{DryRun: c.DryRun, Progress: p.show})
		return err
	})
	p.end()
	if err != nil {
		return err
	}
	e.tell(c.File, report.Problems, len(report.Problems))
	switch {
	case len(report.Problems) > 0:
		lines := len(report.Problems)
		if report.Unread {
			lines-- // one says that reading ended
		}
		return mend(lines, report.Unread, c.File)
	case c.DryRun:
		fmt.Fprintf(e.out, "%d accounts would be imported\n", report.Accounts)
	default:
		fmt.Fprintf(e.out, "%d accounts imported in %.1f s\n", report.Accounts, time.Since(p.began).Seconds())
		for _, note := range report.Notes {
			fmt.Fprintf(e.err, "note: %s\n", note)
		}
	}
	return nil
}

// tell prints what is wrong in a file; of more than maxTold problems, how many
// there are besides.
func (e *env) tell(file string, problems []node.Problem, all int) {
	for i, problem := range problems {
		if i == maxTold {
			fmt.Fprintf(e.err, "%s: and %d problems more\n", file, all-i)
			return
		}
		who := ""
		if problem.JID != "" {
			who = problem.JID + ": "
		}
		fmt.Fprintf(e.err, "%s:%d: %s%s\n", file, problem.Line, who, problem.Reason)
	}
}

// mend says what to do with a file that was not imported. unread: nobody has
// looked at all of it.
func mend(lines int, unread bool, file string) error {
	least := ""
	if unread {
		least = "at least "
	}
	return fmt.Errorf("nothing imported: mend %s%d lines of %s and run it again", least, lines, file)
}

// progress prints how far a long work has come: one line that is written over
// on a terminal, a line every five seconds elsewhere.
type progress struct {
	out   io.Writer
	began time.Time
	stage string
	since time.Time // of the stage
	last  time.Time // line printed
	open  bool      // the cursor stands behind a line
}

func (p *progress) show(stage string, done, total int) {
	now := time.Now()
	if stage != p.stage {
		p.stage, p.since = stage, now
	}
	f, isFile := p.out.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd()))
	every := 5 * time.Second
	if terminal {
		every = time.Second / 5
	}
	if now.Sub(p.last) < every && (!terminal || done < total) {
		return
	}
	p.last = now
	left := ""
	if spent := now.Sub(p.since); done > 0 && spent > time.Second && done < total {
		rest := time.Duration(float64(spent) / float64(done) * float64(total-done))
		left = fmt.Sprintf(", %v left", rest.Round(time.Second))
	}
	text := fmt.Sprintf("%d of %d %s%s", done, total, stage, left)
	if terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.open = true
		return
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
		p.open = false
	}
}
