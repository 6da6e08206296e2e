package console

import (
	"context"
	"time"
)

func serverOperations() []operation {
	return []operation{
		op(operation{ID: "lever-list", Method: "GET", Path: "/api/levers", Doc: "List the levers: values in force, who set them, what they would save now.", Roles: running(), Scope: "levers:read"}, listLevers),
		op(operation{ID: "lever-history", Method: "GET", Path: "/api/levers/{lever}/history", Doc: "List who set a lever when, and why.", Roles: running(), Scope: "levers:read"}, leverHistory),
		op(operation{ID: "lever-set", Method: "PUT", Path: "/api/levers/{lever}", Doc: "Give a lever a value, at once.", Roles: running(), Scope: "levers:write"}, setLever),
		op(operation{ID: "lever-reset", Method: "DELETE", Path: "/api/levers/{lever}", Doc: "Give a lever its default again.", Roles: running(), Scope: "levers:write", Status: 200}, resetLever),
		op(operation{ID: "lever-undo", Method: "POST", Path: "/api/levers/undo", Doc: "Take back the last setting of a lever, or of any.", Roles: running(), Scope: "levers:write"}, undoLever),
		op(operation{ID: "ledger-top", Method: "GET", Path: "/api/top", Doc: "Say what each feature costs now, and how that grows.", Roles: running(), Scope: "ledger:read"}, ledgerTop),
	}
}

// LeverSetting is a setting of a lever.
type LeverSetting struct {
	Org     string    `json:"org,omitempty"`
	Group   string    `json:"group,omitempty"`
	Value   string    `json:"value,omitempty"`
	Version uint64    `json:"version"`
	Who     string    `json:"who,omitempty"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`
	Reset   bool      `json:"reset,omitempty"`
	Undoes  uint64    `json:"undoes,omitempty"`
	InForce bool      `json:"in_force,omitempty"`
}

// LeverSaving is what a value would save.
type LeverSaving struct {
	Value   string  `json:"value"`
	CPU     float64 `json:"cpu_percent"`
	Percent float64 `json:"percent"`
	Kind    string  `json:"kind"`
	Of      string  `json:"of,omitempty"`
}

// Lever is a lever as it stands.
type Lever struct {
	Name     string         `json:"name"`
	Doc      string         `json:"doc"`
	Unit     string         `json:"unit,omitempty"`
	Default  string         `json:"default"`
	Range    string         `json:"range"`
	Reach    string         `json:"reach"`
	Value    string         `json:"value"`
	Settings []LeverSetting `json:"settings,omitempty"`
	Saves    []LeverSaving  `json:"saves,omitempty"`
}

// LeverScope says for whom a lever is.
type LeverScope struct {
	Org   string `query:"org" json:"org,omitempty" maxLength:"1023" doc:"domain; none: everybody"`
	Group string `query:"group" json:"group,omitempty" maxLength:"1023"`
}

// leverArgs is what the control operations take.
type leverArgs struct {
	Name  string        `json:"name"`
	Org   string        `json:"org,omitempty"`
	Group string        `json:"group,omitempty"`
	Value string        `json:"value,omitempty"`
	For   time.Duration `json:"for,omitempty"`
	Why   string        `json:"why,omitempty"`
	Limit int           `json:"limit,omitempty"`
}

func listLevers(ctx context.Context, k *call, in *LeverScope) (*PageOut[Lever], error) {
	var got struct {
		Levers []Lever `json:"levers"`
	}
	if err := k.control(ctx, "lever.ls", leverArgs{Org: in.Org, Group: in.Group}, &got); err != nil {
		return nil, err
	}
	return &PageOut[Lever]{Page[Lever]{Items: got.Levers}}, nil // as many as are declared: no list that grows
}

// LeverIn names a lever.
type LeverIn struct {
	Lever string `path:"lever" maxLength:"128"`
}

