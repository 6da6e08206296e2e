package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

// Lever operations. A setting is checked as a whole before anything is
// written; what is written is applied before the answer goes out.

// LeverArgs is the argument of the lever operations. Org is a domain and Group
// the name of a shared group of it; without both the server is meant.
type LeverArgs struct {
	Name  string        `json:"name,omitempty"`
	Org   string        `json:"org,omitempty"`
	Group string        `json:"group,omitempty"`
	Value string        `json:"value,omitempty"` // "on", "coarse", "250ms", "64KiB"
	Why   string        `json:"why,omitempty"`
	For   time.Duration `json:"for,omitempty"` // it falls back by itself after so long; 0: never
	Limit int           `json:"limit,omitempty"`
}

// LeverState describes a lever: what it is and what is set.
type LeverState struct {
	Name     string         `json:"name"`
	Doc      string         `json:"doc"`
	Unit     string         `json:"unit,omitempty"`
	Default  string         `json:"default"`
	Range    string         `json:"range"` // "off, on" or "1 to 60000 ms"
	Reach    string         `json:"reach"` // the narrowest scope: "server", "organisation", "group"
	Value    string         `json:"value"` // in force for the scope asked for
	Settings []LeverSetting `json:"settings,omitempty"`
	Saves    []LeverSaving  `json:"saves,omitempty"`
}

// LeverSetting is one setting, in force or of the past.
type LeverSetting struct {
	Org     string    `json:"org,omitempty"`
	Group   string    `json:"group,omitempty"`
	Value   string    `json:"value,omitempty"` // "" for a reset
	Version uint64    `json:"version"`
	Who     string    `json:"who,omitempty"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`
	Reset   bool      `json:"reset,omitempty"`
	Undoes  uint64    `json:"undoes,omitempty"` // it took back this version
	InForce bool      `json:"in_force,omitempty"`
}

// LeverSaving is what a value would save now, by the ledger.
type LeverSaving struct {
	Value   string  `json:"value"`
	CPU     float64 `json:"cpu_percent"`  // of one processor
	Percent float64 `json:"percent"`      // of all that the process spends
	Kind    string  `json:"kind"`         // "counted": all of it is in the ledger; "declared": a part of that, as the lever assumes
	Of      string  `json:"of,omitempty"` // the features that cost less
}

// LeverList is the answer of lever.ls.
type LeverList struct {
	Running bool         `json:"running"` // a server runs: only then savings are known
	Levers  []LeverState `json:"levers"`
}

// LeverDone is the answer of lever.set, lever.reset and lever.undo.
type LeverDone struct {
	Name    string       `json:"name"`
	Setting LeverSetting `json:"setting"`
	Value   string       `json:"value"`          // in force now
	Before  string       `json:"before"`         // in force before
	Saves   *LeverSaving `json:"saves,omitzero"` // what the change should save
}

// leverDesk does the lever operations, on a running node or on the store.
type leverDesk struct {
	*admin
	board *feature.Board
	node  *Node // nil when no server runs
}

func (d *leverDesk) register(c *ops.Control) {
	c.Handle("lever.ls", d.list)
	c.Handle("lever.set", d.set)
	c.Handle("lever.reset", d.reset)
	c.Handle("lever.undo", d.undo)
	c.Handle("lever.history", d.history)
}

// place is a scope with its names.
type place struct {
	feature.Scope
	org, group string
}

// place finds the organisation and the group that are meant.
func (d *leverDesk) place(ctx context.Context, arg *LeverArgs) (p place, err error) {
	p.org, p.group = arg.Org, arg.Group
	if p.org == "" {
		if p.group != "" {
			return p, fmt.Errorf("group %q: say of which organisation, as GROUP@DOMAIN", p.group)
		}
		return p, nil
	}
	if p.Org, err = d.admin.org(ctx, p.org); err != nil || p.group == "" {
		return p, err
	}
	groups, err := d.store.GroupNames(ctx, p.Org)
	if err != nil {
		return p, err
	}
	names := make([]string, 0, len(groups))
	for id, name := range groups {
		if name == p.group {
			p.Group = id
			return p, nil
		}
		names = append(names, name)
	}
	if near := feature.Nearest(p.group, names); near != "" {
		return p, fmt.Errorf("no group %s@%s here: did you mean %s@%s?", p.group, p.org, near, p.org)
	}
	return p, fmt.Errorf("no group %s@%s here", p.group, p.org)
}

