package calendar

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Preview is what a launch will bring, if people answer as History says.
type Preview struct {
	People   int      `json:"people"`
	Invited  int      `json:"invited"`            // go out within PreviewDays
	Beyond   int      `json:"beyond,omitempty"`   // do not
	Late     int      `json:"late,omitempty"`     // go out later than they are valid: misfire decides
	Excluded []Reason `json:"excluded,omitempty"` // the most frequent first
	Deferred []Reason `json:"deferred,omitempty"`
	Rows     []Row    `json:"rows"`
	// Finished is when the last invitation is out; zero if none is.
	Finished time.Time `json:"finished,omitzero"`
	Peak     Peak      `json:"peak"`
	// AtOnce is the peak if nothing were paced: what the pace is good for.
	AtOnce   Peak `json:"at_once"`
	Capacity int  `json:"capacity,omitempty"` // as given
	Known    int  `json:"known"`              // invitations behind the history; 0: defaults
}

// Reason is why, and how many.
type Reason struct {
	Text   string `json:"text"`
	People int    `json:"people"`
}

// Peak is the most conversations at once.
type Peak struct {
	At       time.Time `json:"at,omitzero"`
	Expected float64   `json:"expected"`
	High     int       `json:"high"` // three standard deviations above: chance alone stays below
}

// Row is an hour.
type Row struct {
	Hour        time.Time  `json:"hour"` // its beginning, UTC
	Invitations int        `json:"invitations"`
	Zones       []ZoneHour `json:"zones,omitempty"`
	Begun       float64    `json:"begun"`   // conversations that begin
	AtOnce      float64    `json:"at_once"` // the most at once within the hour
	High        int        `json:"high"`
}

// ZoneHour is the part of a row in a zone.
type ZoneHour struct {
	Zone        string `json:"zone"`
	Local       string `json:"local"` // the clock there at the beginning of the hour, "Mon 09:00"
	Invitations int    `json:"invitations"`
}

// maxReasons is how many reasons a preview lists.
const maxReasons = 20

// Preview works out a launch. 100,000 people take well under a second. The
// order of people decides only between those who are due at the same time.
func (l *Launch) Preview() (*Preview, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	s, err := l.dues()
	if err != nil {
		return nil, err
	}
	p := &Preview{People: len(l.People), Excluded: reasons(s.excluded), Deferred: reasons(s.deferred), Rows: []Row{}, Capacity: l.Capacity, Known: l.History.Known}
	queues := make([][]waiting, len(s.classes))
	for i, c := range s.classes {
		queues[i] = c.queue
	}
	l.send(s)
	p.Invited, p.Beyond, p.Late, p.Finished = s.inAll, s.beyond, s.late, s.last
	load := l.load(s)
	p.Peak = load.peak(s.begin, 0, len(load.at)-1)
	p.Rows = l.rows(s, load)

	// Once more without any pace.
	free := *l
	free.Rate, free.All, free.Rivals, free.Pace = 0, 0, nil, 1
	for i, c := range s.classes {
		c.queue, c.wake, c.closes = queues[i], time.Time{}, time.Time{}
		c.opened = time.Time{}
	}
	free.send(s)
	load = free.load(s)
	p.AtOnce = load.peak(s.begin, 0, len(load.at)-1)
	return p, nil
}

func reasons(counts map[string]int) []Reason {
	var list []Reason
	for text, n := range counts {
		list = append(list, Reason{text, n})
	}
	slices.SortFunc(list, func(a, b Reason) int {
		if a.People != b.People {
			return b.People - a.People
		}
		return strings.Compare(a.Text, b.Text)
	})
	if len(list) > maxReasons {
		rest := 0
		for _, r := range list[maxReasons-1:] {
			rest += r.People
		}
		list = append(list[:maxReasons-1], Reason{fmt.Sprintf("%d other reasons", len(list)-maxReasons+1), rest})
	}
	return list
}