type leverHistoryIn struct {
	LeverIn
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func leverHistory(ctx context.Context, k *call, in *leverHistoryIn) (*PageOut[LeverSetting], error) {
	out := &PageOut[LeverSetting]{Page[LeverSetting]{Items: []LeverSetting{}}}
	return out, k.control(ctx, "lever.history", leverArgs{Name: in.Lever, Limit: in.Limit}, &out.Body.Items)
}

// LeverDone is what a change did.
type LeverDone struct {
	Name    string       `json:"name"`
	Setting LeverSetting `json:"setting"`
	Value   string       `json:"value" doc:"in force now"`
	Before  string       `json:"before"`
	Saves   *LeverSaving `json:"saves,omitempty"`
}

type leverDoneOut struct{ Body LeverDone }

// lever changes a lever.
func (k *call) lever(ctx context.Context, verb string, args leverArgs) (*leverDoneOut, error) {
	if err := k.audit(ctx, "lever "+args.Name, map[string]any{"value": args.Value, "org": args.Org, "group": args.Group, "for": args.For.String()}); err != nil {
		return nil, err
	}
	var out leverDoneOut
	return &out, k.control(ctx, verb, args, &out.Body)
}

type leverSetIn struct {
	LeverIn
	Body struct {
		LeverScope
		Value   string `json:"value" minLength:"1" maxLength:"100"`
		Seconds int    `json:"seconds,omitempty" minimum:"1" maximum:"31622400" doc:"how long; none: until it is set again"`
		Why     string `json:"why,omitempty" maxLength:"1000"`
	}
}

func setLever(ctx context.Context, k *call, in *leverSetIn) (*leverDoneOut, error) {
	b := &in.Body
	return k.lever(ctx, "lever.set", leverArgs{Name: in.Lever, Org: b.Org, Group: b.Group, Value: b.Value, For: time.Duration(b.Seconds) * time.Second, Why: b.Why})
}

type leverResetIn struct {
	LeverIn
	LeverScope
	Why string `query:"why" maxLength:"1000"`
}

func resetLever(ctx context.Context, k *call, in *leverResetIn) (*leverDoneOut, error) {
	return k.lever(ctx, "lever.reset", leverArgs{Name: in.Lever, Org: in.Org, Group: in.Group, Why: in.Why})
}

type leverUndoIn struct {
	Body struct {
		Lever string `json:"lever,omitempty" maxLength:"128" doc:"none: whichever was set last"`
		Why   string `json:"why,omitempty" maxLength:"1000"`
	}
}

func undoLever(ctx context.Context, k *call, in *leverUndoIn) (*leverDoneOut, error) {
	return k.lever(ctx, "lever.undo", leverArgs{Name: in.Body.Lever, Why: in.Body.Why})
}

// TopRow is what a feature costs, per second.
type TopRow struct {
	Feature  string   `json:"feature"`
	Org      string   `json:"org,omitempty"`
	CPU      float64  `json:"cpu_percent" doc:"of one processor"`
	Calls    float64  `json:"calls_per_second"`
	SQL      float64  `json:"sql_per_second"`
	SQLTime  float64  `json:"sql_ms_per_second"`
	RowsRate float64  `json:"rows_per_second"`
	BytesIn  float64  `json:"bytes_in_per_second"`
	BytesOut float64  `json:"bytes_out_per_second"`
	HourAgo  *float64 `json:"times_hour_ago,omitempty"`
	WeekAgo  *float64 `json:"times_week_ago,omitempty"`
	Lever    string   `json:"lever,omitempty" doc:"what would help"`
	Saves    float64  `json:"saves_percent,omitempty"`
}

// Top is what things cost now.
type Top struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Online  int       `json:"online"`
	CPU     float64   `json:"cpu_percent"`
	Rows    []TopRow  `json:"rows"`
}

type topIn struct {
	Org  string `query:"org" maxLength:"1023" json:"org,omitempty" doc:"domain"`
	Orgs bool   `query:"orgs" json:"orgs,omitempty" doc:"a row for each feature and organisation"`
	Rows int    `query:"rows" minimum:"1" maximum:"10000" default:"200" json:"rows,omitempty"`
}

type topOut struct{ Body Top }

func ledgerTop(ctx context.Context, k *call, in *topIn) (*topOut, error) {
	var out topOut
	return &out, k.control(ctx, "ledger.top", in, &out.Body)
}
