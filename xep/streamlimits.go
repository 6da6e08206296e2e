package xep

import (
	"strconv"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsStreamLimits = "urn:xmpp:stream-limits:0"

// StreamLimits tells clients that have signed in how large a stanza may be and
// how long a stream may be silent (XEP-0478). Before sign-in the limits are
// others, and nothing that a client sends then comes near them.
func StreamLimits(h *router.Host) router.Module {
	return router.Module{
		Name: "streamlimits",
		Doc:  "XEP-0478 0.2: tells clients the limits of their stream",
		Features: func(x *stanza.XML, _ feature.Org, signedIn bool) {
			if !signedIn || h.Limits.MaxBytes == 0 {
				return
			}
			x.Start("limits", "xmlns", nsStreamLimits).Element("max-bytes", strconv.Itoa(h.Limits.MaxBytes))
			if idle := h.Limits.Idle; idle > 0 {
				x.Element("idle-seconds", strconv.FormatInt(int64(idle/time.Second), 10))
			}
			x.End()
		},
	}
}
