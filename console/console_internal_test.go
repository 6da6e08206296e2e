package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// bench is a console with two organisations, and a token for each role in each.
type bench struct {
	t      *testing.T
	s      *store.Store
	c      *Console
	orgs   map[string]feature.Org
	tokens map[string]string // "hr alpha.example", "operator"
	things map[string]string // by parameter and domain: what is there
}

const (
	alpha = "alpha.example"
	beta  = "beta.example"
)

func newBench(t *testing.T, s *store.Store) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{t: t, s: s, orgs: map[string]feature.Org{}, tokens: map[string]string{}, things: map[string]string{}}
	var err error
	b.c, err = New(ctx, Config{Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test", Writer: "test",
		Client: func(*http.Request) (string, bool) { return "192.0.2.1", true }, Campaigns: campaignRows(s), Control: control(s).CallerAs})
	b.ok(err)
	b.c.limits.burst, b.c.limits.rate = 1e9, 1e9 // not what is tested here
	b.token("operator", &store.APIToken{Name: "op", Role: string(Operator)})
	for _, domain := range []string{alpha, beta} {
		org, err := s.AddOrg(ctx, domain)
		b.ok(err)
		b.orgs[domain] = org
		for _, r := range Roles()[1:] {
			b.token(string(r)+" "+domain, &store.APIToken{Org: org, Name: string(r), Role: string(r)})
		}
		b.fill(domain)
	}
	return b
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) token(name string, k *store.APIToken) {
	b.t.Helper()
	text, err := b.s.AddToken(context.Background(), k)
	b.ok(err)
	b.tokens[name] = text
}

// campaignRows moves the rows of campaigns as outreach does, without sending.
func campaignRows(s *store.Store) *Campaigns {
	move := func(to store.CampaignState, from ...store.CampaignState) func(context.Context, feature.Org, int64) error {
		return func(ctx context.Context, org feature.Org, id int64) error {
			return s.MoveCampaign(ctx, org, id, to, time.Now(), from...)
		}
	}
	none := func(context.Context, feature.Org, int64, bool, []int64) (int, error) { return 0, nil }
	return &Campaigns{
		Create:      func(ctx context.Context, c *store.Campaign) (int64, error) { return s.AddCampaign(ctx, c, time.Now()) },
		Launch:      move(store.CampaignRunning, store.CampaignDraft),
		Pause:       move(store.CampaignPaused, store.CampaignRunning),
		Resume:      move(store.CampaignRunning, store.CampaignPaused),
		Stop:        move(store.CampaignStopped, store.CampaignDraft, store.CampaignRunning, store.CampaignPaused),
		RetryFailed: func(context.Context, feature.Org, int64) (int, error) { return 0, nil },
		Resolve:     none, Release: none,
	}
}

// control has the operations of a running server that the console asks for.
func control(s *store.Store) *ops.Control {
	c := ops.NewControl(slog.New(slog.DiscardHandler))
	c.Handle("org.add", func(k *ops.Call) (any, error) {
		var arg Organisation
		if err := k.Args(&arg); err != nil {
			return nil, err
		}
		_, err := s.AddOrg(k.Context(), arg.Domain)
		return arg, err
	})
	echo := func(k *ops.Call) (any, error) {
		var arg map[string]any
		return arg, k.Args(&arg)
	}
	for _, name := range []string{"lever.set", "lever.reset", "lever.undo", "case.answer"} {
		c.Handle(name, echo)
	}
	c.Handle("lever.ls", func(*ops.Call) (any, error) { return map[string]any{"levers": []Lever{{Name: "carbons"}}}, nil })
	c.Handle("lever.history", func(*ops.Call) (any, error) { return []LeverSetting{}, nil })
	c.Handle("ledger.top", func(*ops.Call) (any, error) { return Top{Rows: []TopRow{}}, nil })
	return c
}

