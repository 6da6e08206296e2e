-- Talks: conversations of the bot with people. heard keeps, per account, the
-- last message of the log that was processed; say keeps texts that are decided
-- on and not yet said. Phases: 1 invited, 2 open, 3 waiting, 4 held, 5 ended,
-- 6 stopped, 7 broken.

-- name: bot-get   feature: bot   on: primary
SELECT local, settings, ver FROM bot WHERE org = ?;

-- name: bot-list   feature: bot   on: primary
SELECT org, local, settings, ver FROM bot ORDER BY org;

-- name: bot-insert   feature: bot   on: primary   insert: ignore
INSERT INTO bot (org, local, settings, ver) VALUES (?, ?, ?, 1);

-- name: bot-change   feature: bot   on: primary
UPDATE bot SET local = ?, settings = ?, ver = ver + 1 WHERE org = ? AND ver = ?;

-- name: script-put   feature: bot   on: primary   insert: ignore
INSERT INTO script (org, hash, doc) VALUES (?, ?, ?);

-- name: script-get   feature: bot   on: primary
SELECT doc FROM script WHERE org = ? AND hash = ?;

-- name: talk-insert   feature: bot   on: primary
INSERT INTO talk (org, id, account, person, campaign, wave, anonymous, pseudonym, script, phase, casefile, due, began, touched, answered, ver, about, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, ?, 0, 1, ?, '');

-- name: talk-get   feature: bot   on: primary
SELECT id, account, person, campaign, wave, anonymous, pseudonym, script, phase, casefile, due, began, touched, answered, ver, about, state
FROM talk WHERE org = ? AND id = ?;

-- name: talk-of-invitee   feature: bot   on: primary
SELECT id, account, person, campaign, wave, anonymous, pseudonym, script, phase, casefile, due, began, touched, answered, ver, about, state
FROM talk WHERE org = ? AND campaign = ? AND wave = ? AND person = ?;

-- name: talk-of-account   feature: bot   on: primary
SELECT id, account, person, campaign, wave, anonymous, pseudonym, script, phase, casefile, due, began, touched, answered, ver, about, state
FROM talk WHERE org = ? AND account = ? ORDER BY touched DESC, id DESC LIMIT 16;

-- name: talk-of-pseudonym   feature: bot   on: primary
SELECT id, account, person, campaign, wave, anonymous, pseudonym, script, phase, casefile, due, began, touched, answered, ver, about, state
FROM talk WHERE org = ? AND pseudonym = ?;

-- name: talk-save   feature: bot   on: primary
UPDATE talk SET phase = ?, casefile = ?, due = ?, began = ?, touched = ?, answered = ?, ver = ver + 1, state = ?
WHERE org = ? AND id = ? AND ver = ?;

-- name: talk-thread   feature: bot   on: primary
UPDATE talk SET casefile = ?, ver = ver + 1 WHERE org = ? AND id = ?;

-- name: talk-due   feature: bot   on: primary
SELECT org, id, account, due FROM talk WHERE due > 0 AND due <= ? ORDER BY due LIMIT ?;

-- name: talk-counts   feature: bot   on: replica
SELECT wave, phase, COUNT(*), SUM(CASE WHEN answered > 0 THEN 1 ELSE 0 END) FROM talk WHERE org = ? AND campaign = ? GROUP BY wave, phase;

-- name: talk-some   feature: bot   on: primary
SELECT id FROM talk WHERE org = ? AND campaign = ? LIMIT ?;

-- name: talk-delete   feature: bot   on: primary
DELETE FROM talk WHERE org = ? AND id IN (?...);

-- name: heard-get   feature: bot   on: primary
SELECT seq FROM heard WHERE org = ? AND account = ?;

-- name: heard-put   feature: bot   on: primary   upsert: yes
INSERT INTO heard (org, account, seq) VALUES (?, ?, ?)
ON CONFLICT (org, account) DO UPDATE SET seq = CASE WHEN excluded.seq > seq THEN excluded.seq ELSE seq END;

-- name: say-insert   feature: bot   on: primary   insert: ignore
INSERT INTO say (org, id, n, account, at, body) VALUES (?, ?, ?, ?, ?, ?)...;

-- name: say-list   feature: bot   on: primary
SELECT org, id, n, account, at, body FROM say WHERE org = ? AND (id > ? OR id = ? AND n > ?) ORDER BY id, n LIMIT ?;

-- name: say-delete   feature: bot   on: primary
DELETE FROM say WHERE org = ? AND id = ? AND n = ?;
