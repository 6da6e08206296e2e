package rehearse

import (
	"bytes"
	"errors"
)

var errCut = errors.New("rehearse: the server sent no element")

// cut gives the first whole element of b: a stream header, a stream end, or an
// element with all its children. n is how many bytes of b it ends at; 0 means
// that more must be read. A '>' inside of an attribute is not expected.
func cut(b []byte) (el []byte, n int, err error) {
	at := 0
	for at < len(b) && (b[at] == ' ' || b[at] == '\n') {
		at++
	}
	if bytes.HasPrefix(b[at:], []byte("<?xml")) {
		end := bytes.Index(b[at:], []byte("?>"))
		if end < 0 {
			return nil, 0, nil
		}
		at += end + 2
	}
	if at == len(b) {
		return nil, 0, nil
	}
	if b[at] != '<' {
		return nil, 0, errCut
	}
	start, depth := at, 0
	for {
		end := bytes.IndexByte(b[at:], '>')
		if end < 0 {
			return nil, 0, nil
		}
		end += at
		switch {
		case b[at+1] == '/':
			depth--
		case b[end-1] != '/':
			depth++
		}
		if depth <= 0 || depth == 1 && header(b[start:]) {
			return b[start : end+1], end + 1, nil
		}
		next := bytes.IndexByte(b[end:], '<')
		if next < 0 {
			return nil, 0, nil
		}
		at = end + next
		if at+1 == len(b) {
			return nil, 0, nil
		}
	}
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
