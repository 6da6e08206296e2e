package node

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/bearhug/bearhug/feature"
)

// Reading the configuration, in this order:
//
//  1. defaults, from the tags of Config
//  2. the file, key by key, each with its line
//  3. the environment, BEARHUG_…
//  4. flags
//  5. what no single key can tell (check)
//
// A later source wins. The first mistake of each source is told; nothing that
// is written anywhere is ignored.

// Sources are the places that configuration comes from.
type Sources struct {
	File  string            // path; "" = bearhug.toml in the working directory, if there is one
	Env   []string          // as os.Environ gives it; nil: none
	Flags map[string]string // key ("c2s.listen") → text
}

// defaultFile is read when no file is named.
const defaultFile = "bearhug.toml"

// setting is one key of the configuration.
type setting struct {
	key   string
	value reflect.Value
	tag   reflect.StructTag
}

// Load reads the configuration. Errors are one line that says where the
// mistake is, what was found and what is allowed.
func Load(s Sources) (*Config, error) {
	c, err := Defaults()
	if err != nil {
		return nil, err
	}
	name, explicit := s.File, s.File != ""
	if !explicit {
		name = defaultFile
	}
	text, err := os.ReadFile(name)
	switch {
	case err == nil:
		if err := c.readFile(name, string(text)); err != nil {
			return nil, err
		}
	case explicit || !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if err := c.readEnv(s.Env); err != nil {
		return nil, err
	}
	if err := c.readFlags(s.Flags); err != nil {
		return nil, err
	}
	return c, c.check()
}

// Defaults is the configuration when nobody says anything.
func Defaults() (*Config, error) {
	c := &Config{Orgs: map[string]OrgConfig{}, source: map[string]string{}}
	for _, s := range c.settings() {
		text, ok := s.tag.Lookup("default")
		if !ok {
			continue
		}
		if err := s.fromText(text); err != nil {
			return nil, fmt.Errorf("default of %s: %w", s.key, err)
		}
	}
	return c, nil
}

// settings lists all keys but those of organisations, in the order of Config.
func (c *Config) settings() []setting {
	return flatten("", reflect.ValueOf(c).Elem())
}

func flatten(prefix string, v reflect.Value) []setting {
	var out []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("key")
		if key == "" || f.Type.Kind() == reflect.Map {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			out = append(out, flatten(prefix+key+".", v.Field(i))...)
			continue
		}
		out = append(out, setting{key: prefix + key, value: v.Field(i), tag: f.Tag})
	}
	return out
}

func byKey(list []setting) map[string]setting {
	m := make(map[string]setting, len(list))
	for _, s := range list {
		m[s.key] = s
	}
	return m
}

// Source says where the value of a key comes from: "default", "FILE:LINE",
// "BEARHUG_…" or "--…".
func (c *Config) Source(key string) string {
	if s := c.source[key]; s != "" {
		return s
	}
	return "default"
}

// readFile applies a TOML file.
func (c *Config) readFile(name, text string) error {
	var root map[string]toml.Primitive
	md, err := toml.Decode(text, &root)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return fmt.Errorf("%s:%d: not TOML: %s", name, pe.Position.Line, pe.Message)
		}
		return fmt.Errorf("%s: not TOML: %w", name, err)
	}
	r := fileReader{c: c, name: name, md: md, known: byKey(c.settings())}
	r.table("", root)
	if len(r.problems) == 0 {
		return nil
	}
	sort.SliceStable(r.problems, func(i, j int) bool { return r.problems[i].line < r.problems[j].line })
	more := ""
	if n := len(r.problems) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more like it)", n)
	}
	return fmt.Errorf("%s:%d: %w%s", name, r.problems[0].line, r.problems[0].err, more)
}

type fileProblem struct {
	line int
	err  error
}

type fileReader struct {
	c        *Config
	name     string
	md       toml.MetaData
	known    map[string]setting
	problems []fileProblem
}

// located is a value of the file; decoding it always fails, for the error
// carries the line, which the decoder tells in no other way.
type located struct{ value any }

var errLocated = errors.New("located")

// UnmarshalTOML keeps the value and asks for an error with its place.
func (l *located) UnmarshalTOML(v any) error {
	l.value = v
	return errLocated
}

// at reads a primitive's value and line.
func (r *fileReader) at(p toml.Primitive) (any, int) {
	var l located
	var pe toml.ParseError
	errors.As(r.md.PrimitiveDecode(p, &l), &pe)
	return l.value, max(pe.Position.Line, 1)
}

// sub opens a table; nil when the value is none.
func (r *fileReader) sub(p toml.Primitive, value any) map[string]toml.Primitive {
	var t map[string]toml.Primitive
	if _, ok := value.(map[string]any); !ok || r.md.PrimitiveDecode(p, &t) != nil {
		return nil
	}
	return t
}

func (r *fileReader) problem(line int, err error) {
	r.problems = append(r.problems, fileProblem{line, err})
}

