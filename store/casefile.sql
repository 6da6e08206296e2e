-- Cases: what a person has to look at. Lines of a case are notes, what its
-- person wrote and was answered, and changes. States: 1 open, 2 taken, 3 closed.

-- name: casefile-insert   feature: bot   on: primary   insert: ignore
INSERT INTO casefile (org, id, campaign, wave, who, account, person, state, class, reason, facts, owner, due, opened, changed, ver)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, 1);

-- name: casefile-get   feature: bot   on: primary
SELECT id, campaign, wave, who, account, person, state, class, reason, facts, owner, due, opened, changed, ver FROM casefile WHERE org = ? AND id = ?;

-- name: casefile-open   feature: bot   on: primary
SELECT id, campaign, wave, who, account, person, state, class, reason, facts, owner, due, opened, changed, ver FROM casefile
WHERE org = ? AND who = ? AND state IN (1, 2) ORDER BY id DESC LIMIT 16;

-- name: casefile-page   feature: bot   on: primary
SELECT id, campaign, wave, who, account, person, state, class, reason, facts, owner, due, opened, changed, ver FROM casefile
WHERE org = ? AND state = ? AND (due > ? OR due = ? AND id > ?) ORDER BY due, id LIMIT ?;

-- name: casefile-change   feature: bot   on: primary
UPDATE casefile SET state = ?, owner = ?, due = ?, changed = ?, ver = ver + 1 WHERE org = ? AND id = ? AND ver = ?;

-- name: casefile-hurry   feature: bot   on: primary
UPDATE casefile SET class = CASE WHEN class > ? THEN ? ELSE class END, due = CASE WHEN due > ? THEN ? ELSE due END, changed = ?, ver = ver + 1
WHERE org = ? AND id = ?;

-- name: casefile-people   feature: bot   on: primary
SELECT account, who FROM casefile WHERE org = ? AND state IN (1, 2);

-- name: caseline-insert   feature: bot   on: primary   insert: ignore
INSERT INTO caseline (org, casefile, id, kind, author, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)...;

-- name: caseline-page   feature: bot   on: primary
SELECT id, kind, author, at, body FROM caseline WHERE org = ? AND casefile = ? AND id > ? ORDER BY id LIMIT ?;
