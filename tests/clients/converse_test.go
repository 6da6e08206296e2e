package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bearhug/bearhug/tests/house"
)

// browserDir holds the page, its driver, and what npm installs.
const browserDir = "../browser"

// needBrowser finds Chromium and Node.js, or ends the test.
func needBrowser(t *testing.T) (chromium string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "Node.js", err.Error())
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "Chromium", "apt-get install chromium")
	}
	for _, p := range []string{"converse.js/dist/converse.min.js", "playwright-core/package.json"} {
		if _, err := os.Stat(filepath.Join(browserDir, "node_modules", p)); err != nil {
			missing(t, p, "npm ci in tests/browser")
		}
	}
	return chromium
}

// pin is what Chromium calls the certificate's key: the base64 of the SHA-256
// of its SubjectPublicKeyInfo.
func pin(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is no PEM", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestConverse has someone in a browser talk with someone on slixmpp.
func TestConverse(t *testing.T) {
	chromium := needBrowser(t)
	needSlixmpp(t)
	s := house.New(t, house.Options{People: []string{"ada", "bob"}})
	host, port, err := net.SplitHostPort(s.Addr("c2s"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /converse/", http.StripPrefix("/converse/", http.FileServer(http.Dir(filepath.Join(browserDir, "node_modules/converse.js/dist")))))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(browserDir, "converse.html"))
	})
	pages := httptest.NewServer(mux)
	defer pages.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*house.Patience)
	defer cancel()
	var said bytes.Buffer
	peer := exec.CommandContext(ctx, python, "peer.py", host, port, s.Domain, house.Password, s.Certificate())
	peer.Dir, peer.Stdout, peer.Stderr = "testdata", &said, &said
	peer.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(t.ArtifactDir(), "converse.png")
	out, err := exec.CommandContext(ctx, "node", filepath.Join(browserDir, "converse.mjs"), chromium, pages.URL+"/",
		"wss://"+s.Addr("http-tls")+"/xmpp-websocket", pin(t, s.Certificate()), "ada@"+s.Domain, house.Password, "bob@"+s.Domain, picture).CombinedOutput()
	t.Logf("Converse.js:\n%s", out)
	if err != nil {
		cancel() // nobody answers the peer any more
	}
	ended := peer.Wait()
	t.Logf("slixmpp:\n%s", said.Bytes())
	if err != nil || ended != nil {
		t.Fatalf("Converse.js: %v, slixmpp: %v", err, ended)
	}
	if info, err := os.Stat(picture); err != nil || info.Size() == 0 {
		t.Errorf("no picture: %v", err)
	}
}
