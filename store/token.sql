-- Who may use the console: roles of accounts, tokens of programs, sessions of
-- people, and what was answered to requests with an idempotency key.
-- Organisation 0 is all of them: operators.

-- name: org-by-domain   feature: console   on: primary
SELECT id FROM org WHERE domain = ?;

-- name: role-set   feature: console   on: primary   upsert: yes
INSERT INTO role (org, account, role, at) VALUES (?, ?, ?, ?)
ON CONFLICT (org, account) DO UPDATE SET role = excluded.role, at = excluded.at;

-- name: role-delete   feature: console   on: primary
DELETE FROM role WHERE org = ? AND account = ?;

-- name: role-get   feature: console   on: primary
SELECT role, at FROM role WHERE org = ? AND account = ?;

-- name: role-page   feature: console   on: primary
SELECT account, role, at FROM role WHERE org = ? AND account > ? ORDER BY account LIMIT ?;

-- name: token-insert   feature: console   on: primary
INSERT INTO token (org, id, hash, prefix, name, role, scopes, maker, made, expires, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0);

-- name: token-by-hash   feature: console   on: primary
SELECT org, id, prefix, name, role, scopes, maker, made, expires, used FROM token WHERE hash = ?;

-- name: token-page   feature: console   on: primary
SELECT org, id, prefix, name, role, scopes, maker, made, expires, used FROM token WHERE org = ? AND id > ? ORDER BY id LIMIT ?;

-- name: token-used   feature: console   on: primary
UPDATE token SET used = ? WHERE org = ? AND id = ? AND used < ?;

-- name: token-delete   feature: console   on: primary
DELETE FROM token WHERE org = ? AND id = ?;

-- name: websession-insert   feature: console   on: primary
INSERT INTO websession (hash, org, account, proof, made, used, expires) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: websession-get   feature: console   on: primary
SELECT w.org, w.account, w.proof, w.made, w.used, w.expires, a.sasl, a.disabled, r.role
FROM websession w JOIN account a ON a.org = w.org AND a.name = w.account JOIN role r ON r.org = w.org AND r.account = w.account
WHERE w.hash = ?;

-- name: websession-used   feature: console   on: primary
UPDATE websession SET used = ? WHERE hash = ? AND used < ?;

-- name: websession-delete   feature: console   on: primary
DELETE FROM websession WHERE hash = ?;

-- name: websession-over   feature: console   on: primary
SELECT hash FROM websession WHERE expires < ? LIMIT ?;

-- name: websession-drop   feature: console   on: primary
DELETE FROM websession WHERE hash IN (?...);

-- name: idem-insert   feature: console   on: primary   insert: ignore
INSERT INTO idem (org, who, name, hash, status, kind, body, at) VALUES (?, ?, ?, ?, 0, '', '', ?);

-- name: idem-get   feature: console   on: primary
SELECT hash, status, kind, body, at FROM idem WHERE org = ? AND who = ? AND name = ?;

-- name: idem-answer   feature: console   on: primary
UPDATE idem SET status = ?, kind = ?, body = ? WHERE org = ? AND who = ? AND name = ?;

-- name: idem-delete   feature: console   on: primary
DELETE FROM idem WHERE org = ? AND who = ? AND name = ?;

-- name: idem-over   feature: console   on: primary
SELECT org, who, name FROM idem WHERE at < ? LIMIT ?;
