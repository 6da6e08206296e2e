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

-- name: person-table   feature: people   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS person (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  account VARBINARY(1023) NOT NULL,
  ext VARBINARY(190) NOT NULL,
  email VARBINARY(320) NOT NULL,
  name BLOB NOT NULL,
  zone VARBINARY(64) NOT NULL,
  lang VARBINARY(64) NOT NULL,
  manager VARBINARY(190) NOT NULL,
  team BLOB NOT NULL,
  start BIGINT,
  `left` BIGINT NOT NULL,
  prefs BLOB NOT NULL,
  attrs LONGBLOB NOT NULL,
  ver BIGINT NOT NULL,
  run BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: person-ext   feature: people   on: primary
CREATE UNIQUE INDEX person_ext ON person (org, ext);

-- name: person-email   feature: people   on: primary
CREATE INDEX person_email ON person (org, email);

-- name: person-account   feature: people   on: primary
CREATE INDEX person_account ON person (org, account);

-- name: person-was-table   feature: people   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS person_was (
  org INTEGER NOT NULL,
  run BIGINT NOT NULL,
  id BIGINT NOT NULL,
  prior BIGINT NOT NULL,
  email VARBINARY(320) NOT NULL,
  account VARBINARY(1023) NOT NULL,
  image LONGBLOB NOT NULL,
  PRIMARY KEY (org, run, id)
);

-- name: person-was-email   feature: people   on: primary
CREATE INDEX person_was_email ON person_was (org, email);

-- name: person-was-account   feature: people   on: primary
CREATE INDEX person_was_account ON person_was (org, account);

-- name: person-run-table   feature: people   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS person_run (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  shown INTEGER NOT NULL,
  at BIGINT NOT NULL,
  who BLOB NOT NULL,
  counts BLOB NOT NULL,
  fields BLOB NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: person-field-table   feature: people   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS person_field (
  org INTEGER NOT NULL,
  name VARBINARY(64) NOT NULL,
  kind VARBINARY(16) NOT NULL,
  label BLOB NOT NULL,
  PRIMARY KEY (org, name)
);

-- name: audience-table   feature: people   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS audience (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  name VARBINARY(190) NOT NULL,
  rule BLOB NOT NULL,
  at BIGINT NOT NULL,
  who BLOB NOT NULL,
  ver BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: audience-name   feature: people   on: primary
CREATE UNIQUE INDEX audience_name ON audience (org, name);

-- name: campaign-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS campaign (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  name VARBINARY(190) NOT NULL,
  kind VARBINARY(16) NOT NULL,
  state INTEGER NOT NULL,
  anonymous INTEGER NOT NULL,
  flow BIGINT NOT NULL,
  flow_ver BIGINT NOT NULL,
  audience BIGINT NOT NULL,
  weight INTEGER NOT NULL,
  tokens BIGINT NOT NULL,
  tokens_at BIGINT NOT NULL,
  turns BIGINT NOT NULL,
  last_wave BIGINT NOT NULL,
  launched BIGINT NOT NULL,
  ver BIGINT NOT NULL,
  at BIGINT NOT NULL,
  settings MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: campaign-name   feature: outreach   on: primary
CREATE UNIQUE INDEX campaign_name ON campaign (org, name);

-- name: campaign-by-state   feature: outreach   on: primary
CREATE INDEX campaign_state ON campaign (state);

-- name: wave-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS wave (
  org INTEGER NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  state INTEGER NOT NULL,
  upto BIGINT NOT NULL,
  people BIGINT NOT NULL,
  why VARBINARY(500) NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, campaign, wave)
);

-- name: invitation-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS invitation (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  person BIGINT NOT NULL,
  step INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  variant INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  began BIGINT NOT NULL,
  handed BIGINT NOT NULL,
  done BIGINT NOT NULL,
  answered BIGINT NOT NULL,
  milestone VARBINARY(64) NOT NULL,
  why VARBINARY(500) NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: invitation-once   feature: outreach   on: primary
CREATE UNIQUE INDEX invitation_once ON invitation (org, campaign, wave, person, step, channel);

-- name: invitation-by-due   feature: outreach   on: primary
CREATE INDEX invitation_due ON invitation (org, campaign, state, due);

-- name: invitation-by-person   feature: outreach   on: primary
CREATE INDEX invitation_person ON invitation (org, person, handed);

-- name: bucket-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS bucket (
  org INTEGER NOT NULL PRIMARY KEY,
  tokens BIGINT NOT NULL,
  tokens_at BIGINT NOT NULL
);

-- name: suppression-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS suppression (
  org INTEGER NOT NULL,
  who VARBINARY(254) NOT NULL,
  kind INTEGER NOT NULL,
  why VARBINARY(500) NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, who)
);

-- name: outbox-table   feature: outreach   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS outbox (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  at BIGINT NOT NULL,
  message_id VARBINARY(250) NOT NULL,
  sender VARBINARY(254) NOT NULL,
  recipient VARBINARY(254) NOT NULL,
  subject BLOB NOT NULL,
  body MEDIUMBLOB NOT NULL,
  html MEDIUMBLOB NOT NULL,
  unsubscribe BLOB NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: bot-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS bot (
  org INTEGER NOT NULL PRIMARY KEY,
  local VARBINARY(1023) NOT NULL,
  settings MEDIUMBLOB NOT NULL,
  ver BIGINT NOT NULL
);

-- name: script-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS script (
  org INTEGER NOT NULL,
  hash VARBINARY(32) NOT NULL,
  doc MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, hash)
);

-- name: talk-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS talk (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  account VARBINARY(1023) NOT NULL,
  person BIGINT NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  anonymous INTEGER NOT NULL,
  pseudonym VARBINARY(16) NOT NULL,
  script VARBINARY(32) NOT NULL,
  phase INTEGER NOT NULL,
  casefile BIGINT NOT NULL,
  due BIGINT NOT NULL,
  began BIGINT NOT NULL,
  touched BIGINT NOT NULL,
  answered INTEGER NOT NULL,
  ver BIGINT NOT NULL,
  about BLOB NOT NULL,
  state MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: talk-once   feature: bot   on: primary
CREATE UNIQUE INDEX talk_once ON talk (org, campaign, wave, person);

-- name: talk-by-account   feature: bot   on: primary
CREATE INDEX talk_account ON talk (org, account);

-- name: talk-by-pseudonym   feature: bot   on: primary
CREATE INDEX talk_pseudonym ON talk (org, pseudonym);

-- name: talk-by-due   feature: bot   on: primary
CREATE INDEX talk_due ON talk (due);

-- name: heard-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS heard (
  org INTEGER NOT NULL,
  account VARBINARY(1023) NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (org, account)
);

-- name: say-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS say (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  n INTEGER NOT NULL,
  account VARBINARY(1023) NOT NULL,
  at BIGINT NOT NULL,
  body MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, id, n)
);

-- name: answer-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS answer (
  org INTEGER NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  who VARBINARY(16) NOT NULL,
  question VARBINARY(64) NOT NULL,
  person BIGINT NOT NULL,
  kind VARBINARY(16) NOT NULL,
  measure VARBINARY(64) NOT NULL,
  picked BLOB NOT NULL,
  score INTEGER,
  body BLOB NOT NULL,
  sentiment INTEGER,
  reasons BLOB NOT NULL,
  lang VARBINARY(35) NOT NULL,
  skipped INTEGER NOT NULL,
  edits INTEGER NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, campaign, wave, who, question)
);

-- name: casefile-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS casefile (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  who VARBINARY(16) NOT NULL,
  account VARBINARY(1023) NOT NULL,
  person BIGINT NOT NULL,
  state INTEGER NOT NULL,
  class INTEGER NOT NULL,
  reason VARBINARY(64) NOT NULL,
  facts BLOB NOT NULL,
  owner VARBINARY(190) NOT NULL,
  due BIGINT NOT NULL,
  opened BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  ver BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: casefile-by-due   feature: bot   on: primary
CREATE INDEX casefile_due ON casefile (org, state, due);

-- name: casefile-by-who   feature: bot   on: primary
CREATE INDEX casefile_who ON casefile (org, who, state);

-- name: caseline-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS caseline (
  org INTEGER NOT NULL,
  casefile BIGINT NOT NULL,
  id BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  author VARBINARY(190) NOT NULL,
  at BIGINT NOT NULL,
  body MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, casefile, id)
);

-- name: link-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS link (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  hash VARBINARY(32) NOT NULL,
  kind INTEGER NOT NULL,
  talk BIGINT NOT NULL,
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  email VARBINARY(320) NOT NULL,
  expires BIGINT NOT NULL,
  revoked BIGINT NOT NULL,
  uses BIGINT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: link-by-hash   feature: bot   on: primary
CREATE UNIQUE INDEX link_hash ON link (hash);

-- name: link-by-talk   feature: bot   on: primary
CREATE INDEX link_talk ON link (org, talk);

-- name: device-table   feature: bot   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS device (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  hash VARBINARY(32) NOT NULL,
  link BIGINT NOT NULL,
  talk BIGINT NOT NULL,
  since BIGINT NOT NULL,
  made BIGINT NOT NULL,
  used BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  code VARBINARY(32) NOT NULL,
  code_until BIGINT NOT NULL,
  code_at BIGINT NOT NULL,
  tries INTEGER NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: device-by-hash   feature: bot   on: primary
CREATE UNIQUE INDEX device_hash ON device (hash);

-- name: device-by-talk   feature: bot   on: primary
CREATE INDEX device_talk ON device (org, talk);

-- name: pressure-table   feature: overload   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS pressure (
  node VARBINARY(255) NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  pressure INTEGER NOT NULL,
  waits BLOB NOT NULL
);

-- name: capacity-table   feature: overload   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS capacity (
  at BIGINT NOT NULL PRIMARY KEY,
  conversations BIGINT NOT NULL,
  conditions BLOB NOT NULL
);

-- name: rehearsal-table   feature: overload   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS rehearsal (
  id BIGINT NOT NULL PRIMARY KEY,
  org INTEGER NOT NULL,
  node VARBINARY(255) NOT NULL,
  people INTEGER NOT NULL
);

-- name: audit-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS audit (
  org INTEGER NOT NULL,
  writer VARBINARY(64) NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor VARBINARY(16) NOT NULL,
  role VARBINARY(32) NOT NULL,
  action VARBINARY(64) NOT NULL,
  subject VARBINARY(16) NOT NULL,
  detail MEDIUMBLOB NOT NULL,
  hash VARBINARY(32) NOT NULL,
  PRIMARY KEY (org, writer, seq)
);

-- name: audit-by-time   feature: console   on: primary
CREATE INDEX audit_at ON audit (org, at, writer, seq);

-- name: audit-of-actor   feature: console   on: primary
CREATE INDEX audit_actor ON audit (org, actor, at);

-- name: audit-of-subject   feature: console   on: primary
CREATE INDEX audit_subject ON audit (org, subject, at);

-- name: audit-name-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS audit_name (
  org INTEGER NOT NULL,
  id VARBINARY(16) NOT NULL,
  name VARBINARY(320) NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: audit-name-once   feature: console   on: primary
CREATE UNIQUE INDEX audit_name_once ON audit_name (org, name);

-- name: role-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS role (
  org INTEGER NOT NULL,
  account VARBINARY(1023) NOT NULL,
  role VARBINARY(32) NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, account)
);

-- name: token-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS token (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  hash VARBINARY(32) NOT NULL,
  prefix VARBINARY(16) NOT NULL,
  name VARBINARY(190) NOT NULL,
  role VARBINARY(32) NOT NULL,
  scopes BLOB NOT NULL,
  maker VARBINARY(320) NOT NULL,
  made BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: token-hash   feature: console   on: primary
CREATE UNIQUE INDEX token_hash ON token (hash);

-- name: websession-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS websession (
  hash VARBINARY(32) NOT NULL PRIMARY KEY,
  org INTEGER NOT NULL,
  account VARBINARY(1023) NOT NULL,
  proof VARBINARY(32) NOT NULL,
  made BIGINT NOT NULL,
  used BIGINT NOT NULL,
  expires BIGINT NOT NULL
);

-- name: websession-end   feature: console   on: primary
CREATE INDEX websession_expires ON websession (expires);

-- name: idem-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS idem (
  org INTEGER NOT NULL,
  who VARBINARY(64) NOT NULL,
  name VARBINARY(190) NOT NULL,
  hash VARBINARY(32) NOT NULL,
  status INTEGER NOT NULL,
  kind VARBINARY(190) NOT NULL,
  body MEDIUMBLOB NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (org, who, name)
);

-- name: idem-end   feature: console   on: primary
CREATE INDEX idem_at ON idem (at);

-- name: webhook-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS webhook (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  url BLOB NOT NULL,
  secret VARBINARY(64) NOT NULL,
  events BLOB NOT NULL,
  content INTEGER NOT NULL,
  state INTEGER NOT NULL,
  failing BIGINT NOT NULL,
  why BLOB NOT NULL,
  maker VARBINARY(320) NOT NULL,
  made BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: delivery-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS delivery (
  org INTEGER NOT NULL,
  id BIGINT NOT NULL,
  webhook BIGINT NOT NULL,
  event VARBINARY(64) NOT NULL,
  at BIGINT NOT NULL,
  due BIGINT NOT NULL,
  tries INTEGER NOT NULL,
  lease BIGINT NOT NULL,
  why BLOB NOT NULL,
  body MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, id)
);

-- name: delivery-by-due   feature: console   on: primary
CREATE INDEX delivery_due ON delivery (due);

-- name: delivery-by-lease   feature: console   on: primary
CREATE INDEX delivery_lease ON delivery (lease);

-- name: flow-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS flow (
  org INTEGER NOT NULL,
  flow BIGINT NOT NULL,
  ver BIGINT NOT NULL,
  name VARBINARY(64) NOT NULL,
  hash VARBINARY(64) NOT NULL,
  maker VARBINARY(320) NOT NULL,
  at BIGINT NOT NULL,
  body MEDIUMBLOB NOT NULL,
  PRIMARY KEY (org, flow, ver)
);

-- name: flow-name   feature: console   on: primary
CREATE INDEX flow_name ON flow (org, name);

-- name: register-table   feature: console   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS register (
  org INTEGER NOT NULL,
  campaign BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  question VARBINARY(64) NOT NULL,
  ver BIGINT NOT NULL,
  body LONGBLOB NOT NULL,
  PRIMARY KEY (org, campaign, wave, question)
);
