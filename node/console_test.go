package node_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

// A whole server: a token by the control socket opens the API, levers move
// through it, and the audit log has both.
func TestConsole(t *testing.T) {
	n := start(t, config(t))
	defer stop(t, n)
	defer http.DefaultClient.CloseIdleConnections()
	ctx := context.Background()
	c := n.Control.CallerAs("tester")
	call := func(op string, args, result any) {
		t.Helper()
		if err := c.Call(ctx, ops.Request{Op: op, Args: args}, result); err != nil {
			t.Fatal(err)
		}
	}
	call("org.add", node.Organisation{Domain: "alpha.example"}, nil)
	var operator, viewer node.APIToken
	call("token.add", node.APIToken{Name: "ops"}, &operator)
	call("token.add", node.APIToken{Name: "board", Domain: "alpha.example", Role: "viewer"}, &viewer)
	base := "http://" + n.Addr("http").String()
	do := func(method, path, token, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	if status, text := do("GET", "/api/openapi.json", "", ""); status != 200 || !json.Valid([]byte(text)) {
		t.Fatalf("openapi.json: %d %.200s", status, text)
	}
	for _, path := range []string{"/api/levers", "/api/top", "/api/orgs", "/api/audit"} {
		if status, text := do("GET", path, operator.Text, ""); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
		if status, _ := do("GET", path, "", ""); status != 401 {
			t.Errorf("%s without sign-in: %d", path, status)
		}
	}
	if status, text := do("GET", "/api/levers", viewer.Text, ""); status != 403 {
		t.Errorf("a viewer's levers: %d %s", status, text)
	}
	if status, text := do("PUT", "/api/levers/carbons", operator.Text, `{"value":"off","why":"test","seconds":60}`); status != 200 || !strings.Contains(text, "operator's token ops") {
		t.Errorf("set a lever: %d %s", status, text)
	}
	var list node.LeverList
	call("lever.ls", node.LeverArgs{Name: "carbons"}, &list)
	if len(list.Levers) != 1 || list.Levers[0].Value != "off" || list.Levers[0].Settings[0].Who != "operator's token ops" {
		t.Errorf("%+v", list)
	}
	if status, text := do("PUT", "/api/levers/carbons", operator.Text, `{"value":"purple"}`); status != 422 || !strings.Contains(text, "purple") {
		t.Errorf("a value that is none: %d %s", status, text)
	}
	if status, text := do("POST", "/api/orgs", operator.Text, `{"domain":"beta.example"}`); status != 201 {
		t.Errorf("add an organisation: %d %s", status, text)
	}
	var proof node.AuditProof
	call("audit.verify", node.AuditArgs{}, &proof)
	if len(proof.Problems) > 0 || proof.Rows < 4 {
		t.Errorf("%+v", proof)
	}
	call("token.rm", node.APIToken{ID: operator.ID}, nil)
	if status, _ := do("GET", "/api/levers", operator.Text, ""); status != 401 {
		t.Errorf("with a token that was taken back: %d", status)
	}
}
