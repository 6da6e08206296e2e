package node

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// What people read about the configuration: `bearhug config` and
// docs/config.md, both from the tags of Config.

// Print is the configuration in force as a TOML file: every key with its
// documentation, default and the source of its value. Passwords in database
// addresses are shown as xxxxx.
func (c *Config) Print() []byte {
	var b bytes.Buffer
	b.WriteString("# Bearhug configuration: every key with the value in force.\n" +
		"# Each key is also a flag (--c2s.listen) and a variable (BEARHUG_C2S_LISTEN);\n" +
		"# flags win over variables, variables over this file, this file over defaults.\n")
	eachTable(c, func(table, doc string, list []setting) {
		if table != "" {
			fmt.Fprintf(&b, "\n%s[%s]\n", comment(doc), table)
		}
		for _, s := range list {
			b.WriteString("\n" + comment(s.tag.Get("doc")))
			fmt.Fprintf(&b, "# default: %s", s.defaultTOML())
			if from := c.Source(s.key); from != "default" {
				fmt.Fprintf(&b, "; this value: %s", from)
			}
			name := s.key[strings.LastIndexByte(s.key, '.')+1:]
			fmt.Fprintf(&b, "\n%s = %s\n", name, s.toml())
		}
	})
	b.WriteString("\n# one table per organisation: [org.\"example.org\"]\n")
	domains := make([]string, 0, len(c.Orgs))
	for d := range c.Orgs {
		domains = append(domains, d)
	}
	sort.Strings(domains)
	for _, d := range domains {
		org := c.Orgs[d]
		fmt.Fprintf(&b, "\n[org.%s]\n", quoteKey(d))
		for _, s := range flatten("org."+quoteKey(d)+".", reflect.ValueOf(&org).Elem()) {
			b.WriteString("\n" + comment(s.tag.Get("doc")))
			fmt.Fprintf(&b, "# default: %s; this value: %s\n%s = %s\n", s.defaultTOML(), c.Source(s.key),
				s.key[strings.LastIndexByte(s.key, '.')+1:], s.toml())
		}
	}
	return b.Bytes()
}

// ConfigDoc is docs/config.md.
func ConfigDoc() ([]byte, error) {
	c, err := Defaults()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Configuration\n\nGenerated from `node/config.go` by `make docs`. Do not edit.\n\n" +
		"`bearhug.toml` is read from the working directory, or from where `--config FILE` points.\n" +
		"Each key is also a flag (`--c2s.listen`) and a variable of the environment\n" +
		"(`BEARHUG_C2S_LISTEN`); flags win over variables, variables over the file, the file over\n" +
		"defaults. Lists are separated by commas there. A key that does not exist stops the start,\n" +
		"and the message says which one was meant. `bearhug config` prints the file in force.\n")
	eachTable(c, func(table, doc string, list []setting) {
		if table == "" {
			table, doc = "top", "keys above all tables"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n| Key | Default | Meaning |\n|---|---|---|\n", heading(table), strings.TrimSuffix(doc, "."))
		for _, s := range list {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.key, s.defaultTOML(), s.meaning())
		}
	})
	b.WriteString("\n## `[org.\"DOMAIN\"]`\n\nOne table per organisation. Flag: `--org.DOMAIN.hosts`; no variable.\n\n| Key | Default | Meaning |\n|---|---|---|\n")
	var org OrgConfig
	for _, s := range flatten(`org."DOMAIN".`, reflect.ValueOf(&org).Elem()) {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.key, s.defaultTOML(), s.meaning())
	}
	return b.Bytes(), nil
}

func heading(table string) string {
	if table == "top" {
		return "Top"
	}
	return "`[" + table + "]`"
}

// meaning is the cell of the documentation's table.
func (s setting) meaning() string {
	text := strings.ReplaceAll(s.tag.Get("doc"), "|", `\|`)
	more := strings.TrimSuffix(text, ".") + ". "
	switch {
	case s.tag.Get("later") != "":
		text = more + "Not in this version: refused when set"
	case s.tag.Get("one") != "":
		text = more + strings.ToUpper(s.wants()[:1]) + s.wants()[1:]
	case s.tag.Get("min") != "":
		text = more + fmt.Sprintf("From %s to %s", s.tag.Get("min"), s.tag.Get("max"))
	}
	return text
}

// eachTable walks the configuration table by table, the top first.
func eachTable(c *Config, fn func(table, doc string, list []setting)) {
	groups := map[string][]setting{}
	for _, s := range c.settings() {
		table, _, ok := strings.Cut(s.key, ".")
		if !ok {
			table = ""
		}
		groups[table] = append(groups[table], s)
	}
	fn("", "", groups[""])
	t := reflect.TypeOf(*c)
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Kind() == reflect.Struct && f.Tag.Get("key") != "" {
			fn(f.Tag.Get("key"), f.Tag.Get("doc"), groups[f.Tag.Get("key")])
		}
	}
}

// comment writes a text as lines of comment, at most 76 columns wide.
func comment(doc string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(doc) {
		if len(line)+1+len(word) > 76 && line != "#" {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	if line != "#" {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// toml writes the value in force.
func (s setting) toml() string { return tomlValue(s.value, s.tag.Get("secret") != "") }

// defaultTOML writes the default.
func (s setting) defaultTOML() string {
	d := setting{key: s.key, value: reflect.New(s.value.Type()).Elem(), tag: s.tag}
	if text, ok := s.tag.Lookup("default"); ok {
		if err := d.fromText(text); err != nil {
			return "?"
		}
	}
	return d.toml()
}

func tomlValue(v reflect.Value, secret bool) string {
	switch x := v.Interface().(type) {
	case string:
		return quote(redact(x, secret))
	case time.Duration:
		return quote(durationText(x))
	case []string:
		parts := make([]string, len(x))
		for i, s := range x {
			parts[i] = quote(redact(s, secret))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// durationText is 10m rather than 10m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// redact hides the password of an address.
func redact(s string, secret bool) string {
	if !secret {
		return s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "hidden" // whatever it is, it may hold a password
	case u.User == nil:
		return s
	}
	return u.Redacted()
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// tomlName names what the file holds where something else was wanted.
func tomlName(v any) string {
	switch x := v.(type) {
	case string:
		return strconv.Quote(x)
	case int64, float64, bool:
		return fmt.Sprint(x)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return "something else"
}
