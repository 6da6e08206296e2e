-- People. What an import changes has its row changed in place, with the run's
-- number, and its picture from before in person_was. While the run is not shown
-- (0: being staged, 2: taken back) readers see that picture, and nothing where
-- there is none: one row of person_run decides over all of them at once. What
-- people wish (prefs) is in no picture: no import touches it.

-- name: person-page   feature: people   on: primary
SELECT p.id, p.account, p.ext, p.email, p.name, p.zone, p.lang, p.manager, p.team, p.start, p.left, p.prefs, p.attrs, p.ver, r.shown, w.image
FROM person p LEFT JOIN person_run r ON r.org = p.org AND r.id = p.run
  LEFT JOIN person_was w ON r.shown <> 1 AND w.org = p.org AND w.run = p.run AND w.id = p.id
WHERE p.org = ? AND p.id > ? ORDER BY p.id LIMIT ?;

-- name: person-scan   feature: people   on: replica
SELECT p.id, p.account, p.ext, p.email, p.name, p.zone, p.lang, p.manager, p.team, p.start, p.left, p.prefs, p.attrs, p.ver, r.shown, w.image
FROM person p LEFT JOIN person_run r ON r.org = p.org AND r.id = p.run
  LEFT JOIN person_was w ON r.shown <> 1 AND w.org = p.org AND w.run = p.run AND w.id = p.id
WHERE p.org = ? AND p.id > ? ORDER BY p.id LIMIT ?;

-- name: person-some   feature: people   on: primary
SELECT p.id, p.account, p.ext, p.email, p.name, p.zone, p.lang, p.manager, p.team, p.start, p.left, p.prefs, p.attrs, p.ver, r.shown, w.image
FROM person p LEFT JOIN person_run r ON r.org = p.org AND r.id = p.run
  LEFT JOIN person_was w ON r.shown <> 1 AND w.org = p.org AND w.run = p.run AND w.id = p.id
WHERE p.org = ? AND p.id IN (?...);

-- name: person-rows   feature: people   on: primary
SELECT p.id, p.account, p.ext, p.email, p.name, p.zone, p.lang, p.manager, p.team, p.start, p.left, p.prefs, p.attrs, p.ver, p.run
FROM person p WHERE p.org = ? AND p.id IN (?...);

-- name: person-by-ext   feature: people   on: primary
SELECT id, ext FROM person WHERE org = ? AND ext IN (?...);

-- name: person-by-email   feature: people   on: primary
SELECT id FROM person WHERE org = ? AND email = ? UNION SELECT id FROM person_was WHERE org = ? AND email = ? LIMIT 100;

-- name: person-by-account   feature: people   on: primary
SELECT id FROM person WHERE org = ? AND account = ? UNION SELECT id FROM person_was WHERE org = ? AND account = ? LIMIT 100;

-- name: person-put   feature: people   on: primary   upsert: yes
INSERT INTO person (org, id, account, ext, email, name, zone, lang, manager, team, start, `left`, prefs, attrs, ver, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)...
ON CONFLICT (org, id) DO UPDATE SET account = excluded.account, ext = excluded.ext, email = excluded.email, name = excluded.name,
  zone = excluded.zone, lang = excluded.lang, manager = excluded.manager, team = excluded.team, start = excluded.start,
  `left` = excluded.`left`, attrs = excluded.attrs, ver = excluded.ver, run = excluded.run;

-- name: person-insert   feature: people   on: primary
INSERT INTO person (org, id, account, ext, email, name, zone, lang, manager, team, start, `left`, prefs, attrs, ver, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)...;

-- name: person-change   feature: people   on: primary
UPDATE person SET account = ?, ext = ?, email = ?, name = ?, zone = ?, lang = ?, manager = ?, team = ?, start = ?, `left` = ?, attrs = ?,
  ver = ver + 1, run = 0
WHERE org = ? AND id = ? AND ver = ?;

-- name: person-prefs   feature: people   on: primary
UPDATE person SET prefs = ?, ver = ver + 1 WHERE org = ? AND id = ?;

