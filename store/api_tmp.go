package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/bearhug/bearhug/feature"
)

type ctxT = context.Context

type AccountID int64
type Peer uint64
type ID [16]byte

func (a ID) IsZero() bool     { return a == ID{} }
func (a ID) Compare(b ID) int { return bytes.Compare(a[:], b[:]) }
func (a ID) String() string   { return hex.EncodeToString(a[:]) }
func (a ID) Time() time.Time  { return time.UnixMilli(int64(binary.BigEndian.Uint64(a[:8]) >> 16)) }

type Organisation struct {
	ID     feature.Org
	Domain string
}

func (s *Store) Orgs(ctx ctxT) ([]Organisation, error)                  { return nil, errTodo }
func (s *Store) AddOrg(ctx ctxT, domain string) (feature.Org, error)    { return 0, errTodo }
func (s *Store) Secret(ctx ctxT, name string, size int) ([]byte, error) { return nil, errTodo }

type Key struct {
	Mechanism                  string
	Iterations                 int
	Salt, StoredKey, ServerKey []byte
}
type Account struct {
	ID            AccountID
	Org           feature.Org
	Local         string
	Keys          []Key
	Disabled      bool
	RosterVersion uint64
	HasBlocks     bool
	Prefs         []byte
	Cursor        ID
	Undelivered   bool
}
type AccountInfo struct {
	ID       AccountID
	Local    string
	Disabled bool
}
type ImportRow struct {
	Line          int
	Local, Domain string
	Key           Key
}
type ImportOptions struct {
	DryRun   bool
	Progress func(done, total int)
}
type ImportResult struct {
	Accounts int
	Problems []Problem
}
type Problem struct {
	Line   int
	JID    string
	Reason string
}

func (s *Store) Account(ctx ctxT, org feature.Org, local string) (*Account, error) {
	return nil, errTodo
}
func (s *Store) AccountIDs(ctx ctxT, org feature.Org, locals []string) (map[string]AccountID, error) {
	return nil, errTodo
}
func (s *Store) CreateAccount(ctx ctxT, org feature.Org, local string, keys []Key) (AccountID, error) {
	return 0, errTodo
}
func (s *Store) SetKeys(ctx ctxT, org feature.Org, local string, keys []Key) error { return errTodo }
func (s *Store) SetDisabled(ctx ctxT, org feature.Org, local string, disabled bool) error {
	return errTodo
}
func (s *Store) DeleteAccount(ctx ctxT, org feature.Org, local string) error { return errTodo }
func (s *Store) ListAccounts(ctx ctxT, org feature.Org, after string, limit int) ([]AccountInfo, error) {
	return nil, errTodo
}
func (s *Store) Import(ctx ctxT, rows []ImportRow, o ImportOptions) (ImportResult, error) {
	return ImportResult{}, errTodo
}

type Subscription uint8

const (
	SubNone Subscription = iota
	SubTo
	SubFrom
	SubBoth
)

func (s Subscription) String() string { return [...]string{"none", "to", "from", "both"}[s&3] }

type RosterItem struct {
	Peer          string
	Name          string
	Sub           Subscription
	Ask, Approved bool
	Pending       []byte
	Groups        []string
	Listed        bool
	Version       uint64
}
type RosterChange struct {
	RosterItem
	Removed bool
}
type RosterDelta struct {
	Changes []RosterChange
	Version uint64
	Full    bool
}

func (s *Store) Roster(ctx ctxT, org feature.Org, owner AccountID) ([]RosterItem, uint64, error) {
	return nil, 0, errTodo
}
func (s *Store) RosterSince(ctx ctxT, org feature.Org, owner AccountID, version uint64) (RosterDelta, error) {
	return RosterDelta{}, errTodo
}
func (s *Store) RosterItem(ctx ctxT, org feature.Org, owner AccountID, peer string) (*RosterItem, error) {
	return nil, errTodo
}
func (s *Store) SetRosterItem(ctx ctxT, org feature.Org, owner AccountID, item RosterItem) (uint64, error) {
	return 0, errTodo
}
func (s *Store) RemoveRosterItem(ctx ctxT, org feature.Org, owner AccountID, peer string) (uint64, error) {
	return 0, errTodo
}

