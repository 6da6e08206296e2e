package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// hot are the packages that every message goes through.
var hot = []string{"./jid", "./sasl", "./feature", "./stanza", "./stream", "./session", "./archive"}

// framing is the benchmark of a 258-byte chat message, by the function that
// c2s calls, with all checks.
const framing = "BenchmarkFramer258"

// primitives runs the packages' benchmarks.
func (b *bench) primitives() error {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-count", strconv.Itoa(b.runs)}, hot...)
	out, err := exec.CommandContext(b.ctx, "go", args...).Output()
	if err != nil {
		return fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(f[0], "-")
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
				b.report.add(name+" allocations", "", v)
			}
		}
	}
	return nil
}
