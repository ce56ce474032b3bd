//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cost is what one run of a Go benchmark's loop takes: the median of several.
type cost struct {
	nanoseconds, bytes, allocations float64
}

// runGoBenchmark runs the benchmark of the pipeline without a store, and returns the cost of "bare" and of "full".
func runGoBenchmark(ctx context.Context, quick bool) (map[string]cost, error) {
	length, count := "1s", "5"
	if quick {
		length, count = "100ms", "1"
	}
	text, err := output(command(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkRequest$", "-benchmem", "-benchtime="+length, "-count="+count,
		module+"/server/internal/api"))
	if err != nil {
		return nil, err
	}
	return parseGoBenchmark(string(text))
}

// parseGoBenchmark reads lines such as "BenchmarkRequest/bare-2  61202  19876 ns/op  1946 B/op  43 allocs/op".
func parseGoBenchmark(text string) (map[string]cost, error) {
	runs := map[string][]cost{}
	for line := range strings.Lines(text) {
		line, found := strings.CutPrefix(line, "BenchmarkRequest/")
		if !found {
			continue
		}
		name, rest, _ := strings.Cut(line, "-")
		var c cost
		var processors, loops int
		if _, err := fmt.Sscanf(rest, "%d %d %f ns/op %f B/op %f allocs/op", &processors, &loops, &c.nanoseconds, &c.bytes, &c.allocations); err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		runs[name] = append(runs[name], c)
	}
	if len(runs["bare"]) == 0 || len(runs["full"]) == 0 {
		return nil, errors.New("the Go benchmark has no bare and full to compare")
	}
	medians := map[string]cost{}
	for name, all := range runs {
		slices.SortFunc(all, func(a, b cost) int { return cmp.Compare(a.nanoseconds, b.nanoseconds) })
		medians[name] = all[len(all)/2]
	}
	return medians, nil
}