func (r *fileReader) table(prefix string, t map[string]toml.Primitive) {
	for k, p := range t {
		key := prefix + k
		value, line := r.at(p)
		if s, ok := r.known[key]; ok {
			if err := s.fromTOML(value); err != nil {
				r.problem(line, err)
				continue
			}
			r.c.source[key] = fmt.Sprintf("%s:%d", r.name, line)
			continue
		}
		isTable := false
		for known := range r.known {
			isTable = isTable || strings.HasPrefix(known, key+".")
		}
		if key != "org" && !isTable {
			r.problem(line, unknownKey(key, r.known))
			continue
		}
		sub := r.sub(p, value)
		if sub == nil {
			r.problem(line, fmt.Errorf("%s: %s found, want a table: [%s]", key, tomlName(value), key))
			continue
		}
		if key == "org" {
			r.orgs(sub)
			continue
		}
		r.table(key+".", sub)
	}
}

func (r *fileReader) orgs(t map[string]toml.Primitive) {
	for domain, p := range t {
		value, line := r.at(p)
		sub := r.sub(p, value)
		if sub == nil {
			r.problem(line, fmt.Errorf(`org: %s found, want a table: [org.%q]`, tomlName(value), domain))
			continue
		}
		var org OrgConfig
		known := byKey(flatten("org."+quoteKey(domain)+".", reflect.ValueOf(&org).Elem()))
		for k, p := range sub {
			key := "org." + quoteKey(domain) + "." + k
			value, line := r.at(p)
			s, ok := known[key]
			if !ok {
				r.problem(line, unknownKey(key, known))
				continue
			}
			if err := s.fromTOML(value); err != nil {
				r.problem(line, err)
				continue
			}
			r.c.source[key] = fmt.Sprintf("%s:%d", r.name, line)
		}
		r.c.Orgs[domain] = org
	}
}

// quoteKey writes a TOML key: bare when it may be.
func quoteKey(k string) string {
	bare := k != ""
	for _, c := range k {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			bare = false
		}
	}
	if bare {
		return k
	}
	return quote(k)
}

// unknownKey says which key was meant: the nearest one, or a key of that name
// in another table.
func unknownKey(key string, known map[string]setting) error {
	names := make([]string, 0, len(known)+1)
	for n := range known {
		names = append(names, n)
		if table, _, ok := strings.Cut(n, "."); ok && !slices.Contains(names, table) {
			names = append(names, table)
		}
	}
	if near := feature.Nearest(key, names); near != "" {
		return fmt.Errorf("unknown key %s: did you mean %s?", key, near)
	}
	_, last, _ := strings.Cut(key, ".")
	sort.Strings(names)
	for _, n := range names {
		if _, l, ok := strings.Cut(n, "."); ok && (l == last || l == key) {
			return fmt.Errorf("unknown key %s: did you mean %s?", key, n)
		}
	}
	return fmt.Errorf("unknown key %s: `bearhug config` lists all keys", key)
}

// envName is the variable of a key.
func envName(key string) string {
	return "BEARHUG_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// envIgnored are variables that begin like ours and are not ours: those of
// tests, the file's name (read by the command), and what Kubernetes sets for a
// service named bearhug.
func envIgnored(name string) bool {
	return name == "BEARHUG_CONFIG" || strings.HasPrefix(name, "BEARHUG_TEST_") ||
		strings.HasPrefix(name, "BEARHUG_SERVICE_") || name == "BEARHUG_PORT" || strings.HasPrefix(name, "BEARHUG_PORT_")
}

func (c *Config) readEnv(env []string) error {
	byEnv := map[string]setting{}
	known := map[string]setting{}
	for _, s := range c.settings() {
		byEnv[envName(s.key)] = s
		known[envName(s.key)] = s
	}
	for _, kv := range env {
		name, text, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "BEARHUG_") || envIgnored(name) {
			continue
		}
		s, ok := byEnv[name]
		if !ok {
			names := make([]string, 0, len(known))
			for n := range known {
				names = append(names, n)
			}
			if near := feature.Nearest(name, names); near != "" {
				return fmt.Errorf("environment: unknown variable %s: did you mean %s?", name, near)
			}
			return fmt.Errorf("environment: unknown variable %s: `bearhug config` lists all keys (an organisation's are set in the file or by flag)", name)
		}
		if err := s.fromText(text); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
		c.source[s.key] = name
	}
	return nil
}

