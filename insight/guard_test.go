package insight_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/insight"
)

func pseudonym(n int) (p insight.Pseudonym) {
	p[0], p[15] = byte(n), byte(n>>8)
	return p
}

// attacker holds everything that was ever shown, as equations over people,
// and knows who was counted in each: more than any real one.
type attacker struct {
	shown []map[insight.Pseudonym]bool
	keys  map[string]bool
	first map[insight.Pseudonym]int // each person's value when first counted
}

// learnsAll takes in an answer of the guard. People who have joined what was
// shown before count with the value they have now, asked for or not.
func (a *attacker) learnsAll(t *rapid.T, r *insight.Register, cells []insight.Cell, now map[insight.Pseudonym]int) {
	for _, c := range cells {
		if c.Shown {
			a.keys[c.Key] = true
		} else if c.Why == "" {
			t.Fatalf("%q is refused without a reason", c.Key)
		}
	}
	for k := range a.keys {
		for _, p := range r.Members(k) {
			if _, ok := a.first[p]; !ok {
				a.first[p] = now[p]
			}
		}
	}
	for _, c := range cells {
		if c.Shown {
			a.learns(t, r, c)
		}
	}
}

// learns one shown cell: who is in it, and that its figures are right.
func (a *attacker) learns(t *rapid.T, r *insight.Register, c insight.Cell) {
	in := map[insight.Pseudonym]bool{}
	sum, counts := 0, map[int]int{}
	for _, p := range r.Members(c.Key) {
		in[p] = true
		sum += a.first[p]
		counts[a.first[p]]++
	}
	if c.N != len(in) || c.Sum != sum || !maps.Equal(c.Counts, counts) {
		t.Fatalf("%q shows n %d, sum %d, %v; its people have n %d, sum %d, %v", c.Key, c.N, c.Sum, c.Counts, len(in), sum, counts)
	}
	a.shown = append(a.shown, in)
}

// isolates looks for a group of fewer than least people about whom some
// combination of all that was shown says something: a vector in the span of
// the shown cells that is not zero, and is zero outside the group. There is
// one exactly if leaving the group's columns out lowers the rank.
func (a *attacker) isolates(least int) []insight.Pseudonym {
	people := slices.SortedFunc(maps.Keys(a.first), func(x, y insight.Pseudonym) int { return int(x[0]) - int(y[0]) })
	var rows [][]int64
	for _, s := range a.shown {
		row := make([]int64, len(people))
		for i, p := range people {
			if s[p] {
				row[i] = 1
			}
		}
		if !slices.ContainsFunc(rows, func(r []int64) bool { return slices.Equal(r, row) }) {
			rows = append(rows, row)
		}
	}
	full := rank(rows, nil)
	var found []insight.Pseudonym
	var try func(from int, group []int)
	try = func(from int, group []int) {
		if found != nil {
			return
		}
		if len(group) == min(least-1, len(people)) {
			if rank(rows, group) < full {
				for _, i := range group {
					found = append(found, people[i])
				}
			}
			return
		}
		for i := from; i < len(people); i++ {
			try(i+1, append(group, i))
		}
	}
	try(0, nil)
	return found
}

// rank is that of the rows without some columns, modulo a large prime: never
// more than over the rationals, and the cells are small enough to be the same.
func rank(rows [][]int64, without []int) int {
	const p = 1_000_000_007
	m := make([][]int64, len(rows))
	for i, r := range rows {
		m[i] = slices.Clone(r)
		for _, c := range without {
			m[i][c] = 0
		}
	}
	n := 0
	for c := 0; len(m) > 0 && c < len(m[0]); c++ {
		pivot := slices.IndexFunc(m[n:], func(r []int64) bool { return r[c] != 0 })
		if pivot < 0 {
			continue
		}
		m[n], m[n+pivot] = m[n+pivot], m[n]
		inv := power(m[n][c], p-2, p)
		for i := n + 1; i < len(m); i++ {
			if f := m[i][c] * inv % p; f != 0 {
				for k := c; k < len(m[i]); k++ {
					m[i][k] = ((m[i][k]-f*m[n][k])%p + p) % p
				}
			}
		}
		if n++; n == len(m) {
			break
		}
	}
	return n
}

func power(b, e, p int64) int64 {
	out := int64(1)
	for b %= p; e > 0; e >>= 1 {
		if e&1 == 1 {
			out = out * b % p
		}
		b = b * b % p
	}
	return out
}

