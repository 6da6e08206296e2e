package archive

import (
	"encoding/json"
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// Prefs are what an account wants to see in its archive (XEP-0441). A message
// that they keep out still has a row until it is delivered.
type Prefs struct {
	Default string    `json:"default"` // always, never or roster
	Always  []jid.JID `json:"-"`
	Never   []jid.JID `json:"-"`
}

type prefsRow struct {
	Default string   `json:"default"`
	Always  []string `json:"always,omitempty"`
	Never   []string `json:"never,omitempty"`
}

// ParsePrefs reads what Row wrote.
func ParsePrefs(b []byte) (*Prefs, error) {
	var row prefsRow
	if err := json.Unmarshal(b, &row); err != nil {
		return nil, err
	}
	p := &Prefs{Default: row.Default}
	var err error
	if p.Always, err = parseAll(row.Always); err == nil {
		p.Never, err = parseAll(row.Never)
	}
	return p, err
}

func parseAll(list []string) ([]jid.JID, error) {
	var all []jid.JID
	for _, s := range list {
		j, err := jid.Parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}

// Row is the form in which the store keeps the preferences.
func (p *Prefs) Row() ([]byte, error) {
	row := prefsRow{Default: p.Default}
	for _, j := range p.Always {
		row.Always = append(row.Always, j.String())
	}
	for _, j := range p.Never {
		row.Never = append(row.Never, j.String())
	}
	return json.Marshal(row)
}

// Hides reports whether a message with the peer stays out of the archive that
// the owner sees; inRoster tells whether the peer is a contact. Nil preferences
// hide nothing.
func (p *Prefs) Hides(peer jid.JID, inRoster func() bool) bool {
	if p == nil {
		return false
	}
	switch {
	case lists(p.Never, peer):
		return true
	case lists(p.Always, peer), p.Default == "always":
		return false
	case p.Default == "roster":
		return !inRoster()
	}
	return true
}

func lists(list []jid.JID, peer jid.JID) bool {
	return slices.Contains(list, peer) || slices.Contains(list, peer.Bare())
}

// CopyFor is the row of one owner of a message.
func (t *Traits) CopyFor(owner store.AccountID, peer store.Peer, inbound, hidden bool) store.Copy {
	c := store.Copy{Owner: owner, Peer: peer}
	if inbound {
		c.Flags |= store.FlagIn
		if t.Body {
			c.Flags |= store.FlagBody
		}
	} else if t.Displayed {
		c.Flags |= store.FlagRead
	}
	if t.Hidden || hidden {
		c.Flags |= store.FlagHidden
	}
	return c
}
