-- Migrations. Append only: the place of a statement is its number.
-- Times are microseconds; ids are ours; addresses are bytes; the owner leads.

-- name: org-table   feature: server   on: primary   table: plain
CREATE TABLE IF NOT EXISTS org (
  id INTEGER NOT NULL PRIMARY KEY,
  domain VARBINARY(1023) NOT NULL UNIQUE,
  at BIGINT NOT NULL
);

-- name: secret-table   feature: server   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS secret (
  name VARBINARY(64) NOT NULL PRIMARY KEY,
  value VARBINARY(1024) NOT NULL
);

-- name: tick-table   feature: server   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS tick (
  name VARBINARY(64) NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);

-- name: account-table   feature: account   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS account (
  org INTEGER NOT NULL,
  name VARBINARY(1023) NOT NULL,
  id BIGINT NOT NULL,
  sasl BLOB NOT NULL,
  disabled INTEGER NOT NULL,
  roster BIGINT NOT NULL,
  roster_floor BIGINT NOT NULL,
  blocks INTEGER NOT NULL,
  prefs BLOB,
  import BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, name)
);

-- name: account-id   feature: account   on: primary
CREATE UNIQUE INDEX account_id ON account (id);

-- name: import-table   feature: account   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS import_run (
  id BIGINT NOT NULL PRIMARY KEY,
  done INTEGER NOT NULL,
  accounts BIGINT NOT NULL,
  at BIGINT NOT NULL
);

-- name: erasure-table   feature: account   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS erasure (
  owner BIGINT NOT NULL PRIMARY KEY,
  org INTEGER NOT NULL,
  at BIGINT NOT NULL
);

-- name: roster-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS roster (
  owner BIGINT NOT NULL,
  peer VARBINARY(2047) NOT NULL,
  name BLOB NOT NULL,
  sub INTEGER NOT NULL,
  ask INTEGER NOT NULL,
  approved INTEGER NOT NULL,
  listed INTEGER NOT NULL,
  pending LONGBLOB,
  teams LONGBLOB NOT NULL,
  ver BIGINT NOT NULL,
  removed INTEGER NOT NULL,
  PRIMARY KEY (owner, peer)
);

-- name: blocked-table   feature: blocking   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS blocked (
  owner BIGINT NOT NULL,
  hash BIGINT NOT NULL,
  peer VARBINARY(3071) NOT NULL,
  PRIMARY KEY (owner, hash)
);

-- name: vcard-table   feature: vcard   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS vcard (
  owner BIGINT NOT NULL PRIMARY KEY,
  xml LONGBLOB NOT NULL
);

-- name: private-table   feature: private   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS private (
  owner BIGINT NOT NULL,
  hash BIGINT NOT NULL,
  xml LONGBLOB NOT NULL,
  PRIMARY KEY (owner, hash)
);

-- name: last-table   feature: lastactivity   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS last (
  owner BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  status BLOB NOT NULL
);

-- name: lever-table   feature: server   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS lever (
  name VARBINARY(128) NOT NULL,
  org INTEGER NOT NULL,
  version BIGINT NOT NULL,
  value BIGINT NOT NULL,
  reset INTEGER NOT NULL,
  who BLOB NOT NULL,
  why BLOB NOT NULL,
  until BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (name, org, version)
);

-- name: message-table   feature: archive   on: primary   table: plain
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER NOT NULL PRIMARY KEY,
  rnd BIGINT NOT NULL,
  org INTEGER NOT NULL,
  copies BLOB NOT NULL,
  stanza LONGBLOB NOT NULL
);
-- dialect: mysql
CREATE TABLE IF NOT EXISTS message (
  seq BIGINT NOT NULL PRIMARY KEY,
  rnd BIGINT NOT NULL,
  org INTEGER NOT NULL,
  copies BLOB NOT NULL,
  stanza LONGBLOB NOT NULL
);

