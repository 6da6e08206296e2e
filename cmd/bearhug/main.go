// Command bearhug is the server and the tool that looks after it. This package
// reads the command line; what the commands do is in package node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/bearhug/bearhug/node"
)

// Exit codes: done, not done, and a command line that makes no sense.
const (
	exitDone  = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(os.Args[1:], env{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}))
}

// env is what a command can reach of the world.
type env struct {
	in       *os.File
	out, err io.Writer
	environ  []string

	config string            // --config
	flags  map[string]string // configuration given as flags
}

// commandLine is all that bearhug understands. Flags with a dot in them are
// keys of the configuration and are taken out before (configFlags).
type commandLine struct {
	Config string `placeholder:"FILE" env:"BEARHUG_CONFIG" help:"Configuration file; bearhug.toml in this directory, if there is one."`
	Data   string `placeholder:"DIR" help:"Data directory; the key data of the configuration."`

	Serve    serveCmd    `cmd:"" help:"Run the server until SIGTERM."`
	Demo     demoCmd     `cmd:"" help:"Show a server with a living organisation of 60 people."`
	Org      orgCmd      `cmd:"" help:"Organisations: one per XMPP domain."`
	User     userCmd     `cmd:"" help:"Accounts."`
	Group    groupCmd    `cmd:"" help:"Shared groups: who sees whom."`
	People   peopleCmd   `cmd:"" help:"People of organisations: whom campaigns can reach, with or without an account."`
	Audience audienceCmd `cmd:"" help:"Audiences: rules that say which people are meant."`
	Lever    leverCmd    `cmd:"" help:"Levers: turn what the server does up and down while it runs."`
	Campaign campaignCmd `cmd:"" help:"Campaigns: invitations to conversations."`
	Token    tokenCmd    `cmd:"" help:"Tokens: programs that may use the API."`
	Audit    auditCmd    `cmd:"" help:"The audit log: who did what, and that nobody changed that."`
	Top      topCmd      `cmd:"" help:"Show what each feature costs now, and how that grows."`
	Backup   backupCmd   `cmd:"" help:"Copy the SQLite database, also while the server runs."`
	Restore  restoreCmd  `cmd:"" help:"Put a backup in the place of the database; no server may run."`
	Settings configCmd   `cmd:"" name:"config" help:"Print the configuration in force, with all keys and their meaning."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
	Help     helpCmd     `cmd:"" help:"Print help on a command."`
}

const description = `A chat server for organisations, speaking XMPP.

Each key of the configuration is also a flag, such as --c2s.listen=:5222
("bearhug config" lists them). --config and --data may stand anywhere.`

// run does what the arguments say and returns the exit code.
func run(args []string, e env) int {
	args, flags, err := configFlags(args)
	if err != nil {
		return fail(e, err, exitUsage)
	}
	var line commandLine
	parser, err := kong.New(&line, kong.Name("bearhug"), kong.Description(description),
		kong.NoDefaultHelp(), kong.Writers(e.out, e.err), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(e, err, exitUsage)
	}
	args, wantsHelp := takeHelp(args)
	if wantsHelp {
		return printHelp(parser, args, e)
	}
	if len(args) == 0 {
		printHelp(parser, nil, env{out: e.err, err: e.err})
		return exitUsage
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return fail(e, fmt.Errorf("%w; see bearhug %s--help", err, commandOf(err)), exitUsage)
	}
	if line.Data != "" {
		flags["data"] = line.Data
	}
	e.config, e.flags = line.Config, flags
	background, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(background, stop) // a second signal ends the process
	ctx.BindTo(background, (*context.Context)(nil))
	if err := ctx.Run(&e); err != nil {
		return fail(e, err, exitError)
	}
	return exitDone
}

// commandOf is the command that a parser's error is about, with a space.
func commandOf(err error) string {
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context != nil && pe.Context.Selected() != nil {
		return strings.TrimPrefix(pe.Context.Selected().Path(), "bearhug ") + " "
	}
	return ""
}

// fail tells an error on one line.
func fail(e env, err error, code int) int {
	var silent problemsError
	if errors.As(err, &silent) && silent.told {
		return code
	}
	fmt.Fprintln(e.err, "bearhug: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	return code
}

// load reads the configuration from all its sources.
func (e *env) load() (*node.Config, error) {
	return node.Load(node.Sources{File: e.config, Env: e.environ, Flags: e.flags})
}

// configFlags takes the keys of the configuration out of the arguments: flags
// whose name has a dot, and --roles.
func configFlags(args []string) (rest []string, flags map[string]string, err error) {
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(rest, args[i:]...), flags, nil
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !strings.HasPrefix(arg, "--") || !strings.Contains(name, ".") && name != "roles" {
			rest = append(rest, arg)
			continue
		}
		boolean, err := node.CheckKey(name)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case hasValue:
		case boolean:
			value = "true"
		case i+1 < len(args):
			i++
			value = args[i]
		default:
			return nil, nil, fmt.Errorf("--%s: the value is missing: --%s=VALUE", name, name)
		}
		flags[name] = value
	}
	return rest, flags, nil
}

// takeHelp takes --help and -h out of the arguments.
func takeHelp(args []string) (rest []string, found bool) {
	for i, a := range args {
		if a == "--" {
			return append(rest, args[i:]...), found
		}
		if a == "--help" || a == "-h" {
			found = true
			continue
		}
		rest = append(rest, a)
	}
	return rest, found
}

// printHelp prints the help of the command that the arguments name.
func printHelp(parser *kong.Kong, args []string, e env) int {
	ctx, err := kong.Trace(parser, args)
	if err != nil {
		return fail(e, err, exitUsage)
	}
	var wrong *kong.ParseError
	if ctx.Error != nil && ctx.Selected() == nil && len(args) > 0 && !errors.As(ctx.Error, &wrong) {
		return fail(e, ctx.Error, exitUsage)
	}
	ctx.Stdout = e.out
	if err := ctx.PrintUsage(false); err != nil {
		return fail(e, err, exitError)
	}
	return exitDone
}

// helpCmd prints help: bearhug help user add.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command to explain."`
}

func (c *helpCmd) Run(k *kong.Kong, e *env) error {
	if code := printHelp(k, c.Command, *e); code != exitDone {
		return problemsError{told: true}
	}
	return nil
}

// problemsError is an error that has been told already.
type problemsError struct{ told bool }

func (problemsError) Error() string { return "told already" }
