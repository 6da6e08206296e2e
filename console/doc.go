package console

import (
	"bytes"
	"fmt"
	"strings"
)

// Doc is docs/api.md: the table of operations.
func Doc() []byte {
	var b bytes.Buffer
	b.WriteString("# The API\n\nGenerated from the code by `make docs`. Do not edit.\n\n" +
		"The document for programs is `/api/openapi.json` of a running server, readable without sign-in. Sign in with a token\n" +
		"(`Authorization: Bearer …`; `bearhug token add` makes one) or as a person with `POST " + sessionPath + "`.\n\n" +
		"Lists are pages: `next` of one is the `cursor` of the next. A request with an `Idempotency-Key` is done once in 24 hours; the\n" +
		"same key with another request is refused (422). Errors are problem details (RFC 9457). Ids are text. What another organisation\n" +
		"has looks as if it were not there (404); what the role or the token's scopes do not allow is refused (403). Operations marked\n" +
		"✎ are written into the audit log before they act or show.\n\n" +
		"| Operation | Request | Roles | Scope | What it does |\n|---|---|---|---|---|\n")
	for _, o := range operations() {
		roles, mark := words(o.Roles), ""
		if o.Roles == nil {
			roles = "*anybody*"
		}
		if o.Views || o.changes() {
			mark = " ✎"
		}
		fmt.Fprintf(&b, "| %s%s | `%s %s` | %s | %s | %s |\n", o.ID, mark, o.Method, o.Path, roles, o.Scope, strings.ReplaceAll(o.Doc, "|", `\|`))
	}
	fmt.Fprintf(&b, "\n## Webhooks\n\nEvents: %s. Each is a POST of JSON `{id, event, at, data, content}`; `content` (names, texts) only for webhooks that\n"+
		"ask for it. `Bearhug-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA-256 of `SECONDS.BODY` with the webhook's secret: compare it, and\n"+
		"refuse what is older than five minutes. An event may come twice, with the same `id`. Anything but 2xx is tried again, from 10 s\n"+
		"up to every 6 h; after three days the webhook is disabled.\n", strings.Join(Events(), ", "))
	return b.Bytes()
}
