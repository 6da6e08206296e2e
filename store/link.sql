-- Links of invitations, and the devices that have exchanged one. Tokens,
-- cookies and codes are kept as hashes only. Kind: 1 to a talk. since of a device: the number of the log before which it is
-- shown nothing; 0: all.

-- name: link-insert   feature: bot   on: primary
INSERT INTO link (org, id, hash, kind, talk, campaign, person, email, expires, revoked, uses, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)...;

-- name: link-by-hash   feature: bot   on: primary
SELECT org, id, kind, talk, campaign, person, email, expires, revoked, uses, used FROM link WHERE hash = ?;

-- name: link-get   feature: bot   on: primary
SELECT org, id, kind, talk, campaign, person, email, expires, revoked, uses, used FROM link WHERE org = ? AND id = ?;

-- name: link-use   feature: bot   on: primary
UPDATE link SET uses = uses + 1, used = ? WHERE org = ? AND id = ?;

-- name: link-revoke   feature: bot   on: primary
UPDATE link SET revoked = ? WHERE org = ? AND talk = ? AND revoked = 0;

-- name: link-of-talks   feature: bot   on: primary
DELETE FROM link WHERE org = ? AND talk IN (?...);

-- name: device-insert   feature: bot   on: primary
INSERT INTO device (org, id, hash, link, talk, since, made, used, expires, code, code_until, code_at, tries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, 0);

-- name: device-by-hash   feature: bot   on: primary
SELECT org, id, link, talk, since, made, used, expires, code, code_until, code_at, tries FROM device WHERE hash = ?;

-- name: device-count   feature: bot   on: primary
SELECT COUNT(*) FROM device WHERE org = ? AND talk = ?;

-- name: device-oldest   feature: bot   on: primary
SELECT id FROM device WHERE org = ? AND talk = ? ORDER BY used LIMIT 1;

-- name: device-use   feature: bot   on: primary
UPDATE device SET used = ?, link = ? WHERE org = ? AND id = ?;

-- name: device-code   feature: bot   on: primary
UPDATE device SET code = ?, code_until = ?, code_at = ?, tries = 0 WHERE org = ? AND id = ?;

-- name: device-try   feature: bot   on: primary
UPDATE device SET tries = tries + 1 WHERE org = ? AND id = ? AND tries < ?;

-- name: device-open   feature: bot   on: primary
UPDATE device SET since = 0, code = '', code_until = 0 WHERE org = ? AND id = ?;

-- name: device-delete   feature: bot   on: primary
DELETE FROM device WHERE org = ? AND id IN (?...);

-- name: device-of-talks   feature: bot   on: primary
DELETE FROM device WHERE org = ? AND talk IN (?...);

-- name: device-of-talk   feature: bot   on: primary
DELETE FROM device WHERE org = ? AND talk = ?;