// load is conversations by minute: entry k is the instant at its beginning.
type load struct {
	begun []float64 // in all so far
	at    []float64 // going on
}

// load convolves: who was invited begins along the curve of the channel, and
// talks as long as conversations last. It is exact for invitations spread
// evenly within each minute.
func (l *Launch) load(s *sent) load {
	out := map[Channel][]int{}
	last := 0
	for i, m := range s.at {
		if m < 0 {
			continue
		}
		channel := l.People[i].Channel
		if channel == "" {
			channel = Email
		}
		if out[channel] == nil {
			out[channel] = make([]int, minutes)
		}
		out[channel][m]++
		last = max(last, int(m))
	}
	longest := time.Duration(0)
	for channel := range out {
		if curve := l.curve(channel); len(curve) > 0 {
			longest = max(longest, curve[len(curve)-1].After)
		}
	}
	for _, t := range l.History.Talks {
		longest = max(longest, t.Lasts+longest)
	}
	n := min(minutes, last+2+int(longest/time.Minute)) + 1
	if len(out) == 0 {
		n = 1
	}
	r := load{begun: make([]float64, n), at: make([]float64, n)}
	for _, channel := range slices.Sorted(maps.Keys(out)) {
		add(r.begun, out[channel], l.curve(channel))
	}
	for k := range r.at {
		for _, t := range l.History.Talks {
			r.at[k] += t.Part * (r.begun[k] - between(r.begun, float64(k)-t.Lasts.Minutes()))
		}
		r.at[k] = math.Max(0, r.at[k])
	}
	return r
}

// curve of a channel; one that has none is like e-mail, or the first by name.
func (l *Launch) curve(channel Channel) []Opened {
	if c, ok := l.History.Opened[channel]; ok {
		return c
	}
	if c, ok := l.History.Opened[Email]; ok {
		return c
	}
	return l.History.Opened[slices.Min(slices.Collect(maps.Keys(l.History.Opened)))]
}

// add adds to begun those who begin after invitations by minute. With S(t) the
// invited until t, a stretch of the curve from a to b of slope r adds
// r·∫S(t−x)dx over it, which is a difference of the integral of S.
func add(begun []float64, invited []int, curve []Opened) {
	sum, integral := make([]float64, len(begun)), make([]float64, len(begun))
	for k := 1; k < len(begun); k++ {
		sum[k] = sum[k-1]
		if k-1 < len(invited) {
			sum[k] += float64(invited[k-1])
		}
		integral[k] = integral[k-1] + (sum[k-1]+sum[k])/2
	}
	area := func(x float64) float64 {
		if x <= 0 {
			return 0
		}
		k := int(x)
		if k >= len(sum)-1 {
			return integral[len(sum)-1]
		}
		f := x - float64(k)
		return integral[k] + f*sum[k] + f*f/2*(sum[k+1]-sum[k])
	}
	from := Opened{}
	for _, to := range curve {
		a, b := from.After.Minutes(), to.After.Minutes()
		slope := (to.Part - from.Part) / (b - a)
		for k := range begun {
			begun[k] += slope * (area(float64(k)-a) - area(float64(k)-b))
		}
		from = to
	}
}

// between reads a list between its entries; before it there is nothing.
func between(list []float64, x float64) float64 {
	if x <= 0 {
		return 0
	}
	k := int(x)
	if k >= len(list)-1 {
		return list[len(list)-1]
	}
	return list[k] + (x-float64(k))*(list[k+1]-list[k])
}

// peak is the highest minute from one to another.
func (r load) peak(begin time.Time, from, to int) Peak {
	best := from
	for k := from; k <= to && k < len(r.at); k++ {
		// Rounding is no peak: the first one that is really higher.
		if r.at[k] > r.at[best]+1e-6 {
			best = k
		}
	}
	if best >= len(r.at) || r.at[best] < 1e-6 {
		return Peak{}
	}
	return Peak{begin.Add(time.Duration(best) * time.Minute), cents(r.at[best]), high(r.at[best])}
}

