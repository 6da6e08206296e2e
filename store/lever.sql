-- Levers: every setting made; those that have run out are deleted after a year.
-- The last one that was not taken back and has not run out is in force; before
-- it nothing is needed that is older than the last one without an end, nor what
-- has run out, nor who took that back.

-- name: lever-list   feature: server   on: primary
SELECT l.name, l.org, l.grp, l.version, l.value, l.reset, l.undoes, l.who, l.why, l.until, l.at FROM lever l
WHERE l.version >= COALESCE((SELECT MAX(m.version) FROM lever m
  WHERE m.name = l.name AND m.org = l.org AND m.grp = l.grp AND m.until = 0 AND m.undoes = 0
    AND NOT EXISTS (SELECT 1 FROM lever u WHERE u.name = m.name AND u.org = m.org AND u.undoes = m.version)), 0)
  AND (l.until = 0 OR l.until > ?)
  AND (l.undoes = 0 OR EXISTS (SELECT 1 FROM lever v WHERE v.name = l.name AND v.org = l.org AND v.version = l.undoes AND (v.until = 0 OR v.until > ?)))
ORDER BY l.name, l.org, l.grp, l.version;

-- name: lever-history   feature: server   on: primary
SELECT l.name, l.org, l.grp, l.version, l.value, l.reset, l.undoes, l.who, l.why, l.until, l.at FROM lever l
WHERE l.name = ? ORDER BY l.version DESC LIMIT ?;

-- name: lever-last   feature: server   on: primary
SELECT l.name, l.org, l.grp, l.version, l.value, l.reset, l.undoes, l.who, l.why, l.until, l.at FROM lever l
WHERE l.undoes = 0 AND (l.until = 0 OR l.until > ?)
  AND NOT EXISTS (SELECT 1 FROM lever u WHERE u.name = l.name AND u.org = l.org AND u.undoes = l.version)
ORDER BY l.version DESC LIMIT 1;

-- name: lever-last-of   feature: server   on: primary
SELECT l.name, l.org, l.grp, l.version, l.value, l.reset, l.undoes, l.who, l.why, l.until, l.at FROM lever l
WHERE l.name = ? AND l.undoes = 0 AND (l.until = 0 OR l.until > ?)
  AND NOT EXISTS (SELECT 1 FROM lever u WHERE u.name = l.name AND u.org = l.org AND u.undoes = l.version)
ORDER BY l.version DESC LIMIT 1;

-- name: lever-groups   feature: server   on: primary
SELECT id, name FROM grp WHERE org = ?;

-- name: lever-top   feature: server   on: primary
SELECT MAX(version) FROM lever;

-- name: lever-insert   feature: server   on: primary
INSERT INTO lever (name, org, grp, version, value, reset, undoes, who, why, until, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- The greatest version stays, for the next one is made from it.
-- name: lever-old   feature: server   on: primary
SELECT l.name, l.org, l.version FROM lever l
WHERE l.at < ? AND l.version < (SELECT MAX(m.version) FROM lever m)
  AND (l.until > 0 AND l.until < ?
    OR l.undoes > 0 AND NOT EXISTS (SELECT 1 FROM lever v WHERE v.name = l.name AND v.org = l.org AND v.version = l.undoes))
ORDER BY l.name, l.org, l.version LIMIT ?;

-- name: lever-delete   feature: server   on: primary
DELETE FROM lever WHERE name = ? AND org = ? AND version = ?;
