package calendar

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Channel is the way of an invitation.
type Channel string

const (
	Email Channel = "email"
	Chat  Channel = "chat"
)

// Opened is a point of a curve: within After of the invitation this part of
// all who were invited has begun to talk.
type Opened struct {
	After time.Duration `json:"after"`
	Part  float64       `json:"part"` // 0 to 1
}

// Talk is one class of conversations: this part of them lasts so long.
type Talk struct {
	Lasts time.Duration `json:"lasts"`
	Part  float64       `json:"part"` // all parts make 1
}

// History is how people answered so far: by channel how soon they begin to
// talk, and how long conversations last.
type History struct {
	Opened map[Channel][]Opened `json:"opened"` // rising in After and Part
	Talks  []Talk               `json:"talks"`
	// Known is the number of invitations that it stands on; 0: it is the default.
	Known int `json:"known"`
}

// Limits of a history.
const (
	maxPoints = 100
	maxAnswer = 31 * 24 * time.Hour
	maxTalk   = 24 * time.Hour
)

// DefaultHistory is what is assumed before there is any: on the careful side,
// for it is about load. 30 % begin within ten minutes of the invitation, 40 %
// within an hour, 55 % within a day, 60 % within three; a conversation lasts
// five minutes. Both channels alike.
func DefaultHistory() History {
	curve := []Opened{{10 * time.Minute, 0.30}, {time.Hour, 0.40}, {24 * time.Hour, 0.55}, {72 * time.Hour, 0.60}}
	return History{
		Opened: map[Channel][]Opened{Email: curve, Chat: slices.Clone(curve)},
		Talks:  []Talk{{5 * time.Minute, 1}},
	}
}

// Validate refuses curves that fall and parts that do not make a whole.
func (h History) Validate() error {
	if len(h.Opened) == 0 || len(h.Opened) > 16 {
		return errors.New("a history has a curve for 1 to 16 channels")
	}
	for channel, curve := range h.Opened {
		if len(curve) == 0 || len(curve) > maxPoints {
			return fmt.Errorf("the curve of %s has %d points: 1 to %d", clip(string(channel)), len(curve), maxPoints)
		}
		last := Opened{}
		for _, p := range curve {
			if p.After <= last.After || p.After > maxAnswer || !(p.Part >= last.Part && p.Part <= 1) {
				return fmt.Errorf("the curve of %s does not rise at %s: later points have more, at most 1, within %s", clip(string(channel)), p.After, maxAnswer)
			}
			last = p
		}
	}
	whole := 0.0
	for _, t := range h.Talks {
		if t.Lasts <= 0 || t.Lasts > maxTalk || !(t.Part >= 0) {
			return fmt.Errorf("a conversation of %s is not from a moment to %s", t.Lasts, maxTalk)
		}
		whole += t.Part
	}
	if len(h.Talks) > maxPoints || !(whole > 0.999 && whole < 1.001) {
		return fmt.Errorf("the parts of the conversations make %g, not 1", whole)
	}
	return nil
}

// AnswerEdges are the times since the invitation by which answers are counted
// for Learn: the n-th count is of those who began after the edge before and
// not after this one.
func AnswerEdges() []time.Duration {
	const m, h = time.Minute, time.Hour
	return []time.Duration{m, 2 * m, 5 * m, 10 * m, 20 * m, 30 * m, h, 2 * h, 4 * h, 8 * h, 24 * h, 48 * h, 72 * h, 168 * h}
}

// TalkEdges are the lengths of conversations by which they are counted.
func TalkEdges() []time.Duration {
	const m = time.Minute
	return []time.Duration{m, 2 * m, 3 * m, 5 * m, 8 * m, 12 * m, 20 * m, 30 * m, 60 * m}
}

// Counts are what a channel brought.
type Counts struct {
	Invited int   // at least the last edge ago
	Opened  []int // by AnswerEdges
}

// prior is how many invitations, or conversations, the default weighs as much
// as: with less of one's own it prevails.
const prior = 100

// Learn makes a history of counts, by channel, and of the lengths of
// conversations, by TalkEdges. The default is mixed in as if it were 100
// invitations, so that ten answers on a Sunday do not decide.
func Learn(channels map[Channel]Counts, talks []int) (History, error) {
	h, known := DefaultHistory(), 0
	edges := AnswerEdges()
	for channel, c := range channels {
		if len(c.Opened) != len(edges) {
			return History{}, fmt.Errorf("%s has %d counts of answers, want %d", clip(string(channel)), len(c.Opened), len(edges))
		}
		base := h.Opened[Email]
		var curve []Opened
		sum := 0
		for i, edge := range edges {
			if c.Opened[i] < 0 {
				return History{}, fmt.Errorf("%s has a count below 0", clip(string(channel)))
			}
			sum += c.Opened[i]
			curve = append(curve, Opened{edge, (float64(sum) + prior*partAt(base, edge)) / (float64(c.Invited) + prior)})
		}
		if c.Invited < sum {
			return History{}, fmt.Errorf("%s has %d answers to %d invitations", clip(string(channel)), sum, c.Invited)
		}
		h.Opened[channel] = curve
		known += c.Invited
	}
	lengths := TalkEdges()
	if talks != nil && len(talks) != len(lengths) {
		return History{}, fmt.Errorf("%d counts of conversations, want %d", len(talks), len(lengths))
	}
	total := prior
	for _, n := range talks {
		if n < 0 {
			return History{}, errors.New("conversations have a count below 0")
		}
		total += n
	}
	mixed := []Talk{{h.Talks[0].Lasts, float64(prior) / float64(total)}}
	last := time.Duration(0)
	for i, n := range talks {
		// The middle of its class.
		mixed = append(mixed, Talk{(last + lengths[i]) / 2, float64(n) / float64(total)})
		last = lengths[i]
	}
	h.Talks, h.Known = mixed, known
	return h, h.Validate()
}

// partAt reads a curve between its points.
func partAt(curve []Opened, at time.Duration) float64 {
	last := Opened{}
	for _, p := range curve {
		if at < p.After {
			return last.Part + (p.Part-last.Part)*float64(at-last.After)/float64(p.After-last.After)
		}
		last = p
	}
	return last.Part
}
