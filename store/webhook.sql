-- Webhooks, and what is to be delivered to them. A delivery is claimed by a
-- lease; states of a webhook: 1 on, 2 disabled after failures, 3 switched off.

-- name: webhook-insert   feature: console   on: primary
INSERT INTO webhook (org, id, url, secret, events, content, state, failing, why, maker, made) VALUES (?, ?, ?, ?, ?, ?, 1, 0, '', ?, ?);

-- name: webhook-get   feature: console   on: primary
SELECT id, url, secret, events, content, state, failing, why, maker, made FROM webhook WHERE org = ? AND id = ?;

-- name: webhook-page   feature: console   on: primary
SELECT id, url, secret, events, content, state, failing, why, maker, made FROM webhook WHERE org = ? AND id > ? ORDER BY id LIMIT ?;

-- name: webhook-on   feature: console   on: primary
SELECT id, events, content FROM webhook WHERE org = ? AND state = 1 ORDER BY id;

-- name: webhook-change   feature: console   on: primary
UPDATE webhook SET url = ?, events = ?, content = ?, state = ?, failing = 0, why = '' WHERE org = ? AND id = ?;

-- name: webhook-failing   feature: console   on: primary
UPDATE webhook SET failing = CASE failing WHEN 0 THEN ? ELSE failing END, why = ? WHERE org = ? AND id = ?;

-- name: webhook-well   feature: console   on: primary
UPDATE webhook SET failing = 0, why = '' WHERE org = ? AND id = ? AND failing > 0;

-- name: webhook-disable   feature: console   on: primary
UPDATE webhook SET state = 2 WHERE org = ? AND id = ? AND state = 1 AND failing > 0 AND failing < ?;

-- name: webhook-delete   feature: console   on: primary
DELETE FROM webhook WHERE org = ? AND id = ?;

-- name: delivery-insert   feature: console   on: primary
INSERT INTO delivery (org, id, webhook, event, at, due, tries, lease, why, body) VALUES (?, ?, ?, ?, ?, ?, 0, 0, '', ?);

-- name: delivery-claim   feature: console   on: primary
UPDATE delivery SET lease = ?, due = ?, tries = tries + 1 WHERE id IN (SELECT id FROM (SELECT id FROM delivery WHERE due <= ? ORDER BY due LIMIT ?) q);

-- name: delivery-claimed   feature: console   on: primary
SELECT org, id, webhook, event, at, tries, lease, body FROM delivery WHERE lease = ? ORDER BY id;

-- name: delivery-done   feature: console   on: primary
DELETE FROM delivery WHERE org = ? AND id = ? AND lease = ?;

-- name: delivery-later   feature: console   on: primary
UPDATE delivery SET due = ?, lease = 0, why = ? WHERE org = ? AND id = ? AND lease = ?;

-- name: delivery-page   feature: console   on: primary
SELECT org, id, webhook, event, at, tries, due, why FROM delivery WHERE org = ? AND webhook = ? AND id > ? ORDER BY id LIMIT ?;

-- name: delivery-of   feature: console   on: primary
SELECT id FROM delivery WHERE org = ? AND webhook = ? LIMIT ?;

-- name: delivery-drop   feature: console   on: primary
DELETE FROM delivery WHERE org = ? AND id IN (?...);