// apply brings the board to the store's state after a change.
func (d *leverDesk) apply(ctx context.Context) error {
	if d.node != nil {
		return d.node.levers.apply(ctx)
	}
	l := levers{node: &Node{Board: d.board, Store: d.store, Log: d.log}, ended: true}
	if d.config.Register.Allow {
		if err := l.setBase("register", 1); err != nil {
			return err
		}
	}
	return l.apply(ctx)
}

func (d *leverDesk) set(c *ops.Call) (any, error) {
	var arg LeverArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	lever, err := d.board.Lever(arg.Name)
	if err != nil {
		return nil, fmt.Errorf("set lever: %w", err)
	}
	value, err := parseValue(&lever, arg.Value)
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", arg.Name, err)
	}
	row := store.LeverRow{Value: value}
	if arg.For != 0 {
		if arg.For < time.Second || arg.For > maxLeverTime {
			return nil, fmt.Errorf("set %s: for %v: want 1s to %v", arg.Name, arg.For, maxLeverTime)
		}
		row.Until = time.Now().Add(arg.For).Truncate(time.Microsecond)
	}
	return d.change(c, &arg, row)
}

const (
	maxLeverTime = 366 * 24 * time.Hour // of a setting
	maxWhy       = 1000                 // bytes of a reason: it is in every list
)

func checkWhy(why string) error {
	if len(why) > maxWhy {
		return fmt.Errorf("the reason has %d bytes: want %d at most", len(why), maxWhy)
	}
	if !utf8.ValidString(why) {
		return errors.New("the reason is no text: want UTF-8")
	}
	return nil
}

func (d *leverDesk) reset(c *ops.Call) (any, error) {
	var arg LeverArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	return d.change(c, &arg, store.LeverRow{Reset: true})
}

// change writes a setting and applies it.
func (d *leverDesk) change(c *ops.Call, arg *LeverArgs, row store.LeverRow) (any, error) {
	ctx := c.Context()
	lever, err := d.board.Lever(arg.Name)
	if err != nil {
		return nil, fmt.Errorf("set lever: %w", err)
	}
	if err := checkWhy(arg.Why); err != nil {
		return nil, fmt.Errorf("set %s: %w", arg.Name, err)
	}
	at, err := d.place(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", arg.Name, err)
	}
	value := row.Value
	if row.Reset {
		value = lever.Default
	}
	if err := d.board.Check(arg.Name, at.Scope, value); err != nil {
		return nil, fmt.Errorf("set %s: %w", arg.Name, err)
	}
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	row.Name, row.Scope, row.Who, row.Why = arg.Name, at.Scope, c.User(), arg.Why
	before := d.board.Dial(arg.Name).Group(at.Org, at.Group)
	rates, seconds, total := d.rates(at.Scope)
	if row.Version, err = d.store.SetLever(ctx, row); err != nil {
		return nil, err
	}
	row.At = time.Now()
	return d.done(ctx, row, at, before, func(now int64) *LeverSaving {
		return savingOf(&lever, before, now, rates, seconds, total)
	})
}

// done applies what was written and answers.
func (d *leverDesk) done(ctx context.Context, row store.LeverRow, at place, before int64, saves func(now int64) *LeverSaving) (any, error) {
	if err := d.apply(ctx); err != nil {
		return nil, fmt.Errorf("lever %s is kept and not in force yet: %w", row.Name, err)
	}
	lever, err := d.board.Lever(row.Name)
	if err != nil {
		return nil, err
	}
	now := d.board.Dial(row.Name).Group(at.Org, at.Group)
	out := LeverDone{Name: row.Name, Setting: settingOf(&lever, &row, at), Value: unitWord(&lever, now), Before: unitWord(&lever, before)}
	if now != before {
		out.Saves = saves(now)
	}
	d.log.Info("lever moved", "lever", row.Name, "org", at.org, "group", at.group, "value", out.Value, "before", out.Before,
		"who", row.Who, "why", row.Why, "version", row.Version)
	return out, nil
}

