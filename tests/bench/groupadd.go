package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/rehearse"
)

// What group-add is done with.
const (
	watching = 10_000 // members of the group that sees
	atHome   = 2_000  // of them online
	team     = 20     // members of the group that is seen, of whom half are online
	away     = 10     // who see, and come back with the version of their rosters
)

// groupAdd measures what it costs that one person joins a group which is shown,
// one way, to 10,000 people of whom 2,000 are online, and leaves it again.
func (b *bench) groupAdd() (err error) {
	w := &watch{members: max(5*b.share(atHome), away), online: b.share(atHome)}
	if w.people, err = b.people(w.members + away + team + b.runs); err != nil {
		return err
	}
	if w.server, err = b.server(w.people, "", ""); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.furnish(); err != nil {
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	// The history of costs is written at other times.
	if err := w.ctl("lever.set", node.LeverArgs{Name: "ledger.every", Value: "3600"}, nil); err != nil {
		return err
	}
	wishes := rehearse.Wishes{Roster: true, Presence: true, Caps: true}
	crowd, leave, err := b.crowd(w.server, wishes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	w.crowd = crowd
	late, part, err := b.crowd(w.server, wishes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, part()) }()
	w.late = late
	if err := w.everybodyIn(); err != nil {
		return err
	}
	for i := range b.runs {
		joiner := crowd.Guests[w.online+team/2+i]
		if err := w.move(joiner, true); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if err := w.move(joiner, false); err != nil {
			return fmt.Errorf("leave: %w", err)
		}
	}
	return nil
}

// watch is a server where many see a team.
type watch struct {
	*server
	members, online int                // who see the team
	people          []*rehearse.Person // members, then those away, the team, those who join
	crowd           *rehearse.Crowd    // members online, then the team's, then those who join
	late            *rehearse.Crowd    // those away
}

const (
	seen     = "team@" + domain
	watchers = "watchers@" + domain
)

// furnish makes two groups. The watchers do not see each other, as the clients
// of a house do not.
func (w *watch) furnish() error {
	for _, args := range [][]string{
		{"group", "add", seen, "--label", "Team"}, {"group", "add", watchers},
		{"group", "hide", watchers, "--from", watchers}, {"group", "show", seen, "--to", watchers},
	} {
		if err := w.command(args...); err != nil {
			return err
		}
	}
	var rows bytes.Buffer
	rows.WriteString("group,jid\n")
	for _, p := range w.people[:w.members+away] {
		fmt.Fprintf(&rows, "%s,%s\n", watchers, p.JID())
	}
	for _, p := range w.people[w.members+away:][:team] {
		fmt.Fprintf(&rows, "%s,%s\n", seen, p.JID())
	}
	return w.importGroups(rows.Bytes())
}

// everybodyIn signs in who is online, and those away, who leave again.
func (w *watch) everybodyIn() error {
	behind := w.people[w.members+away:]
	guests := slices.Concat(w.people[:w.online], behind[:team/2], behind[team:])
	if _, err := w.crowd.SignIn(guests, inFlight); err != nil {
		return err
	}
	for i, g := range w.crowd.Guests {
		items := team
		switch {
		case i >= w.online+team/2:
			items = 0
		case i >= w.online:
			items = team - 1
		}
		if g.Items != items {
			return fmt.Errorf("the roster of %s had %d items, not %d", g.Person.Local, g.Items, items)
		}
	}
	if _, err := w.late.SignIn(w.people[w.members:][:away], inFlight); err != nil {
		return err
	}
	if err := w.late.SignOut(10 * time.Second); err != nil {
		return err
	}
	return w.written()
}

// written waits until nothing has been written for three seconds: what is
// written behind, such as when somebody left, is no part of an edit.
func (w *watch) written() error {
	last, err := w.featureStatements()
	for calm, n := 0, 0; err == nil && calm < 3 && n < 60; n++ {
		if err := w.crowd.Stay(time.Second); err != nil {
			return err
		}
		var now map[string]float64
		if now, err = w.featureStatements(); maps.Equal(now, last) {
			calm++
		} else {
			calm = 0
		}
		last = now
	}
	return err
}

// move has somebody join the team, or leave it.
func (w *watch) move(who *rehearse.Guest, join bool) error {
	name, op, sub := "group-add, leave", "group.leave", "remove"
	if join {
		name, op, sub = "group-add, join", "group.join", "to"
	}
	// Who is in the team sees the other, and is seen.
	right := func(i int, s *rehearse.Sight) bool {
		g, want := w.crowd.Guests[i], sub
		switch {
		case g == who:
			return s.Pushes+s.Presences == 0 && s.OtherPushes == team && s.OtherPresences == team/2
		case i >= w.online+team/2: // whom nobody sees
			return s.Pushes+s.Presences+s.OtherPushes+s.OtherPresences == 0
		case i >= w.online && join:
			want = "both"
		}
		return s.Pushes == 1 && s.Subscription == want && s.Presences == 1 && s.Available == join && s.OtherPushes+s.OtherPresences == 0
	}
	look := w.crowd.Watch(who.Person.JID())
	before, err := w.featureStatements()
	if err != nil {
		return err
	}
	cpu, err := rehearse.CPU(w.pid())
	if err != nil {
		return err
	}
	began, start := w.crowd.Loop.Now(), time.Now()
	if err := w.ctl(op, node.GroupPeople{Group: seen, JIDs: []string{who.Person.JID()}}, nil); err != nil {
		return err
	}
	took := time.Since(start)
	command, err := w.featureStatements()
	if err != nil {
		return err
	}
	wrong, err := look.Until(20*time.Second, right)
	if err != nil {
		return err
	}
	last := look.Last() - began
	if err := w.quiet(w.crowd); err != nil { // whatever comes twice comes now
		return err
	}
	used, err := rehearse.CPU(w.pid())
	if err != nil {
		return err
	}
	after, err := w.featureStatements()
	if err != nil {
		return err
	}
	pushes, presences := 0, 0
	for i := range look.Sights {
		s := &look.Sights[i]
		pushes, presences = pushes+s.Pushes+s.OtherPushes, presences+s.Presences+s.OtherPresences
	}
	asked, _ := difference(before, command)
	delete(after, "archive") // its housekeeping: nobody writes
	all, features := difference(before, after)
	b := w.b
	b.report.add(name+": the operation", "ms", milli(took)).atMost(50)
	b.report.add(name+": SQL of the operation", "", asked).atMost(5)
	b.report.add(name+": SQL until all is quiet", "", all).atMost(5)
	b.report.add(name+": all rosters and presence right", "s", last.Seconds()).atMost(5)
	b.report.add(name+": pushes", "", float64(pushes))
	b.report.add(name+": presences", "", float64(presences))
	b.report.add(name+": server CPU in all", "ms", milli(used-cpu))
	fmt.Printf("    %s: %.1f ms, %.0f SQL, until quiet %.0f (%s); %d pushes and %d presences, the last after %.2f s; server CPU %.0f ms\n",
		name, milli(took), asked, all, features, pushes, presences, last.Seconds(), milli(used-cpu))
	if n := look.Wrong(right); n > 0 || wrong > 0 {
		return fmt.Errorf("%d of %d were not told right in time, and %d after all: %s", wrong, len(look.Sights), n, wrongSight(w.crowd, look, right))
	}
	return w.comeBack(name, sub, who, join)
}

// comeBack lets those away come back with the versions of their rosters: each
// gets nothing but one push.
func (w *watch) comeBack(name, sub string, who *rehearse.Guest, join bool) error {
	presences := 0
	if join {
		presences = 1
	}
	right := func(i int, s *rehearse.Sight) bool {
		return w.late.Guests[i].Items == 0 && s.Pushes == 1 && s.Subscription == sub && s.OtherPushes == 0 &&
			s.Presences == presences && s.Available == join && s.OtherPresences == team/2
	}
	look := w.late.Watch(who.Person.JID())
	if _, err := w.late.Return(inFlight); err != nil {
		return err
	}
	wrong, err := look.Until(5*time.Second, right)
	if err == nil {
		err = w.late.Stay(500 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	pushes := 0
	for i := range look.Sights {
		pushes += look.Sights[i].Pushes + look.Sights[i].OtherPushes
	}
	w.b.report.add(name+": pushes to one who comes back with ver", "", float64(pushes)/away)
	if n := look.Wrong(right); n > 0 || wrong > 0 {
		return fmt.Errorf("%d of %d who came back were not told right: %s", n, len(look.Sights), wrongSight(w.late, look, right))
	}
	if err := w.late.SignOut(10 * time.Second); err != nil {
		return err
	}
	return w.written()
}

// wrongSight shows one.
func wrongSight(c *rehearse.Crowd, l *rehearse.Lookout, right func(int, *rehearse.Sight) bool) string {
	for i := range l.Sights {
		if !right(i, &l.Sights[i]) {
			return fmt.Sprintf("%s, roster of %d: %+v", c.Guests[i].Person.Local, c.Guests[i].Items, l.Sights[i])
		}
	}
	return "none any more"
}

// difference tells which features asked for how many statements.
func difference(before, after map[string]float64) (sum float64, features string) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if d := after[name] - before[name]; d > 0 {
			sum += d
			features += fmt.Sprintf(" %s %.0f", name, d)
		}
	}
	if features == "" {
		return 0, "none"
	}
	return sum, features[1:]
}
