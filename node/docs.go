package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// XEPDoc is docs/xeps.md. It is read from a node that is started for it with
// all listeners closed, so that it says what a server really has.
func XEPDoc(ctx context.Context) (text []byte, err error) {
	dir, err := os.MkdirTemp("", "bearhug-docs-")
	if err != nil {
		return nil, fmt.Errorf("write docs/xeps.md: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg, err := Defaults()
	if err != nil {
		return nil, err
	}
	cfg.Data = dir
	cfg.C2S.Listen, cfg.C2S.TLSListen, cfg.HTTP.Listen, cfg.HTTP.TLSListen, cfg.Ops.Listen = "", "", "", "", ""
	n, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := n.Start(ctx); err != nil {
		return nil, err
	}
	stop, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	text = n.xepDoc()
	return text, n.Stop(stop)
}

func (n *Node) xepDoc() []byte {
	var b bytes.Buffer
	b.WriteString("# What this server speaks\n\nGenerated from the code by `make docs`. Do not edit.\n\n" +
		"Each line is a feature: its name is the name of its switch, of its account in the ledger and of\n" +
		"its metrics (`bearhug_NAME_…`). A feature that is *always* on has no switch.\n\n" +
		"## Extensions\n\nOne file and one line each (see CONTRIBUTING.md), in the order in which a stanza meets them.\n\n" +
		"| Feature | Switch | Standard and what of it | Announces |\n|---|---|---|---|\n")
	infos := map[string]feature.Info{}
	for _, i := range n.Board.Features() {
		infos[i.Name] = i
	}
	module := map[string]bool{}
	for _, m := range n.chat.router.Modules() {
		module[m.Name] = true
		var ns []string
		for _, d := range append(append([]string(nil), m.Disco...), m.AccountDisco...) {
			if d = "`" + d + "`"; !slices.Contains(ns, d) {
				ns = append(ns, d)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Name, switchWord(infos[m.Name]), cell(m.Doc), strings.Join(ns, " "))
	}
	b.WriteString("\n## The house itself\n\nWhat is no extension but the ground they stand on.\n\n| Feature | Switch | What it is |\n|---|---|---|\n")
	for _, i := range n.Board.Features() {
		if !module[i.Name] {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", i.Name, switchWord(i), cell(i.Doc))
		}
	}
	b.WriteString("\nTheir switches and dials are listed in [levers.md](levers.md).\n")
	return b.Bytes()
}

func switchWord(i feature.Info) string {
	switch {
	case i.Always && i.Main != nil:
		return "levels"
	case i.Always:
		return "always"
	case i.Off:
		return "off"
	}
	return "on"
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
