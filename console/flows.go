package console

import (
	"context"
	"time"

	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/store"
)

func flowOperations() []operation {
	const base = "/api/orgs/{org}/flows"
	return []operation{
		op(operation{ID: "flow-schema", Method: "GET", Path: "/api/flow-schema", Doc: "The JSON Schema of flows (2020-12).", Roles: anybody(), Scope: "flows:read"}, flowSchema),
		op(operation{ID: "flow-list", Method: "GET", Path: base, Doc: "List versions of flows that were published.", Roles: watchers(), Scope: "flows:read"}, listFlows),
		op(operation{ID: "flow-show", Method: "GET", Path: base + "/{flow}/{version}", Doc: "Show a version of a flow as it was published.", Roles: watchers(), Scope: "flows:read"}, showFlow),
		op(operation{ID: "flow-validate", Method: "POST", Path: base + "/validate", Doc: "Validate a flow; problems come with their lines.", Roles: planners(), Scope: "flows:read", Reads: true}, validateFlow),
		op(operation{ID: "flow-publish", Method: "POST", Path: base, Doc: "Publish a flow as the next version of its name. What is published does not change.", Roles: planners(), Scope: "flows:write", Status: 201}, publishFlow),
	}
}

type schemaOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func flowSchema(context.Context, *call, *struct{}) (*schemaOut, error) {
	return &schemaOut{"application/schema+json", flow.Schema()}, nil
}

// FlowLine is a version of a flow.
type FlowLine struct {
	Flow    string    `json:"flow"`
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Hash    string    `json:"hash"`
	Maker   string    `json:"maker,omitempty"`
	At      time.Time `json:"at"`
}

func flowLine(f **store.FlowVersion) FlowLine {
	v := *f
	return FlowLine{id(v.Flow), v.Version, v.Name, v.Hash, v.Maker, v.At}
}

func listFlows(ctx context.Context, k *call, in *orgPageIn) (*PageOut[FlowLine], error) {
	var at [2]int64
	if err := k.place(in.Cursor, &at); err != nil {
		return nil, err
	}
	rows, err := k.Store.Flows(ctx, k.org, at[0], at[1], in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, flowLine, func(f **store.FlowVersion) any { return [2]int64{(*f).Flow, (*f).Version} })
}

type flowIn struct {
	OrgIn
	Flow    string `path:"flow" maxLength:"20"`
	Version int64  `path:"version" minimum:"1"`
}

type flowTextOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func showFlow(ctx context.Context, k *call, in *flowIn) (*flowTextOut, error) {
	n, err := number(in.Flow)
	if err != nil {
		return nil, err
	}
	f, err := k.Store.Flow(ctx, k.org, n, in.Version)
	if err != nil {
		return nil, err
	}
	return &flowTextOut{"application/yaml", f.Text}, nil
}

type flowTextIn struct {
	OrgIn
	RawBody []byte `contentType:"application/yaml" doc:"the flow, as YAML or JSON"`
}

// FlowFacts are what a valid flow is.
type FlowFacts struct {
	Name      string         `json:"name"`
	Hash      string         `json:"hash"`
	Languages []string       `json:"languages"`
	Variants  []string       `json:"variants,omitempty"`
	Anonymous bool           `json:"anonymous" doc:"it may be used in anonymous campaigns"`
	FreeText  bool           `json:"free_text" doc:"it asks for free text: helplines are needed"`
	Questions []FlowQuestion `json:"questions"`
}

// FlowQuestion is a question of a flow.
type FlowQuestion struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Measure string `json:"measure,omitempty" doc:"what is measured: mood, enps, a driver"`
}

type flowFactsOut struct{ Body FlowFacts }

func flowFacts(f *flow.Flow) FlowFacts {
	out := FlowFacts{Name: f.ID(), Hash: f.Hash(), Languages: f.Languages(), Variants: f.Variants(), Anonymous: f.Anonymous(), FreeText: f.FreeText()}
	for _, q := range f.Questions() {
		out.Questions = append(out.Questions, FlowQuestion{q.ID, q.Kind, q.Measure})
	}
	return out
}

func validateFlow(_ context.Context, _ *call, in *flowTextIn) (*flowFactsOut, error) {
	f, err := flow.Parse(in.RawBody)
	if err != nil {
		return nil, refusal(err)
	}
	return &flowFactsOut{flowFacts(f)}, nil
}

type flowLineOut struct{ Body FlowLine }

func publishFlow(ctx context.Context, k *call, in *flowTextIn) (*flowLineOut, error) {
	f, err := flow.Parse(in.RawBody)
	if err != nil {
		return nil, refusal(err)
	}
	if err := k.audit(ctx, "flow "+f.ID(), map[string]any{"hash": f.Hash()}); err != nil {
		return nil, err
	}
	row := &store.FlowVersion{Name: f.ID(), Hash: f.Hash(), Maker: k.actor(), Text: in.RawBody}
	if _, err := k.Store.PublishFlow(ctx, k.org, row); err != nil {
		return nil, err
	}
	return &flowLineOut{flowLine(&row)}, nil
}
