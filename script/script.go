package script

import (
	"fmt"
	"sort"
	"strings"
)

// A Script is a parsed *.scs file.
type Script struct {
	File    string   // as given to Parse, for messages
	Title   string   // the first comment line, without '#'
	Server  []Option // options that the server must run with, sorted by key
	Bonds   []Bond   // subscriptions that exist before the play
	People  []*Person
	Steps   []Step
	restart bool
	operate bool // an operator runs something
}

// An Option is one key and value of a header.
type Option struct{ Key, Value string }

// A Bond is a subscription between two people that is made before the play begins.
type Bond struct {
	A, B   string // names of people
	Mutual bool   // both see each other; otherwise A sees B
	Line   int
}

// Transport is the way a person reaches the server.
type Transport string

// The transports of a person.
const (
	TCP      Transport = "tcp"      // port 5222; STARTTLS only where the server insists
	STARTTLS Transport = "starttls" // port 5222 and STARTTLS
	TLS      Transport = "tls"      // port 5223
	WS       Transport = "ws"       // RFC 7395
	WSS      Transport = "wss"      // RFC 7395 over TLS
)

// A Person is one connection of a script; several may share an account.
type Person struct {
	Name      string
	Account   string // local part; "" when this person has no account
	Host      int    // 1 or 2
	Password  string // "" means the account's
	Resource  string
	Transport Transport
	Mechanism string
	Lang      string
	Token     string // "any" for a bearer token, or the Person it is good for alone; "" signs in with the password
	Declares  string // further namespace declarations of the stream header, as attributes
	SM        bool
	Exists    bool // its account is made before the play
	Line      int

	prefix, prefixNS string // of Declares
}

// Verb is what a statement does.
type Verb uint8

// The verbs, in the order of the package comment.
const (
	Dials Verb = iota + 1
	Opens
	StartsTLS
	Restarts
	SignsIn
	Connects
	Binds
	FailsSignIn
	FailsResume
	IsAvailable
	Meets
	Sends
	SendsBytes
	Receives
	ReceivesUnordered
	ReceivesNothing
	IsOffered
	IsNotOffered
	IsClosed
	Disconnects
	Cuts
	Resumes
	Notes
	ServerRestarts
	OperatorRuns
)

// A Step is one statement of a play.
type Step struct {
	Line   int
	Person *Person // nil for the server
	Verb   Verb
	Arg    string     // condition, priority or variable
	Blocks []*Element // XML of sends, receives, is offered
	Bytes  []byte     // of sends bytes
	Orders []string   // of the operator
	Text   string     // the statement as it stands
}

// Person finds a person by name.
func (s *Script) Person(name string) *Person {
	for _, p := range s.People {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// ServerKey is equal for scripts that can share a server.
func (s *Script) ServerKey() string {
	var b strings.Builder
	for _, o := range s.Server {
		fmt.Fprintf(&b, "%s=%s\n", o.Key, o.Value)
	}
	if s.restart {
		fmt.Fprintf(&b, "own=%s\n", s.File)
	}
	return b.String()
}

// Restarts says whether the play restarts the server, which needs a server of its own.
func (s *Script) Restarts() bool { return s.restart }

// A ParseError says where a script is wrong.
type ParseError struct {
	File string
	Line int
	Text string
}

// Error is file:line: text.
func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

func sortOptions(o []Option) {
	sort.SliceStable(o, func(i, j int) bool { return o[i].Key < o[j].Key })
}
