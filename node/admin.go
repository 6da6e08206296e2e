package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/store"
)

// What commands do to a server. Each operation is one function, registered
// with the control socket of a running server, and called in the same way by a
// command that opened the store itself because no server runs.

// maxTokenTTL bounds the life of a bearer token.
const maxTokenTTL = 24 * time.Hour

// mechanisms are the hashes that keys are derived for.
var mechanisms = [...]string{sasl.SCRAMSHA256, sasl.SCRAMSHA1}

// admin holds what the operations need. The hooks are nil when no server runs.
type admin struct {
	config *Config
	store  *store.Store
	log    *slog.Logger
	groups *roster.Groups // nil until they are needed when no server runs

	orgAdded       func(ctx context.Context, domain string)
	accountChanged func(ctx context.Context, who jid.JID, gone bool)
}

// register makes the operations known.
func (a *admin) register(c *ops.Control) {
	c.Handle("org.add", a.addOrg)
	c.Handle("org.ls", a.listOrgs)
	c.Handle("user.add", a.addUser)
	c.Handle("user.passwd", a.setPassword)
	c.Handle("user.del", a.deleteUser)
	c.Handle("user.ls", a.listUsers)
	c.Handle("user.import", a.importUsers)
	c.Handle("user.token", a.mintToken)
	c.Handle("backup", a.backup)
	a.registerGroups(c)
	a.registerConsole(c)
	a.registerPeople(c)
}

// Organisation is one line of org.ls.
type Organisation struct {
	Domain string `json:"domain"`
}

// User is the argument of user.add, user.passwd and user.del.
type User struct {
	JID      string `json:"jid"`
	Password string `json:"password,omitempty"`
}

func (a *admin) addOrg(c *ops.Call) (any, error) {
	var arg Organisation
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	domain, err := jid.Parse(arg.Domain)
	if err != nil || domain.Local() != "" || domain.Resource() != "" {
		return nil, fmt.Errorf("add organisation %q: not a domain; want one such as example.org", arg.Domain)
	}
	_, err = a.store.AddOrg(c.Context(), domain.Domain())
	if errors.Is(err, store.ErrExists) {
		return nil, fmt.Errorf("add organisation %s: it is there already", domain)
	}
	if err != nil {
		return nil, fmt.Errorf("add organisation %s: %w", domain, err)
	}
	a.log.Info("organisation added", "domain", domain.Domain())
	if a.orgAdded != nil {
		a.orgAdded(c.Context(), domain.Domain())
	}
	return Organisation{domain.Domain()}, nil
}

func (a *admin) listOrgs(c *ops.Call) (any, error) {
	orgs, err := a.store.Orgs(c.Context())
	if err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	out := make([]Organisation, len(orgs))
	for i, o := range orgs {
		out[i].Domain = o.Domain
	}
	return out, nil
}

// org finds the organisation of a domain.
func (a *admin) org(ctx context.Context, domain string) (feature.Org, error) {
	orgs, err := a.store.Orgs(ctx)
	if err != nil {
		return 0, err
	}
	names := make([]string, len(orgs))
	for i, o := range orgs {
		if o.Domain == domain {
			return o.ID, nil
		}
		names[i] = o.Domain
	}
	if near := feature.Nearest(domain, names); near != "" {
		return 0, fmt.Errorf("no organisation %s here: did you mean %s?", domain, near)
	}
	return 0, fmt.Errorf("no organisation %s here: make it with `bearhug org add %s`", domain, domain)
}

// account reads the address of an account and finds its organisation.
func (a *admin) account(ctx context.Context, text string) (who jid.JID, org feature.Org, err error) {
	who, err = jid.Parse(text)
	if err != nil || who.Local() == "" || who.Resource() != "" {
		return jid.JID{}, 0, fmt.Errorf("%q is no account's address; want one such as anna@example.org", text)
	}
	org, err = a.org(ctx, who.Domain())
	return who, org, err
}

func (a *admin) addUser(c *ops.Call) (any, error) {
	var arg User
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	who, org, err := a.account(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("add account: %w", err)
	}
	keys, err := deriveAll(arg.Password)
	if err != nil {
		return nil, fmt.Errorf("add account %s: %w", who, err)
	}
	_, err = a.store.CreateAccount(c.Context(), org, who.Local(), keys)
	if errors.Is(err, store.ErrExists) {
		return nil, fmt.Errorf("add account %s: it is there already; `bearhug user passwd %s` changes its password", who, who)
	}
	if err != nil {
		return nil, fmt.Errorf("add account %s: %w", who, err)
	}
	return User{JID: who.String()}, nil
}

