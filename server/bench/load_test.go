//go:build linux && load

// The tests of this file put load on the machine, which would disturb tests that run at the same time. `make bench` runs
// them before it measures.

package main

import (
	"context"
	"fmt"
	"io"
	"os"
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
		plan:      plan{rounds: 1, seconds: 1, warmup: 1, connections: []int{1}, providers: 100, sizes: []int{100}},
		directory: t.TempDir(), progress: io.Discard, report: &report{},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := b.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := b.fill(ctx, &files{directory: b.directory}, serverOnSQLite, b.providers)
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
	b := &bench{directory: t.TempDir(), progress: io.Discard, report: &report{}}
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := &files{directory: b.directory}
	data, err := b.fill(t.Context(), files, serverOnSQLite, 10)
	if err != nil {
		t.Fatal(err)
	}
	err = b.withServer(t.Context(), b.serve(data.database), func(s *server) error {
		for _, checked := range []bool{true, false} {
			_, err := wrk{b.script, 20, data.key}.run(t.Context(), s.url, 1, 1, checked) // half of them are not there
			if err == nil || !strings.HasSuffix(err.Error(), "responses were not 200") {
				t.Errorf("checked %v: got %v", checked, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
