-- The built-in outbox: e-mail that was sent nowhere, to be read here.

-- name: outbox-insert   feature: outreach   on: primary   upsert: yes
INSERT INTO outbox (org, id, at, message_id, sender, recipient, subject, body, html, unsubscribe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (org, id) DO UPDATE SET at = excluded.at, recipient = excluded.recipient, subject = excluded.subject, body = excluded.body,
  html = excluded.html, unsubscribe = excluded.unsubscribe;

-- name: outbox-page   feature: outreach   on: primary
SELECT id, at, message_id, sender, recipient, subject, body, html, unsubscribe FROM outbox WHERE org = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- name: outbox-old   feature: outreach   on: primary
SELECT id FROM outbox WHERE org = ? ORDER BY id DESC LIMIT ?, ?;

-- name: outbox-delete   feature: outreach   on: primary
DELETE FROM outbox WHERE org = ? AND id IN (?...);
