package node

import (
	"bytes"
	"fmt"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/router"
)

// LeverDoc is docs/levers.md.
func LeverDoc() ([]byte, error) {
	board := feature.NewBoard()
	if err := router.Declare(board, modules(outreach.NewBot(outreach.BotConfig{}))); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Levers\n\nGenerated from the code by `make docs`. Do not edit.\n\n" +
		"A lever is turned while the server runs; it takes effect within a second and no connection notices:\n\n" +
		"    bearhug lever set NAME VALUE [--org DOMAIN | --group GROUP@DOMAIN] [--why TEXT] [--for 30m]\n\n" +
		"`lever ls` shows what is in force and what each lever would save now, `lever reset` goes back to the default, `lever undo`\n" +
		"takes back the last setting (`lever undo NAME` that of one lever), `lever history NAME` tells who set it and why. The narrower scope wins: a group, then its\n" +
		"organisation, then the server. A setting with an end (`--for`) falls back by itself to what was set before it.\n" +
		"Numbers may have units: `250ms`, `1m30s`, `2d`, `64KiB`.\n\n" +
		"What has no switch (blocking, preferences, scopes, sign-in checks, and the ground everything stands on) has no line here\n" +
		"but for its dials.\n\n" +
		"A saving of 100 % is what the ledger counted. One below is a share of that which the lever assumes: the ledger does not\n" +
		"tell what changes send from what a sign-in is sent. `lever ls` marks it with `~`; what it was shows some seconds later.\n\n" +
		"| Lever | Takes | Default | Down to one | Saves | Meaning |\n|---|---|---|---|---|---|\n")
	for _, l := range board.Levers() {
		s := stateOf(&l)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.Name, s.Range, s.Default, s.Reach, savesDoc(&l), cell(l.Doc))
	}
	return b.Bytes(), nil
}

// savesDoc says what of which feature a lever saves.
func savesDoc(l *feature.Lever) string {
	var b bytes.Buffer
	for _, s := range l.Saves {
		what := "of"
		if s.Sent {
			what = "of the sending of"
		}
		for v, share := range s.Shares {
			if share > 0 {
				if b.Len() > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "%s: %.0f %% %s %s", l.Word(int64(v)), 100*share, what, s.Feature)
			}
		}
	}
	return b.String()
}
