-- Flows: documents that were published, each version as it was. A flow's number
-- is made from its name, so that the first publication needs no other row.

-- name: flow-insert   feature: console   on: primary
INSERT INTO flow (org, flow, ver, name, hash, maker, at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: flow-get   feature: console   on: replica
SELECT flow, ver, name, hash, maker, at, body FROM flow WHERE org = ? AND flow = ? AND ver = ?;

-- name: flow-top   feature: console   on: primary
SELECT ver, hash FROM flow WHERE org = ? AND flow = ? ORDER BY ver DESC LIMIT 1;

-- name: flow-named   feature: console   on: primary
SELECT flow FROM flow WHERE org = ? AND name = ? LIMIT 1;

-- name: flow-page   feature: console   on: primary
SELECT flow, ver, name, hash, maker, at FROM flow WHERE org = ? AND (flow > ? OR flow = ? AND ver > ?) ORDER BY flow, ver LIMIT ?;

-- What has been shown of a question of a wave, as insight keeps it. ver lets
-- nobody overwrite what another one has shown meanwhile.
-- name: register-get   feature: console   on: primary
SELECT ver, body FROM register WHERE org = ? AND campaign = ? AND wave = ? AND question = ?;

-- name: register-insert   feature: console   on: primary
INSERT INTO register (org, campaign, wave, question, ver, body) VALUES (?, ?, ?, ?, 1, ?);

-- name: register-change   feature: console   on: primary
UPDATE register SET ver = ver + 1, body = ? WHERE org = ? AND campaign = ? AND wave = ? AND question = ? AND ver = ?;

