-- The audit log: a chain of rows for each organisation and writer (process).
-- People stand in it by a pseudonym; audit_name says who that is, until the
-- person is erased. Organisation 0 is the server's own.

-- name: audit-head   feature: console   on: primary
SELECT seq, hash FROM audit WHERE org = ? AND writer = ? ORDER BY seq DESC LIMIT 1;

-- name: audit-insert   feature: console   on: primary
INSERT INTO audit (org, writer, seq, at, actor, role, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: audit-chain   feature: console   on: primary
SELECT writer, seq, at, actor, role, action, subject, detail, hash FROM audit WHERE org = ? AND writer = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: audit-at   feature: console   on: primary
SELECT writer, seq, at, actor, role, action, subject, detail, hash FROM audit WHERE org = ? AND writer = ? AND seq = ?;

-- name: audit-heads   feature: console   on: primary
SELECT a.writer, a.seq, a.hash FROM audit a
WHERE a.org = ? AND a.seq = (SELECT MAX(b.seq) FROM audit b WHERE b.org = a.org AND b.writer = a.writer) ORDER BY a.writer;

-- name: audit-orgs   feature: console   on: primary
SELECT DISTINCT org FROM audit ORDER BY org;

-- name: audit-last-seal   feature: console   on: primary
SELECT MAX(at) FROM audit WHERE org = ? AND writer = ? AND action = ?;

-- name: audit-page   feature: console   on: replica
SELECT writer, seq, at, actor, role, action, subject, detail, hash FROM audit
WHERE org = ? AND (at < ? OR at = ? AND (writer < ? OR writer = ? AND seq < ?)) AND (? = 0 OR action = ?)
ORDER BY at DESC, writer DESC, seq DESC LIMIT ?;

-- name: audit-by-actor   feature: console   on: replica
SELECT writer, seq, at, actor, role, action, subject, detail, hash FROM audit
WHERE org = ? AND actor = ? AND (at < ? OR at = ? AND (writer < ? OR writer = ? AND seq < ?)) AND (? = 0 OR action = ?)
ORDER BY at DESC, writer DESC, seq DESC LIMIT ?;

-- name: audit-by-subject   feature: console   on: replica
SELECT writer, seq, at, actor, role, action, subject, detail, hash FROM audit
WHERE org = ? AND subject = ? AND (at < ? OR at = ? AND (writer < ? OR writer = ? AND seq < ?)) AND (? = 0 OR action = ?)
ORDER BY at DESC, writer DESC, seq DESC LIMIT ?;

-- name: audit-name-get   feature: console   on: primary
SELECT id FROM audit_name WHERE org = ? AND name = ?;

-- name: audit-name-insert   feature: console   on: primary   insert: ignore
INSERT INTO audit_name (org, id, name) VALUES (?, ?, ?);

-- name: audit-name-some   feature: console   on: primary
SELECT id, name FROM audit_name WHERE org = ? AND id IN (?...);

-- name: audit-name-delete   feature: console   on: primary
DELETE FROM audit_name WHERE org = ? AND name = ?;
