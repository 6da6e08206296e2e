-- Rosters: items, and what is left of removed ones so that a client's version
-- tells what it missed.

-- name: roster-list   feature: roster   on: primary
SELECT r.peer, r.name, r.sub, r.ask, r.approved, r.listed, r.pending, r.teams, r.ver, r.removed
FROM roster r WHERE r.owner = ? AND r.removed = 0;

-- name: roster-since   feature: roster   on: primary
SELECT r.peer, r.name, r.sub, r.ask, r.approved, r.listed, r.pending, r.teams, r.ver, r.removed
FROM roster r WHERE r.owner = ? AND r.ver > ?;

-- name: roster-item   feature: roster   on: primary
SELECT r.peer, r.name, r.sub, r.ask, r.approved, r.listed, r.pending, r.teams, r.ver, r.removed
FROM roster r WHERE r.owner = ? AND r.peer = ? AND r.removed = 0;

-- name: roster-bump   feature: roster   on: primary
UPDATE account SET roster = roster + 1 WHERE id = ?;

-- name: roster-version   feature: roster   on: primary
SELECT roster, roster_floor FROM account WHERE id = ?;

-- name: roster-set   feature: roster   on: primary   upsert: yes
INSERT INTO roster (owner, peer, name, sub, ask, approved, listed, pending, teams, ver, removed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (owner, peer) DO UPDATE SET
  name = excluded.name, sub = excluded.sub, ask = excluded.ask, approved = excluded.approved,
  listed = excluded.listed, pending = excluded.pending, teams = excluded.teams,
  ver = excluded.ver, removed = 0;

-- name: roster-remove   feature: roster   on: primary
UPDATE roster SET removed = 1, name = ?, pending = NULL, teams = ?, ver = ? WHERE owner = ? AND peer = ? AND removed = 0;

-- name: roster-removed   feature: roster   on: primary
SELECT r.ver FROM roster r WHERE r.owner = ? AND r.removed = 1 ORDER BY r.ver DESC LIMIT ?;

-- name: roster-forget   feature: roster   on: primary
DELETE FROM roster WHERE owner = ? AND removed = 1 AND ver <= ?;

-- name: roster-floor   feature: roster   on: primary
UPDATE account SET roster_floor = ? WHERE id = ?;

-- name: roster-some   feature: roster   on: primary
SELECT peer FROM roster WHERE owner = ? LIMIT ?;

-- name: roster-drop   feature: roster   on: primary
DELETE FROM roster WHERE owner = ? AND peer IN (?...);
