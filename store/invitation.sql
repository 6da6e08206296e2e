-- Invitations: the ledger of outreach. A row per campaign, wave, person, step
-- and channel says what is known of it. States: 1 planned, 2 claimed, 3 handed,
-- 4 accepted, 5 failed, 6 bounced, 7 suppressed, 8 ambiguous, 9 held. due of an
-- accepted one is when its reminder is to be planned. Without an ORDER BY in the
-- order of the index SQLite would read all of the organisation.

-- name: invitation-insert   feature: outreach   on: primary
INSERT INTO invitation (org, id, campaign, wave, person, step, channel, state, due, lease, lease_until, variant, attempts, began, handed, done, answered, milestone, why)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, 0, ?, 0, 0, 0, ?, ?)...;

-- name: invitation-due   feature: outreach   on: primary
SELECT id FROM invitation WHERE org = ? AND campaign = ? AND state = 1 AND due <= ? ORDER BY due, id LIMIT ?;

-- name: invitation-waiting   feature: outreach   on: primary
SELECT COUNT(*) FROM (SELECT id FROM invitation WHERE org = ? AND campaign = ? AND state = 1 AND due <= ? LIMIT ?) q;

-- name: invitation-claim   feature: outreach   on: primary
UPDATE invitation SET state = 2, lease = ?, lease_until = ? WHERE org = ? AND state = 1 AND id IN (?...);

-- name: invitation-leased   feature: outreach   on: primary
SELECT id, campaign, wave, person, step, channel, state, due, lease, lease_until, variant, attempts, began, handed, done, answered, milestone, why
FROM invitation WHERE org = ? AND campaign = ? AND state = 2 AND lease = ? ORDER BY due, id;

-- name: invitation-hand   feature: outreach   on: primary
UPDATE invitation SET state = 3, handed = ?, began = CASE began WHEN 0 THEN ? ELSE began END, lease_until = ?, why = ''
WHERE org = ? AND lease = ? AND state = 2 AND id IN (?...);

-- name: invitation-handed   feature: outreach   on: primary
SELECT id FROM invitation WHERE org = ? AND lease = ? AND state = 3 AND id IN (?...);

-- What is known of one that this lease had. One that ran out in the meantime is
-- ambiguous and takes the news.
-- name: invitation-settle   feature: outreach   on: primary
UPDATE invitation SET state = ?, due = ?, why = ?, done = ?, attempts = attempts + ?, lease_until = 0, lease = CASE ? WHEN 8 THEN lease ELSE 0 END
WHERE org = ? AND id = ? AND lease = ? AND state IN (2, 3, 8);

-- name: invitation-sent   feature: outreach   on: primary
UPDATE invitation SET state = 4, handed = ?, began = CASE began WHEN 0 THEN ? ELSE began END, attempts = attempts + 1, due = ?, done = ?, lease = 0, why = ''
WHERE org = ? AND id = ? AND lease = ? AND state = 2;

-- name: invitation-expired   feature: outreach   on: primary
SELECT id, channel FROM invitation WHERE org = ? AND campaign = ? AND state = ? AND lease_until < ? ORDER BY due, id LIMIT ?;

-- name: invitation-lapse   feature: outreach   on: primary
UPDATE invitation SET state = ?, why = ?, done = ?, attempts = attempts + ?, lease = CASE ? WHEN 8 THEN lease ELSE 0 END
WHERE org = ? AND state = ? AND lease_until < ? AND id IN (?...);

-- name: invitation-recall   feature: outreach   on: primary
UPDATE invitation SET state = 1, lease = 0 WHERE org = ? AND state = 2 AND id IN (?...);

-- name: invitation-of-state   feature: outreach   on: primary
SELECT id FROM invitation WHERE org = ? AND campaign = ? AND state = ? LIMIT ?;

-- name: invitation-turn   feature: outreach   on: primary
UPDATE invitation SET state = ?, due = ?, done = ?, why = ?, lease = 0, attempts = 0 WHERE org = ? AND state = ? AND id IN (?...);

-- name: invitation-of-person   feature: outreach   on: primary
SELECT id, campaign, wave, state, due FROM invitation WHERE org = ? AND person = ? ORDER BY handed;

-- MariaDB sees what the columns before have become: the state comes last.
-- name: invitation-end   feature: outreach   on: primary
UPDATE invitation SET due = ?, done = CASE state WHEN 4 THEN done ELSE ? END, why = CASE state WHEN 4 THEN why ELSE ? END, lease = 0,
  state = CASE state WHEN 4 THEN 4 ELSE 7 END
WHERE org = ? AND state IN (1, 2, 4, 9) AND id IN (?...);

-- name: invitation-answered   feature: outreach   on: primary
UPDATE invitation SET answered = ? WHERE org = ? AND answered = 0 AND id IN (?...);

-- name: invitation-bounce   feature: outreach   on: primary
UPDATE invitation SET state = 6, why = ?, done = ?, due = ?, lease = 0 WHERE org = ? AND id = ? AND state IN (3, 4, 8);

-- name: invitation-contacts   feature: outreach   on: primary
SELECT id, campaign, wave, step, person, state, handed FROM invitation
WHERE org = ? AND (handed > ? OR state = 2) AND person IN (?...) ORDER BY person, handed;

-- name: invitation-remind   feature: outreach   on: primary
SELECT id, campaign, wave, person, step, channel, state, due, lease, lease_until, variant, attempts, began, handed, done, answered, milestone, why
FROM invitation WHERE org = ? AND campaign = ? AND state = 4 AND due <= ? ORDER BY due, id LIMIT ?;

-- name: invitation-reminded   feature: outreach   on: primary
UPDATE invitation SET due = ? WHERE org = ? AND state = 4 AND due < ? AND id IN (?...);

-- name: invitation-next   feature: outreach   on: primary
SELECT due FROM invitation WHERE org = ? AND campaign = ? AND state = ? ORDER BY due LIMIT 1;

-- name: invitation-get   feature: outreach   on: primary
SELECT id, campaign, wave, person, step, channel, state, due, lease, lease_until, variant, attempts, began, handed, done, answered, milestone, why
FROM invitation WHERE org = ? AND id IN (?...);

-- name: invitation-page   feature: outreach   on: replica
SELECT id, campaign, wave, person, step, channel, state, due, lease, lease_until, variant, attempts, began, handed, done, answered, milestone, why
FROM invitation WHERE org = ? AND campaign = ? AND state = ? AND due >= ? AND (due > ? OR id > ?) ORDER BY due, id LIMIT ?;

-- name: invitation-states   feature: outreach   on: primary
SELECT state, COUNT(*) FROM invitation WHERE org = ? AND campaign = ? GROUP BY state;

-- name: invitation-reasons   feature: outreach   on: replica
SELECT wave, step, channel, state, why, COUNT(*) FROM invitation WHERE org = ? AND campaign = ?
GROUP BY wave, step, channel, state, why ORDER BY 6 DESC LIMIT ?;

-- name: invitation-variants   feature: outreach   on: replica
SELECT variant, COUNT(*), SUM(CASE WHEN answered > 0 THEN 1 ELSE 0 END) FROM invitation
WHERE org = ? AND campaign = ? AND step = 0 AND state = 4 AND (answered > 0 OR handed < ?) GROUP BY variant;
