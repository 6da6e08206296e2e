package script_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bearhug/bearhug/script"
)

// TestScripts reads every script of the house.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../tests/*.scs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	titles := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := script.Parse(f, b)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Title == "" {
			t.Errorf("%s: the first comment says what the script shows", f)
		}
		if other, ok := titles[s.Title]; ok {
			t.Errorf("%s and %s have the same title", f, other)
		}
		titles[s.Title] = f
	}
}
