package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/bearhug/bearhug/stream"
)

// run feeds doc to a framer, cut in pieces of step bytes (0: whole), and tells
// what it saw.
func run(isWS bool, lim stream.Limits, doc []byte, step int) (seen []string, err error) {
	f := stream.NewFramer(isWS, lim)
	var it stream.Item
	from, end := 0, len(doc)
	if step > 0 {
		end = min(step, len(doc))
	}
	for {
		// A copy each time: the buffer may move.
		buf := append(make([]byte, 0, end-from), doc[from:end]...)
		n, err := f.Next(buf, &it)
		if err != nil {
			return seen, err
		}
		from += n
		switch it.Kind {
		case stream.Open:
			seen = append(seen, fmt.Sprintf("open %+v", *it.Header))
		case stream.Close:
			seen = append(seen, "close")
		case stream.Stanza:
			seen = append(seen, fmt.Sprint(it.Stanza.Kind, " ", it.Stanza.Type, " ", string(it.Stanza.Bytes())))
		case stream.Element:
			seen = append(seen, "element "+string(it.Element.Bytes()))
		}
		if n == 0 {
			if end == len(doc) {
				return seen, nil
			}
			end = min(end+step, len(doc))
		}
	}
}

const (
	openTCP = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='x' version='1.0'>"
	openWS  = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='x' version='1.0'/>"
)

// framerCases are whole inputs: want is the last thing seen, or the condition
// of the error.
var framerCases = []struct{ in, want string }{
	{"", ""},
	{openTCP, "open {To:x From: ID: Version:1.0 Lang:}"},
	{"<?xml version='1.0'?>" + openTCP, "open "},
	{"<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?>\n" + openTCP, "open "},
	{"  \n" + openTCP, "open "},
	{"<?xml version='1.1'?>" + openTCP, "not-well-formed"},
	{"<?xml version='1.0' encoding='ISO-8859-1'?>" + openTCP, "unsupported-encoding"},
	{"<?xml encoding='UTF-8'?>" + openTCP, "not-well-formed"},
	{"<?xml version='1.0'encoding='UTF-8'?>" + openTCP, "not-well-formed"},
	{"<?xml?>" + openTCP, "restricted-xml"},
	{"<?xml ?>" + openTCP, "not-well-formed"},
	{"<?xml version='1.0' x='y'?>" + openTCP, "not-well-formed"},
	{"<?xml-stylesheet href='x'?>" + openTCP, "restricted-xml"},
	{"<?xml version='1.0'?><?xml version='1.0'?>" + openTCP, "restricted-xml"},
	{"<?xml version='1.0' " + strings.Repeat(" ", 300), "not-well-formed"},
	{"<!DOCTYPE x>" + openTCP, "restricted-xml"},
	{"<!-- x -->" + openTCP, "restricted-xml"},
	{"\ufeff" + openTCP, "bad-format"},
	{"hello", "bad-format"},
	{"</stream:stream>", "not-well-formed"},
	{"<stream:stream>", "not-well-formed"},
	{"<stream xmlns='jabber:client'>", "invalid-namespace"},
	{"<stream:stream xmlns:stream='urn:x' xmlns='jabber:client'>", "invalid-namespace"},
	{"<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'>", "invalid-namespace"},
	{"<stream:features xmlns:stream='http://etherx.jabber.org/streams'>", "bad-format"},
	{openTCP[:len(openTCP)-1] + "/>", "bad-format"},
	{openTCP[:len(openTCP)-1] + " xml:lang='de'>", "open {To:x From: ID: Version:1.0 Lang:de}"},
	{"<stream xmlns='http://etherx.jabber.org/streams' from='a&amp;b' id='1'><message xmlns='jabber:client'/></stream>", "close"},
	{"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'><message/></s:stream >", "close"},
	{openTCP + "<message/>", "message normal <message/>"},
	{openTCP + "<iq type='get' id='1'><q xmlns='u'/></iq>", "iq get <iq type='get' id='1'><q xmlns='u'/></iq>"},
	{openTCP + "<presence type='foo'/> ", "presence  <presence type='foo'/>"},
	{openTCP + " \n\t<message/> ", "message normal <message/>"},
	{openTCP + "<r xmlns='urn:xmpp:sm:3'/>", "element <r xmlns='urn:xmpp:sm:3'/>"},
	{openTCP + "<stream:features><a xmlns='u'/></stream:features>", "element <stream:features><a xmlns='u'/></stream:features>"},
	{openTCP + "<stream:error/>", "element <stream:error/>"},
	{openTCP + "</stream:stream>", "close"},
	{openTCP + "</stream:stream\n>", "close"},
	{openTCP + "</stream:strea>", "not-well-formed"},
	{openTCP + "</stream>", "not-well-formed"},
	{openTCP + "</message", "not-well-formed"},
	{openTCP + "</stream:stream" + strings.Repeat(" ", 300), "not-well-formed"},
	{openTCP + "text", "bad-format"},
	{openTCP + "&amp;", "bad-format"},
	{openTCP + "<![CDATA[x]]>", "restricted-xml"},
	{openTCP + "<!-- c -->", "restricted-xml"},
	{openTCP + "<?pi?>", "restricted-xml"},
	{openTCP + openTCP, "bad-format"},
	{openTCP + "<stream:stream/>", "bad-format"},
	{openTCP + "<stream:other/>", "bad-format"},
	{openTCP + "<foo/>", "unsupported-stanza-type"},
	{openTCP + "<c:message xmlns:c='jabber:client'/>", "bad-namespace-prefix"},
	{openTCP + "<x xmlns=''/>", "invalid-namespace"},
	{openTCP + "<message xmlns=''/>", "invalid-namespace"},
	{openTCP + "<message xmlns='jabber:server'/>", "element <message xmlns='jabber:server'/>"},
	{openTCP + "<message><stream:x/></message>", "bad-namespace-prefix"},
	{openTCP + "<message><a></message>", "not-well-formed"},
	{openTCP + "<message>\xff</message>", "unsupported-encoding"},
	{openTCP + "<message><a>" + strings.Repeat("x", 3000) + "</a></message>", "policy-violation"},
	{openTCP + "<message>" + strings.Repeat("<a>", 100), "policy-violation"},
	{openTCP + "<message " + strings.Repeat("x", 3000), "policy-violation"},
	{strings.Repeat(" ", 5000), ""},
}