func (d *leverDesk) undo(c *ops.Call) (any, error) {
	var arg LeverArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	if arg.Name != "" {
		if _, err := d.board.Lever(arg.Name); err != nil {
			return nil, fmt.Errorf("undo: %w", err)
		}
	}
	if err := checkWhy(arg.Why); err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	ctx := c.Context()
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	row, err := d.store.UndoLever(ctx, arg.Name, c.User(), arg.Why)
	if errors.Is(err, store.ErrNothingSet) && arg.Name != "" {
		return nil, fmt.Errorf("undo: no setting of %s could be taken back", arg.Name)
	}
	if errors.Is(err, store.ErrNothingSet) {
		return nil, errors.New("undo: no lever is set that could be taken back")
	}
	if err != nil {
		return nil, err
	}
	lever, err := d.board.Lever(row.Name)
	if err != nil {
		return nil, fmt.Errorf("undo: %s is taken back, but this version does not know it: %w", row.Name, err)
	}
	names, err := d.names(ctx, []store.LeverRow{row})
	if err != nil {
		return nil, err
	}
	at := names(row.Scope)
	before := d.board.Dial(row.Name).Group(row.Scope.Org, row.Scope.Group)
	rates, seconds, total := d.rates(row.Scope)
	return d.done(ctx, row, at, before, func(now int64) *LeverSaving {
		return savingOf(&lever, before, now, rates, seconds, total)
	})
}

func (d *leverDesk) history(c *ops.Call) (any, error) {
	var arg LeverArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	lever, err := d.board.Lever(arg.Name)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 100
	}
	rows, err := d.store.LeverHistory(c.Context(), arg.Name, arg.Limit)
	if err != nil {
		return nil, err
	}
	names, err := d.names(c.Context(), rows)
	if err != nil {
		return nil, err
	}
	out := make([]LeverSetting, len(rows))
	for i := range rows {
		out[i] = settingOf(&lever, &rows[i], names(rows[i].Scope))
	}
	return out, nil
}

// names finds how the scopes of rows are called.
func (d *leverDesk) names(ctx context.Context, rows []store.LeverRow) (func(feature.Scope) place, error) {
	orgs, err := d.store.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	domains := map[feature.Org]string{}
	for _, o := range orgs {
		domains[o.ID] = o.Domain
	}
	groups := map[feature.Org]map[uint64]string{}
	for _, r := range rows {
		if r.Scope.Group == 0 || groups[r.Scope.Org] != nil {
			continue
		}
		if groups[r.Scope.Org], err = d.store.GroupNames(ctx, r.Scope.Org); err != nil {
			return nil, err
		}
	}
	return func(at feature.Scope) place {
		p := place{Scope: at, org: domains[at.Org]}
		if at.Org != 0 && p.org == "" {
			p.org = "(deleted)"
		}
		if at.Group != 0 {
			p.group = cmp.Or(groups[at.Org][at.Group], "(deleted)")
		}
		return p
	}, nil
}

