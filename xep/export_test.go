package xep

import (
	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

// CapsVer is the verification string of an answer.
func CapsVer(i *router.Info) string { return capsVer(i) }

// ReadCaps reads a client's answer and hashes it.
func ReadCaps(query stanza.Element) (*router.Info, string, error) {
	info, err := readCaps(query)
	if err != nil {
		return nil, "", err
	}
	return info, capsVer(info), nil
}

// CapsClientOf is what a client calls itself.
func CapsClientOf(i *router.Info) (name, kind string) { return capsClientOf(i) }

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
