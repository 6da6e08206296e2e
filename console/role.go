package console

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what somebody may do, in one organisation; an operator's is the
// whole server.
type Role string

// The roles.
const (
	Operator      Role = "operator"      // runs the server: levers, ledger, organisations, pace; never answers
	Administrator Role = "administrator" // runs an organisation; no named answers
	HR            Role = "hr"            // campaigns, results, cases, and answers of named campaigns
	Coach         Role = "coach"         // cases, and the answers of their people
	Viewer        Role = "viewer"        // results that are about groups
)

// Roles are all of them.
func Roles() []Role { return []Role{Operator, Administrator, HR, Coach, Viewer} }

// Sets of roles for the table.
func anybody() []Role  { return Roles() }
func running() []Role  { return []Role{Operator} }
func owners() []Role   { return []Role{Operator, Administrator} }
func admins() []Role   { return []Role{Administrator} }
func planners() []Role { return []Role{Administrator, HR} }
func pacers() []Role   { return []Role{Operator, Administrator, HR} }
func watchers() []Role { return []Role{Operator, Administrator, HR, Viewer} }
func readers() []Role  { return []Role{HR, Viewer} }
func helpers() []Role  { return []Role{HR, Coach} }
func knowers() []Role  { return []Role{Administrator, HR, Coach} }

// ParseRole reads the word of a role.
func ParseRole(word string) (Role, error) {
	r := Role(strings.ToLower(word))
	if !slices.Contains(Roles(), r) {
		return "", fmt.Errorf("%q is no role: want one of %s", word, words(Roles()))
	}
	return r, nil
}

// ParseScopes checks what a token is to be good for: scopes of the table, such
// as people:read.
func ParseScopes(list []string) error {
	known := Scopes()
	for _, s := range list {
		if !slices.Contains(known, s) {
			return fmt.Errorf("%q is no scope: want one of %s", s, strings.Join(known, ", "))
		}
	}
	return nil
}

// Scopes are all that operations ask for.
func Scopes() []string {
	var out []string
	for _, o := range operations() {
		if o.Scope != "" {
			out = append(out, o.Scope)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func words(roles []Role) string {
	list := make([]string, len(roles))
	for i, r := range roles {
		list[i] = string(r)
	}
	return strings.Join(list, ", ")
}
