-- The ledger's history: what each feature cost each organisation in a span of
-- time that ended at "at". The time leads the key: rows are written, read and
-- deleted by time.

-- name: ledger-insert   feature: ledger   on: primary   insert: ignore
INSERT INTO ledger (at, org, feature, span, online, calls, cpu, sent, bytes_in, bytes_out, bytes_cluster, statements, affected, sql_time, waited)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)...;

-- name: ledger-between   feature: ledger   on: replica
SELECT at, org, feature, span, online, calls, cpu, sent, bytes_in, bytes_out, bytes_cluster, statements, affected, sql_time, waited
FROM ledger WHERE at >= ? AND at < ? ORDER BY at LIMIT ?;

-- name: ledger-times   feature: ledger   on: primary
SELECT DISTINCT at FROM ledger WHERE at > ? AND at < ? ORDER BY at LIMIT ?;

-- name: ledger-drop   feature: ledger   on: primary
DELETE FROM ledger WHERE at IN (?...);