// fill puts one of each thing into an organisation.
func (b *bench) fill(domain string) {
	b.t.Helper()
	ctx, org := context.Background(), b.orgs[domain]
	put := func(name string, n int64) { b.things[name+" "+domain] = id(n) }
	_, err := b.s.CreateAccount(ctx, org, "anna", nil)
	b.ok(err)
	b.ok(b.s.SetRole(ctx, org, "anna", "coach"))
	p, err := b.s.AddPerson(ctx, org, store.Person{Ext: "p1", Account: "anna", Email: "anna@" + domain, Name: "Anna", Team: "red"})
	b.ok(err)
	b.things["person "+domain] = "p1"
	b.things["account "+domain] = "anna"
	b.things["address "+domain] = "anna@" + domain
	a, err := b.s.AddAudience(ctx, org, store.Audience{Name: "red", Rule: `team == "red"`})
	b.ok(err)
	put("audience", int64(a))
	text, _ := flow.Document(flow.Shipped()[0])
	f := &store.FlowVersion{Name: "pulse", Hash: "1", Text: text}
	_, err = b.s.PublishFlow(ctx, org, f)
	b.ok(err)
	put("flow", f.Flow)
	b.things["version "+domain] = "1"
	n, err := b.s.AddCampaign(ctx, &store.Campaign{Org: org, Name: "c1", Kind: "once", Flow: f.Flow, FlowVersion: 1, Weight: 1000, Settings: []byte(`{}`)}, time.Now())
	b.ok(err)
	put("campaign", n)
	k := &store.Case{ID: int64(org)*1000 + 7, Campaign: n, Wave: 1, Who: []byte("12345678"), Person: int64(p), Class: 0, Reason: "asked", Facts: []byte(`{}`), Opened: time.Now(), Due: time.Now(), Changed: time.Now()}
	b.ok(b.s.OpenCase(ctx, org, k))
	put("case", k.ID)
	w := &store.Webhook{URL: "https://hooks.example/"}
	b.ok(b.s.AddWebhook(ctx, org, w))
	put("webhook", w.ID)
	t := &store.APIToken{Org: org, Name: "spare", Role: "viewer"}
	_, err = b.s.AddToken(ctx, t)
	b.ok(err)
	put("token", t.ID)
}

// do sends a request.
func (b *bench) do(method, path, token, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.c.Handler().ServeHTTP(w, r)
	return w
}

