package flow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a document.
type Problem struct {
	Line   int    `json:"line"`           // from 1
	Column int    `json:"column"`         // from 1, in characters
	Path   string `json:"path,omitempty"` // where in the document: "steps[3].mood.de"; "" for all of it
	Text   string `json:"text"`           // one sentence that says what to do
}

// String is the problem on one line.
func (p Problem) String() string {
	at := fmt.Sprintf("line %d, column %d: ", p.Line, p.Column)
	if p.Path != "" {
		at += p.Path + ": "
	}
	return at + p.Text
}

// maxProblems are told at once; who has more has made the same mistake often.
const maxProblems = 50

// Problems is everything that is wrong with a document, in its order, at most
// 51 of them. It is the error that Parse returns.
type Problems []Problem

// Error lists the problems, one on a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// tidy sorts problems by place, drops repetitions and cuts a long list.
func (p Problems) tidy() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	p = slices.Compact(p)
	if more := len(p) - maxProblems; more > 0 {
		last := p[maxProblems-1]
		p = append(p[:maxProblems:maxProblems], Problem{Line: last.Line, Column: last.Column, Text: fmt.Sprintf("and %d more problems", more)})
	}
	return p
}

// meant says which of the known words an unknown one was probably to be:
// `; did you mean "steps"?`, or which there are.
func meant(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if word == "" {
			break
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean “%s”?", best)
	case len(known) == 0:
		return "; there are none"
	case len(known) > 20:
		known = append(slices.Clone(known[:20]), "…")
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance counts the letters to change between two words (Levenshtein, with a
// swap of neighbours as one change).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = above, row, before
	}
	return rows[1][len(b)]
}