// TestGuardHoldsAgainstSubtraction plays somebody who asks any filters in any
// order while people answer, change their answers, change teams and leave, and
// who then combines all that was ever shown. It must never say anything about
// fewer people than the minimum.
func TestGuardHoldsAgainstSubtraction(t *testing.T) {
	cells := 0
	defer func() { t.Logf("%d cells were shown", cells) }()
	play := func(t *rapid.T) {
		least := rapid.IntRange(3, 4).Draw(t, "minimum")
		g := insight.Guard{Minimum: least}
		r := &insight.Register{}
		a := &attacker{first: map[insight.Pseudonym]int{}, keys: map[string]bool{}}
		answers := map[int]insight.Answer{}
		now := map[insight.Pseudonym]int{}
		names := []string{"team=a", "team=b", "team=c", "new", "old", "north", "south"}
		// Everything hangs on one seed: rapid's own draws prefer small
		// numbers, and small crowds show nothing.
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		person := func() {
			n := rnd.IntN(18)
			if rnd.IntN(10) == 0 {
				delete(answers, n)
				return
			}
			v := rnd.IntN(11)
			answers[n] = insight.Answer{Person: pseudonym(n), Value: v, Groups: []string{names[rnd.IntN(3)], names[3+rnd.IntN(2)], names[5+rnd.IntN(2)]}}
			now[pseudonym(n)] = v
		}
		list := func() (out []insight.Answer) {
			for _, n := range slices.Sorted(maps.Keys(answers)) {
				out = append(out, answers[n])
			}
			return out
		}
		for range rnd.IntN(40) {
			person()
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			for range rnd.IntN(5) {
				person()
			}
			keys := []string{}
			for range 1 + rnd.IntN(3) {
				groups := []string{}
				for range rnd.IntN(3) {
					groups = append(groups, names[rnd.IntN(len(names))])
				}
				keys = append(keys, insight.Key(groups...))
			}
			a.learnsAll(t, r, g.Ask(r, list(), keys...), now)
			r = restored(t, r)
		}
		if rapid.Bool().Draw(t, "close") {
			g.Close(r, list())
			a.learnsAll(t, r, g.Ask(r, list(), append(names, "")...), now)
		}
		cells += len(a.shown)
		if group := a.isolates(least); group != nil {
			t.Fatalf("what was shown says something about %d people, minimum %d: %v", len(group), least, group)
		}
	}
	for range 20 { // rapid plays a hundred
		rapid.Check(t, play)
	}
}

