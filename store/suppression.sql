-- Who is not invited any more, by e-mail address or person, and why.

-- name: suppression-set   feature: outreach   on: primary   upsert: yes
INSERT INTO suppression (org, who, kind, why, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (org, who) DO UPDATE SET kind = excluded.kind, why = excluded.why, at = excluded.at;

-- name: suppression-delete   feature: outreach   on: primary
DELETE FROM suppression WHERE org = ? AND who = ?;

-- name: suppression-some   feature: outreach   on: primary
SELECT who, kind, why, at FROM suppression WHERE org = ? AND who IN (?...);

-- name: suppression-page   feature: outreach   on: replica
SELECT who, kind, why, at FROM suppression WHERE org = ? AND who > ? ORDER BY who LIMIT ?;