// check compares one run with what is wanted.
func check(t *testing.T, seen []string, err error, want string) {
	t.Helper()
	var se *stream.Error
	switch {
	case err != nil && !errors.As(err, &se):
		t.Errorf("error is no *stream.Error: %v", err)
	case err != nil && se.Condition != want:
		t.Errorf("%v, want %s", err, want)
	case err == nil && want == "" && len(seen) > 0, err == nil && want != "" && (len(seen) == 0 || !strings.HasPrefix(seen[len(seen)-1], want)):
		t.Errorf("saw %q, want %q", seen, want)
	}
}

func TestFramer(t *testing.T) {
	lim := stream.Limits{Bytes: 2000}
	for _, c := range framerCases {
		for _, step := range []int{0, 1, 2, 7} {
			t.Run(fmt.Sprint(step, c.in[:min(len(c.in), 200)]), func(t *testing.T) {
				seen, err := run(false, lim, []byte(c.in), step)
				check(t, seen, err, c.want)
			})
		}
	}
}

func TestFramerWS(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{openWS, "open {To:x From: ID: Version:1.0 Lang:}"},
		{" " + openWS + " ", "open "},
		{"<open xmlns='jabber:client'/>", "bad-format"},
		{"<message xmlns='jabber:client'/>", "bad-format"},
		{"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "close"},
		{openWS + openWS, "not-well-formed"},
		{"<open", "not-well-formed"},
		{openTCP, "not-well-formed"},
		{"x", "bad-format"},
	} {
		seen, err := run(true, stream.Limits{}, []byte(c.in), 0)
		check(t, seen, err, c.want)
	}
}

func TestRestart(t *testing.T) {
	f := stream.NewFramer(false, stream.Limits{})
	var it stream.Item
	for range 3 {
		for _, in := range []string{"<?xml version='1.0'?>", openTCP, "<message/>"} {
			n, err := f.Next([]byte(in), &it)
			if n != len(in) || err != nil {
				t.Fatal(n, err)
			}
		}
		f.Restart()
	}
}

