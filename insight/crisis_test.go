package insight_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/insight"
)

func TestCheckRules(t *testing.T) {
	if err := insight.CheckRules(); err != nil {
		t.Fatal(err)
	}
}

// TestCrisisRecall: what speaks of a crisis is found. The sentences were
// written before the rules; the test part was not looked at while tuning.
func TestCrisisRecall(t *testing.T) {
	for _, language := range []string{"en", "de", "nl"} {
		for _, split := range []string{"dev", "test", "fresh"} {
			all, found, right := 0, 0, 0
			for _, r := range rows(t, "crisis."+language+".tsv") {
				if r.split != split {
					continue
				}
				all++
				hits := insight.Crisis(r.text)
				if len(hits) > 0 {
					found++
				} else if os.Getenv("BEARHUG_INSIGHT_SHOW") == split {
					t.Logf("missed: %s %s: %s", language, r.label, r.text)
				}
				for _, h := range hits {
					if strings.ReplaceAll(string(h.Kind), "-", "") == r.label {
						right++
						break
					}
				}
			}
			recall := float64(found) / float64(all)
			t.Logf("%s %s: recall %.1f %% (%d of %d), kind right %.1f %%", language, split, 100*recall, found, all, 100*float64(right)/float64(all))
			if recall < 0.95 {
				t.Errorf("%s %s: recall %.3f, want at least 0.95", language, split, recall)
			}
		}
	}
}

// TestCrisisFalseAlarms counts hits in what needs no one: figures of speech
// chosen to be hard, and the labelled sentences. The bounds are what a person
// on duty can bear.
func TestCrisisFalseAlarms(t *testing.T) {
	for _, language := range []string{"en", "de", "nl"} {
		for _, file := range []string{"harmless." + language + ".tsv", language + ".tsv"} {
			bound := 0.04
			if strings.HasPrefix(file, "harmless") {
				bound = 0.2
			}
			for _, split := range []string{"dev", "test"} {
				all, alarms := 0, 0
				for _, r := range rows(t, file) {
					if r.split != split {
						continue
					}
					all++
					if hits := insight.Crisis(r.text); len(hits) > 0 {
						alarms++
						if os.Getenv("BEARHUG_INSIGHT_SHOW") == split {
							t.Logf("%s: %s: %v", file, r.text, hits)
						}
					}
				}
				rate := float64(alarms) / float64(all)
				t.Logf("%s %s: %d of %d, %.1f %%", file, split, alarms, all, 100*rate)
				if rate > bound {
					t.Errorf("%s %s: %.3f false alarms, want at most %.2f", file, split, rate, bound)
				}
			}
		}
	}
}
