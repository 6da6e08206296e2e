package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// hot are the packages that every message goes through.
var hot = []string{"./jid", "./sasl", "./feature", "./stanza", "./stream"}

// framing is the benchmark of a 258-byte chat message, by the function that
// c2s calls, with all checks.
const framing = "BenchmarkChat258"

// cores ends the name of a benchmark that had several.
var cores = regexp.MustCompile(`-\d+$`)

// primitives runs the packages' benchmarks.
func (b *bench) primitives() error {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", "0.3s", "-count", strconv.Itoa(b.runs)}, hot...)
	out, err := exec.CommandContext(b.ctx, "go", args...).Output()
	if err != nil {
		return fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := cores.ReplaceAllString(f[0], "")
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return fmt.Errorf("go test -bench: %q", sc.Text())
			}
			switch f[i+1] {
			case "ns/op":
				fig := b.report.add(name, "ns", v)
				if name == framing {
					fig.atMost(500)
				}
			case "allocs/op":
				fig := b.report.add(name+" allocations", "", v)
				if name == framing {
					fig.atMost(0.5) // none
				}
			}
		}
	}
	return nil
}