func (d *leverDesk) list(c *ops.Call) (any, error) {
	var arg LeverArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	ctx := c.Context()
	at, err := d.place(ctx, &arg)
	if err != nil {
		return nil, fmt.Errorf("list levers: %w", err)
	}
	if arg.Name != "" {
		if _, err := d.board.Lever(arg.Name); err != nil {
			return nil, fmt.Errorf("list levers: %w", err)
		}
	}
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	rows, err := d.store.Levers(ctx)
	if err != nil {
		return nil, err
	}
	names, err := d.names(ctx, rows)
	if err != nil {
		return nil, err
	}
	rates, seconds, total := d.rates(at.Scope)
	out := LeverList{Running: d.node != nil}
	for _, l := range d.board.Levers() {
		if arg.Name != "" && l.Name != arg.Name {
			continue
		}
		s := stateOf(&l)
		now := d.board.Dial(l.Name).Group(at.Org, at.Group)
		s.Value = unitWord(&l, now)
		s.Settings = inForce(&l, rows, at, names)
		for v := range l.Values {
			if saves := savingOf(&l, now, int64(v), rates, seconds, total); saves != nil {
				s.Saves = append(s.Saves, *saves)
			}
		}
		out.Levers = append(out.Levers, s)
	}
	return out, nil
}

// inForce are the settings of a lever that are in force, in all scopes, or in
// those that matter for the one that was asked for.
func inForce(l *feature.Lever, rows []store.LeverRow, at place, names func(feature.Scope) place) (out []LeverSetting) {
	for len(rows) > 0 {
		n := sameLever(rows)
		in, ok := store.Force(rows[:n], time.Now())
		rows = rows[n:]
		matters := at.Scope == feature.Scope{} || in.Scope.Org == 0 ||
			in.Scope.Org == at.Org && (at.Group == 0 || in.Scope.Group == 0 || in.Scope.Group == at.Group)
		if ok && in.Name == l.Name && matters {
			s := settingOf(l, &in, names(in.Scope))
			s.InForce = true
			out = append(out, s)
		}
	}
	return out
}

func stateOf(l *feature.Lever) LeverState {
	return LeverState{Name: l.Name, Doc: l.Doc, Unit: l.Unit, Default: unitWord(l, l.Default), Range: rangeOf(l),
		Reach: [...]string{feature.PerOrg: "organisation", feature.PerGroup: "group", feature.ServerOnly: "server"}[l.Reach]}
}

// rangeOf says which values a lever takes.
func rangeOf(l *feature.Lever) string {
	if l.Values != nil {
		return strings.Join(l.Values, ", ")
	}
	return fmt.Sprintf("%d to %s", l.Min, unitWord(l, l.Max))
}

// unitWord is a value with its unit.
func unitWord(l *feature.Lever, v int64) string {
	if l.Values != nil || l.Unit == "" {
		return l.Word(v)
	}
	return l.Word(v) + " " + l.Unit
}

func settingOf(l *feature.Lever, r *store.LeverRow, at place) LeverSetting {
	s := LeverSetting{Org: at.org, Group: at.group, Version: r.Version, Who: r.Who, Why: r.Why, At: r.At, Until: r.Until, Reset: r.Reset, Undoes: r.Undoes}
	if !r.Reset && r.Undoes == 0 {
		s.Value = unitWord(l, r.Value)
	}
	return s
}

// rates are what features cost now; empty when no server runs, and of a group,
// for the ledger has no accounts of groups.
func (d *leverDesk) rates(at feature.Scope) (rates map[string]feature.Row, seconds, total float64) {
	if d.node == nil || at.Group != 0 {
		return nil, 1, 0
	}
	from, to := d.node.books.window()
	rates, seconds = ratesOf(&from, &to, at.Org)
	return rates, seconds, float64(to.cpu-from.cpu) / seconds
}

// savingOf is what a value would save, nil when that is nothing to speak of.
func savingOf(l *feature.Lever, now, to int64, rates map[string]feature.Row, seconds, total float64) *LeverSaving {
	ns := saved(l, now, to, rates, seconds)
	if ns < 1e5 || total <= 0 { // a hundredth of a percent of a processor
		return nil
	}
	s := &LeverSaving{Value: l.Word(to), CPU: ns / 1e7, Percent: min(100, 100*ns/total), Kind: "counted"}
	if l.Assumed(now) || l.Assumed(to) {
		s.Kind = "declared"
	}
	var of []string
	for _, saving := range l.Saves {
		if !slices.Contains(of, saving.Feature) {
			of = append(of, saving.Feature)
		}
	}
	s.Of = strings.Join(of, ", ")
	return s
}
