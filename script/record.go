package script

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/bearhug/bearhug/jid"
)

// A Recorder writes down what people say to a server as a script that can be played. Addresses become variables, and
// so do ids that the server makes up. The result is a draft: what a script is to show, and what is not to be compared,
// a person decides. Its methods may be called from several goroutines.
type Recorder struct {
	mu     sync.Mutex
	people []*recorded       // guarded by mu
	last   string            // the statement that the last element belongs to, guarded by mu
	body   bytes.Buffer      // guarded by mu
	names  map[string]string // value on the wire → variable, guarded by mu
	ids    int               // guarded by mu
}

type recorded struct {
	name string
	jid  jid.JID
}

// NewRecorder makes a Recorder for an organisation.
func NewRecorder(host string) *Recorder {
	return &Recorder{names: map[string]string{host: "host"}}
}

// Person brings in somebody by the name to be used (capital, letters, digits) and their full JID, when their resource
// is bound.
func (r *Recorder) Person(name string, who jid.JID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lower := strings.ToLower(name)
	r.people = append(r.people, &recorded{name, who})
	r.names[who.Bare().String()] = lower
	r.names[who.String()] = lower + ".full"
	r.say("%s connects\n", name)
}

// Sent notes an element that a person has sent, as it stood on a TCP stream.
func (r *Recorder) Sent(name string, xml []byte) error { return r.note(name, "sends", xml) }

// Received notes an element that a person has received, as it stood on a TCP stream.
func (r *Recorder) Received(name string, xml []byte) error { return r.note(name, "receives", xml) }

// Disconnected notes the end of a connection.
func (r *Recorder) Disconnected(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say("%s disconnects\n", name)
}

// say writes a statement that has no block.
func (r *Recorder) say(format string, args ...any) {
	fmt.Fprintf(&r.body, format, args...)
	r.last = ""
}

func (r *Recorder) note(name, verb string, xml []byte) error {
	e, err := parseOne(xml, streamScope())
	if err != nil {
		return fmt.Errorf("record what %s %s: %w", name, verb, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if verb == "receives" {
		r.learn(e)
	}
	if st := name + " " + verb + ":"; r.last != st {
		fmt.Fprintf(&r.body, "\n%s\n", st)
		r.last = st
	}
	var b strings.Builder
	r.write(&b, e, nsClient)
	fmt.Fprintf(&r.body, "\t%s\n", b.String())
	return nil
}

// learn finds what the server has made up: ids of the archive, stamps.
func (r *Recorder) learn(e *Element) {
	for _, a := range e.Attrs {
		made := a.Local == "id" && (e.is(nsSID, "stanza-id") || e.NS == "urn:xmpp:mam:2" || e.NS == nsSM)
		if _, known := r.names[a.Value]; made && !known && a.Value != "" {
			r.ids++
			r.names[a.Value] = fmt.Sprintf("id%d", r.ids)
		}
	}
	for _, c := range e.Children() {
		r.learn(c)
	}
}

// write puts an element on one line, with variables for what is known.
func (r *Recorder) write(b *strings.Builder, e *Element, ns string) {
	b.WriteString("<" + e.Local)
	if e.NS != ns {
		fmt.Fprintf(b, " xmlns='%s'", escapeAttr(e.NS))
	}
	for i, a := range e.Attrs {
		name := a.Local
		switch a.NS {
		case "":
		case nsXML:
			name = "xml:" + name
		default:
			fmt.Fprintf(b, " xmlns:a%d='%s'", i, escapeAttr(a.NS))
			name = fmt.Sprintf("a%d:%s", i, name)
		}
		val := r.variables(a.Value)
		if a.Local == "stamp" && e.is(nsDelay, "delay") {
			val = "{time}"
		}
		fmt.Fprintf(b, " %s='%s'", name, escapeAttr(val))
	}
	if len(e.Nodes) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	for _, n := range e.Nodes {
		if n.Element != nil {
			r.write(b, n.Element, e.NS)
			continue
		}
		t := escapeText(r.variables(n.Text))
		b.WriteString(strings.NewReplacer("\n", "&#10;", "\t", "&#9;").Replace(t))
	}
	b.WriteString("</" + e.Local + ">")
}

// variables puts names for what is known; a longer value goes first, for a bare JID is the beginning of a full one.
func (r *Recorder) variables(s string) string {
	s = strings.ReplaceAll(s, "{", "{{")
	values := make([]string, 0, len(r.names))
	for v := range r.names {
		values = append(values, v)
	}
	sort.Slice(values, func(i, j int) bool {
		if len(values[i]) != len(values[j]) {
			return len(values[i]) > len(values[j])
		}
		return values[i] < values[j]
	})
	for i, v := range values {
		s = strings.ReplaceAll(s, v, fmt.Sprintf("\x00%d\x00", i))
	}
	for i, v := range values {
		s = strings.ReplaceAll(s, fmt.Sprintf("\x00%d\x00", i), "{"+r.names[v]+"}")
	}
	return s
}

// WriteTo writes the script. title is its first line.
func (r *Recorder) WriteTo(w io.Writer, title string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(title, "\n", " "))
	for _, p := range r.people {
		fmt.Fprintf(&b, "[%s]\n\taccount: %s\n\tresource: %s\n", p.name, p.jid.Local(), p.jid.Resource())
	}
	b.WriteString("---\n")
	b.Write(r.body.Bytes())
	_, err := w.Write(b.Bytes())
	return err
}
