package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stream"
)

const benchHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"

// chat258 is a chat message of 258 bytes, as many clients send it.
func chat258(t testing.TB) string {
	const head = `<message from="alice@example.org/phone-1234" to="bob@example.org" type="chat" id="c0ffee-0001" xml:lang="en">`
	const tail = `<request xmlns="urn:xmpp:receipts"/></message>`
	body := strings.Repeat("Hello there! How is it going? I & you", 4)
	body = strings.ReplaceAll(body, "&", "and")
	msg := head + "<body>" + body[:258-len(head)-len(tail)-len("<body></body>")] + "</body>" + tail
	if len(msg) != 258 {
		t.Fatal(len(msg))
	}
	return msg
}

// opened is a framer whose header has been read.
func opened(t testing.TB) *stream.Framer {
	f := stream.NewFramer(false, stream.Limits{})
	var it stream.Item
	for b := []byte(benchHeader); len(b) > 0; {
		n, err := f.Next(b, &it)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		b = b[n:]
	}
	return f
}

func benchFrame(b *testing.B, msg string) {
	f := opened(b)
	buf := []byte(msg)
	var it stream.Item
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		n, err := f.Next(buf, &it)
		if n != len(buf) || err != nil || it.Kind != stream.Stanza {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkChat258(b *testing.B) { benchFrame(b, chat258(b)) }

func BenchmarkFramer(b *testing.B) {
	const ru = "<message to='b@x' id='1' type='chat'><body>"
	for name, msg := range map[string]string{
		"presence":    `<presence id='7'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://x.org' ver='QgayPKawpkPSDYmwT/WuL94ixyA='/></presence>`,
		"ping":        `<iq type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>`,
		"cyrillic":    ru + strings.Repeat("Привет, как дела? ", 12) + "</body></message>",
		"text 4 KB":   ru + strings.Repeat("0123456789abcdef", 256) + "</body></message>",
		"deep":        "<message>" + strings.Repeat("<a x='1'>", 40) + strings.Repeat("</a>", 40) + "</message>",
		"origin+rcpt": `<message to='bob@example.org/x' type='chat' id='1'><body>ok</body><origin-id xmlns='urn:xmpp:sid:0' id='1'/><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
	} {
		b.Run(fmt.Sprintf("%s/%d", name, len(msg)), func(b *testing.B) { benchFrame(b, msg) })
	}
}

func BenchmarkWire258(b *testing.B) {
	f := opened(b)
	buf := []byte(chat258(b))
	var it stream.Item
	from, to := jid.MustParse("alice@example.org/phone-1234"), jid.MustParse("bob@example.org")
	if _, err := f.Next(buf, &it); err != nil {
		b.Fatal(err)
	}
	it.Stanza.From, it.Stanza.To = from, to
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		out = it.Stanza.Wire().Append(out[:0])
	}
}