// cents rounds to two places, so that figures are the same on every machine.
func cents(x float64) float64 { return math.Round(x*100) / 100 }

// high: conversations begin independently of each other, so their number is
// about Poisson.
func high(mean float64) int { return int(math.Ceil(mean + 3*math.Sqrt(mean) - 1e-9)) }

// rows are the hours from the first invitation until less than one
// conversation is expected.
func (l *Launch) rows(s *sent, r load) []Row {
	type cell struct {
		hour int
		zone string
	}
	first := s.begin.Truncate(time.Hour)
	shift := int(s.begin.Sub(first) / time.Minute)
	cells, locations, perHour := map[cell]int{}, map[string]*time.Location{}, map[int]int{}
	last := -1
	for i, m := range s.at {
		if m < 0 {
			continue
		}
		c := s.classes[s.classOf[i]]
		hour := (int(m) + shift) / 60
		cells[cell{hour, c.zone}]++
		perHour[hour]++
		locations[c.zone] = ZoneOf(l.Org, c.rules)
		last = max(last, hour)
	}
	for k, at := range r.at {
		if at >= 1 {
			last = max(last, (k+shift)/60)
		}
	}
	rows := make([]Row, 0, last+1)
	for hour := 0; hour <= last; hour++ {
		from, to := max(0, hour*60-shift), (hour+1)*60-shift
		peak := r.peak(s.begin, min(from, len(r.at)-1), to)
		rows = append(rows, Row{
			Hour:        first.Add(time.Duration(hour) * time.Hour),
			Invitations: perHour[hour],
			Begun:       cents(between(r.begun, float64(to)) - between(r.begun, float64(from))),
			AtOnce:      peak.Expected,
			High:        peak.High,
		})
	}
	for c, n := range cells {
		row := &rows[c.hour]
		local := row.Hour.In(locations[c.zone]).Format("Mon 15:04")
		row.Zones = append(row.Zones, ZoneHour{c.zone, local, n})
	}
	for i := range rows {
		slices.SortFunc(rows[i].Zones, func(a, b ZoneHour) int { return strings.Compare(a.Zone, b.Zone) })
	}
	return rows
}

// Fits tells whether the capacity that was measured is enough, chance
// included. Nothing was measured: known is false.
func (p *Preview) Fits() (fits, known bool) {
	return p.Capacity > 0 && p.Peak.High <= p.Capacity, p.Capacity > 0
}

// Text is the preview in a sentence or two.
func (p *Preview) Text() string {
	if p.Invited == 0 {
		return fmt.Sprintf("nobody of %s people is invited", thousands(p.People))
	}
	text := fmt.Sprintf("%s invitations, finished by %s UTC; all at once would be %s conversations at once, at this pace it is %s",
		thousands(p.Invited), p.Finished.UTC().Format("Mon 2006-01-02 15:04"), thousands(int(math.Round(p.AtOnce.Expected))), thousands(int(math.Round(p.Peak.Expected))))
	switch fits, known := p.Fits(); {
	case !known:
		text += "; capacity is not measured"
	case fits:
		text += fmt.Sprintf(" (at most %s), and %s were measured to fit", thousands(p.Peak.High), thousands(p.Capacity))
	default:
		text += fmt.Sprintf(" (at most %s), MORE THAN the %s that were measured to fit: take a lower rate", thousands(p.Peak.High), thousands(p.Capacity))
	}
	if p.Beyond > 0 {
		text += fmt.Sprintf("; %s do not go out within %d days", thousands(p.Beyond), PreviewDays)
	}
	if p.Late > 0 {
		text += fmt.Sprintf("; %s would go out later than they are valid", thousands(p.Late))
	}
	if p.Known == 0 {
		text += "; how people answer is assumed, there is no history yet"
	}
	return text
}

// thousands is 30,000.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
