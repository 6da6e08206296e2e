package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Answer is what a person, or a pseudonym, answered to one question of a wave,
// as it stands after edits.
type Answer struct {
	Campaign, Wave int64
	Who            []byte // pseudonym of 16 bytes, or number of the person in 8
	Question       string
	Person         int64 // 0 in an anonymous campaign
	Kind, Measure  string
	Values         []string
	Score          *int
	Text           string
	Sentiment      *float64 // -1 … 1, to the thousandth
	Reasons        []byte   // of the sentiment, JSON
	Language       string
	Skipped        bool
	Edits          int
	At             time.Time // the day alone in an anonymous campaign
}

func (a *Answer) save(tx *db.Tx, org feature.Org) error {
	values, err := json.Marshal(a.Values)
	if err != nil {
		return err
	}
	var score, sentiment any
	if a.Score != nil {
		score = *a.Score
	}
	if a.Sentiment != nil {
		sentiment = int64(*a.Sentiment * 1000)
	}
	if a.Reasons == nil {
		a.Reasons = []byte{}
	}
	_, err = tx.Exec("answer-put", org, a.Campaign, a.Wave, a.Who, a.Question, a.Person, a.Kind, a.Measure, values, score, a.Text,
		sentiment, a.Reasons, a.Language, a.Skipped, micros(a.At))
	return err
}

func answerRow(r *db.Row) (a Answer, err error) {
	a = Answer{Campaign: r.Int(0), Wave: r.Int(1), Who: r.Bytes(2), Question: r.Text(3), Person: r.Int(4), Kind: r.Text(5), Measure: r.Text(6),
		Text: r.Text(9), Reasons: r.Bytes(11), Language: r.Text(12), Skipped: r.Bool(13), Edits: int(r.Int(14)), At: r.Time(15)}
	if !r.Null(8) {
		n := int(r.Int(8))
		a.Score = &n
	}
	if !r.Null(10) {
		v := float64(r.Int(10)) / 1000
		a.Sentiment = &v
	}
	return a, json.Unmarshal(r.View(7), &a.Values)
}

// AnswersOf are one person's, or pseudonym's, answers in a wave, by question.
func (s *Store) AnswersOf(ctx context.Context, org feature.Org, campaign, wave int64, who []byte) ([]Answer, error) {
	return s.answers(ctx, org, "answer-of", org, campaign, wave, who)
}

// Answers are those of a wave behind one, in the order of Who and Question.
func (s *Store) Answers(ctx context.Context, org feature.Org, campaign, wave int64, after *Answer, limit int) ([]Answer, error) {
	who, question := []byte{}, ""
	if after != nil {
		who, question = after.Who, after.Question
	}
	return s.answers(ctx, org, "answer-page", org, campaign, wave, who, who, question, limit)
}

func (s *Store) answers(ctx context.Context, org feature.Org, name string, args ...any) (out []Answer, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		a, err := answerRow(r)
		out = append(out, a)
		return err
	}, args...); err != nil {
		return nil, fmt.Errorf("answers: %w", err)
	}
	return out, nil
}

// clip is at most n bytes of a text, whole characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
