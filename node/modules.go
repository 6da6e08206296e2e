package node

import (
	"slices"

	"github.com/bearhug/bearhug/caps"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/xep"
)

// chatModules is what this server can do, in the order in which a stanza meets
// it. An extension is one file in package xep, or a package
// of its own, and one line here.
var chatModules = []func(*router.Host) router.Module{
	xep.Blocking,
	xep.Roster,
	xep.Disco,
	caps.New,
	xep.Visible,
	xep.Contact,
	xep.Ping,
	xep.Version,
	xep.Time,
	xep.LastActivity,
	xep.Carbons,
	xep.MAM,
	xep.Prefs,
	xep.Offline,
	xep.VCard,
	xep.Private,
	xep.StreamLimits,
	xep.Register,
	xep.Search,
}

// modules are chatModules and the bots, which other parts of the node talk to.
func modules(bots *outreach.Bot) []func(*router.Host) router.Module {
	return append(slices.Clone(chatModules), bots.Module)
}

// A ModuleDoc is what docs/xeps.md says about a module.
type ModuleDoc struct {
	Name, Doc string
	Off       bool // its switch is off by default
	Always    bool // it has no switch
	Levers    []feature.Lever
}

// ModuleDocs describes the modules in their order.
func ModuleDocs() []ModuleDoc {
	all := modules(outreach.NewBot(outreach.BotConfig{}))
	docs := make([]ModuleDoc, 0, len(all))
	for _, make := range all {
		m := make(new(router.Host))
		docs = append(docs, ModuleDoc{Name: m.Name, Doc: m.Doc, Off: m.Off, Always: m.Always, Levers: m.Levers})
	}
	return docs
}
