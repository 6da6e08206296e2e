package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// frames is what a server writes.
func frames(t *testing.T, fs ...ws.Frame) *link {
	var b bytes.Buffer
	for _, f := range fs {
		if err := ws.WriteFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return &link{br: bufio.NewReader(&b), ws: true}
}

func text(op ws.OpCode, fin bool, s string) ws.Frame { return ws.NewFrame(op, fin, []byte(s)) }

func TestMessage(t *testing.T) {
	long := strings.Repeat("x", 70000)
	l := frames(t,
		text(ws.OpText, true, "<a/>"),
		text(ws.OpText, false, "<b"), ws.NewPingFrame([]byte("hi")), text(ws.OpContinuation, false, "c"), text(ws.OpContinuation, true, "/>"),
		ws.NewPongFrame(nil), text(ws.OpText, true, long),
		ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye")))
	var pongs []string
	write := func(f ws.Frame) error {
		if f.Header.OpCode != ws.OpPong {
			t.Errorf("frame of type %d is sent", f.Header.OpCode)
		}
		pongs = append(pongs, string(f.Payload))
		return nil
	}
	var buf []byte
	for _, want := range []string{"<a/>", "<bc/>", long} {
		var err error
		if buf, err = l.message(buf, 100000, write); err != nil || string(buf) != want {
			t.Fatalf("%.20q, %v, want %.20q", buf, err, want)
		}
	}
	if len(pongs) != 1 || pongs[0] != "hi" {
		t.Errorf("pongs %q", pongs)
	}
	_, err := l.message(buf, 100000, write)
	if !errors.Is(err, errWebSocketClosed) || !strings.Contains(err.Error(), "1001 bye") {
		t.Errorf("%v", err)
	}
}

func TestMessageRefused(t *testing.T) {
	masked := ws.MaskFrame(text(ws.OpText, true, "<a/>"))
	for name, f := range map[string]ws.Frame{
		"masked": masked, "binary": text(ws.OpBinary, true, "<a/>"), "too long": text(ws.OpText, true, strings.Repeat("x", 101)),
	} {
		if _, err := frames(t, f).message(nil, 100, nil); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	l := frames(t, text(ws.OpText, false, strings.Repeat("x", 60)), text(ws.OpContinuation, true, strings.Repeat("x", 60)))
	if _, err := l.message(nil, 100, nil); err == nil {
		t.Error("a long message in short frames passes")
	}
}

func TestAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 100000} {
		want := strings.Repeat("y", n)
		r := bytes.NewReader(appendFrame(nil, ws.OpText, []byte(want)))
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Masked || !h.Fin || h.OpCode != ws.OpText || h.Length != int64(r.Len()) {
			t.Fatalf("%d bytes: %+v %v", n, h, err)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		ws.Cipher(payload, h.Mask, 0)
		if got := string(payload); got != want {
			t.Errorf("%d bytes differ", n)
		}
	}
}