// TestHeaders reads what we write.
func TestHeaders(t *testing.T) {
	h := stream.Header{To: "a'b\"<&>", From: "x", ID: "1", Version: "1.0", Lang: "de"}
	for _, isWS := range []bool{false, true} {
		seen, err := run(isWS, stream.Limits{}, stream.AppendHeader([]byte{}, h, isWS), 0)
		check(t, seen, err, fmt.Sprintf("open %+v", h))
		e := &stream.Error{Condition: stream.SeeOtherHost, Text: "<there>", Content: "a&b:5222", App: []byte("<x xmlns='u'/>")}
		for what, b := range map[string][]byte{
			"error":    stream.AppendError([]byte{}, e, isWS),
			"features": stream.AppendFeatures([]byte{}, []byte("<bind xmlns='u'/>"), isWS),
		} {
			f := stream.NewFramer(isWS, stream.Limits{})
			var it stream.Item
			open := stream.AppendHeader(nil, h, isWS)
			for len(open) > 0 {
				n, err := f.Next(open, &it)
				if err != nil {
					t.Fatal(err)
				}
				open = open[n:]
			}
			n, err := f.Next(b, &it)
			if n != len(b) || err != nil || !it.Element.Is("http://etherx.jabber.org/streams", what) {
				t.Fatalf("%s: %d %v", b, n, err)
			}
		}
	}
}

// FuzzFramer: in pieces or whole, the same is seen; nothing panics.
func FuzzFramer(f *testing.F) {
	for i, c := range framerCases {
		f.Add([]byte(c.in), uint8(i), false)
	}
	f.Add([]byte(openWS), uint8(0), true)
	f.Fuzz(func(t *testing.T, doc []byte, step uint8, isWS bool) {
		lim := stream.Limits{Bytes: 5000, Depth: 20, Attrs: 10}
		whole, err := run(isWS, lim, doc, 0)
		if isWS {
			return // a message is always whole
		}
		pieces, perr := run(isWS, lim, doc, 1+int(step))
		// A tag in pieces is read when it is complete: a fault may show later.
		if perr != nil && err == nil {
			t.Fatalf("whole: no error, in pieces: %v", perr)
		}
		if fmt.Sprint(whole) != fmt.Sprint(pieces) {
			t.Fatalf("whole: %q %v\npieces: %q %v", whole, err, pieces, perr)
		}
	})
}

// FuzzFrames sends arbitrary bytes as WebSocket frames of one client, in pieces;
// the same bytes are read with another library's rules for frame heads.
func FuzzFrames(f *testing.F) {
	for _, fr := range []ws.Frame{
		ws.NewTextFrame([]byte(openWS)), ws.NewPingFrame([]byte("x")), ws.NewCloseFrame([]byte{3, 232}), ws.NewBinaryFrame(nil),
		ws.NewFrame(ws.OpText, false, []byte("<a")), ws.NewTextFrame(bytes.Repeat([]byte("x"), 300)), ws.NewTextFrame(bytes.Repeat([]byte("x"), 70000)),
	} {
		f.Add(ws.MustCompileFrame(ws.MaskFrame(fr)), uint8(3))
		f.Add(ws.MustCompileFrame(fr), uint8(100))
	}
	p, err := stream.NewPoller(stream.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		a, z := net.Pipe()
		ended := make(chan error, 1)
		c := stream.NewConn(a, p)
		c.BeWebSocket()
		c.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(err error) { ended <- err }})
		go func() {
			buf := make([]byte, 4096)
			for {
				if _, err := z.Read(buf); err != nil {
					return
				}
			}
		}()
		for at := 0; at < len(b); {
			n := min(1+int(step), len(b)-at)
			if _, err := z.Write(b[at : at+n]); err != nil {
				break
			}
			at += n
		}
		z.Close()
		err := <-ended
		h, herr := ws.ReadHeader(bytes.NewReader(b))
		if herr == nil && err == nil && ws.CheckHeader(h, ws.StateServerSide) != nil {
			t.Fatalf("frame head %+v was taken", h)
		}
	})
}
