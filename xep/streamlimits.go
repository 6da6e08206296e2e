package xep

import (
	"strconv"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsStreamLimits = "urn:xmpp:stream-limits:0"

// StreamLimits tells clients how large a stanza may be and how long a stream
// may be silent (XEP-0478); before sign-in the limits are closer.
func StreamLimits(h *router.Host) router.Module {
	return router.Module{
		Name: "streamlimits",
		Doc:  "XEP-0478 0.2: tells clients the limits of their stream",
		Features: func(x *stanza.XML, _ feature.Org, signedIn bool) {
			bytes, idle := h.Limits.FirstBytes, time.Duration(0)
			if signedIn {
				bytes, idle = h.Limits.MaxBytes, h.Limits.Idle
			}
			if bytes == 0 && idle == 0 {
				return
			}
			x.Start("limits", "xmlns", nsStreamLimits)
			if bytes > 0 {
				x.Element("max-bytes", strconv.Itoa(bytes))
			}
			if idle > 0 {
				x.Element("idle-seconds", strconv.FormatInt(int64(idle/time.Second), 10))
			}
			x.End()
		},
	}
}
