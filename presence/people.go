package presence

import "github.com/bearhug/bearhug/feature"

// People counts the accounts with an available resource, by organisation. It
// goes through the directory; it is for the ledger's history.
func (d *Directory) People() map[feature.Org]int {
	out := map[feature.Org]int{}
	d.Each(func(a *Account) {
		for _, r := range a.Resources() {
			if _, ok := r.Session.Priority(); ok {
				out[a.Org]++
				return
			}
		}
	})
	return out
}
