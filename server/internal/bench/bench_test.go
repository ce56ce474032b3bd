//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && peers[os.Args[1]] != nil { // the driver has run its own program, which is this
		if err := dispatch(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func needWrk(t *testing.T) {
	t.Helper()
	if err := findWrk(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func TestMeasuresTheServerAndTheRawUpdate(t *testing.T) {
	needWrk(t)
	b := &bench{
		plan:   plan{rounds: 1, seconds: 1, warmup: 1, connections: []int{1}, providers: 100, sizes: []int{100}},
		folder: t.TempDir(), progress: io.Discard, report: &report{},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := b.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := b.fill(ctx, &files{folder: b.folder}, serverOnSQLite, b.providers)
	if err != nil {
		t.Fatal(err)
	}
	err = b.withClone(ctx, data, func(database string) error {
		err := b.withServer(ctx, b.serve(database), func(s *server) error { return b.load(ctx, serverOnSQLite, s, data, 1) })
		if err != nil {
			return err
		}
		return b.write(ctx, rawSingly, rawRun{Database: database, Batch: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []subject{serverOnSQLite, rawSingly} {
		got := b.results[i]
		if got.subject != want || got.rate() <= 0 || got.times.percentile(50) <= 0 || got.times.percentile(99) < got.times.percentile(50) {
			t.Errorf("got %s: %d in %v, p50 %v, p99 %v", got.subject, got.count, got.took, got.times.percentile(50), got.times.percentile(99))
		}
	}
	if got := b.results[0]; got.peak < 1<<20 {
		t.Errorf("the server's memory peaks at %d bytes", got.peak)
	}
	var text strings.Builder
	b.print(&text, b.plan)
	for _, want := range []string{"| server on SQLite | 1 |", "| raw UPDATE into SQLite, 1 a transaction | 1 |", "not measured"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
}

func TestAnAnswerOtherThan200IsAnError(t *testing.T) {
	needWrk(t)
	b := &bench{folder: t.TempDir(), progress: io.Discard, report: &report{}}
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := &files{folder: b.folder}
	data, err := b.fill(t.Context(), files, serverOnSQLite, 10)
	if err != nil {
		t.Fatal(err)
	}
	err = b.withServer(t.Context(), b.serve(data.database), func(s *server) error {
		for _, checked := range []bool{true, false} {
			_, err := wrk{b.script, 20, data.key}.run(t.Context(), s.url, 1, 1, checked) // half of them are not there
			if err == nil || !strings.HasSuffix(err.Error(), "answers were not 200") {
				t.Errorf("checked %v: got %v", checked, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRecordedTakesBackWhatWrkInvents corrects times as wrk does.
func TestRecordedTakesBackWhatWrkInvents(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var want histogram
		connections, count := 1+random.IntN(64), 1000
		for range count {
			want.addCount(int(random.ExpFloat64()*300), 1)
		}
		microseconds := 100_000 + random.IntN(1_000_000)
		interval := microseconds / (count / connections)
		corrected := slices.Clone(want)
		for n := 2 * interval; n < len(corrected); n++ {
			for m := n - interval; m > interval; m -= interval {
				corrected[m] += corrected[n]
			}
		}
		if got := recorded(corrected, microseconds, count, connections); !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var h histogram
	for microseconds := 1; microseconds <= 100; microseconds++ {
		h.add(time.Duration(microseconds) * time.Microsecond)
	}
	for percent, want := range map[float64]time.Duration{0: 1, 50: 50, 99: 99, 100: 100} {
		if got := h.percentile(percent); got != want*time.Microsecond {
			t.Errorf("percentile(%v) = %v, want %dµs", percent, got, want)
		}
	}
}

func TestParseGoBenchmark(t *testing.T) {
	const text = `goos: linux
BenchmarkRequest/bare-2         	   99999	     10000 ns/op	    1946 B/op	      43 allocs/op
BenchmarkRequest/bare-2         	   99999	     30000 ns/op	    1946 B/op	      43 allocs/op
BenchmarkRequest/bare-2         	   99999	     12000.5 ns/op	    1946 B/op	      43 allocs/op
BenchmarkRequest/full-2         	   50000	     25000 ns/op	    6836 B/op	      76 allocs/op
PASS
`
	got, err := parseGoBenchmark(text)
	if err != nil {
		t.Fatal(err)
	}
	if bare, full := (cost{12000.5, 1946, 43}), (cost{25000, 6836, 76}); got["bare"] != bare || got["full"] != full {
		t.Errorf("got %v", got)
	}
	if _, err := parseGoBenchmark("PASS\n"); err == nil {
		t.Error("no result was taken for one")
	}
}