-- name: entry-table   feature: archive   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS entry (
  owner BIGINT NOT NULL,
  dir INTEGER NOT NULL,
  seq BIGINT NOT NULL,
  peer BIGINT NOT NULL,
  flags INTEGER NOT NULL,
  origin BIGINT NOT NULL,
  PRIMARY KEY (owner, dir, seq)
);

-- name: entry-peer   feature: archive   on: primary
CREATE INDEX entry_peer ON entry (owner, peer, seq);

-- name: conversation-table   feature: archive   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS conversation (
  owner BIGINT NOT NULL,
  peer BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  unread BIGINT NOT NULL,
  PRIMARY KEY (owner, peer)
);

-- name: inbox-table   feature: archive   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS inbox (
  owner BIGINT NOT NULL PRIMARY KEY,
  at_rnd BIGINT NOT NULL,
  at_seq BIGINT NOT NULL,
  in_seq BIGINT NOT NULL,
  upto BIGINT NOT NULL
);

-- name: hidden-table   feature: archive   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS hidden (
  owner BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (owner, seq)
);

-- name: group-org-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp_org (
  org INTEGER NOT NULL PRIMARY KEY,
  ver BIGINT NOT NULL,
  since BIGINT NOT NULL,
  everyone INTEGER NOT NULL
);

-- name: group-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  name VARBINARY(1023) NOT NULL,
  label BLOB NOT NULL,
  about BLOB NOT NULL,
  kind INTEGER NOT NULL,
  parent BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: group-name   feature: roster   on: primary
CREATE UNIQUE INDEX grp_name ON grp (org, name);

-- name: group-member-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp_member (
  org INTEGER NOT NULL,
  grp BIGINT NOT NULL,
  account BIGINT NOT NULL,
  ver BIGINT NOT NULL,
  run BIGINT NOT NULL,
  PRIMARY KEY (org, grp, account)
);

-- name: group-member-account   feature: roster   on: primary
CREATE INDEX grp_member_account ON grp_member (account);

-- name: group-show-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp_show (
  org INTEGER NOT NULL,
  grp BIGINT NOT NULL,
  other BIGINT NOT NULL,
  care INTEGER NOT NULL,
  ver BIGINT NOT NULL,
  PRIMARY KEY (org, grp, other)
);

-- name: group-log-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp_log (
  org INTEGER NOT NULL,
  ver BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  grp BIGINT NOT NULL,
  other BIGINT NOT NULL,
  account BIGINT NOT NULL,
  care INTEGER NOT NULL,
  name VARBINARY(1023) NOT NULL,
  PRIMARY KEY (org, ver)
);

-- name: group-run-table   feature: roster   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS grp_run (
  id BIGINT NOT NULL PRIMARY KEY,
  org INTEGER NOT NULL,
  at BIGINT NOT NULL
);

-- name: version-table   feature: server   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS version (
  org INTEGER NOT NULL,
  what INTEGER NOT NULL,
  ver BIGINT NOT NULL,
  PRIMARY KEY (org, what)
);

-- name: lever-group   feature: server   on: primary
ALTER TABLE lever ADD COLUMN grp BIGINT NOT NULL DEFAULT 0;

-- name: lever-undoes   feature: server   on: primary
ALTER TABLE lever ADD COLUMN undoes BIGINT NOT NULL DEFAULT 0;

-- name: ledger-table   feature: ledger   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS ledger (
  at BIGINT NOT NULL,
  org INTEGER NOT NULL,
  feature VARBINARY(128) NOT NULL,
  span BIGINT NOT NULL,
  online INTEGER NOT NULL,
  calls BIGINT NOT NULL,
  cpu BIGINT NOT NULL,
  sent BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  bytes_cluster BIGINT NOT NULL,
  statements BIGINT NOT NULL,
  affected BIGINT NOT NULL,
  sql_time BIGINT NOT NULL,
  waited BIGINT NOT NULL,
  PRIMARY KEY (at, org, feature)
);
