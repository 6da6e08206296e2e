-- Answers: one row per question and person (or pseudonym) of a wave, as it
-- stands after edits. In an anonymous campaign person is 0 and at the day.

-- name: answer-put   feature: bot   on: primary   upsert: yes
INSERT INTO answer (org, campaign, wave, who, question, person, kind, measure, picked, score, body, sentiment, reasons, lang, skipped, edits, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
ON CONFLICT (org, campaign, wave, who, question) DO UPDATE SET kind = excluded.kind, measure = excluded.measure, picked = excluded.picked,
  score = excluded.score, body = excluded.body, sentiment = excluded.sentiment, reasons = excluded.reasons, lang = excluded.lang,
  skipped = excluded.skipped, edits = edits + 1, at = excluded.at;

-- name: answer-page   feature: bot   on: replica
SELECT campaign, wave, who, question, person, kind, measure, picked, score, body, sentiment, reasons, lang, skipped, edits, at FROM answer
WHERE org = ? AND campaign = ? AND wave = ? AND (who > ? OR who = ? AND question > ?) ORDER BY who, question LIMIT ?;

-- name: answer-of   feature: bot   on: primary
SELECT campaign, wave, who, question, person, kind, measure, picked, score, body, sentiment, reasons, lang, skipped, edits, at FROM answer
WHERE org = ? AND campaign = ? AND wave = ? AND who = ? ORDER BY question;

