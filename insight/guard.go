package insight

import (
	"fmt"
	"slices"
	"strings"
)

// The least people a shown result may be about.
const (
	DefaultMinimum = 5
	FloorMinimum   = 3 // no organisation can go below
)

// Guard decides which results of an anonymous question may be shown.
//
// The rule: at any time everybody who is counted in something shown belongs to
// exactly one block of people who are in the same shown results, and a block
// has at least Minimum people. All that was ever shown are sums over whole
// blocks, so whatever is subtracted from whatever, over filters and over time,
// the outcome is about whole blocks again. It does not matter what the asker
// knows of who belongs where. A rule by linear algebra could show more
// (margins of a table, but not its cells); it would not hold against somebody
// who also knows that answers are whole numbers from 0 to 10.
//
// Three things make it hold over time: an answer counts with the value it had
// when it was first shown, a result that was shown keeps its people, and new
// answers wait until Minimum of them can join as a block.
type Guard struct {
	Minimum int // people; 0 is DefaultMinimum, less than FloorMinimum is FloorMinimum
}

func (g Guard) minimum() int {
	if g.Minimum == 0 {
		return DefaultMinimum
	}
	return max(FloorMinimum, g.Minimum)
}

// Pseudonym stands for a person in an anonymous campaign.
type Pseudonym [16]byte

// Answer is one person's answer to the question, as it is now.
type Answer struct {
	Person Pseudonym
	Value  int      // -32768 … 32767: a score, the number of a choice
	Groups []string // what can be filtered by: "team=7", "tenure<1"; no & in a name
}

// Cell is the answer to one filter: a result, or why there is none.
type Cell struct {
	Key     string      // groups joined by &, sorted; "" is everybody
	Shown   bool        //
	N       int         // people counted
	Sum     int         // of the values
	Counts  map[int]int // people by value
	Waiting int         // newer answers that are not counted yet
	Why     string      // for people, when it is not shown or something waits
}

// Mean is the average value of a shown cell.
func (c Cell) Mean() float64 {
	if c.N == 0 {
		return 0
	}
	return float64(c.Sum) / float64(c.N)
}

// Key names a filter by groups that people must all be in.
func Key(groups ...string) string {
	all := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" })
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "&")
}

// Ask answers filters on one question and notes in r what it shows. The caller
// keeps one Register per question (and wave) of a campaign, stores it before
// it shows anything, and lets no two calls change it at once. A score that is
// made from several questions is computed from their shown cells, not asked
// for by person. Keys are tried from the largest group to the smallest, so
// that of a heat-map the least is lost; cells come in the order of the keys.
func (g Guard) Ask(r *Register, answers []Answer, keys ...string) []Cell {
	a := newAsking(g.minimum(), r, answers)
	a.admit()
	keys = slices.Clone(keys)
	order := make([]int, len(keys))
	sizes := make([]int, len(keys))
	for i, k := range keys {
		keys[i] = Key(strings.Split(k, "&")...)
		order[i] = i
		sizes[i] = a.matching(keys[i])
	}
	slices.SortStableFunc(order, func(x, y int) int { return sizes[y] - sizes[x] })
	out := make([]Cell, len(keys))
	for _, i := range order {
		out[i] = a.cell(keys[i], sizes[i])
	}
	return out
}

// Close is the last admission, when a campaign has ended: answers that still
// wait join as one block what all of them belong to, as a rule everybody. It
// says how many never count, as they are too few.
func (g Guard) Close(r *Register, answers []Answer) (left int) {
	a := newAsking(g.minimum(), r, answers)
	a.admit()
	var common []int
	var late []int
	for i := range answers {
		if a.block[i] != 0 {
			continue
		}
		cells := a.cellsOf(i)
		if len(cells) == 0 {
			continue
		}
		if late == nil {
			common = cells
		} else {
			common = slices.DeleteFunc(common, func(c int) bool { return !slices.Contains(cells, c) })
		}
		late = append(late, i)
	}
	if len(late) < a.min || len(common) == 0 || len(a.r.members)+len(late) > maxMembers {
		return len(late)
	}
	a.join(late, common)
	return 0
}

// asking is one call of Ask.
type asking struct {
	min     int
	r       *Register
	answers []Answer
	block   []int // by answer: its block, 0 if it is in none
	groups  []map[string]bool
	filters [][]string // by cell of the register: the groups of its key
}

func newAsking(least int, r *Register, answers []Answer) *asking {
	a := &asking{min: least, r: r, answers: unique(answers)}
	a.block = make([]int, len(a.answers))
	a.groups = make([]map[string]bool, len(a.answers))
	for i, ans := range a.answers {
		if m, ok := r.find(ans.Person); ok {
			a.block[i] = r.members[m].block
		}
		a.groups[i] = make(map[string]bool, len(ans.Groups))
		for _, g := range ans.Groups {
			a.groups[i][g] = true
		}
	}
	for _, c := range r.cells {
		a.filters = append(a.filters, split(c.key))
	}
	return a
}

// unique drops second answers of a person: the last counts.
func unique(answers []Answer) []Answer {
	at := make(map[Pseudonym]int, len(answers))
	out := make([]Answer, 0, len(answers))
	for _, a := range answers {
		if i, ok := at[a.Person]; ok {
			out[i] = a
			continue
		}
		at[a.Person] = len(out)
		out = append(out, a)
	}
	return out
}

func split(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, "&")
}

func (a *asking) in(i int, filter []string) bool {
	for _, g := range filter {
		if !a.groups[i][g] {
			return false
		}
	}
	return true
}

