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

// TestCrisisRecall: what speaks of a crisis is found. The sentences of dev and
// test were written before the rules, fresh and fresh2 after them, to be hard.
// What was missed was then read and given rules, so that this guards what is
// reached; what the rules found at first sight is in docs/insight.md.
func TestCrisisRecall(t *testing.T) {
	for _, language := range []string{"en", "de", "nl"} {
		for _, split := range []string{"dev", "test", "fresh", "fresh2"} {
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
			bound := 0.02
			if strings.HasPrefix(file, "harmless") {
				bound = 0.1
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

// TestCrisisSeesThrough: what hides a word, wilfully or by typing.
func TestCrisisSeesThrough(t *testing.T) {
	for _, text := range []string{
		"KILL MYSELF", "k i l l  m y s e l f", "I k.i.l.l myself", "k1ll my$elf", "kiiillll myself", "ki\u200bll myself", "kıll myself and kill\u00admyself", "ｋｉｌｌ ｍｙｓｅｌｆ",
		"su1cide", "suicdie", "suic1dal", "sui cide", "s-u-i-c-i-d-e", "suıcide suicide!!", "\u0455uicide",
		"ich bring mich um", "umbringen!!!", "ich will mich umbrignen", "u.m.b.r.i.n.g.e.n", "selbstmrod", "Selbst-Mord", "ich möchte nicht mehr leben", "ich mochte nicht mehr leben", "er schlagt mich", "er schlaegt mich", "er hat mich gewurgt",
		"zelfmoord", "z3lfm00rd", "zelf-moord", "zelfmoort", "suïcide", "suicidale gedachten", "hij slaat mij", "ik wil niet meer leven", "ik wil dooood",
	} {
		if len(insight.Crisis(text)) == 0 {
			t.Errorf("not seen: %s", text)
		}
	}
	hits := insight.Crisis("Hallo, alles ok. Nein: ich will mich umbringen.")
	if len(hits) == 0 || hits[0].Kind != insight.Suicide || hits[0].Language != "de" || !strings.Contains(hits[0].Words, "umbringen") {
		t.Errorf("got %+v", hits)
	}
}

// TestCrisisLong: of a megabyte the beginning and the end are read, and a cut
// in the middle of a letter does no harm.
func TestCrisisLong(t *testing.T) {
	for _, filler := range []string{"und sonst war nichts ", "äöü ", "deadline deadline ", "he me him i want my ", "k i l ", "😀"} {
		long := strings.Repeat(filler, 1<<20/len(filler))
		for _, text := range []string{"I want to kill myself. " + long, long + " I want to kill myself.", long[:1<<19] + "x" + long[:1<<19] + " I want to kill myself"} {
			if hits := insight.Crisis(text); len(hits) == 0 {
				t.Errorf("not seen in a megabyte of %q", filler)
			}
		}
	}
}

// FuzzCrisis: nothing panics, and words are of the text.
func FuzzCrisis(f *testing.F) {
	f.Add("I want to k1ll my$elf 😀 ich bring mich um")
	f.Add("\xff\xfe k i l l \xe2\x80")
	f.Fuzz(func(t *testing.T, text string) {
		for _, h := range insight.Crisis(text) {
			if h.Words == "" || !strings.Contains(text, h.Words) || h.Kind == "" || h.Rule == "" {
				t.Fatalf("%+v", h)
			}
		}
	})
}

// BenchmarkCrisis: a text of 1 KiB with many words that rules begin with.
func BenchmarkCrisis(b *testing.B) {
	text := "Mein Chef hat mich gestern vor allen angeschrien und ich war nicht sicher was ich sagen will, he said he would not like it and I want to go home but er kann nicht mehr. "
	text = strings.Repeat(text, 1024/len(text)+1)[:1024]
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		insight.Crisis(text)
	}
}
