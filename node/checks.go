package node

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/bearhug/bearhug/feature"
)

// What values of the configuration must look like.

// allowed checks one text against the tags `one` and `check`.
func (s setting) allowed(text string) error {
	if one := s.tag.Get("one"); one != "" {
		words := strings.Split(one, ",")
		if slices.Contains(words, text) {
			return nil
		}
		meant := ""
		if near := feature.Nearest(text, words); near != "" {
			meant = fmt.Sprintf(": did you mean %q?", near)
		}
		return fmt.Errorf("%s: %q found, want %s%s", s.key, text, s.wants(), meant)
	}
	if err := checkText(s.tag.Get("check"), text); err != nil {
		if s.tag.Get("secret") != "" {
			return fmt.Errorf("%s: want %w", s.key, err)
		}
		return fmt.Errorf("%s: %q found, want %w", s.key, text, err)
	}
	return nil
}

// checkText is what a text must look like; errors begin with what is wanted.
func checkText(check, text string) error {
	switch check {
	case "notempty":
		if text == "" {
			return errors.New("something that is not empty")
		}
	case "listen":
		return checkListen(text)
	case "dburl":
		return checkDatabaseURL(text)
	case "prefix":
		if _, err := parsePrefix(text); err != nil {
			return errors.New(`an address or a network, such as "192.0.2.7" or "10.0.0.0/8"`)
		}
	case "host":
		if text == "" || strings.ContainsAny(text, "/: \t") {
			return errors.New(`a host name without scheme and port, such as "chat.example.org"`)
		}
	case "uri":
		return checkContact(text)
	}
	return nil
}

func checkListen(text string) error {
	want := errors.New(`host:port or :port, such as ":5222" or "127.0.0.1:5222"; "" closes it`)
	if text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return want
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > math.MaxUint16 {
		return want
	}
	return nil
}

func checkDatabaseURL(text string) error {
	want := errors.New(`"sqlite:FILE" or "mysql://user:password@host:port/name"`)
	if file, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if file == "" {
			return want
		}
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "mysql" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return want
	}
	return nil
}

func checkContact(text string) error {
	want := errors.New(`a mailto:, xmpp:, http: or https: address`)
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "mailto":
		if _, err := mail.ParseAddress(rest); err != nil {
			return want
		}
	case "xmpp":
		if rest == "" {
			return want
		}
	case "http", "https":
		if u, err := url.Parse(text); err != nil || u.Host == "" {
			return want
		}
	default:
		return want
	}
	return nil
}

// check is what no single key can tell: keys of what this version cannot do,
// and combinations that make no sense.
func (c *Config) check() error {
	for _, s := range c.settings() {
		later := s.tag.Get("later")
		if later == "" || s.value.IsZero() || s.value.Kind() == reflect.Slice && s.value.Len() == 0 {
			continue
		}
		return fmt.Errorf("%s: %s is set, but %s; remove it", c.Source(s.key), s.key, later)
	}
	if !slices.Equal(c.Roles, []string{"chat"}) {
		return fmt.Errorf(`%s: roles = %q, but this version plays the role chat only; want roles = ["chat"]`, c.Source("roles"), c.Roles)
	}
	taken := map[string]string{}
	for _, s := range c.settings() {
		if s.tag.Get("check") != "listen" {
			continue
		}
		addr := s.value.String()
		if addr == "" || strings.HasSuffix(addr, ":0") {
			continue
		}
		if other := taken[addr]; other != "" {
			return fmt.Errorf("%s: %s is %s, which %s has already; give one of them another port", c.Source(s.key), s.key, addr, other)
		}
		taken[addr] = s.key
	}
	return nil
}
