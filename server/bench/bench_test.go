//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

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
