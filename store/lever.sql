-- Levers: every setting ever made; the greatest version counts.

-- name: lever-list   feature: server   on: primary
SELECT l.name, l.org, l.version, l.value, l.reset, l.who, l.why, l.until, l.at FROM lever l
WHERE l.version = (SELECT MAX(m.version) FROM lever m WHERE m.name = l.name AND m.org = l.org)
ORDER BY l.name, l.org;

-- name: lever-history   feature: server   on: primary
SELECT l.name, l.org, l.version, l.value, l.reset, l.who, l.why, l.until, l.at FROM lever l
WHERE l.name = ? ORDER BY l.version DESC LIMIT ?;

-- name: lever-top   feature: server   on: primary
SELECT MAX(version) FROM lever;

-- name: lever-insert   feature: server   on: primary
INSERT INTO lever (name, org, version, value, reset, who, why, until, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
