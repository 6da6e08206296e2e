package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/bearhug/bearhug/node"
)

type serveCmd struct{}

func (c *serveCmd) Run(_ context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	// Not the command's context: Serve listens to signals itself, for the
	// second one means something else.
	return node.Serve(context.Background(), cfg, node.NewLog(cfg.Log, e.err))
}

type configCmd struct{}

func (c *configCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	_, err = e.out.Write(cfg.Print())
	return err
}

type versionCmd struct{}

func (c *versionCmd) Run(e *env) error {
	_, err := fmt.Fprintf(e.out, "bearhug %s (%s, %s/%s)\n", node.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

type backupCmd struct {
	File string `arg:"" help:"The file to write; it must not exist."`
}

func (c *backupCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	file, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	info, err := node.Backup(ctx, cfg, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %d bytes, verified\n", c.File, info.Bytes)
	return nil
}

type restoreCmd struct {
	File string `arg:"" help:"The backup."`
}

func (c *restoreCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	info, kept, err := node.Restore(ctx, cfg, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %d bytes, %d accounts, verified\n", info.File, info.Bytes, info.Rows["account"])
	if kept != "" {
		fmt.Fprintf(e.out, "the database that was there is kept as %s\n", kept)
	}
	return nil
}
