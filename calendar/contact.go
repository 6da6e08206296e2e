package calendar

import (
	"fmt"
	"slices"
	"time"
)

// Cap is at most N contacts of one person within any Period, over all
// campaigns. The zero value has no limit.
type Cap struct {
	N      int           `json:"n"`
	Period time.Duration `json:"period"` // nanoseconds
}

// maxContacts is how many contacts of one person are looked at.
const maxContacts = 1000

// Validate refuses a cap that permits nothing or cannot be kept.
func (c Cap) Validate() error {
	switch {
	case c == Cap{}:
		return nil
	case c.N < 1 || c.N > maxContacts:
		return fmt.Errorf("at most %d contacts is not a cap: give 1 to %d", c.N, maxContacts)
	case c.Period < time.Hour || c.Period > 366*24*time.Hour:
		return fmt.Errorf("the period of the contact cap is an hour to 366 days, not %s", c.Period)
	}
	return nil
}

// Earliest is the first instant at or after t at which one more contact leaves
// every period of that length with at most N, given the other contacts of the
// person in any order, past ones and planned ones. A contact counts from its
// instant until the period is over, that end not included.
func (c Cap) Earliest(t time.Time, contacts []time.Time) time.Time {
	if c.N < 1 || c.Period <= 0 {
		return t
	}
	list := make([]time.Time, 0, len(contacts))
	for _, at := range contacts {
		// Older ones are in no period with anything from t on.
		if at.After(t.Add(-c.Period)) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	if len(list) > maxContacts {
		list = list[:maxContacts]
	}
	if c.fits(t, list) {
		return t
	}
	// It begins to fit only where a contact ceases to count.
	for _, at := range list {
		if end := at.Add(c.Period); end.After(t) && c.fits(end, list) {
			return end
		}
	}
	return t // not reached: after the last one nothing counts
}

// fits tells whether a contact at t is one of at most N in each period that
// has it. It is enough to look at periods that begin with a contact.
func (c Cap) fits(t time.Time, list []time.Time) bool {
	low, _ := slices.BinarySearchFunc(list, t.Add(-c.Period), time.Time.Compare)
	for low < len(list) && !list[low].After(t.Add(-c.Period)) {
		low++
	}
	for i := low; i < len(list) && list[i].Before(t); i++ {
		if c.count(list[i], list)+1 > c.N {
			return false
		}
	}
	return c.count(t, list)+1 <= c.N
}

// count is how many contacts are in the period that begins at an instant.
func (c Cap) count(begin time.Time, list []time.Time) int {
	low, _ := slices.BinarySearchFunc(list, begin, time.Time.Compare)
	high, _ := slices.BinarySearchFunc(list, begin.Add(c.Period), time.Time.Compare)
	return high - low
}

// words is "2 contacts in 7 days".
func (c Cap) words() string {
	many := "contacts"
	if c.N == 1 {
		many = "contact"
	}
	if days := c.Period / (24 * time.Hour); c.Period%(24*time.Hour) == 0 {
		if days == 1 {
			return fmt.Sprintf("%d %s a day", c.N, many)
		}
		return fmt.Sprintf("%d %s in %d days", c.N, many, days)
	}
	return fmt.Sprintf("%d %s in %s", c.N, many, c.Period)
}

// Due is the first instant at or after t that rules of the organisation and
// the person and the cap permit, and why it is later than t, in words; "" when
// it is t. Contacts are the other contacts of the person, see [Cap.Earliest].
func Due(t time.Time, org, person Rules, limit Cap, contacts []time.Time) (time.Time, string, error) {
	at, reason := t, ""
	// Each round passes the end of a contact's period, so there are no more
	// rounds than contacts.
	for range maxContacts + 2 {
		next, why, err := Earliest(at, org, person)
		if err != nil {
			return time.Time{}, "", err
		}
		switch {
		case reason == "":
			reason = why
		case why != "":
			reason += "; " + why
		}
		at = limit.Earliest(next, contacts)
		if at.Equal(next) {
			return at, reason, nil
		}
		zone := ZoneOf(org, person)
		reason = fmt.Sprintf("contact cap (%s) until %s", limit.words(), until(t, at, zone))
	}
	return time.Time{}, "", fmt.Errorf("%w: the rules and the contact cap (%s) leave none", ErrNever, limit.words())
}
