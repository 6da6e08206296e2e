package node

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything that is decided before a node starts. What an operator
// turns while it runs is a lever (package feature), not configuration.
//
// Each field is a key of bearhug.toml, a flag (--c2s.listen) and a variable of
// the environment (BEARHUG_C2S_LISTEN). The tags are the one source of the
// parser, of `bearhug config` and of docs/config.md:
//
//	key      the TOML key; a struct is a table
//	default  the value when nobody says anything
//	doc      for people: units, what zero means
//	check    what a text must look like (see checks.go)
//	min,max  the range of a number or a duration
//	one      the words that are allowed, separated by commas
//	later    set at all, it is refused with this sentence: this version cannot
//	         do it, and nothing that is configured is ignored in silence
type Config struct {
	Data  string   `key:"data" default:"bearhug-data" check:"notempty" doc:"directory of everything the server keeps: database, certificates, lock file, control socket. It belongs to one process."`
	Roles []string `key:"roles" default:"chat" one:"chat,outreach,console" doc:"what this process does. This version knows the role chat."`

	DB       DBConfig             `key:"db" doc:"where accounts, rosters and the archive are kept"`
	C2S      C2SConfig            `key:"c2s" doc:"streams of clients over TCP (RFC 6120)"`
	HTTP     HTTPConfig           `key:"http" doc:"web: /xmpp-websocket (RFC 7395) and /.well-known/host-meta (XEP-0156)"`
	Ops      OpsConfig            `key:"ops" doc:"for operators: /metrics, /healthz, /readyz, /debug/pprof"`
	TLS      TLSConfig            `key:"tls" doc:"certificates"`
	Orgs     map[string]OrgConfig `key:"org" doc:"one table per organisation: [org.\"example.org\"]"`
	Register RegisterConfig       `key:"register" doc:"accounts that people make themselves (XEP-0077)"`
	Contact  ContactConfig        `key:"contact" doc:"whom to ask, told to clients (XEP-0157): lists of mailto:, xmpp: or https: addresses"`
	Log      LogConfig            `key:"log" doc:"structured log on standard error"`
	Mail     MailConfig           `key:"mail" doc:"e-mail out"`
	Webhook  WebhookConfig        `key:"webhook" doc:"events told to other servers"`
	Cluster  ClusterConfig        `key:"cluster" doc:"several processes"`
	Rehearse RehearseConfig       `key:"rehearse" doc:"load tests against a running server"`

	source map[string]string // key → where its value comes from
}

// DBConfig says which database engine to use.
type DBConfig struct {
	URL      string   `key:"url" default:"sqlite:bearhug.db" check:"dburl" secret:"true" doc:"sqlite:FILE (inside data, unless FILE begins with /) or mysql://user:password@host:port/name"`
	Replicas []string `key:"replicas" check:"dburl" secret:"true" doc:"read replicas of a MariaDB, as url. Outreach and reports read there while one is no further behind than the lever db.lag; chat never does. SQLite has none."`
}

// C2SConfig are the listeners of clients and what a stream may cost.
type C2SConfig struct {
	Listen    string `key:"listen" default:":5222" check:"listen" doc:"address for STARTTLS; empty: closed"`
	TLSListen string `key:"tls_listen" default:":5223" check:"listen" doc:"address for direct TLS (XEP-0368); empty: closed"`
	Plaintext bool   `key:"plaintext" default:"false" doc:"allow sign-in without TLS, SASL PLAIN included. For tests and benchmarks."`

	StanzaBytes          int           `key:"stanza_bytes" default:"262144" min:"10000" max:"16777216" doc:"greatest stanza of a client that has signed in, bytes (announced by XEP-0478)"`
	UnauthenticatedBytes int           `key:"unauthenticated_bytes" default:"10000" min:"2048" max:"1048576" doc:"greatest element before sign-in, bytes"`
	NegotiationTimeout   time.Duration `key:"negotiation_timeout" default:"30s" min:"1s" max:"10m" doc:"time from connecting to a bound resource; past it the stream is closed"`
	MaxStreams           int           `key:"max_streams" default:"0" min:"0" max:"10000000" doc:"streams at once; 0: what the limit of descriptors allows"`
	Failures             int           `key:"failures" default:"30" min:"1" max:"1000000" doc:"failed sign-ins per minute and address before further ones have to wait"`
}

// HTTPConfig are the web listeners.
type HTTPConfig struct {
	Listen         string   `key:"listen" default:":8080" check:"listen" doc:"address for HTTP; empty: closed"`
	TLSListen      string   `key:"tls_listen" default:":8443" check:"listen" doc:"address for HTTPS; empty: closed"`
	TrustedProxies []string `key:"trusted_proxies" check:"prefix" doc:"addresses or networks whose X-Forwarded-For is believed, such as 10.0.0.0/8"`
}

