-- Campaigns, and their waves. turns is raised by each claim: whoever claims
-- holds the campaign's row, and tokens are spent one claim after the other.

-- name: campaign-insert   feature: outreach   on: primary
INSERT INTO campaign (org, id, name, kind, state, anonymous, flow, flow_ver, audience, weight, tokens, tokens_at, turns, last_wave, launched, ver, at, settings)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 1, ?, ?);

-- name: campaign-get   feature: outreach   on: primary
SELECT org, id, name, kind, state, anonymous, flow, flow_ver, audience, weight, tokens, tokens_at, last_wave, launched, ver, at, settings
FROM campaign WHERE org = ? AND id = ?;

-- name: campaign-named   feature: outreach   on: primary
SELECT id FROM campaign WHERE org = ? AND name = ?;

-- name: campaign-page   feature: outreach   on: replica
SELECT org, id, name, kind, state, anonymous, flow, flow_ver, audience, weight, tokens, tokens_at, last_wave, launched, ver, at, settings
FROM campaign WHERE org = ? AND id > ? ORDER BY id LIMIT ?;

-- Those that may have something to do: scheduled, running, paused, and stopped
-- ones, for leases of theirs may run out.
-- name: campaign-active   feature: outreach   on: primary
SELECT org, id, state, ver, tokens, tokens_at, last_wave, launched FROM campaign WHERE state IN (2, 3, 4, 5) ORDER BY org, id;

-- name: campaign-change   feature: outreach   on: primary
UPDATE campaign SET name = ?, flow = ?, flow_ver = ?, audience = ?, weight = ?, settings = ?, ver = ver + 1
WHERE org = ? AND id = ? AND ver = ?;

-- name: campaign-move   feature: outreach   on: primary
UPDATE campaign SET state = ?, launched = CASE launched WHEN 0 THEN ? ELSE launched END, ver = ver + 1
WHERE org = ? AND id = ? AND state IN (?...);

-- name: campaign-lock   feature: outreach   on: primary
UPDATE campaign SET turns = turns + 1 WHERE org = ? AND id = ? AND state = 3;

-- name: campaign-tokens   feature: outreach   on: primary
SELECT tokens, tokens_at FROM campaign WHERE org = ? AND id = ?;

-- name: campaign-spend   feature: outreach   on: primary
UPDATE campaign SET tokens = ?, tokens_at = ? WHERE org = ? AND id = ?;

-- name: campaign-wave   feature: outreach   on: primary
UPDATE campaign SET last_wave = ? WHERE org = ? AND id = ? AND last_wave < ?;

-- name: wave-insert   feature: outreach   on: primary   insert: ignore
INSERT INTO wave (org, campaign, wave, state, upto, people, why, at) VALUES (?, ?, ?, ?, 0, 0, ?, ?);

-- name: wave-list   feature: outreach   on: primary
SELECT campaign, wave, state, upto, people, why, at FROM wave WHERE org = ? AND campaign = ? AND wave > ? ORDER BY wave LIMIT ?;

-- name: wave-planning   feature: outreach   on: primary
SELECT campaign, wave, state, upto, people, why, at FROM wave WHERE org = ? AND campaign = ? AND state = 1 ORDER BY wave LIMIT 1;

-- name: wave-advance   feature: outreach   on: primary
UPDATE wave SET upto = ?, people = people + ?, state = ? WHERE org = ? AND campaign = ? AND wave = ? AND upto = ? AND state = 1;

-- name: wave-finish   feature: outreach   on: primary
UPDATE wave SET state = 3 WHERE org = ? AND campaign = ? AND state = 2;

-- The rate of all campaigns of an organisation together; organisation 0: of all.
-- name: bucket-begin   feature: outreach   on: primary   insert: ignore
INSERT INTO bucket (org, tokens, tokens_at) VALUES (?, 0, 0);

-- name: bucket-lock   feature: outreach   on: primary
UPDATE bucket SET tokens = tokens WHERE org = ?;

-- name: bucket-get   feature: outreach   on: primary
SELECT tokens, tokens_at FROM bucket WHERE org = ?;

-- name: bucket-set   feature: outreach   on: primary
UPDATE bucket SET tokens = ?, tokens_at = ? WHERE org = ?;