-- name: person-delete   feature: people   on: primary
DELETE FROM person WHERE org = ? AND id IN (?...);

-- name: person-was-put   feature: people   on: primary   insert: ignore
INSERT INTO person_was (org, run, id, prior, email, account, image) VALUES (?, ?, ?, ?, ?, ?, ?)...;

-- name: person-was-some   feature: people   on: primary
SELECT id, prior, image FROM person_was WHERE org = ? AND run = ? ORDER BY id LIMIT ?;

-- name: person-was-other   feature: people   on: primary
SELECT run, id FROM person_was WHERE org = ? AND run <> ? ORDER BY run, id LIMIT ?;

-- name: person-was-count   feature: people   on: primary
SELECT COUNT(*) FROM person_was w JOIN person p ON p.org = w.org AND p.id = w.id AND p.run = w.run WHERE w.org = ? AND w.run = ?;

-- name: person-was-delete   feature: people   on: primary
DELETE FROM person_was WHERE org = ? AND run = ? AND id IN (?...);

-- name: person-was-of   feature: people   on: primary
DELETE FROM person_was WHERE org = ? AND id = ?;

-- name: person-made   feature: people   on: primary
SELECT id FROM person WHERE org = ? AND id > ? AND run = ? ORDER BY id LIMIT ?;

-- name: person-made-count   feature: people   on: primary
SELECT COUNT(*) FROM person p WHERE p.org = ? AND p.id > ? AND p.run = ?
  AND NOT EXISTS (SELECT 1 FROM person_was w WHERE w.org = p.org AND w.run = p.run AND w.id = p.id);

-- name: person-runs   feature: people   on: primary
SELECT id, shown, at, who, counts, fields FROM person_run WHERE org = ? ORDER BY id;

-- name: person-run-hidden   feature: people   on: primary
SELECT org, id, shown, at FROM person_run WHERE shown <> 1 ORDER BY org, id;

-- name: person-run-insert   feature: people   on: primary
INSERT INTO person_run (org, id, shown, at, who, counts, fields) VALUES (?, ?, 0, ?, ?, ?, ?);

-- name: person-run-alive   feature: people   on: primary
UPDATE person_run SET at = ? WHERE org = ? AND id = ? AND shown = 0;

-- name: person-run-show   feature: people   on: primary
UPDATE person_run SET shown = 1, at = ?, counts = ? WHERE org = ? AND id = ? AND shown = 0;

-- name: person-run-hide   feature: people   on: primary
UPDATE person_run SET shown = 2 WHERE org = ? AND id = ?;

-- name: person-run-dead   feature: people   on: primary
UPDATE person_run SET shown = 2 WHERE shown = 0;

-- name: person-run-delete   feature: people   on: primary
DELETE FROM person_run WHERE org = ? AND id = ?;

-- name: person-run-forget   feature: people   on: primary
DELETE FROM person_run WHERE org = ? AND id < ? AND shown = 1;

-- name: person-fields   feature: people   on: primary
SELECT name, kind, label FROM person_field WHERE org = ? ORDER BY name;

-- name: person-field-put   feature: people   on: primary   upsert: yes
INSERT INTO person_field (org, name, kind, label) VALUES (?, ?, ?, ?)...
ON CONFLICT (org, name) DO UPDATE SET kind = excluded.kind, label = excluded.label;

-- name: person-field-delete   feature: people   on: primary
DELETE FROM person_field WHERE org = ?;

-- name: person-account-keep   feature: people   on: primary
UPDATE account SET import = 0 WHERE org = ? AND import = ?
  AND (LENGTH(sasl) > 0 OR roster > 0 OR EXISTS (SELECT 1 FROM inbox i WHERE i.owner = account.id)
    OR EXISTS (SELECT 1 FROM grp_member m WHERE m.account = account.id))
  AND name IN (?...);

-- name: person-account-hide   feature: people   on: primary
UPDATE import_run SET done = 2 WHERE id = ? AND done = 1;

-- name: person-account-runs   feature: people   on: primary
SELECT COUNT(*) FROM import_run WHERE id = ? AND done <> 1;
