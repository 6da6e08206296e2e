package insight_test

import (
	"context"
	"encoding/csv"
	"errors"
	"html"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/insight"
)

// TestPublic measures the scorers on labelled sets that others have made.
// They are not ours to commit; docs/insight.md says where they are and how
// they are put into the folder that BEARHUG_INSIGHT_PUBLIC names.
func TestPublic(t *testing.T) {
	dir := os.Getenv("BEARHUG_INSIGHT_PUBLIC")
	if dir == "" {
		t.Skip("the public sets are not here: docs/insight.md says how to get them; set BEARHUG_INSIGHT_PUBLIC to their folder")
	}
	l := lexicons(t)
	for _, set := range []struct{ file, language string }{
		{"polarity-de-amazon.csv", "de"}, {"polarity-nl-bol.com.csv", "nl"},
		{"amazonReviewSnippets_GroundTruth.txt", "en"}, {"nytEditorialSnippets_GroundTruth.txt", "en"}, {"tweets_GroundTruth.txt", "en"},
	} {
		t.Run(set.file, func(t *testing.T) {
			all := publicRows(t, filepath.Join(dir, set.file))
			c, signs := confusion{}, 0
			identified, alarms := 0, 0
			for _, r := range all {
				s, err := l.Score(context.Background(), set.language, r.text)
				if err != nil && !errors.Is(err, insight.ErrLanguage) {
					t.Fatal(err)
				}
				c.add(r.label, string(s.Label))
				if s.Score > 0 == (r.label == "positive") && s.Score != 0 {
					signs++
				}
				if len(insight.Crisis(r.text)) > 0 {
					alarms++
				}
				if tag, _ := insight.Language(r.text); tag == set.language {
					identified++
				}
			}
			acc, f1, n := c.accuracy(labels...)
			t.Logf("n %d, accuracy %.1f %%, macro F1 %.1f %%; side of zero right: %.1f %%; language right: %.1f %%; texts with a crisis hit: %d\n%s",
				n, 100*acc, 100*f1, 100*float64(signs)/float64(n), 100*float64(identified)/float64(n), alarms, c)
		})
	}
}

// publicRows reads "label,text" as CSV, or "id, mean rating, text" by tabs:
// there a mean of 0.5 is positive and of -0.5 negative.
func publicRows(t *testing.T, file string) []row {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	var out []row
	if strings.HasSuffix(file, ".txt") {
		for line := range strings.Lines(strings.ToValidUTF8(string(raw), "?")) {
			p := strings.SplitN(strings.TrimSpace(line), "\t", 3)
			if len(p) < 3 {
				continue
			}
			mean, err := strconv.ParseFloat(p[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			label := "neutral"
			if mean >= 0.5 {
				label = "positive"
			} else if mean <= -0.5 {
				label = "negative"
			}
			out = append(out, row{label: label, text: p[2]})
		}
		return out
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(raw), "\ufeff")))
	r.LazyQuotes, r.FieldsPerRecord = true, -1
	for {
		p, err := r.Read()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p) < 2 {
			continue
		}
		label := map[string]string{"1": "positive", "-1": "negative"}[strings.TrimSpace(p[0])]
		if label == "" {
			n, err := strconv.ParseFloat(strings.TrimSpace(p[0]), 64)
			if err != nil {
				continue
			}
			label = "negative"
			if n > 0 {
				label = "positive"
			}
		}
		out = append(out, row{label: label, text: html.UnescapeString(p[1])})
	}
}
