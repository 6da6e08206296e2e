-- Audiences: rules over people. What a rule says is the matter of package
-- audience; here it is text.

-- name: audience-insert   feature: people   on: primary
INSERT INTO audience (org, id, name, rule, at, who, ver) VALUES (?, ?, ?, ?, ?, ?, 1);

-- name: audience-change   feature: people   on: primary
UPDATE audience SET name = ?, rule = ?, at = ?, who = ?, ver = ver + 1 WHERE org = ? AND id = ? AND ver = ?;

-- name: audience-list   feature: people   on: primary
SELECT id, name, rule, at, who, ver FROM audience WHERE org = ? AND name > ? ORDER BY name LIMIT ?;

-- name: audience-get   feature: people   on: primary
SELECT id, name, rule, at, who, ver FROM audience WHERE org = ? AND id = ?;

-- name: audience-by-name   feature: people   on: primary
SELECT id, name, rule, at, who, ver FROM audience WHERE org = ? AND name = ?;

-- name: audience-delete   feature: people   on: primary
DELETE FROM audience WHERE org = ? AND id = ?;
