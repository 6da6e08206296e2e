-- How long work waits on each node, told each second to the processes that
-- share the database: one row per node; what capacity was measured; whose people
-- are not real.

-- name: pressure-set   feature: overload   on: primary   upsert: yes
INSERT INTO pressure (node, at, pressure, waits) VALUES (?, ?, ?, ?)
ON CONFLICT (node) DO UPDATE SET at = excluded.at, pressure = excluded.pressure, waits = excluded.waits;

-- name: pressure-list   feature: overload   on: primary
SELECT node, at, pressure, waits FROM pressure ORDER BY at DESC LIMIT ?;

-- name: pressure-drop   feature: overload   on: primary
DELETE FROM pressure WHERE node = ?;

-- name: pressure-thin   feature: overload   on: primary
DELETE FROM pressure WHERE at < ?;

-- name: capacity-insert   feature: overload   on: primary   insert: ignore
INSERT INTO capacity (at, conversations, conditions) VALUES (?, ?, ?);

-- name: capacity-list   feature: overload   on: primary
SELECT at, conversations, conditions FROM capacity ORDER BY at DESC LIMIT ?;

-- name: capacity-thin   feature: overload   on: primary
DELETE FROM capacity WHERE at < ?;

-- name: rehearsal-insert   feature: overload   on: primary
INSERT INTO rehearsal (id, org, node, people) VALUES (?, ?, ?, ?);

-- name: rehearsal-list   feature: overload   on: primary
SELECT id, org, people FROM rehearsal WHERE node = ? ORDER BY id;

-- name: rehearsal-drop   feature: overload   on: primary
DELETE FROM rehearsal WHERE id = ?;