func (s *Store) Blocks(ctx ctxT, org feature.Org, owner AccountID) ([]string, error) {
	return nil, errTodo
}
func (s *Store) Block(ctx ctxT, org feature.Org, owner AccountID, jids []string) error {
	return errTodo
}
func (s *Store) Unblock(ctx ctxT, org feature.Org, owner AccountID, jids []string) error {
	return errTodo
}
func (s *Store) VCard(ctx ctxT, org feature.Org, owner AccountID) ([]byte, error) {
	return nil, errTodo
}
func (s *Store) SetVCard(ctx ctxT, org feature.Org, owner AccountID, vcard []byte) error {
	return errTodo
}
func (s *Store) Private(ctx ctxT, org feature.Org, owner AccountID, ns, name string) ([]byte, error) {
	return nil, errTodo
}
func (s *Store) SetPrivate(ctx ctxT, org feature.Org, owner AccountID, ns, name string, xml []byte) error {
	return errTodo
}

type Last struct {
	Org    feature.Org
	Owner  AccountID
	At     time.Time
	Status string
}

func (s *Store) Last(ctx ctxT, org feature.Org, owner AccountID) (Last, error) {
	return Last{}, errTodo
}
func (s *Store) SaveLast(ctx ctxT, lasts []Last) error { return errTodo }
func (s *Store) SetPrefs(ctx ctxT, org feature.Org, owner AccountID, prefs []byte) error {
	return errTodo
}
func (s *Store) Prefs(ctx ctxT, org feature.Org, owner AccountID) ([]byte, error) {
	return nil, errTodo
}

type LeverRow struct {
	Name     string
	Org      feature.Org
	Value    int64
	Who, Why string
	Version  uint64
	Until    time.Time
	Reset    bool
	At       time.Time
}

func (s *Store) Levers(ctx ctxT) ([]LeverRow, error)             { return nil, errTodo }
func (s *Store) SetLever(ctx ctxT, row LeverRow) (uint64, error) { return 0, errTodo }
func (s *Store) LeverHistory(ctx ctxT, name string, limit int) ([]LeverRow, error) {
	return nil, errTodo
}

type Flags uint8

const (
	FlagIn Flags = 1 << iota
	FlagHidden
	FlagBody
	FlagRead
)

type Copy struct {
	Owner  AccountID
	Peer   Peer
	Flags  Flags
	Origin uint64
}
type Message struct {
	Org    feature.Org
	ID     ID
	Stanza []byte
	Copies []Copy
}
type Cursor struct {
	Org   feature.Org
	Owner AccountID
	ID    ID
}
type Batch struct {
	Messages []Message
	Cursors  []Cursor
}
type PageQuery struct {
	Owner         AccountID
	Peer          Peer
	After, Before ID
	Limit         int
	Backward      bool
	MAMOnly       bool
	Undelivered   bool
}
type Row struct {
	ID     ID
	Peer   Peer
	Flags  Flags
	Stanza []byte
}
type Origin struct {
	Hash uint64
	ID   ID
}
type Conversation struct {
	Peer   Peer
	Last   ID
	Unread int
	Stanza []byte
}

func (s *Store) AppendBatch(ctx ctxT, b *Batch) error         { return errTodo }
func (s *Store) SaveCursors(ctx ctxT, cursors []Cursor) error { return errTodo }
func (s *Store) Page(ctx ctxT, org feature.Org, q PageQuery) ([]Row, bool, error) {
	return nil, false, errTodo
}
func (s *Store) ByIDs(ctx ctxT, org feature.Org, owner AccountID, ids []ID) ([]Row, error) {
	return nil, errTodo
}
func (s *Store) Has(ctx ctxT, org feature.Org, owner AccountID, id ID) (bool, error) {
	return false, errTodo
}
func (s *Store) Bounds(ctx ctxT, org feature.Org, owner AccountID) (first, last ID, err error) {
	return ID{}, ID{}, errTodo
}
func (s *Store) Greatest(ctx ctxT) (ID, error) { return ID{}, errTodo }
func (s *Store) RecentOrigins(ctx ctxT, org feature.Org, owner AccountID, n int) ([]Origin, error) {
	return nil, errTodo
}
func (s *Store) Cursor(ctx ctxT, org feature.Org, owner AccountID) (ID, error) { return ID{}, errTodo }
func (s *Store) DeleteDelivered(ctx ctxT) (int, error)                         { return 0, errTodo }
func (s *Store) Conversations(ctx ctxT, org feature.Org, owner AccountID, before ID, limit int) ([]Conversation, error) {
	return nil, errTodo
}
func (s *Store) Erase(ctx ctxT, org feature.Org, owner AccountID, both bool) (int, error) {
	return 0, errTodo
}
