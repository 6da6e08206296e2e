package stanza_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearhug/bearhug/stanza"
)

// expatHelper reads documents and says of each whether a namespace-aware expat
// accepts it (1), accepts it with things XMPP forbids (2) or refuses it (0),
// and what it saw: per element its expanded name, its attributes in order of
// expanded names, its own text, its children.
const expatHelper = `
import sys, struct, pyexpat
inp, out = sys.stdin.buffer, sys.stdout.buffer
def run(doc):
    root = [None, [], [], []]
    stack, restricted = [root], [False]
    def bad(*a): restricted[0] = True
    def start(name, attrs):
        e = [name, sorted(attrs.items()), [], []]
        stack[-1][3].append(e); stack.append(e)
    def end(name): stack.pop()
    def text(s): stack[-1][2].append(s)
    p = pyexpat.ParserCreate('UTF-8', '\x01')
    p.buffer_text = True
    p.StartElementHandler, p.EndElementHandler, p.CharacterDataHandler = start, end, text
    p.XmlDeclHandler = p.StartDoctypeDeclHandler = p.ProcessingInstructionHandler = p.CommentHandler = bad
    try: p.Parse(doc, True)
    except pyexpat.ExpatError as e: return 0, str(e).encode()
    except Exception as e: return 0, repr(e).encode()
    o = []
    def name(n): o.append('{%s}%s' % tuple(n.split('\x01')) if '\x01' in n else '{}' + n)
    def emit(e):
        o.append('<'); name(e[0])
        for k, v in sorted(((k.split('\x01') if '\x01' in k else ['', k]), v) for k, v in e[1]):
            o.append(' {%s}%s=%s' % (k[0], k[1], v.replace('\\', '\\\\').replace(' ', '\\s')))
        o.append('|'); o.append(''.join(e[2])); 
        for c in e[3]: emit(c)
        o.append('>')
    sys.setrecursionlimit(10000)
    emit(root[3][0])
    return (2 if restricted[0] else 1), ''.join(o).encode()
while True:
    h = inp.read(4)
    if len(h) < 4: break
    code, what = run(inp.read(struct.unpack('<I', h)[0]))
    out.write(struct.pack('<BI', code, len(what)) + what); out.flush()
`

// expat is the helper process; one serves all tests of the process.
type expat struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
	err error
}

var theExpat = sync.OnceValue(func() *expat {
	x := &expat{}
	if x.err = exec.Command("python3", "-c", "import pyexpat").Run(); x.err != nil {
		return x
	}
	cmd := exec.Command("python3", "-c", expatHelper)
	in, err := cmd.StdinPipe()
	if err != nil {
		x.err = err
		return x
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		x.err = err
		return x
	}
	x.in, x.out, x.err = in, bufio.NewReader(out), cmd.Start() // it ends with our end of the pipe
	return x
})

// needExpat skips, loudly, where there is none.
func needExpat(t testing.TB) *expat {
	t.Helper()
	x := theExpat()
	if x.err != nil {
		t.Skipf("NO ORACLE: python3 with pyexpat is missing, nothing is compared: %v", x.err)
	}
	return x
}

const (
	refused    = 0
	accepted   = 1
	restricted = 2 // accepted, with a document type, comment, …
)

// ask gives the verdict and what was seen, or why it was refused.
func (x *expat) ask(t testing.TB, doc []byte) (verdict byte, seen string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := x.in.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(doc))), doc...)); err != nil {
		t.Fatal("oracle:", err)
	}
	var h [5]byte
	if _, err := io.ReadFull(x.out, h[:]); err != nil {
		t.Fatal("oracle:", err)
	}
	what := make([]byte, binary.LittleEndian.Uint32(h[1:]))
	if _, err := io.ReadFull(x.out, what); err != nil {
		t.Fatal("oracle:", err)
	}
	return h[0], string(what)
}

// canonical writes an element as the helper does, by the views. head, when not
// nil, changes the attributes of the element itself.
func canonical(e stanza.Element, head func(map[string]string)) string {
	var b strings.Builder
	b.WriteString("<{" + stanza.Unescape(e.NS()) + "}" + string(e.Local()))
	attrs := map[string]string{}
	for name, raw := range e.Attrs() {
		n := string(name)
		if n == "xmlns" || strings.HasPrefix(n, "xmlns:") {
			continue
		}
		ns := ""
		if prefix, local, ok := strings.Cut(n, ":"); ok {
			ns, n = e.Prefix(prefix), local
		}
		attrs[ns+"\x01"+n] = stanza.Unescape(raw)
	}
	if head != nil {
		head(attrs)
	}
	keys := make([]string, 0, len(attrs))
	for k := range attrs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int {
		xn, xl, _ := strings.Cut(x, "\x01")
		yn, yl, _ := strings.Cut(y, "\x01")
		if c := strings.Compare(xn, yn); c != 0 {
			return c
		}
		return strings.Compare(xl, yl)
	})
	for _, k := range keys {
		ns, local, _ := strings.Cut(k, "\x01")
		v := strings.ReplaceAll(strings.ReplaceAll(attrs[k], `\`, `\\`), " ", `\s`)
		b.WriteString(" {" + ns + "}" + local + "=" + v)
	}
	b.WriteString("|" + e.Text())
	for c := range e.Children() {
		b.WriteString(canonical(c, nil))
	}
	b.WriteString(">")
	return b.String()
}
