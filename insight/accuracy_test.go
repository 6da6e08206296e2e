package insight_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/insight"
)

// row is a line of testdata: split, label and sentence.
type row struct{ split, label, text string }

// rows reads a file of testdata.
func rows(t testing.TB, file string) []row {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []row
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		p := strings.Split(lines.Text(), "\t")
		switch len(p) {
		case 2:
			out = append(out, row{p[0], "", p[1]})
		case 3:
			out = append(out, row{p[0], p[1], p[2]})
		default:
			t.Fatalf("%s: %q has %d columns", file, lines.Text(), len(p))
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return out
}

func lexicons(t testing.TB) *insight.Lexicons {
	t.Helper()
	l, err := insight.NewLexicons()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// confusion counts what was said against what was found.
type confusion map[string]map[string]int

func (c confusion) add(want, got string) {
	if c[want] == nil {
		c[want] = map[string]int{}
	}
	c[want][got]++
}

// accuracy, and the mean of the labels' F1.
func (c confusion) accuracy(labels ...string) (acc, f1 float64, n int) {
	right := 0
	for _, l := range labels {
		found, said := 0, 0
		for _, want := range labels {
			found += c[want][l]
			said += c[l][want]
			n += c[l][want]
		}
		right += c[l][l]
		if found+said > 0 {
			f1 += 2 * float64(c[l][l]) / float64(found+said) / float64(len(labels))
		}
	}
	return float64(right) / float64(n), f1, n
}

func (c confusion) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s", "is \\ found")
	for _, l := range labels {
		fmt.Fprintf(&b, "%10s", l)
	}
	for _, want := range labels {
		fmt.Fprintf(&b, "\n%-10s", want)
		for _, got := range labels {
			fmt.Fprintf(&b, "%10d", c[want][got])
		}
	}
	return b.String()
}

var labels = []string{"positive", "neutral", "negative"}

// TestAccuracy prints the confusion tables of docs/insight.md. The floors are
// what the test part reaches, less two sentences in a hundred.
func TestAccuracy(t *testing.T) {
	l := lexicons(t)
	for language, floor := range map[string]float64{"en": 0.95, "de": 0.94, "nl": 0.92} {
		for _, split := range []string{"dev", "test"} {
			c := confusion{}
			for _, r := range rows(t, language+".tsv") {
				if r.split != split {
					continue
				}
				s, err := l.Score(context.Background(), language, r.text)
				if err != nil && !errors.Is(err, insight.ErrLanguage) {
					t.Fatal(err)
				}
				c.add(r.label, string(s.Label))
				if string(s.Label) != r.label && split == os.Getenv("BEARHUG_INSIGHT_SHOW") {
					t.Logf("%s %-8s %-8s %.2f %s %v", language, r.label, s.Label, s.Score, r.text, s.Reasons)
				}
			}
			acc, f1, n := c.accuracy(labels...)
			t.Logf("%s %s: accuracy %.1f %%, macro F1 %.1f %%, n %d\n%s", language, split, 100*acc, 100*f1, n, c)
			if split == "test" && acc < floor {
				t.Errorf("%s: accuracy %.3f on the test part, want at least %.2f", language, acc, floor)
			}
		}
	}
}

// TestLanguage: the labelled sentences are in the language of their file.
func TestLanguage(t *testing.T) {
	for language, floor := range map[string]float64{"en": 0.93, "de": 0.95, "nl": 0.93} {
		right, wrongSure, sure, n := 0, 0, 0, 0
		for _, r := range rows(t, language+".tsv") {
			if r.split == "test" {
				tag, s := insight.Language(r.text)
				n++
				if tag == language {
					right++
				} else if s {
					wrongSure++
					t.Logf("%s, surely: %s", tag, r.text)
				}
				if s {
					sure++
				}
				if tag != language && os.Getenv("BEARHUG_INSIGHT_SHOW") != "" {
					t.Logf("%s as %s %v: %s", language, tag, s, r.text)
				}
			}
		}
		got := float64(right) / float64(n)
		t.Logf("%s: %.1f %% right, %.1f %% sure, %d surely wrong of %d", language, 100*got, 100*float64(sure)/float64(n), wrongSure, n)
		if got < floor || wrongSure > 1 {
			t.Errorf("%s: %.3f right and %d surely wrong, want at least %.2f and at most 1", language, got, wrongSure, floor)
		}
	}
}
