package xep

import "github.com/bearhug/bearhug/router"

// Offline announces what archive and router do for every message: it waits for
// its recipient in the delivery log (XEP-0160), it carries an id of the server
// that nobody else can put there (XEP-0359 §5), and its processing hints are
// followed (XEP-0334). Late delivery is stamped as XEP-0203 asks.
func Offline(*router.Host) router.Module {
	return router.Module{
		Name:         "offline",
		Doc:          "XEP-0160 1.0.1, XEP-0203 2.0, XEP-0334 1.0, XEP-0359 0.7: announces that messages wait for their recipients and carry ids",
		Always:       true,
		Disco:        []string{"msgoffline", "urn:xmpp:sid:0"},
		AccountDisco: []string{"urn:xmpp:sid:0"},
	}
}
