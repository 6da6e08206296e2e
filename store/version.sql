-- Version rows: what another process may have changed under a cache. Groups
-- count their edits in grp_org, levers in the tick "lever"; what has no count
-- of its own has a row here. 1: accounts, 2: groups, 3: levers (version.go).

-- name: version-bump   feature: server   on: primary   upsert: yes
INSERT INTO version (org, what, ver) VALUES (?, ?, 1)
ON CONFLICT (org, what) DO UPDATE SET ver = ver + 1;

-- name: version-list   feature: server   on: primary
SELECT what, org, ver FROM version
UNION ALL SELECT 2, org, ver FROM grp_org
UNION ALL SELECT 3, 0, value FROM tick WHERE name = 'lever';
