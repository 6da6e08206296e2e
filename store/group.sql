-- Shared groups. grp_org counts the edits of an organisation; grp_log tells
-- each of them, so that a client's version, and another process, learn what
-- they missed. A member of an import is visible once the row of its run is gone.

-- name: group-begin   feature: roster   on: primary   insert: ignore
INSERT INTO grp_org (org, ver, since, everyone) VALUES (?, 0, 0, 0);

-- name: group-bump   feature: roster   on: primary
UPDATE grp_org SET ver = ?, everyone = everyone + ? WHERE org = ? AND ver = ?;

-- name: group-since   feature: roster   on: primary
UPDATE grp_org SET since = ? WHERE org = ? AND since < ?;

-- name: group-bump-everyone   feature: roster   on: primary
UPDATE grp_org SET ver = ver + 1 WHERE org = ? AND everyone > 0;

-- name: group-bump-some   feature: roster   on: primary
UPDATE grp_org SET ver = ver + ? WHERE org = ? AND (everyone > 0 OR ? > 1);

-- name: group-version   feature: roster   on: primary
SELECT ver, since FROM grp_org WHERE org = ?;

-- name: group-versions   feature: roster   on: primary
SELECT org, ver, since FROM grp_org ORDER BY org;

-- name: group-log   feature: roster   on: primary
INSERT INTO grp_log (org, ver, kind, grp, other, account, care, name)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)...;

-- name: group-log-after   feature: roster   on: primary
SELECT l.ver, l.kind, l.grp, l.other, l.account, l.care, l.name, a.name, g.name, g.label, g.about, g.kind
FROM grp_log l LEFT JOIN account a ON a.id = l.account LEFT JOIN grp g ON g.org = l.org AND g.id = l.grp
WHERE l.org = ? AND l.ver > ? ORDER BY l.ver;

-- name: group-log-prune   feature: roster   on: primary
DELETE FROM grp_log WHERE org = ? AND ver <= ?;

-- name: group-insert   feature: roster   on: primary
INSERT INTO grp (org, id, name, label, about, kind, parent, at) VALUES (?, ?, ?, ?, ?, ?, 0, ?);

-- name: group-describe   feature: roster   on: primary
UPDATE grp SET label = ?, about = ? WHERE org = ? AND id = ?;

-- name: group-nest   feature: roster   on: primary
UPDATE grp SET parent = ? WHERE org = ? AND id = ?;

-- name: group-delete   feature: roster   on: primary
DELETE FROM grp WHERE org = ? AND id = ?;

-- name: group-orphan   feature: roster   on: primary
UPDATE grp SET parent = 0 WHERE org = ? AND parent = ?;

-- name: group-list   feature: roster   on: primary
SELECT id, name, label, about, kind, parent FROM grp WHERE org = ? ORDER BY id;

-- name: group-people   feature: roster   on: primary
SELECT a.id, a.name FROM account a
WHERE a.org = ? AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
ORDER BY a.id;

-- name: group-members   feature: roster   on: primary
SELECT m.grp, m.account, m.ver, m.run, a.name FROM grp_member m JOIN account a ON a.id = m.account
WHERE m.org = ? ORDER BY m.grp;

-- name: group-member-set   feature: roster   on: primary   upsert: yes
INSERT INTO grp_member (org, grp, account, ver, run) VALUES (?, ?, ?, ?, 0)...
ON CONFLICT (org, grp, account) DO UPDATE SET ver = excluded.ver, run = 0;

-- name: group-member-stage   feature: roster   on: primary   insert: ignore
INSERT INTO grp_member (org, grp, account, ver, run) VALUES (?, ?, ?, ?, ?)...;

-- name: group-staged   feature: roster   on: primary
SELECT DISTINCT grp FROM grp_member WHERE org = ? AND run = ?;

-- name: group-member-staged   feature: roster   on: primary
SELECT account FROM grp_member WHERE org = ? AND grp = ? AND run = ? LIMIT ?;

-- name: group-member-delete   feature: roster   on: primary
DELETE FROM grp_member WHERE org = ? AND grp = ? AND account IN (?...);

-- name: group-member-unstage   feature: roster   on: primary
DELETE FROM grp_member WHERE org = ? AND grp = ? AND run = ? AND account IN (?...);

-- name: group-member-some   feature: roster   on: primary
SELECT account FROM grp_member WHERE org = ? AND grp = ? LIMIT ?;

-- name: group-of-some   feature: roster   on: primary
SELECT grp FROM grp_member WHERE account = ? LIMIT ?;

-- name: group-of-all   feature: roster   on: primary
SELECT m.grp FROM grp_member m
WHERE m.account = ? AND m.org = ? AND NOT EXISTS (SELECT 1 FROM grp_run r WHERE r.id = m.run);

-- name: group-of-delete   feature: roster   on: primary
DELETE FROM grp_member WHERE account = ? AND org = ? AND grp IN (?...);

-- name: group-shows   feature: roster   on: primary
SELECT grp, other, care, ver FROM grp_show WHERE org = ? ORDER BY ver;

-- name: group-show-set   feature: roster   on: primary   upsert: yes
INSERT INTO grp_show (org, grp, other, care, ver) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (org, grp, other) DO UPDATE SET care = excluded.care;

-- name: group-show-delete   feature: roster   on: primary
DELETE FROM grp_show WHERE org = ? AND grp = ? AND other = ?;

-- name: group-show-drop   feature: roster   on: primary
DELETE FROM grp_show WHERE org = ? AND (grp = ? OR other = ?);

-- name: group-run-insert   feature: roster   on: primary
INSERT INTO grp_run (id, org, at) VALUES (?, ?, ?);

-- name: group-run-open   feature: roster   on: primary
SELECT id, org FROM grp_run WHERE org = ? ORDER BY id;

-- name: group-run-stale   feature: roster   on: primary
SELECT id, org FROM grp_run WHERE at < ? ORDER BY id;

-- name: group-run-end   feature: roster   on: primary
DELETE FROM grp_run WHERE id = ?;