func (c *Config) readFlags(flags map[string]string) error {
	known := byKey(c.settings())
	keys := make([]string, 0, len(flags))
	for k := range flags {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, key := range keys {
		s, ok := known[key]
		if domain, isOrg := strings.CutPrefix(key, "org."); isOrg && !ok {
			if err := c.orgFlag(domain, flags[key]); err != nil {
				return fmt.Errorf("--%s: %w", key, err)
			}
			continue
		}
		if !ok {
			return fmt.Errorf("command line: %w", unknownKey(key, known))
		}
		if err := s.fromText(flags[key]); err != nil {
			return fmt.Errorf("--%s: %w", key, err)
		}
		c.source[key] = "--" + key
	}
	return nil
}

// CheckKey tells whether a flag names a key of the configuration, and whether
// it is one that needs no value (true or false). The error says which was meant.
func CheckKey(key string) (boolean bool, err error) {
	c := &Config{}
	known := byKey(c.settings())
	if s, ok := known[key]; ok {
		return s.value.Kind() == reflect.Bool, nil
	}
	if strings.HasPrefix(key, "org.") {
		return false, nil // checked with its value
	}
	return false, fmt.Errorf("command line: %w", unknownKey(key, known))
}

// orgFlag applies --org.DOMAIN.hosts.
func (c *Config) orgFlag(name, text string) error {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 {
		return errors.New("want --org.DOMAIN.hosts")
	}
	domain := name[:i]
	org := c.Orgs[domain]
	key := "org." + quoteKey(domain) + "." + name[i+1:]
	known := byKey(flatten("org."+quoteKey(domain)+".", reflect.ValueOf(&org).Elem()))
	s, ok := known[key]
	if !ok {
		return unknownKey(key, known)
	}
	if err := s.fromText(text); err != nil {
		return err
	}
	c.Orgs[domain] = org
	c.source[key] = "--org." + name
	return nil
}

// fromTOML applies a value of the file.
func (s setting) fromTOML(v any) error {
	bad := func() error {
		return fmt.Errorf("%s: %s found, want %s", s.key, tomlName(v), s.wants())
	}
	switch s.value.Interface().(type) {
	case string:
		text, ok := v.(string)
		if !ok {
			return bad()
		}
		return s.setString(text)
	case bool:
		b, ok := v.(bool)
		if !ok {
			return bad()
		}
		s.value.SetBool(b)
	case int:
		n, ok := v.(int64)
		if !ok {
			return bad()
		}
		return s.setInt(n)
	case time.Duration:
		text, ok := v.(string)
		if !ok {
			return bad()
		}
		return s.setDuration(text)
	case []string:
		list, ok := v.([]any)
		if !ok {
			return bad()
		}
		texts := []string{}
		for _, e := range list {
			text, ok := e.(string)
			if !ok {
				return bad()
			}
			texts = append(texts, text)
		}
		return s.setList(texts)
	}
	return nil
}

// fromText applies the text of a flag, a variable or a default. Lists are
// separated by commas.
func (s setting) fromText(text string) error {
	switch s.value.Interface().(type) {
	case string:
		return s.setString(text)
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%s: %q found, want true or false", s.key, text)
		}
		s.value.SetBool(b)
	case int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %q found, want %s", s.key, text, s.wants())
		}
		return s.setInt(n)
	case time.Duration:
		return s.setDuration(text)
	case []string:
		texts := []string{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				texts = append(texts, part)
			}
		}
		return s.setList(texts)
	}
	return nil
}

func (s setting) setString(text string) error {
	if err := s.allowed(text); err != nil {
		return err
	}
	s.value.SetString(text)
	return nil
}

func (s setting) setList(texts []string) error {
	for _, t := range texts {
		if err := s.allowed(t); err != nil {
			return err
		}
	}
	s.value.Set(reflect.ValueOf(texts))
	return nil
}

func (s setting) setInt(n int64) error {
	lo, hi := s.intRange()
	if n < lo || n > hi {
		return fmt.Errorf("%s: %d found, want %s", s.key, n, s.wants())
	}
	s.value.SetInt(n)
	return nil
}

func (s setting) intRange() (lo, hi int64) {
	lo, hi = math.MinInt32, math.MaxInt32
	if n, err := strconv.ParseInt(s.tag.Get("min"), 10, 64); err == nil {
		lo = n
	}
	if n, err := strconv.ParseInt(s.tag.Get("max"), 10, 64); err == nil {
		hi = n
	}
	return lo, hi
}

func (s setting) setDuration(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%s: %q found, want %s", s.key, text, s.wants())
	}
	lo, _ := time.ParseDuration(s.tag.Get("min"))
	hi, err := time.ParseDuration(s.tag.Get("max"))
	if d < lo || err == nil && d > hi {
		return fmt.Errorf("%s: %q found, want %s", s.key, text, s.wants())
	}
	s.value.SetInt(int64(d))
	return nil
}

// wants says what a key takes, for errors and documents.
func (s setting) wants() string {
	switch s.value.Interface().(type) {
	case bool:
		return "true or false"
	case int:
		lo, hi := s.intRange()
		return fmt.Sprintf("a number from %d to %d", lo, hi)
	case time.Duration:
		return fmt.Sprintf("a duration from %q to %q, such as %q", s.tag.Get("min"), s.tag.Get("max"), s.tag.Get("default"))
	case []string:
		if one := s.tag.Get("one"); one != "" {
			return "a list of " + strings.ReplaceAll(one, ",", ", ")
		}
		return "a list of texts in quotes: [\"…\", \"…\"]"
	}
	if one := s.tag.Get("one"); one != "" {
		return "one of " + strings.ReplaceAll(one, ",", ", ")
	}
	return "a text in quotes"
}