// restored is the register as it comes back from the store.
func restored(t *rapid.T, r *insight.Register) *insight.Register {
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	out := &insight.Register{}
	if err := out.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAttackerIsAnAttacker: the test above finds what an unguarded report
// gives away.
func TestAttackerIsAnAttacker(t *testing.T) {
	set := func(n ...int) map[insight.Pseudonym]bool {
		m := map[insight.Pseudonym]bool{}
		for _, i := range n {
			m[pseudonym(i)] = true
		}
		return m
	}
	a := &attacker{first: map[insight.Pseudonym]int{}}
	for i := range 12 {
		a.first[pseudonym(i)] = 0
	}
	a.shown = []map[insight.Pseudonym]bool{set(0, 1, 2, 3, 4, 5), set(6, 7, 8, 9, 10, 11)}
	if got := a.isolates(4); got != nil {
		t.Fatalf("two groups of six give away %v", got)
	}
	a.shown = append(a.shown, set(0, 1, 2, 6, 7, 8), set(3, 4, 5, 9, 10))
	if got := a.isolates(4); got == nil {
		t.Fatal("person 11 alone is missing from the sum of four cells, and it was not found")
	}
}

// TestGuardIsUseful: a usual heat-map keeps most of its cells.
func TestGuardIsUseful(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var keys []string
	var people []insight.Answer
	sizes := []int{31, 24, 22, 19, 17, 14, 12, 11, 9, 8, 6, 3}
	for team, size := range sizes {
		keys = append(keys, fmt.Sprintf("team=%d", team))
		for range size {
			people = append(people, insight.Answer{Person: pseudonym(len(people)), Groups: []string{fmt.Sprintf("team=%d", team)}})
		}
	}
	shown, could, all := 0, 0, 0
	for range 8 {
		r := &insight.Register{}
		var answers []insight.Answer
		in := map[string]int{}
		for _, p := range people {
			if rnd.IntN(100) < 78 {
				p.Value = rnd.IntN(11)
				answers = append(answers, p)
				in[p.Groups[0]]++
			}
		}
		for _, c := range (insight.Guard{}).Ask(r, answers, append(keys, "")...) {
			if c.Key == "" {
				if !c.Shown {
					t.Errorf("the whole is refused: %s", c.Why)
				}
				continue
			}
			all++
			if in[c.Key] >= insight.DefaultMinimum {
				could++
			}
			if c.Shown {
				shown++
			}
		}
	}
	t.Logf("%d of %d cells shown; %d have 5 answers", shown, all, could)
	if shown*100 < all*75 || shown*100 < could*85 {
		t.Errorf("%d of %d cells are shown, of %d that have enough answers", shown, all, could)
	}
}

// TestGuardSays is the guard's words and its steps over time.
func TestGuardSays(t *testing.T) {
	var answers []insight.Answer
	add := func(n int, groups ...string) {
		for range n {
			answers = append(answers, insight.Answer{Person: pseudonym(len(answers)), Value: 7, Groups: groups})
		}
	}
	g, r := insight.Guard{}, &insight.Register{}
	add(4, "team=a")
	add(9, "team=b")
	add(6, "team=c")
	ask := func(key string) insight.Cell { return g.Ask(r, answers, key)[0] }
	for _, step := range []struct {
		do    func()
		key   string
		shown int
		why   string
	}{
		{nil, "team=a", 0, "4 answers, minimum 5"},
		{nil, "team=x", 0, "no answers"},
		{nil, "", 19, ""},
		{nil, "team=b", 9, ""},
		{nil, "team=c", 0, "together with what is shown already, fewer than 5 answers could be worked out"},
		{func() { add(1, "team=b") }, "team=b", 9, "1 newer answer waits until 5 of the same groups can be added at once"},
		{nil, "", 19, "1 newer answer waits until 5 of the same groups can be added at once"},
		{func() { add(3, "team=b") }, "team=b", 9, "4 newer answers wait until 5 of the same groups can be added at once"},
		{func() { add(1, "team=b") }, "team=b", 14, ""},
		{nil, "", 24, ""},
		{func() { answers[5].Value = 0 }, "team=b", 14, ""}, // counted as it was: 14 × 7
	} {
		if step.do != nil {
			step.do()
		}
		c := ask(step.key)
		if c.N != step.shown || c.Shown != (step.shown > 0) || c.Why != step.why || c.Sum != 7*step.shown {
			t.Errorf("%q: got %+v, want n %d, sum %d and %q", step.key, c, step.shown, 7*step.shown, step.why)
		}
	}
	add(2, "team=b")
	add(3, "team=d")
	if left := g.Close(r, answers); left != 0 {
		t.Errorf("%d are left at the end, want 0", left)
	}
	if c := ask(""); c.N != 29 || c.Waiting != 0 {
		t.Errorf("at the end %+v, want 29 counted", c)
	}
	if c := ask("team=b"); c.N != 14 {
		t.Errorf("at the end %+v, want the 14 that came in time", c)
	}
	if (insight.Guard{Minimum: 1}).Ask(&insight.Register{}, answers[:2], "")[0].Shown {
		t.Error("a minimum of 1 was taken; the floor is 3")
	}
}

// FuzzRegister: what is not a register is refused, and never half read.
func FuzzRegister(f *testing.F) {
	r := &insight.Register{}
	var answers []insight.Answer
	for i := range 12 {
		answers = append(answers, insight.Answer{Person: pseudonym(i), Value: i, Groups: []string{fmt.Sprint("team=", i%2)}})
	}
	insight.Guard{}.Ask(r, answers, "", "team=0")
	b, err := r.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &insight.Register{}
		if err := r.UnmarshalBinary(b); err != nil {
			if len(r.Members("")) != 0 {
				t.Fatal("half a register was read")
			}
			return
		}
		insight.Guard{}.Ask(r, answers, "", "team=1")
	})
}

// TestErased: a person who is erased is not to be found in the register, and
// what was shown stays.
func TestErased(t *testing.T) {
	r := &insight.Register{}
	var answers []insight.Answer
	for i := range 7 {
		answers = append(answers, insight.Answer{Person: pseudonym(i), Value: i})
	}
	g := insight.Guard{}
	before := g.Ask(r, answers, "")[0]
	if r.Rename(pseudonym(99), pseudonym(100)) || !r.Rename(pseudonym(3), pseudonym(200)) || !r.Rename(pseudonym(4), pseudonym(5)) {
		t.Fatal("who was counted is not known")
	}
	after := g.Ask(r, append(answers[:3:3], answers[5:]...), "")[0]
	if after.N != before.N || after.Sum != before.Sum || after.Waiting != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if m := r.Members(""); slices.Contains(m, pseudonym(3)) || slices.Contains(m, pseudonym(4)) || len(m) != 7 {
		t.Errorf("members are %v", m)
	}
	if b, err := r.MarshalBinary(); err != nil || r.UnmarshalBinary(b) != nil {
		t.Error("the register cannot be read back")
	}
}
