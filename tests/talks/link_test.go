package talks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/house"
)

// browser is one device.
type browser struct {
	tb   testing.TB
	base string
	http *http.Client
}

func newBrowser(tb testing.TB, s *house.Server) *browser {
	jar, err := cookiejar.New(nil)
	must(tb, err)
	return &browser{tb: tb, base: "http://" + s.Addr("http"), http: &http.Client{Jar: jar, Timeout: house.Patience}}
}

// post posts JSON and reads the answer; it returns the status.
func (b *browser) post(path string, body, result any) int {
	b.tb.Helper()
	text, err := json.Marshal(body)
	must(b.tb, err)
	r, err := b.http.Post(b.base+path, "application/json", bytes.NewReader(text))
	must(b.tb, err)
	defer r.Body.Close()
	if got := r.Header.Get("Referrer-Policy"); got != "no-referrer" {
		b.tb.Errorf("%s: Referrer-Policy %q", path, got)
	}
	answer, err := io.ReadAll(r.Body)
	must(b.tb, err)
	if result != nil && r.StatusCode == http.StatusOK {
		must(b.tb, json.Unmarshal(answer, result))
	}
	return r.StatusCode
}

func (b *browser) get(path string) (status int, body string, header http.Header) {
	b.tb.Helper()
	r, err := b.http.Get(b.base + path)
	must(b.tb, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(b.tb, err)
	return r.StatusCode, string(text), r.Header
}

type bearer struct {
	Token   string    `json:"token"`
	Account string    `json:"account"`
	Bot     string    `json:"bot"`
	Expires time.Time `json:"expires"`
}

// connect signs in as the page would: by WebSocket, with the token.
func (b *browser) connect(s *house.Server) *client.Client {
	b.tb.Helper()
	var tok bearer
	if status := b.post("/api/c/token", struct{}{}, &tok); status != http.StatusOK {
		b.tb.Fatalf("no token: %d", status)
	}
	if left := time.Until(tok.Expires); left > 10*time.Minute || left < 5*time.Minute {
		b.tb.Errorf("the token is good for %v", left)
	}
	local, _, _ := strings.Cut(tok.Account, "@")
	cfg := s.Config(local)
	cfg.Server, cfg.Password, cfg.Keys, cfg.Token = "ws://"+s.Addr("http")+"/xmpp-websocket", "", nil, tok.Token
	c, err := client.Connect(house.Context(b.tb), cfg, nil)
	must(b.tb, err)
	b.tb.Cleanup(c.Cut)
	return c
}

// TestLink goes the way of an invitation: a link, a cookie, a token, another
// device, a code.
func TestLink(t *testing.T) {
	s := house.New(t, house.Options{People: []string{"ada", "bob"}, Flags: map[string]string{"c2s.plaintext": "true"}})
	must(t, do(t, s, "talk.begin", node.TalkArgs{JID: s.JID("ada").String(), Document: killFlow(), Language: "en"}, nil))
	var made node.TalkArgs
	must(t, do(t, s, "talk.link", node.TalkArgs{JID: s.JID("ada").String(), Email: "ada@mail.example"}, &made))
	_, token, ok := strings.Cut(made.Link, "/c/#")
	if !ok || len(token) != 22 {
		t.Fatalf("link %q", made.Link)
	}

	phone := newBrowser(t, s)
	status, text, header := phone.get("/c/")
	if status != 200 || strings.Contains(text, "//") && strings.Contains(text, "src=") || header.Get("Content-Security-Policy") == "" || header.Get("Set-Cookie") != "" {
		t.Errorf("GET /c/: %d %v %s", status, header, text)
	}
	if status := phone.post("/api/c/token", struct{}{}, nil); status != http.StatusUnauthorized {
		t.Errorf("a token without a cookie: %d", status)
	}
	for _, bad := range []string{"", "x", token + "x", strings.Repeat("A", 22)} {
		if status := phone.post("/api/c", map[string]string{"token": bad}, nil); status != http.StatusNotFound {
			t.Errorf("token %q: %d", bad, status)
		}
	}
	var st outreach.Standing
	if status := phone.post("/api/c", map[string]string{"token": token}, &st); status != 200 || st.Further || st.Question == nil || st.Question.ID != "q1" {
		t.Fatalf("exchange: %d %+v", status, st)
	}

	c := phone.connect(s)
	must(t, c.Send([]byte(fmt.Sprintf("<message xmlns='jabber:client' to='%s' type='chat' id='a1'><body>4</body><origin-id xmlns='urn:xmpp:sid:0' id='a1'/></message>", s.JID("bot")))))
	must(t, c.Send([]byte("<presence xmlns='jabber:client'/>")))
	await(t, c, "Question 2?")

	laptop := newBrowser(t, s)
	if status := laptop.post("/api/c", map[string]string{"token": token}, &st); status != 200 || !st.Further || st.After == "" || st.Question == nil || st.Question.ID != "q2" {
		t.Fatalf("another device: %d %+v", status, st)
	}
	other := laptop.connect(s)
	rows, err := house.Archive(house.Context(t), other, 50)
	must(t, err)
	for _, m := range rows {
		if strings.Contains(m.Body, "Question 1?") || m.Origin == "a1" {
			t.Errorf("a further device is shown %q", m.Body)
		}
	}
	if !strings.Contains(bodies(rows), "Question 2?") {
		t.Errorf("a further device is not shown the open question: %s", bodies(rows))
	}

	if status := laptop.post("/api/c/code", struct{}{}, nil); status != 200 {
		t.Fatalf("a code is not sent: %d", status)
	}
	if status := laptop.post("/api/c/code", struct{}{}, nil); status != http.StatusTooManyRequests {
		t.Errorf("a second code at once: %d", status)
	}
	code := mailed(t, s)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	if status := laptop.post("/api/c/code", map[string]string{"code": wrong}, nil); status != http.StatusForbidden {
		t.Errorf("a wrong code: %d", status)
	}
	if status := laptop.post("/api/c/code", map[string]string{"code": code}, nil); status != 200 {
		t.Errorf("the code: %d", status)
	}
	other.Cut()
	again := laptop.connect(s)
	rows, err = house.Archive(house.Context(t), again, 50)
	must(t, err)
	if !strings.Contains(bodies(rows), "Question 1?") {
		t.Errorf("after the code earlier messages are not shown: %s", bodies(rows))
	}
}

func bodies(rows []house.Message) string {
	var all []string
	for _, m := range rows {
		all = append(all, m.Body)
	}
	return strings.Join(all, " | ")
}

// await waits for a message that holds some words.
func await(t *testing.T, c *client.Client, words string) {
	t.Helper()
	if _, err := c.Take(house.Context(t), func(it client.Item) bool { return strings.Contains(string(it.Raw), words) }); err != nil {
		t.Fatalf("no %q: %v", words, err)
	}
}

// mailed is the code in the outbox; the server is stopped for the look.
func mailed(t *testing.T, s *house.Server) string {
	t.Helper()
	must(t, s.Kill())
	ctx := house.Context(t)
	st, err := store.Open(ctx, store.Config{URL: "sqlite:" + s.Data + "/bearhug.db"})
	must(t, err)
	orgs, err := st.Orgs(ctx)
	must(t, err)
	letters, err := st.Outbox(ctx, orgs[0].ID, 0, 10)
	must(t, err)
	must(t, st.Close())
	must(t, s.Start())
	if len(letters) != 1 || letters[0].To != "ada@mail.example" {
		t.Fatalf("the outbox holds %+v", letters)
	}
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(letters[0].Text)
	if code == "" {
		t.Fatalf("no code in %q", letters[0].Text)
	}
	return code
}

// stopped looks into the store while the server is stopped.
func stopped(t *testing.T, s *house.Server, look func(*store.Store, feature.Org)) {
	t.Helper()
	must(t, s.Kill())
	ctx := house.Context(t)
	st, err := store.Open(ctx, store.Config{URL: "sqlite:" + s.Data + "/bearhug.db"})
	must(t, err)
	orgs, err := st.Orgs(ctx)
	must(t, err)
	look(st, orgs[0].ID)
	must(t, st.Close())
	must(t, s.Start())
}

// TestUnsubscribe: a GET changes nothing, a POST of a mail program does (RFC
// 8058), and who asks too often waits.
func TestUnsubscribe(t *testing.T) {
	s := house.New(t, house.Options{People: []string{"ada"}})
	token, ctx := "", house.Context(t)
	var person store.PersonID
	stopped(t, s, func(st *store.Store, org feature.Org) {
		var err error
		person, err = st.AddPerson(ctx, org, store.Person{Ext: "1", Email: "ada@mail.example", Name: "Ada", Account: "ada"})
		must(t, err)
		token = st.UnsubscribeToken(org, person)
	})
	listed := func() (n int) {
		stopped(t, s, func(st *store.Store, org feature.Org) {
			list, err := st.Suppressed(ctx, org, []string{store.PersonKey(person)})
			must(t, err)
			n = len(list)
		})
		return n
	}
	b := newBrowser(t, s)
	if status, text, _ := b.get("/u/" + token); status != 200 || !strings.Contains(text, "<form method=post>") {
		t.Errorf("GET: %d %s", status, text)
	}
	if n := listed(); n != 0 {
		t.Error("a GET has unsubscribed")
	}
	b = newBrowser(t, s)
	for path, want := range map[string]int{"/u/" + token + "0": 404, "/u/x": 404, "/u/" + token: 200} {
		r, err := b.http.Post(b.base+path, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
		must(t, err)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("POST %s: %d, want %d", path, r.StatusCode, want)
		}
	}
	if n := listed(); n != 1 {
		t.Error("a POST has not unsubscribed")
	}
	b = newBrowser(t, s)
	refused := 0
	for range 80 {
		status, _, header := b.get("/api/c")
		if status == http.StatusTooManyRequests && header.Get("Retry-After") != "" {
			refused++
		} else if status != http.StatusUnauthorized {
			t.Errorf("GET /api/c: %d", status)
		}
	}
	if refused < 10 {
		t.Errorf("%d of 80 requests of one address were refused", refused)
	}
}