func (a *admin) setPassword(c *ops.Call) (any, error) {
	var arg User
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	who, org, err := a.account(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	keys, err := deriveAll(arg.Password)
	if err != nil {
		return nil, fmt.Errorf("change password of %s: %w", who, err)
	}
	if err := a.store.SetKeys(c.Context(), org, who.Local(), keys); err != nil {
		return nil, fmt.Errorf("change password of %s: %w", who, missing(err))
	}
	if a.accountChanged != nil {
		a.accountChanged(c.Context(), who, false)
	}
	return User{JID: who.String()}, nil
}

func (a *admin) deleteUser(c *ops.Call) (any, error) {
	var arg User
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	who, org, err := a.account(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("delete account: %w", err)
	}
	err = a.store.DeleteAccount(c.Context(), org, who.Local())
	if a.accountChanged != nil && (err == nil || errors.Is(err, store.ErrUnfinished)) {
		a.accountChanged(context.WithoutCancel(c.Context()), who, true)
	}
	if err != nil {
		return nil, fmt.Errorf("delete account %s: %w", who, missing(err))
	}
	return User{JID: who.String()}, nil
}

// missing says it as people do.
func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("there is no such account")
	}
	return err
}

// UserPage asks for accounts of a domain whose names come after After, in the
// order of bytes; Limit at most 1,000.
type UserPage struct {
	Domain string `json:"domain"`
	After  string `json:"after,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// UserLine is one account of user.ls.
type UserLine struct {
	JID      string `json:"jid"`
	Disabled bool   `json:"disabled,omitempty"`
}

func (a *admin) listUsers(c *ops.Call) (any, error) {
	var arg UserPage
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	domain, err := jid.Parse(arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("list accounts of %q: not a domain", arg.Domain)
	}
	org, err := a.org(c.Context(), domain.Domain())
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 1000
	}
	list, err := a.store.ListAccounts(c.Context(), org, arg.After, arg.Limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts of %s: %w", domain, err)
	}
	out := make([]UserLine, len(list))
	for i, u := range list {
		out[i] = UserLine{JID: u.Local + "@" + domain.Domain(), Disabled: u.Disabled}
	}
	return out, nil
}

// Token is the argument of user.token and, with the token, its answer.
type Token struct {
	JID   string        `json:"jid"`
	Scope string        `json:"scope,omitempty"` // the one peer it may talk to
	TTL   time.Duration `json:"ttl"`
	Token string        `json:"token,omitempty"`
}

func (a *admin) mintToken(c *ops.Call) (any, error) {
	var arg Token
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	who, org, err := a.account(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("make token: %w", err)
	}
	if arg.TTL <= 0 || arg.TTL > maxTokenTTL {
		return nil, fmt.Errorf("make token: it lives %v; want more than 0 and at most %v", arg.TTL, maxTokenTTL)
	}
	if _, err := a.store.Account(c.Context(), org, who.Local()); err != nil {
		return nil, fmt.Errorf("make token for %s: %w", who, missing(err))
	}
	claims := sasl.Claims{Org: uint32(org), Local: who.Local(), Expires: time.Now().Add(arg.TTL)}
	if arg.Scope != "" {
		peer, err := jid.Parse(arg.Scope)
		if err != nil || peer.Resource() != "" {
			return nil, fmt.Errorf("make token: scope %q is no bare address; want one such as bot@example.org", arg.Scope)
		}
		claims.Scope = peer.String()
	}
	if _, err := rand.Read(claims.ID[:]); err != nil {
		return nil, fmt.Errorf("make token: %w", err)
	}
	key, err := a.store.Secret(c.Context(), tokenSecret, 32)
	if err != nil {
		return nil, fmt.Errorf("make token: %w", err)
	}
	arg.JID, arg.Scope, arg.Token = who.String(), claims.Scope, sasl.Mint(key, claims)
	return arg, nil
}

// tokenSecret names the key of bearer tokens in the store.
const tokenSecret = "token"

// BackupArgs names the file that a backup goes to, as an absolute path.
type BackupArgs struct {
	File string `json:"file"`
}

func (a *admin) backup(c *ops.Call) (any, error) {
	var arg BackupArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(arg.File) {
		return nil, fmt.Errorf("back up to %q: want an absolute path", arg.File)
	}
	if a.config.DatabaseFile() == "" {
		return nil, errors.New("back up: the database is no SQLite file; use mariadb-dump or mariadb-backup")
	}
	if _, err := os.Lstat(arg.File); err == nil {
		return nil, fmt.Errorf("back up to %s: the file is there already; name another one", arg.File)
	}
	if err := a.store.Flush(c.Context()); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	began := time.Now()
	if err := a.store.DB().Backup(c.Context(), arg.File); err != nil {
		return nil, err
	}
	info := ops.BackupInfo{File: arg.File}
	if st, err := os.Stat(arg.File); err == nil {
		info.Bytes = st.Size()
	}
	a.log.Info("backup made", "file", arg.File, "bytes", info.Bytes, "seconds", time.Since(began).Seconds())
	return info, nil
}

// deriveAll makes the keys of a password for every mechanism.
func deriveAll(password string) ([]store.Key, error) {
	if password == "" {
		return nil, errors.New("the password is empty")
	}
	derived, err := sasl.NewKeys(password, mechanisms[:]...)
	keys := make([]store.Key, len(derived))
	for i, k := range derived {
		keys[i] = store.Key(k)
	}
	return keys, err
}