// bodies are right ones of operations that want one, for the campaign state of fill.
func bodies() map[string]string {
	text, _ := flow.Document(flow.Shipped()[0])
	return map[string]string{
		"org-add": `{"domain":"gamma.example"}`, "role-set": `{"role":"viewer"}`, "token-add": `{"name":"t","role":"viewer"}`,
		"webhook-add": `{"url":"https://hooks.example/x"}`, "webhook-set": `{"url":"https://hooks.example/y"}`,
		"people-import": "id,name\np9,Nina\n", "person-set": `{"values":{"team":"blue"}}`, "person-leave": `{}`,
		"audience-add": `{"name":"blue","rule":"team == \"blue\"","confirm":0}`, "audience-preview": `{"rule":"team == \"red\""}`,
		"flow-validate": string(text), "flow-publish": string(text),
		"campaign-resolve": `{"send":false}`, "campaign-release": `{"send":false}`,
		"suppression-add": `{"why":"asked"}`, "case-change": `{"version":"1","state":"closed"}`, "case-note": `{"text":"called"}`, "case-answer": `{"text":"hello"}`,
		"lever-set": `{"value":"on"}`, "lever-undo": `{}`, "session-begin": `{"jid":"anna@alpha.example","password":"x"}`,
	}
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// pathOf fills a path with things of an organisation.
func (b *bench) pathOf(o *operation, domain string) string {
	path := parameter.ReplaceAllStringFunc(o.Path, func(p string) string {
		switch name := p[1 : len(p)-1]; name {
		case "org":
			return domain
		case "lever":
			return "carbons"
		default:
			thing := b.things[name+" "+domain]
			if thing == "" {
				thing = b.things[name+" "+alpha] // of an organisation that is not there
			}
			return thing
		}
	})
	switch o.ID {
	case "result-show", "answer-list":
		path += "?wave=1"
	}
	return path
}

func (b *bench) call(o *operation, domain, token string) *httptest.ResponseRecorder {
	b.t.Helper()
	body, kind := bodies()[o.ID], "application/json"
	switch {
	case o.ID == "campaign-add":
		body = fmt.Sprintf(`{"name":"c2","kind":"once","anonymous":false,"flow":%q,"flow_version":1,"settings":{}}`, b.things["flow "+alpha])
	case strings.HasPrefix(o.ID, "flow-"):
		kind = "application/yaml"
	case o.ID == "people-import":
		kind = "text/csv"
	}
	return b.do(o.Method, b.pathOf(o, domain), token, body, "Content-Type", kind)
}

// detail is what a problem says.
func detail(w *httptest.ResponseRecorder) string {
	var p struct{ Detail string }
	if json.Unmarshal(w.Body.Bytes(), &p) != nil {
		return ""
	}
	return p.Detail
}

// Every operation, each role, own and other organisation: who may is let in, who
// may not is told so in their own organisation, and another organisation looks
// exactly as one that is not there.
func TestRoles(t *testing.T) {
	tried, still := 0, newBench(t, storetest.Open(t))
	for _, o := range operations() {
		for _, role := range Roles() {
			if o.Roles == nil {
				continue
			}
			b, may := still, slices.Contains(o.Roles, role)
			if may && o.changes() { // what it changes is not there for the next
				b = newBench(t, storetest.Open(t))
			}
			ours, theirs := b.tokens[string(role)+" "+alpha], alpha
			if role == Operator {
				ours = b.tokens["operator"]
			}
			w := b.call(&o, theirs, ours)
			tried++
			switch {
			case may && (w.Code == 401 || w.Code == 403 || w.Code == 404 || w.Code == 422 || w.Code == 500):
				t.Errorf("%s as %s: %d %s", o.ID, role, w.Code, w.Body)
			case !may && w.Code != 403:
				t.Errorf("%s as %s, who may not: %d %s", o.ID, role, w.Code, w.Body)
			}
			if !strings.Contains(o.Path, "{org}") || role == Operator {
				continue
			}
			other, nowhere := b.call(&o, beta, ours), b.call(&o, "nowhere.example", ours)
			tried += 2
			if other.Code != 404 || nowhere.Code != 404 || other.Body.String() != nowhere.Body.String() || detail(other) != notHere {
				t.Errorf("%s as %s in another organisation: %d %s, in none: %d %s", o.ID, role, other.Code, other.Body, nowhere.Code, nowhere.Body)
			}
		}
		if b := still; o.Roles != nil {
			if w := b.call(&o, alpha, ""); w.Code != 401 {
				t.Errorf("%s without sign-in: %d", o.ID, w.Code)
			}
			b.c.failed.burst, b.c.failed.rate = 1e9, 1e9
			if w := b.call(&o, alpha, "bearhug_00000000_x"); w.Code != 401 {
				t.Errorf("%s with a token that is none: %d", o.ID, w.Code)
			}
		}
	}
	t.Logf("%d operations, %d requests with a role", len(operations()), tried)
}

// Things of another organisation are not found under the own domain.
func TestForeignThings(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	for name, thing := range b.things {
		if strings.HasSuffix(name, " "+alpha) && thing != "p1" && thing != "anna" && thing != "1" {
			b.things[name] = b.things[strings.TrimSuffix(name, alpha)+beta]
		}
	}
	for _, o := range operations() {
		params := parameter.FindAllStringSubmatch(o.Path, -1)
		if len(params) < 2 || params[1][1] == "person" || params[1][1] == "account" || params[1][1] == "address" {
			continue
		}
		w := b.call(&o, alpha, b.tokens[string(o.Roles[len(o.Roles)-1])+" "+alpha])
		if o.Roles[0] == Administrator {
			w = b.call(&o, alpha, b.tokens["administrator "+alpha])
		}
		if w.Code != 404 {
			t.Errorf("%s of another organisation's thing: %d %s", o.ID, w.Code, w.Body)
		}
	}
}

// A token with scopes is good for these alone.
func TestScopes(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	for _, scope := range Scopes() {
		b.token(scope, &store.APIToken{Org: b.orgs[alpha], Name: scope, Role: string(Administrator), Scopes: []string{scope}})
	}
	for _, o := range operations() {
		if !slices.Contains(o.Roles, Administrator) || o.Scope == "" || o.changes() {
			continue
		}
		for _, scope := range Scopes() {
			if w := b.call(&o, alpha, b.tokens[scope]); (w.Code == 403) != (scope != o.Scope) {
				t.Errorf("%s with the scope %s: %d %s", o.ID, scope, w.Code, w.Body)
			}
		}
	}
}

// What is changed or shows answers stands in the audit log, and so does that it
// failed; the log is whole afterwards.
func TestAudited(t *testing.T) {
	ctx := context.Background()
	for _, o := range operations() {
		if o.Roles == nil || !o.changes() && !o.Views || o.Roles[0] == Operator && len(o.Roles) == 1 {
			continue
		}
		b := newBench(t, storetest.Open(t))
		role := o.Roles[len(o.Roles)-1]
		if w := b.call(&o, alpha, b.tokens[string(role)+" "+alpha]); w.Code >= 400 && w.Code != 409 {
			t.Errorf("%s: %d %s", o.ID, w.Code, w.Body)
		}
		rows, err := b.s.AuditLog(ctx, b.orgs[alpha], store.AuditSearch{Action: o.ID}, 10)
		b.ok(err)
		if len(rows) == 0 || rows[0].Role != string(role) || rows[0].Actor != "token "+string(role) {
			t.Errorf("%s is not in the audit log: %+v", o.ID, rows)
		}
		if p, err := b.s.VerifyAudit(ctx, b.orgs[alpha], nil); err != nil || len(p.Problems) > 0 {
			t.Errorf("%v, %v", p, err)
		}
	}
}

// Each answer is what the document says: status, media type and schema.
func TestContract(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	w := b.do("GET", "/api/openapi.json", "", "")
	if w.Code != 200 {
		t.Fatalf("without sign-in: %d", w.Code)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	b.ok(err)
	root := doc.(map[string]any)
	if root["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", root["openapi"])
	}
	paths := root["paths"].(map[string]any)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	b.ok(compiler.AddResource("mem:///openapi.json", doc))
	schema := func(parts ...string) *jsonschema.Schema {
		for i := range parts {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], "~", "~0"), "/", "~1")
		}
		s, err := compiler.Compile("mem:///openapi.json#/" + strings.ReplaceAll(strings.Join(parts, "/"), "%", "%25"))
		if err != nil {
			t.Fatalf("%v: %v", parts, err)
		}
		return s
	}
	for path := range paths {
		if !strings.HasPrefix(path, "/api/") {
			t.Errorf("path %s does not begin with /api/", path)
		}
	}
	for _, o := range operations() {
		item, _ := paths[o.Path].(map[string]any)
		described, _ := item[strings.ToLower(o.Method)].(map[string]any)
		if described == nil || described["operationId"] != o.ID {
			t.Errorf("%s is not in the document", o.ID)
			continue
		}
		for _, p := range parameter.FindAllStringSubmatch(o.Path, -1) {
			if !strings.Contains(fmt.Sprint(described["parameters"]), "name:"+p[1]) {
				t.Errorf("%s: parameter %s is not described", o.ID, p[1])
			}
		}
		b := b
		if o.changes() {
			b = newBench(t, storetest.Open(t))
		}
		token := ""
		if len(o.Roles) > 0 {
			token = b.tokens[string(o.Roles[len(o.Roles)-1])+" "+alpha]
			if o.Roles[len(o.Roles)-1] == Operator {
				token = b.tokens["operator"]
			}
		}
		for _, w := range []*httptest.ResponseRecorder{b.call(&o, alpha, token), b.call(&o, "nowhere.example", token)} {
			kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
			responses := described["responses"].(map[string]any)
			r, _ := responses[fmt.Sprint(w.Code)].(map[string]any)
			if r == nil {
				t.Errorf("%s: the status %d is not described: %s", o.ID, w.Code, w.Body)
				continue
			}
			if kind != "application/json" && kind != "application/problem+json" {
				continue
			}
			got, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
			b.ok(err)
			s := schema("paths", o.Path, strings.ToLower(o.Method), "responses", fmt.Sprint(w.Code), "content", kind, "schema")
			if err := s.Validate(got); err != nil {
				t.Errorf("%s: %d %s: %v", o.ID, w.Code, w.Body, err)
			}
		}
	}
}

