package stream_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is a logger into w.
func quiet(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// writeHeap writes a heap profile.
func writeHeap(t testing.TB, file string) {
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(pprof.WriteHeapProfile(f), f.Close())
	}
	if err != nil {
		t.Error(err)
	}
}
