package flow

import (
	"embed"
	"slices"
	"strings"
)

//go:embed flows/*.yaml
var flows embed.FS

// Shipped are the names of the flows that come with the server.
func Shipped() []string {
	entries, err := flows.ReadDir("flows")
	if err != nil {
		return nil // embedded: the test of all shipped flows would see it
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(out)
	return out
}

// Document is the text of a shipped flow, to be used or to begin one's own
// with.
func Document(name string) (text []byte, ok bool) {
	text, err := flows.ReadFile("flows/" + name + ".yaml")
	return text, err == nil
}