// OpsConfig is the operators' listener.
type OpsConfig struct {
	Listen string `key:"listen" default:"127.0.0.1:9480" check:"listen" doc:"address; empty: closed. No sign-in protects it: keep it off public networks."`
}

// TLSConfig says where certificates come from.
type TLSConfig struct {
	Certs string `key:"certs" doc:"directory of DOMAIN.crt (or .pem) and DOMAIN.key, read again when they change; empty, or a domain that has none: self-signed ones, made in data/certs"`
	ACME  bool   `key:"acme" default:"false" later:"this version does not ask an ACME server for certificates: put them into tls.certs" doc:"ask an ACME server for certificates"`
}

// OrgConfig is what the file says about an organisation. The organisation
// itself is made by `bearhug org add`.
type OrgConfig struct {
	Hosts []string `key:"hosts" check:"host" doc:"further host names under which the organisation's web is reached"`
}

// RegisterConfig bounds in-band registration.
type RegisterConfig struct {
	Allow      bool          `key:"allow" default:"false" doc:"people may make accounts from their client"`
	PerAddress int           `key:"per_address" default:"5" min:"1" max:"1000000" doc:"new accounts per address within the window"`
	Window     time.Duration `key:"window" default:"1h" min:"1s" max:"720h" doc:"the window"`
}

// ContactConfig are the addresses of XEP-0157.
type ContactConfig struct {
	Abuse    []string `key:"abuse" check:"uri" doc:"against abuse"`
	Admin    []string `key:"admin" check:"uri" doc:"administrators"`
	Feedback []string `key:"feedback" check:"uri" doc:"praise and blame"`
	Sales    []string `key:"sales" check:"uri" doc:"sales"`
	Security []string `key:"security" check:"uri" doc:"security reports"`
	Status   []string `key:"status" check:"uri" doc:"status page"`
	Support  []string `key:"support" check:"uri" doc:"help"`
}

// LogConfig shapes the log.
type LogConfig struct {
	Level  string `key:"level" default:"info" one:"debug,info,warn,error" doc:"least level that is written"`
	Format string `key:"format" default:"text" one:"text,json" doc:"form of a line"`
}

// MailConfig belongs to the outreach role.
type MailConfig struct {
	SMTP string `key:"smtp" later:"this version sends no e-mail" doc:"relay"`
	From string `key:"from" later:"this version sends no e-mail" doc:"sender's address"`
}

// ClusterConfig belongs to cells of several processes.
type ClusterConfig struct {
	NATS   string   `key:"nats" later:"this version runs in one process" doc:"NATS server"`
	Routes []string `key:"routes" later:"this version runs in one process" doc:"routes between embedded NATS servers"`
}

// RehearseConfig guards load tests.
type RehearseConfig struct {
	Allow bool `key:"allow" default:"false" doc:"allow load tests against this server while it runs: bearhug campaign capacity. People may feel them."`
}

// DatabaseURL is db.url with a relative SQLite file put into the data
// directory.
func (c *Config) DatabaseURL() string {
	file, ok := strings.CutPrefix(c.DB.URL, "sqlite:")
	if !ok || filepath.IsAbs(file) {
		return c.DB.URL
	}
	return "sqlite:" + filepath.Join(c.Data, file)
}

// DatabaseFile is the SQLite file, or "" for another engine.
func (c *Config) DatabaseFile() string {
	file, _ := strings.CutPrefix(c.DatabaseURL(), "sqlite:")
	if file == c.DatabaseURL() {
		return ""
	}
	return file
}

// CertsDir is where self-signed certificates are kept.
func (c *Config) CertsDir() string { return filepath.Join(c.Data, "certs") }

// Socket is the control socket of a running server.
func (c *Config) Socket() string { return filepath.Join(c.Data, "ctl") }

// Proxies are http.trusted_proxies as networks.
func (c *HTTPConfig) Proxies() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.TrustedProxies {
		if p, err := parsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// parsePrefix reads a network, or one address as a network of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// Addresses are the contacts by kind, as XEP-0157 names its fields; kinds
// without any are left out.
func (c *ContactConfig) Addresses() map[string][]string {
	all := map[string][]string{}
	for kind, list := range map[string][]string{
		"abuse": c.Abuse, "admin": c.Admin, "feedback": c.Feedback, "sales": c.Sales,
		"security": c.Security, "status": c.Status, "support": c.Support,
	} {
		if len(list) > 0 {
			all[kind+"-addresses"] = list
		}
	}
	return all
}
