-- Organisations and the server's own secrets.

-- name: org-list   feature: server   on: primary
SELECT id, domain FROM org ORDER BY id;

-- name: org-top   feature: server   on: primary
SELECT MAX(id) FROM org;

-- name: org-insert   feature: server   on: primary
INSERT INTO org (id, domain, at) VALUES (?, ?, ?);

-- name: secret-get   feature: server   on: primary
SELECT value FROM secret WHERE name = ?;

-- name: secret-insert   feature: server   on: primary   insert: ignore
INSERT INTO secret (name, value) VALUES (?, ?);
