package rehearse

import (
	"bytes"
	"errors"
)

var errCut = errors.New("rehearse: the server sent no element")

// cut gives the first whole element of b: a stream header, a stream end, or an
// element with all its children. n is how many bytes of b it ends at; 0 means
// that more must be read. A '>' inside of an attribute is not expected.
func cut(b []byte) (el []byte, n int, err error) { return new(cutter).cut(b) }

// A cutter remembers how far it came in an element that was not whole, so that
// a large one is looked at once, however many pieces it comes in.
type cutter struct {
	start int // of the element
	at    int // of the first tag that was not looked at
	depth int // before that tag; 0: the element has not begun
	tags  int // that began at depth 2: the items of a roster
}

// cut is as the function; what it is given begins with what it was given
// before, when that was no whole element. tags is left for the caller.
func (c *cutter) cut(b []byte) (el []byte, n int, err error) {
	if c.depth == 0 {
		if more, err := c.begin(b); more || err != nil {
			return nil, 0, err
		}
	}
	at, depth := c.at, c.depth
	for {
		tag := bytes.IndexByte(b[at:], '<')
		if tag < 0 {
			at = len(b)
			break
		}
		at += tag
		end := bytes.IndexByte(b[at:], '>')
		if end < 0 {
			break
		}
		end += at
		if b[at+1] == '/' {
			depth--
		} else {
			if depth == 2 {
				c.tags++
			}
			if b[end-1] != '/' {
				depth++
			}
		}
		at = end + 1
		if depth <= 0 || depth == 1 && header(b[c.start:]) {
			el = b[c.start:at]
			*c = cutter{tags: c.tags}
			return el, at, nil
		}
	}
	c.at, c.depth = at, depth
	return nil, 0, nil
}

// begin finds where an element begins; more: it does not yet.
func (c *cutter) begin(b []byte) (more bool, err error) {
	at := 0
	for at < len(b) && (b[at] == ' ' || b[at] == '\n') {
		at++
	}
	if bytes.HasPrefix(b[at:], []byte("<?xml")) {
		end := bytes.Index(b[at:], []byte("?>"))
		if end < 0 {
			return true, nil
		}
		at += end + 2
	}
	if at == len(b) {
		return true, nil
	}
	if b[at] != '<' {
		return false, errCut
	}
	c.start, c.at, c.tags = at, at, 0
	return false, nil
}

// kept is how much of a large element stays in memory: its own tag and more.
const kept = 4 << 10

// skim takes the middle out of the part of an element that came so far. A
// roster of 5,000 people has 500 KB, and 5,000 people may wait for the end of
// theirs at once. Of an element that was skimmed, its own tag is whole.
func (c *cutter) skim(b []byte) []byte {
	if c.depth == 0 || c.at-c.start < 16*kept || bytes.IndexByte(b[c.start:c.start+kept], '>') < 0 {
		return b
	}
	tail := copy(b[c.start+kept:], b[c.at:])
	c.at = c.start + kept
	return b[:c.at+tail]
}

// header reports whether b begins with a stream header, which stays open.
func header(b []byte) bool { return bytes.HasPrefix(b, []byte("<stream:stream ")) }

// attr gives the raw value of an attribute of el's own tag; nil when there is
// none.
func attr(el []byte, name string) []byte {
	tag := el
	if end := bytes.IndexByte(el, '>'); end >= 0 {
		tag = el[:end]
	}
	for {
		at := bytes.IndexByte(tag, '=')
		if at < 0 || at+1 == len(tag) {
			return nil
		}
		key, quote := tag[:at], tag[at+1]
		tag = tag[at+2:]
		end := bytes.IndexByte(tag, quote)
		if end < 0 {
			return nil
		}
		if len(key) > len(name) && key[len(key)-len(name)-1] == ' ' && string(key[len(key)-len(name):]) == name {
			return tag[:end]
		}
		tag = tag[end+1:]
	}
}

// text gives what stands between the tags of el.
func text(el []byte) []byte {
	start, end := bytes.IndexByte(el, '>'), bytes.LastIndexByte(el, '<')
	if start < 0 || end <= start {
		return nil
	}
	return el[start+1 : end]
}

// named reports whether el is an element of this name.
func named(el []byte, name string) bool {
	if len(el) < len(name)+2 || string(el[1:1+len(name)]) != name {
		return false
	}
	c := el[1+len(name)]
	return c == ' ' || c == '>' || c == '/'
}

// number reads digits up to the first byte that is none.
func number(b []byte) (v uint64, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		v, b = v*10+uint64(b[0]-'0'), b[1:]
	}
	return v, b
}
