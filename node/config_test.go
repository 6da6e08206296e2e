package node_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bearhug/bearhug/node"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (go test -update writes it):\n%s", name, d)
	}
}

// load reads a file with this text.
func load(t *testing.T, text string, env []string, flags map[string]string) (*node.Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bearhug.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return node.Load(node.Sources{Env: env, Flags: flags})
}

func TestConfigPrint(t *testing.T) {
	c, err := node.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "config-default.toml", c.Print())
	full, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c, err = load(t, string(full), []string{"BEARHUG_HTTP_LISTEN=:80", "HOME=/"}, map[string]string{"log.level": "debug", "org.beta.example.hosts": "b1.example,b2.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	golden(t, "config-full.toml", c.Print())
}

// TestConfigPrintIsAFile reads back what `bearhug config` prints.
func TestConfigPrintIsAFile(t *testing.T) {
	c, err := node.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	text := c.Print()
	again, err := load(t, string(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	strip := func(text []byte) string {
		var keep []string
		for l := range strings.Lines(string(text)) {
			if !strings.HasPrefix(l, "#") {
				keep = append(keep, l)
			}
		}
		return strings.Join(keep, "")
	}
	if d := cmp.Diff(strip(text), strip(again.Print())); d != "" {
		t.Error(d)
	}
}

func TestConfigPrecedence(t *testing.T) {
	file := "[c2s]\nlisten = \":1\"\n"
	for _, c := range []struct {
		name, want, source string
		file               string
		env                []string
		flags              map[string]string
	}{
		{"default", ":5222", "default", "", nil, nil},
		{"file", ":1", "bearhug.toml:2", file, nil, nil},
		{"environment", ":2", "BEARHUG_C2S_LISTEN", file, []string{"BEARHUG_C2S_LISTEN=:2"}, nil},
		{"flag", ":3", "--c2s.listen", file, []string{"BEARHUG_C2S_LISTEN=:2"}, map[string]string{"c2s.listen": ":3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := load(t, c.file, c.env, c.flags)
			if err != nil {
				t.Fatal(err)
			}
			if got.C2S.Listen != c.want || got.Source("c2s.listen") != c.source {
				t.Errorf("%q from %q, want %q from %q", got.C2S.Listen, got.Source("c2s.listen"), c.want, c.source)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       string // exact
	}{
		{"unknown key", "data = \"x\"\n[c2s]\nlisen = \":1\"\n", nil, nil,
			`bearhug.toml:3: unknown key c2s.lisen: did you mean c2s.listen?`},
		{"key without its table", "plaintext = true\n", nil, nil,
			`bearhug.toml:1: unknown key plaintext: did you mean c2s.plaintext?`},
		{"key of another table", "[c2s]\ntrusted_proxies = []\n", nil, nil,
			`bearhug.toml:2: unknown key c2s.trusted_proxies: did you mean http.trusted_proxies?`},
		{"unknown table", "[c2ss]\nlisten = \":1\"\n", nil, nil,
			`bearhug.toml:1: unknown key c2ss: did you mean c2s?`},
		{"nothing like it", "[weather]\nsun = 1\n", nil, nil,
			"bearhug.toml:1: unknown key weather: `bearhug config` lists all keys"},
		{"two mistakes, the first one told", "[c2s]\nlisten = 5\n[http]\nlistten = \":1\"\n", nil, nil,
			`bearhug.toml:2: c2s.listen: 5 found, want a text in quotes (and 1 more like it)`},
		{"number for a text", "\n\ndata = 7\n", nil, nil, `bearhug.toml:3: data: 7 found, want a text in quotes`},
		{"empty data", "data = \"\"\n", nil, nil, `bearhug.toml:1: data: "" found, want something that is not empty`},
		{"text for a truth", "c2s.plaintext = \"yes\"\n", nil, nil, `bearhug.toml:1: c2s.plaintext: "yes" found, want true or false`},
		{"text for a number", "[c2s]\nfailures = \"3\"\n", nil, nil, `bearhug.toml:2: c2s.failures: "3" found, want a number from 1 to 1000000`},
		{"number out of range", "[c2s]\nstanza_bytes = 100\n", nil, nil, `bearhug.toml:2: c2s.stanza_bytes: 100 found, want a number from 10000 to 16777216`},
		{"fraction", "[c2s]\nstanza_bytes = 20000.5\n", nil, nil, `bearhug.toml:2: c2s.stanza_bytes: 20000.5 found, want a number from 10000 to 16777216`},
		{"duration without unit", "[register]\nwindow = \"60\"\n", nil, nil, `bearhug.toml:2: register.window: "60" found, want a duration from "1s" to "720h", such as "1h"`},
		{"duration out of range", "[c2s]\nnegotiation_timeout = \"1h\"\n", nil, nil, `bearhug.toml:2: c2s.negotiation_timeout: "1h" found, want a duration from "1s" to "10m", such as "30s"`},
		{"number for a duration", "[c2s]\nnegotiation_timeout = 30\n", nil, nil, `bearhug.toml:2: c2s.negotiation_timeout: 30 found, want a duration from "1s" to "10m", such as "30s"`},
		{"list of numbers", "[http]\ntrusted_proxies = [1]\n", nil, nil, `bearhug.toml:2: http.trusted_proxies: a list found, want a list of texts in quotes: ["…", "…"]`},
		{"no address", "[c2s]\nlisten = \"5222\"\n", nil, nil, `bearhug.toml:2: c2s.listen: "5222" found, want host:port or :port, such as ":5222" or "127.0.0.1:5222"; "" closes it`},
		{"no port", "[c2s]\nlisten = \":66000\"\n", nil, nil, `bearhug.toml:2: c2s.listen: ":66000" found, want host:port or :port, such as ":5222" or "127.0.0.1:5222"; "" closes it`},
		{"one word of several", "[log]\nformat = \"jsom\"\n", nil, nil, `bearhug.toml:2: log.format: "jsom" found, want one of text, json: did you mean "json"?`},
		{"password is not repeated", "[db]\nurl = \"postgres://u:geheim@h/n\"\n", nil, nil, `bearhug.toml:2: db.url: want "sqlite:FILE" or "mysql://user:password@host:port/name"`},
		{"network", "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.300\"]\n", nil, nil, `bearhug.toml:2: http.trusted_proxies: "10.0.0.300" found, want an address or a network, such as "192.0.2.7" or "10.0.0.0/8"`},
		{"contact", "[contact]\nabuse = [\"abuse@example.org\"]\n", nil, nil, `bearhug.toml:2: contact.abuse: "abuse@example.org" found, want a mailto:, xmpp:, http: or https: address`},
		{"table for a key", "[c2s.listen]\nx = 1\n", nil, nil, `bearhug.toml:1: c2s.listen: a table found, want a text in quotes`},
		{"key for a table", "c2s = 3\n", nil, nil, `bearhug.toml:1: c2s: 3 found, want a table: [c2s]`},
		{"organisation without table", "org = 3\n", nil, nil, `bearhug.toml:1: org: 3 found, want a table: [org]`},
		{"unknown key of an organisation", "[org.\"a.example\"]\nhost = []\n", nil, nil, `bearhug.toml:2: unknown key org."a.example".host: did you mean org."a.example".hosts?`},
		{"host with a scheme", "[org.\"a.example\"]\nhosts = [\"https://a.example\"]\n", nil, nil, `bearhug.toml:2: org."a.example".hosts: "https://a.example" found, want a host name without scheme and port, such as "chat.example.org"`},
		{"not TOML", "data = \n", nil, nil, `bearhug.toml:1: not TOML: expected value but found '\n' instead`},
		{"twice", "data = \"a\"\ndata = \"b\"\n", nil, nil, `bearhug.toml:2: not TOML: Key 'data' has already been defined.`},
		{"later: mail", "[mail]\nsmtp = \"localhost:25\"\n", nil, nil, `bearhug.toml:2: mail.smtp is set, but this version sends no e-mail; remove it`},
		{"later: nats", "", []string{"BEARHUG_CLUSTER_NATS=nats://x"}, nil, `BEARHUG_CLUSTER_NATS: cluster.nats is set, but this version runs in one process; remove it`},
		{"later: acme", "", nil, map[string]string{"tls.acme": "true"}, `--tls.acme: tls.acme is set, but this version does not ask an ACME server for certificates: put them into tls.certs; remove it`},
		{"later: roles", "roles = [\"chat\", \"outreach\"]\n", nil, nil, `bearhug.toml:1: roles = ["chat" "outreach"], but this version plays the role chat only; want roles = ["chat"]`},
		{"unknown role", "roles = [\"chad\"]\n", nil, nil, `bearhug.toml:1: roles: "chad" found, want a list of chat, outreach, console: did you mean "chat"?`},
		{"the same port twice", "[http]\nlisten = \":5222\"\n", nil, nil, `bearhug.toml:2: http.listen is :5222, which c2s.listen has already; give one of them another port`},
		{"unknown variable", "", []string{"BEARHUG_C2S_LISTN=:1"}, nil, `environment: unknown variable BEARHUG_C2S_LISTN: did you mean BEARHUG_C2S_LISTEN?`},
		{"bad variable", "", []string{"BEARHUG_C2S_PLAINTEXT=jein"}, nil, `environment: BEARHUG_C2S_PLAINTEXT: c2s.plaintext: "jein" found, want true or false`},
		{"bad flag", "", nil, map[string]string{"c2s.failures": "many"}, `--c2s.failures: c2s.failures: "many" found, want a number from 1 to 1000000`},
		{"unknown flag", "", nil, map[string]string{"ops.listem": ":1"}, `command line: unknown key ops.listem: did you mean ops.listen?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, c.env, c.flags)
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != c.want {
				t.Errorf("\n got %s\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Error("more than one line")
			}
		})
	}
}

func TestConfigFileMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := node.Load(node.Sources{}); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if _, err := node.Load(node.Sources{File: "other.toml"}); err == nil || !strings.Contains(err.Error(), "other.toml") {
		t.Errorf("a named file that is not there: %v", err)
	}
}

func TestConfigEnvIgnored(t *testing.T) {
	_, err := load(t, "", []string{"BEARHUG_TEST_MARIADB=1", "BEARHUG_CONFIG=x", "BEARHUG_SERVICE_HOST=10.0.0.1", "BEARHUG_PORT=tcp://10.0.0.1:80", "BEARHUG_PORT_80_TCP=x", "OTHER=1"}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestConfigPaths(t *testing.T) {
	c, err := load(t, "data = \"/srv/b\"\n[http]\ntrusted_proxies = [\"192.0.2.7\", \"2001:db8::/32\"]\n", nil,
		map[string]string{"register.window": "90s", "http.tls_listen": "", "contact.admin": "mailto:a@example.org, xmpp:b@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if c.DatabaseURL() != "sqlite:/srv/b/bearhug.db" || c.DatabaseFile() != "/srv/b/bearhug.db" {
		t.Errorf("%s %s", c.DatabaseURL(), c.DatabaseFile())
	}
	if p := c.HTTP.Proxies(); len(p) != 2 || p[0].String() != "192.0.2.7/32" {
		t.Errorf("proxies %v", p)
	}
	if c.Register.Window != 90*time.Second || c.HTTP.TLSListen != "" || len(c.Contact.Admin) != 2 {
		t.Errorf("%+v", c)
	}
	c.DB.URL = "sqlite:/var/x.db"
	if c.DatabaseURL() != "sqlite:/var/x.db" {
		t.Error(c.DatabaseURL())
	}
	c.DB.URL = "mysql://u:p@h/n"
	if c.DatabaseFile() != "" {
		t.Error(c.DatabaseFile())
	}
}

// FuzzConfig: whatever the file holds, reading it ends with a configuration
// that prints and reads back, or with one line of error.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"", "data = \"x\"\n", "[c2s]\nlisten = \":1\"\nplaintext = true\n", "[org.\"a.example\"]\nhosts = [\"b.example\"]\n",
		"[c2s]\nlisen = 1\n", "org = 1\n", "[[c2s]]\n", "c2s.listen.x = 1\n", "a = 1979-05-27\n", "\"\" = 1\n", "[\"\"]\n\"\"=[]\n",
		"[register]\nwindow = \"1h\"\n", "x = [{a=1},[2]]\n", "[org]\n\"\" = {}\n", "[http]\ntrusted_proxies=[\"::1\"]\n", "data=\"\\u0000\"\n", "data = \"a\nb\"",
	} {
		f.Add(s)
	}
	full, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	file := filepath.Join(f.TempDir(), "f.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := node.Load(node.Sources{File: file})
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an empty error")
			}
			return
		}
		if err := os.WriteFile(file, c.Print(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := node.Load(node.Sources{File: file}); err != nil && !strings.Contains(text, "://") {
			t.Errorf("what was printed cannot be read: %v\n%s", err, c.Print())
		}
	})
}
