package script

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// vars are the variables of a play.
type vars map[string]string

// a part of a pattern is literal text or a name in braces.
type part struct {
	lit  string
	name string
}

// parsePattern splits a value into literal text and {names}; {{ is a brace.
func parsePattern(s string) ([]part, error) {
	var out []part
	for s != "" {
		i := strings.IndexByte(s, '{')
		if i < 0 {
			return append(out, part{lit: s}), nil
		}
		if i > 0 {
			out = append(out, part{lit: s[:i]})
		}
		s = s[i+1:]
		if strings.HasPrefix(s, "{") {
			out = append(out, part{lit: "{"})
			s = s[1:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if end < 0 || !isVarName(s[:end]) {
			return nil, fmt.Errorf("{%s: a name in braces is expected; a brace is written {{", s)
		}
		out = append(out, part{name: s[:end]})
		s = s[end+1:]
	}
	return out, nil
}

func isVarName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '.' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// wildcards are the names that match by form and remember nothing.
func wildcard(name string) string {
	switch name {
	case "any":
		return `(?s:.*)`
	case "time":
		return `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`
	case "number":
		return `\d+`
	}
	return ""
}

// expand fills in the variables; all must be known.
func (v vars) expand(s string, escape func(string) string) (string, error) {
	parts, err := parsePattern(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.name == "" {
			b.WriteString(p.lit)
			continue
		}
		val, ok := v[p.name]
		if !ok {
			return "", fmt.Errorf("nobody has said what {%s} is", p.name)
		}
		b.WriteString(escape(val))
	}
	return b.String(), nil
}

// match compares a value with a pattern and learns the names it did not know.
func (v vars) match(pattern, got string) bool {
	if !strings.Contains(pattern, "{") {
		return pattern == got
	}
	parts, err := parsePattern(pattern)
	if err != nil {
		return false
	}
	var re strings.Builder
	re.WriteString(`\A`)
	var names []string
	for _, p := range parts {
		w := wildcard(p.name)
		known, ok := v[p.name]
		switch {
		case p.name == "":
			re.WriteString(regexp.QuoteMeta(p.lit))
		case w != "":
			re.WriteString(w)
		case ok:
			re.WriteString(regexp.QuoteMeta(known))
		default:
			re.WriteString(`((?s:.+?))`)
			names = append(names, p.name)
		}
	}
	re.WriteString(`\z`)
	r, err := regexp.Compile(re.String())
	if err != nil {
		return false
	}
	m := r.FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, n := range names {
		if old, ok := v[n]; ok && old != m[i+1] {
			return false
		}
		v[n] = m[i+1]
	}
	return true
}

// show fills in what is known, for failure messages.
func (v vars) show(pattern string) string {
	parts, err := parsePattern(pattern)
	if err != nil {
		return pattern
	}
	var b strings.Builder
	for _, p := range parts {
		if val, ok := v[p.name]; ok && p.name != "" {
			b.WriteString(val)
		} else if p.name != "" {
			b.WriteString("{" + p.name + "}")
		} else {
			b.WriteString(p.lit)
		}
	}
	return b.String()
}

// take replaces v by a trial that succeeded.
func (v vars) take(trial vars) {
	maps.Copy(v, trial)
}
