-- Finding people by their names.

-- name: account-search   feature: search   on: primary
SELECT a.name FROM account a
WHERE a.org = ? AND a.name >= ? AND a.name < ? AND a.disabled = 0
  AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
ORDER BY a.name LIMIT ?;

-- name: account-search-inside   feature: search   on: primary
SELECT a.name FROM account a
WHERE a.org = ? AND INSTR(a.name, ?) > 0 AND a.disabled = 0
  AND (a.import = 0 OR EXISTS (SELECT 1 FROM import_run r WHERE r.id = a.import AND r.done = 1))
ORDER BY a.name LIMIT ?;
