// Command generate writes docs/config.md, docs/xeps.md, docs/levers.md and docs/api.md from the code. It is
// run from the root of the repository by `make docs`.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/bearhug/bearhug/node"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	config, err := node.ConfigDoc()
	if err != nil {
		return err
	}
	xeps, err := node.XEPDoc(context.Background())
	if err != nil {
		return err
	}
	levers, err := node.LeverDoc()
	if err != nil {
		return err
	}
	if err := os.WriteFile("docs/api.md", node.APIDoc(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile("docs/levers.md", levers, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile("docs/config.md", config, 0o644); err != nil {
		return err
	}
	return os.WriteFile("docs/xeps.md", xeps, 0o644)
}
