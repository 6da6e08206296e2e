package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bearhug/bearhug/feature"
)

// A cursor says where the next page begins. It is signed for its operation and
// organisation, so that nobody makes one up or carries one elsewhere; what it
// holds may change from version to version.

// maxCursor bounds a cursor, in bytes of its text.
const maxCursor = 4096

const cursorMAC = 16 // bytes

func (c *Console) cursorSum(id string, org feature.Org, body []byte) []byte {
	h := hmac.New(sha256.New, c.cursors)
	head := binary.BigEndian.AppendUint64([]byte(id+"\x00"), uint64(org))
	h.Write(head)
	h.Write(body)
	return h.Sum(nil)[:cursorMAC]
}

// cursor writes a place.
func (c *Console) cursor(id string, org feature.Org, at any) (string, error) {
	body, err := json.Marshal(at)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(append(c.cursorSum(id, org, body), body...))
	if len(text) > maxCursor {
		return "", fmt.Errorf("cursor of %s has %d bytes", id, len(text))
	}
	return text, nil
}

// place reads a cursor into at, which stays as it is for "".
func (c *Console) place(id string, org feature.Org, text string, at any) error {
	if text == "" {
		return nil
	}
	bad := refusal(errors.New("this cursor is not one of this list: take it from `next`, or begin without one"))
	if len(text) > maxCursor || strings.ContainsAny(text, "\r\n") { // the decoder skips line ends
		return bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < cursorMAC || !hmac.Equal(b[:cursorMAC], c.cursorSum(id, org, b[cursorMAC:])) {
		return bad
	}
	if err := json.Unmarshal(b[cursorMAC:], at); err != nil {
		return bad
	}
	return nil
}

// PageIn asks for a page.
type PageIn struct {
	Cursor string `query:"cursor" maxLength:"4096" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"rows at most"`
}

// Page is a page of a list. Next is empty on the last one; a page may be empty
// and not be the last.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; none: this is the last"`
}

// PageOut is an answer with a page.
type PageOut[T any] struct{ Body Page[T] }

// page makes an answer of the rows that were asked for one more than the limit:
// the one too many says that there is another page.
func page[R, T any](k *call, limit int, rows []R, show func(*R) T, at func(*R) any) (*PageOut[T], error) {
	out := &PageOut[T]{Page[T]{Items: make([]T, 0, min(limit, len(rows)))}}
	for i := range rows[:min(limit, len(rows))] {
		out.Body.Items = append(out.Body.Items, show(&rows[i]))
	}
	if len(rows) <= limit {
		return out, nil
	}
	var err error
	out.Body.Next, err = k.cursor(at(&rows[limit-1]))
	return out, err
}
