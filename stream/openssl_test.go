package stream_test

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/stream"
)

// TestOpenSSL speaks with another TLS: key updates in both directions, and its
// way to end a connection. openssl takes a line that begins with K as the
// order to ask for a key update, with k to make one itself.
func TestOpenSSL(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		p := newPoller(t, stream.Options{})
		ended := make(chan error, 1)
		s := listen(t, "tls", p, func(c *stream.Conn) {
			h := echo(c)
			h.Closed = func(err error) { ended <- err }
			c.Serve(h)
		})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		cmd := exec.CommandContext(ctx, path, "s_client", "-connect", strings.TrimPrefix(s.target, "tls://"), version)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = cmd.Stdout // where it tells of key updates
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		speak := func(say, want string) {
			t.Helper()
			if _, err := io.WriteString(in, say+"\n"); err != nil {
				t.Fatal(err)
			}
			for got := ""; !strings.Contains(got, want); {
				b, err := r.ReadByte()
				if err != nil {
					t.Fatalf("%s: %v; got %q, want %q", version, err, got, want)
				}
				got += string(b)
			}
		}
		speak(tcpHeader, "id='1'")
		speak("<message id='m1'/>", "id='m1'")
		if version == "-tls1_3" {
			speak("K", "KEYUPDATE")
			speak("<message id='m2'/>", "id='m2'")
			speak("k", "KEYUPDATE")
		}
		speak("<message id='m3'/>", "id='m3'")
		if _, err := io.WriteString(in, "Q\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != io.EOF {
			t.Error(version, err)
		}
		go io.Copy(io.Discard, r)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
