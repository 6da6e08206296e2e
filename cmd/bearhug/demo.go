package main

import (
	"context"
	"os"

	"golang.org/x/term"

	"github.com/bearhug/bearhug/node"
)

type demoCmd struct {
	People int `default:"60" help:"How many people live in it (5 teams)."`
}

// Run shows a living server. It stays away from the configuration of a real
// one: only what is named on the command line counts.
func (c *demoCmd) Run(ctx context.Context, e *env) error {
	o := node.DemoOptions{Data: e.flags["data"], People: c.People, Out: e.out}
	if f, ok := e.out.(*os.File); ok {
		o.Terminal = term.IsTerminal(int(f.Fd()))
	}
	delete(e.flags, "data")
	if e.config != "" || len(e.flags) > 0 {
		file := e.config
		if file == "" {
			file = os.DevNull
		}
		cfg, err := node.Load(node.Sources{File: file, Flags: e.flags})
		if err != nil {
			return err
		}
		o.Config = cfg
	}
	return node.RunDemo(ctx, o)
}