func TestSignIn(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	ctx := context.Background()
	derived, err := sasl.NewKeys("right", sasl.SCRAMSHA256)
	b.ok(err)
	keys := []store.Key{store.Key(derived[0])}
	for _, name := range []string{"carl", "dora"} {
		_, err = b.s.CreateAccount(ctx, b.orgs[alpha], name, keys)
		b.ok(err)
	}
	b.ok(b.s.SetRole(ctx, b.orgs[alpha], "carl", "hr"))
	in := func(jid, password string) *httptest.ResponseRecorder {
		return b.do("POST", sessionPath, "", fmt.Sprintf(`{"jid":%q,"password":%q}`, jid, password))
	}
	for _, c := range [][2]string{{"carl@alpha.example", "wrong"}, {"dora@alpha.example", "right"}, {"nobody@alpha.example", "right"},
		{"carl@beta.example", "right"}, {"anna@alpha.example", "x"}} {
		if w := in(c[0], c[1]); w.Code != 401 || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s with %q: %d %s", c[0], c[1], w.Code, w.Body)
		}
	}
	w := in("carl@alpha.example", "right")
	if w.Code != 200 || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %+v", cookie)
	}
	text := cookie.Name + "=" + cookie.Value
	if w := b.do("GET", "/api/orgs/alpha.example/people", "", "", "Cookie", text); w.Code != 200 {
		t.Errorf("with the cookie: %d %s", w.Code, w.Body)
	}
	if w := b.do("GET", "/api/orgs/beta.example/people", "", "", "Cookie", text); w.Code != 404 {
		t.Errorf("elsewhere: %d", w.Code)
	}
	if w := b.do("POST", "/api/orgs/alpha.example/people/undo", "", "", "Cookie", text, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("from another site: %d", w.Code)
	}
	b.ok(b.s.SetRole(ctx, b.orgs[alpha], "carl", "viewer"))
	if w := b.do("GET", "/api/orgs/alpha.example/people", "", "", "Cookie", text); w.Code != 403 {
		t.Errorf("with another role: %d", w.Code)
	}
	if w := b.do("DELETE", sessionPath, "", "", "Cookie", text); w.Code >= 300 {
		t.Errorf("sign-out: %d %s", w.Code, w.Body)
	}
	if w := b.do("GET", "/api/session", "", "", "Cookie", text); w.Code != 401 {
		t.Errorf("after sign-out: %d", w.Code)
	}
	for range 20 {
		in("carl@alpha.example", "wrong")
	}
	if w := in("carl@alpha.example", "right"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after many failures: %d %s", w.Code, w.Body)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	admin, path := b.tokens["administrator "+alpha], "/api/orgs/alpha.example/tokens"
	post := func(token, key, body string) *httptest.ResponseRecorder {
		return b.do("POST", path, token, body, "Idempotency-Key", key)
	}
	first := post(admin, "k", `{"name":"a","role":"viewer"}`)
	again := post(admin, "k", `{"name":"a","role":"viewer"}`)
	if first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() || again.Header().Get("Idempotency-Replayed") == "" {
		t.Fatalf("%d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if w := post(admin, "k", `{"name":"b","role":"viewer"}`); w.Code != 422 {
		t.Errorf("another body: %d %s", w.Code, w.Body)
	}
	if w := post(b.tokens["hr "+alpha], "k", `{"name":"a","role":"viewer"}`); w.Code != 403 {
		t.Errorf("somebody else: %d %s", w.Code, w.Body)
	}
	if w := post(admin, "l", `{"name":"a","role":"viewer"}`); w.Code != 201 || w.Body.String() == first.Body.String() {
		t.Errorf("another key: %d %s", w.Code, w.Body)
	}
	list, err := b.s.Tokens(context.Background(), b.orgs[alpha], 0, 100)
	b.ok(err)
	if len(list) != 4+1+2 {
		t.Errorf("%d tokens", len(list))
	}
	// Who lost the role meanwhile is not answered as before.
	b.ok(b.s.DeleteToken(context.Background(), b.orgs[alpha], list[0].ID))
	if w := post(admin, "k", `{"name":"a","role":"viewer"}`); w.Code != 401 {
		t.Errorf("with a token that was taken back: %d", w.Code)
	}
}

// A list is whole and without doubles over its pages, and cursors are good for
// their own list alone.
func TestPages(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	ctx := context.Background()
	for i := range 25 {
		_, err := b.s.AddPerson(ctx, b.orgs[alpha], store.Person{Ext: fmt.Sprint("x", i), Name: "x"})
		b.ok(err)
	}
	hr := b.tokens["hr "+alpha]
	seen := map[string]bool{}
	cursor := ""
	for {
		w := b.do("GET", "/api/orgs/alpha.example/people?limit=7&cursor="+cursor, hr, "")
		var p Page[Person]
		b.ok(json.Unmarshal(w.Body.Bytes(), &p))
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, one := range p.Items {
			if seen[one.ID] {
				t.Errorf("%s twice", one.ID)
			}
			seen[one.ID] = true
		}
		if cursor = p.Next; cursor == "" {
			break
		}
		for _, path := range []string{"/api/orgs/alpha.example/audiences", "/api/orgs/alpha.example/campaigns"} {
			if w := b.do("GET", path+"?cursor="+cursor, hr, ""); w.Code != 422 {
				t.Errorf("%s with a cursor of people: %d", path, w.Code)
			}
		}
		if w := b.do("GET", "/api/orgs/beta.example/people?cursor="+cursor, b.tokens["hr "+beta], ""); w.Code != 422 {
			t.Errorf("with a cursor of another organisation: %d", w.Code)
		}
	}
	if len(seen) != 26 {
		t.Errorf("%d people, want 26", len(seen))
	}
}

func FuzzCursor(f *testing.F) {
	c := &Console{cursors: []byte("key")}
	good, err := c.cursor("people-list", 1, 17)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add(good[:len(good)-1])
	f.Add(good + "A")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		if err := c.place("people-list", 1, text, &n); err == nil && text != "" && text != good {
			t.Errorf("%q is a cursor: %d", text, n)
		}
	})
}

// docs/api.md is the table.
func TestDoc(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, Doc()) {
		t.Error("docs/api.md is not what the table says: run `make docs`")
	}
}
