package xep

import (
	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/stanza"
)

// A MAMQuery is what was read of a query.
type MAMQuery struct {
	archive.Query
	QueryID            string
	Flip, Count, Never bool
	Must               []stanza.ArchiveID
	Size               int
}

// ReadMAMQuery reads the payload of a query.
func ReadMAMQuery(el stanza.Element) (*MAMQuery, error) {
	q, err := mamQueryOf(el)
	if err != nil {
		return nil, err
	}
	return &MAMQuery{q.Query, q.id, q.flip, q.count, q.never, q.must, q.bySize}, nil
}

// CutMAMPage shortens a page.
func CutMAMPage(p archive.Page, backward bool, bytes int) archive.Page {
	return mamCut(p, backward, bytes)
}
