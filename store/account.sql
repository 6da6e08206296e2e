-- Accounts. A row of an import is visible once its import is done.

-- name: account-get   feature: account   on: primary
SELECT a.id, a.sasl, a.disabled, a.roster, a.blocks, a.prefs, i.at_seq, i.at_rnd, i.in_seq
FROM account a LEFT JOIN inbox i ON i.owner = a.id
WHERE a.org = ? AND a.name = ?
  AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1));

-- name: account-signin   feature: account   on: primary
SELECT a.id, a.sasl, a.disabled, a.roster, a.blocks, a.prefs, i.at_seq, i.at_rnd, i.in_seq,
  r.peer, r.name, r.sub, r.ask, r.approved, r.listed, r.pending, r.teams, r.ver, r.removed, 0
FROM account a LEFT JOIN inbox i ON i.owner = a.id
  LEFT JOIN roster r ON r.owner = a.id AND r.removed = 0
WHERE a.org = ? AND a.name = ?
  AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run n WHERE n.id = a.import AND n.done = 1))
UNION ALL
SELECT 0, NULL, 0, 0, 0, NULL, 0, 0, 0, b.peer, NULL, 0, 0, 0, 0, NULL, NULL, 0, 0, 1
FROM account a JOIN blocked b ON b.owner = a.id
WHERE a.org = ? AND a.name = ? AND a.blocks > 0;

-- name: account-ids   feature: account   on: primary
SELECT a.name, a.id FROM account a
WHERE a.org = ? AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
  AND a.name IN (?...);

-- name: account-list   feature: account   on: replica
SELECT a.id, a.name, a.disabled FROM account a
WHERE a.org = ? AND a.name > ?
  AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
ORDER BY a.name LIMIT ?;

-- name: account-lacks   feature: account   on: primary
SELECT a.id FROM account a
WHERE a.org = ? AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
  AND LENGTH(a.sasl) > 0 AND INSTR(a.sasl, ?) = 0 LIMIT 1;

-- name: account-sample   feature: account   on: primary
SELECT a.sasl FROM account a
WHERE a.org = ? AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
  AND LENGTH(a.sasl) > 0 ORDER BY a.name LIMIT ?;

-- name: account-insert   feature: account   on: primary
INSERT INTO account (org, name, id, sasl, disabled, roster, roster_floor, blocks, prefs, import, at)
VALUES (?, ?, ?, ?, 0, 0, 0, 0, NULL, ?, ?)...;

-- name: account-keys   feature: account   on: primary
UPDATE account SET sasl = ? WHERE id = ?;

-- name: account-keys-add   feature: account   on: primary
UPDATE account SET sasl = ? WHERE id = ? AND sasl = ?;

-- name: account-disable   feature: account   on: primary
UPDATE account SET disabled = ? WHERE id = ?;

-- name: account-prefs   feature: prefs   on: primary
UPDATE account SET prefs = ? WHERE id = ?;

-- name: account-prefs-get   feature: prefs   on: primary
SELECT prefs FROM account WHERE id = ?;

-- name: account-delete   feature: account   on: primary
DELETE FROM account WHERE id = ?;

-- name: account-unstage   feature: account   on: primary
DELETE FROM account WHERE org = ? AND import <> 0
  AND NOT EXISTS (SELECT 1 FROM import_run r WHERE r.id = account.import AND r.done = 1)
  AND name IN (?...);

-- name: account-staged   feature: account   on: primary
SELECT name FROM account WHERE org = ? AND name > ? AND import = ? ORDER BY name LIMIT ?;

-- name: erasure-insert   feature: account   on: primary   insert: ignore
INSERT INTO erasure (owner, org, at) VALUES (?, ?, ?);

-- name: erasure-list   feature: account   on: primary
SELECT owner, org FROM erasure ORDER BY owner LIMIT ?;

-- name: erasure-delete   feature: account   on: primary
DELETE FROM erasure WHERE owner = ?;

-- name: import-insert   feature: account   on: primary
INSERT INTO import_run (id, done, accounts, at) VALUES (?, 0, ?, ?);

-- name: import-done   feature: account   on: primary
UPDATE import_run SET done = 1 WHERE id = ? AND done = 0;

-- name: import-spoil   feature: account   on: primary
UPDATE import_run SET done = 2 WHERE done = 0;

-- name: import-open   feature: account   on: primary
SELECT id FROM import_run WHERE done <> 1 AND at < ? ORDER BY id;

-- name: import-delete   feature: account   on: primary
DELETE FROM import_run WHERE id = ? AND done <> 1;