func (a *asking) matching(key string) int {
	n, filter := 0, split(key)
	for i := range a.answers {
		if a.in(i, filter) {
			n++
		}
	}
	return n
}

// cellsOf are the shown cells that answer i belongs to by its groups.
func (a *asking) cellsOf(i int) []int {
	var out []int
	for c := range a.filters {
		if a.in(i, a.filters[c]) {
			out = append(out, c)
		}
	}
	return out
}

// admit lets new answers join what is shown: those that belong to the same
// shown cells, once there are enough of them, as a block of their own.
func (a *asking) admit() {
	classes := map[string][]int{}
	var names []string // in the order of the answers: the outcome is always the same
	for i := range a.answers {
		if a.block[i] != 0 {
			continue
		}
		cells := a.cellsOf(i)
		if len(cells) == 0 {
			continue
		}
		name := fmt.Sprint(cells)
		if classes[name] == nil {
			names = append(names, name)
		}
		classes[name] = append(classes[name], i)
	}
	for _, name := range names {
		if class := classes[name]; len(class) >= a.min && len(a.r.members)+len(class) <= maxMembers {
			a.join(class, a.cellsOf(class[0]))
		}
	}
}

// join makes a block of answers that are in none, and adds it to cells.
func (a *asking) join(class, cells []int) {
	b := a.r.newBlock()
	people := make([]Answer, 0, len(class))
	for _, i := range class {
		a.block[i] = b
		people = append(people, a.answers[i])
	}
	a.r.insert(people, b)
	for _, c := range cells {
		a.r.cells[c].blocks = append(a.r.cells[c].blocks, b)
	}
}

// cell shows a key, or says why not.
func (a *asking) cell(key string, matching int) Cell {
	c := a.r.cell(key)
	if c < 0 {
		if why := a.show(key, matching); why != "" {
			return Cell{Key: key, Why: why}
		}
		c = a.r.cell(key)
	}
	out := a.r.result(c)
	if out.N < a.min { // the minimum was raised
		return Cell{Key: key, Why: fmt.Sprintf("%d answers, minimum %d", out.N, a.min)}
	}
	filter := split(key)
	for i := range a.answers {
		if a.block[i] == 0 && a.in(i, filter) {
			out.Waiting++
		}
	}
	if out.Waiting > 0 {
		out.Why = fmt.Sprintf("%d newer %s until %d of the same groups can be added at once", out.Waiting, verb(out.Waiting, "answer waits", "answers wait"), a.min)
	}
	return out
}

func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// show enters a new cell into the register if every block that it would cut
// stays large enough on both sides; otherwise it says why not.
func (a *asking) show(key string, matching int) string {
	switch {
	case matching == 0:
		return "no answers"
	case matching < a.min:
		return fmt.Sprintf("%d %s, minimum %d", matching, verb(matching, "answer", "answers"), a.min)
	case len(key) > maxKey || len(a.r.members)+matching > maxMembers:
		return "the filter or the question is too large"
	case len(a.r.cells) >= maxCells:
		return fmt.Sprintf("%d results of this question have been shown, more are not kept apart safely", maxCells)
	}
	filter := split(key)
	inside := map[int]int{} // by block
	var fresh []int
	waiting := 0
	for i := range a.answers {
		if !a.in(i, filter) {
			continue
		}
		switch {
		case a.block[i] != 0:
			inside[a.block[i]]++
		case len(a.cellsOf(i)) == 0:
			fresh = append(fresh, i)
		default:
			waiting++
		}
	}
	for b, n := range inside {
		if rest := a.r.sizes[b] - n; n < a.min || rest > 0 && rest < a.min {
			return fmt.Sprintf("together with what is shown already, fewer than %d answers could be worked out", a.min)
		}
	}
	if len(fresh) < a.min {
		fresh = nil
	}
	if len(inside) == 0 && fresh == nil {
		return fmt.Sprintf("%d new %s, minimum %d at once", matching, verb(matching, "answer", "answers"), a.min)
	}
	a.cutBlocks(key, filter, inside)
	if fresh != nil {
		a.join(fresh, []int{len(a.r.cells) - 1})
	}
	a.filters = append(a.filters, filter)
	return ""
}

// cutBlocks enters the cell: blocks that are wholly inside belong to it, the
// others are cut in two.
func (a *asking) cutBlocks(key string, filter []string, inside map[int]int) {
	r := a.r
	blocks := make([]int, 0, len(inside))
	into := map[int]int{} // block to the new one that takes its inside
	for b, n := range inside {
		if n == r.sizes[b] {
			blocks = append(blocks, b)
			continue
		}
		into[b] = 0
	}
	for _, b := range sorted(into) {
		nb := r.newBlock()
		into[b] = nb
		blocks = append(blocks, nb)
		for c := range r.cells {
			if slices.Contains(r.cells[c].blocks, b) {
				r.cells[c].blocks = append(r.cells[c].blocks, nb)
			}
		}
	}
	for i := range a.answers {
		nb := into[a.block[i]]
		if a.block[i] == 0 || nb == 0 || !a.in(i, filter) {
			continue
		}
		m, _ := r.find(a.answers[i].Person)
		r.sizes[a.block[i]]--
		r.sizes[nb]++
		r.members[m].block, a.block[i] = nb, nb
	}
	slices.Sort(blocks)
	r.cells = append(r.cells, shownCell{key: key, blocks: blocks})
}

func sorted(m map[int]int) []int {
	out := make([]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
