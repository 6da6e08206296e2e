-- The archive: messages, entries, conversations, inboxes.

-- name: message-insert   feature: archive   on: primary   insert: ignore
INSERT INTO message (seq, rnd, org, copies, stanza) VALUES (?, ?, ?, ?, ?)...;

-- name: message-have   feature: archive   on: primary
SELECT seq, rnd FROM message WHERE seq IN (?...);

-- name: message-get   feature: archive   on: primary
SELECT seq, rnd, stanza FROM message WHERE seq IN (?...);

-- name: message-copies   feature: archive   on: primary
SELECT seq, copies FROM message WHERE seq IN (?...);

-- name: message-delete   feature: archive   on: primary
DELETE FROM message WHERE seq IN (?...);

-- name: message-last   feature: archive   on: primary
SELECT seq, rnd FROM message ORDER BY seq DESC LIMIT 1;

-- name: message-after   feature: archive   on: primary
SELECT seq, rnd, copies FROM message WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: entry-insert   feature: archive   on: primary   insert: ignore
INSERT INTO entry (owner, dir, seq, peer, flags, origin) VALUES (?, ?, ?, ?, ?, ?)...;

-- name: entry-forward   feature: archive   on: primary
SELECT seq, dir, peer, flags FROM entry
WHERE owner = ? AND dir = ? AND seq > ? AND seq < ? AND (flags & ?) = ? ORDER BY seq LIMIT ?;

-- name: entry-backward   feature: archive   on: primary
SELECT seq, dir, peer, flags FROM entry
WHERE owner = ? AND dir = ? AND seq > ? AND seq < ? AND (flags & ?) = ? ORDER BY seq DESC LIMIT ?;

-- name: entry-peer-forward   feature: archive   on: primary
SELECT seq, dir, peer, flags FROM entry
WHERE owner = ? AND peer = ? AND seq > ? AND seq < ? AND (flags & ?) = ? ORDER BY seq LIMIT ?;

-- name: entry-peer-backward   feature: archive   on: primary
SELECT seq, dir, peer, flags FROM entry
WHERE owner = ? AND peer = ? AND seq > ? AND seq < ? AND (flags & ?) = ? ORDER BY seq DESC LIMIT ?;

-- name: entry-get   feature: archive   on: primary
SELECT seq, dir, peer, flags FROM entry WHERE owner = ? AND dir IN (0, 1) AND seq IN (?...);

-- name: entry-origins   feature: archive   on: primary
SELECT GROUP_CONCAT(origin) FROM (
  SELECT origin FROM entry WHERE owner = ? AND dir = 0 AND seq < ? ORDER BY seq DESC LIMIT ?
) last;

-- name: entry-some   feature: archive   on: primary
SELECT dir, seq FROM entry WHERE owner = ? AND seq <= ? LIMIT ?;

-- name: entry-delete   feature: archive   on: primary
DELETE FROM entry WHERE owner = ? AND dir = ? AND seq IN (?...);

-- name: conversation-add   feature: archive   on: primary   upsert: yes
INSERT INTO conversation (owner, peer, seq, unread) VALUES (?, ?, ?, ?)...
ON CONFLICT (owner, peer) DO UPDATE SET
  seq = CASE WHEN excluded.seq > seq THEN excluded.seq ELSE seq END,
  unread = unread + excluded.unread;

-- name: conversation-set   feature: archive   on: primary   upsert: yes
INSERT INTO conversation (owner, peer, seq, unread) VALUES (?, ?, ?, ?)...
ON CONFLICT (owner, peer) DO UPDATE SET
  seq = CASE WHEN excluded.seq > seq THEN excluded.seq ELSE seq END,
  unread = excluded.unread;

-- name: conversation-page   feature: archive   on: primary
SELECT peer, seq, unread FROM conversation
WHERE owner = ? AND seq > 0 AND seq < ? ORDER BY seq DESC LIMIT ?;

-- name: conversation-get   feature: archive   on: primary
SELECT c.peer, c.seq, c.unread, i.upto FROM conversation c JOIN inbox i ON i.owner = c.owner
WHERE c.owner = ? AND c.peer IN (?...);

-- name: conversation-delete   feature: archive   on: primary
DELETE FROM conversation WHERE owner = ? AND peer = ?;

-- name: conversation-some   feature: archive   on: primary
SELECT peer FROM conversation WHERE owner = ? LIMIT ?;

-- name: conversation-drop   feature: archive   on: primary
DELETE FROM conversation WHERE owner = ? AND peer IN (?...);

-- name: inbox-save   feature: archive   on: primary   upsert: yes
INSERT INTO inbox (owner, at_rnd, at_seq, in_seq, upto) VALUES (?, ?, ?, ?, ?)...
ON CONFLICT (owner) DO UPDATE SET
  at_rnd = CASE WHEN excluded.at_seq > at_seq THEN excluded.at_rnd ELSE at_rnd END,
  at_seq = CASE WHEN excluded.at_seq > at_seq THEN excluded.at_seq ELSE at_seq END,
  in_seq = CASE WHEN excluded.in_seq > in_seq THEN excluded.in_seq ELSE in_seq END,
  upto = CASE WHEN excluded.upto > upto THEN excluded.upto ELSE upto END;

-- name: inbox-get   feature: archive   on: primary
SELECT at_seq, at_rnd FROM inbox WHERE owner = ?;

-- name: inbox-upto   feature: archive   on: primary
SELECT owner, upto FROM inbox WHERE owner IN (?...);

-- name: inbox-delete   feature: archive   on: primary
DELETE FROM inbox WHERE owner = ?;

-- name: hidden-insert   feature: archive   on: primary   insert: ignore
INSERT INTO hidden (owner, seq) VALUES (?, ?)...;

-- name: hidden-delivered   feature: archive   on: primary
SELECT h.owner, h.seq FROM hidden h JOIN inbox i ON i.owner = h.owner
WHERE h.owner >= ? AND (h.owner > ? OR h.seq > ?) AND h.seq <= i.at_seq AND h.seq <= ?
ORDER BY h.owner, h.seq LIMIT ?;

-- name: hidden-delete   feature: archive   on: primary
DELETE FROM hidden WHERE owner = ? AND seq IN (?...);

-- name: hidden-have   feature: archive   on: primary
SELECT seq FROM hidden WHERE owner = ? AND seq IN (?...);

-- name: hidden-some   feature: archive   on: primary
SELECT seq FROM hidden WHERE owner = ? LIMIT ?;

-- name: tick-get   feature: server   on: primary
SELECT value FROM tick WHERE name = ?;

-- name: tick-raise   feature: server   on: primary   upsert: yes
INSERT INTO tick (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = CASE WHEN excluded.value > value THEN excluded.value ELSE value END;
