-- What an account keeps for itself: blocked addresses, vCard, private XML,
-- last activity.

-- name: blocked-list   feature: blocking   on: primary
SELECT peer FROM blocked WHERE owner = ?;

-- name: blocked-insert   feature: blocking   on: primary   insert: ignore
INSERT INTO blocked (owner, hash, peer) VALUES (?, ?, ?)...;

-- name: blocked-delete   feature: blocking   on: primary
DELETE FROM blocked WHERE owner = ? AND hash IN (?...);

-- name: blocked-some   feature: blocking   on: primary
SELECT hash FROM blocked WHERE owner = ? LIMIT ?;

-- name: blocked-count   feature: blocking   on: primary
UPDATE account SET blocks = (SELECT COUNT(*) FROM blocked b WHERE b.owner = account.id) WHERE id = ?;

-- name: vcard-get   feature: vcard   on: primary
SELECT xml FROM vcard WHERE owner = ?;

-- name: vcard-set   feature: vcard   on: primary   upsert: yes
INSERT INTO vcard (owner, xml) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET xml = excluded.xml;

-- name: vcard-delete   feature: vcard   on: primary
DELETE FROM vcard WHERE owner = ?;

-- name: private-get   feature: private   on: primary
SELECT xml FROM private WHERE owner = ? AND hash = ?;

-- name: private-set   feature: private   on: primary   upsert: yes
INSERT INTO private (owner, hash, xml) VALUES (?, ?, ?) ON CONFLICT (owner, hash) DO UPDATE SET xml = excluded.xml;

-- name: private-size   feature: private   on: primary
SELECT COUNT(*), COALESCE(SUM(LENGTH(xml)), 0) FROM private WHERE owner = ?;

-- name: private-some   feature: private   on: primary
SELECT hash FROM private WHERE owner = ? LIMIT ?;

-- name: private-delete   feature: private   on: primary
DELETE FROM private WHERE owner = ? AND hash IN (?...);

-- name: last-get   feature: lastactivity   on: primary
SELECT at, status FROM last WHERE owner = ?;

-- name: last-set   feature: lastactivity   on: primary   upsert: yes
INSERT INTO last (owner, at, status) VALUES (?, ?, ?)...
ON CONFLICT (owner) DO UPDATE SET at = excluded.at, status = excluded.status;

-- name: last-orphans   feature: lastactivity   on: primary
DELETE FROM last WHERE owner IN (?...) AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = last.owner);

-- name: last-delete   feature: lastactivity   on: primary
DELETE FROM last WHERE owner = ?;
