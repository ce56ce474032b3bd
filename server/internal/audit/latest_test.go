package audit

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rotated writes a trail of four files, two of them compressed, a line for each minute of 2026-05-01, and returns its path. The Count of a line is the minute.
func rotated(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	for name, hours := range map[string][2]int{"-20260430.gz": {0, 4}, "-20260501.gz": {4, 8}, ".1": {8, 16}, "": {16, 24}} {
		var text strings.Builder
		for minute := hours[0] * 60; minute < hours[1]*60; minute++ {
			// Some lines are long, so that files have several blocks.
			fmt.Fprintf(&text, `{"time":"2026-05-01T%02d:%02d:00.000Z","key":"key_%d","organization":%d,"operation":"op","count":%d,"reason":"%s"}`+"\n",
				minute/60, minute%60, minute%7, minute%2+1, minute, strings.Repeat("x", minute%20*200))
		}
		if strings.HasSuffix(name, ".gz") {
			write(t, path+name, compressed(t, text.String()))
		} else {
			write(t, path+name, text.String())
		}
	}
	write(t, path+".2.gz", "\x1f\x8bcompressed")
	write(t, path+".swp", "no trail\n")
	write(t, path+"book", `{"time":"2026-05-01T00:00:00.000Z"}`+"\n")
	return path
}

func compressed(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// all follows a query from part to part.
func all(t *testing.T, path string, q Query) (minutes []int, parts int) {
	t.Helper()
	for {
		part, err := Latest(t.Context(), path, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Skipped) != 1 || part.Skipped[0] != "audit.log.2.gz" || part.Damaged != 0 || len(part.Entries) > q.Max {
			t.Fatalf("got %d entries, %d damaged, skipped %q", len(part.Entries), part.Damaged, part.Skipped)
		}
		for _, e := range part.Entries {
			minutes = append(minutes, e.Count)
		}
		parts++
		if q.After = part.Next; q.After == "" {
			return minutes, parts
		}
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	path := rotated(t)
	at := func(hour, minute int) time.Time { return time.Date(2026, 5, 1, hour, minute, 0, 0, time.UTC) }
	for name, q := range map[string]Query{
		"everything":                  {},
		"one key":                     {Filter: Filter{Key: "key_3"}},
		"one organization":            {Filter: Filter{Number: 2}},
		"another operation":           {Filter: Filter{Operation: "other"}},
		"until the middle of a file":  {Filter: Filter{Until: at(12, 30)}},
		"until the end of a file":     {Filter: Filter{Until: at(16, 0)}},
		"until before the first line": {Filter: Filter{Until: at(0, 0).Add(-time.Hour)}},
		"until after the last line":   {Filter: Filter{Until: at(30, 0)}},
		"since":                       {Filter: Filter{Since: at(7, 59)}},
		"an hour of the first file":   {Filter: Filter{Since: at(3, 0), Until: at(4, 0)}},
	} {
		var want []int
		for minute := 24*60 - 1; minute >= 0; minute-- {
			if (q.Key == "" || minute%7 == 3) && (q.Number == 0 || minute%2 == 1) && q.Operation == "" &&
				(q.Since.IsZero() || !at(0, minute).Before(q.Since)) && (q.Until.IsZero() || at(0, minute).Before(q.Until)) {
				want = append(want, minute)
			}
		}
		for limits, q := range map[string]Query{
			"at once":               {Filter: q.Filter, Max: math.MaxInt, MaxBytes: math.MaxInt64, MaxCompressed: math.MaxInt64},
			"in parts of 100":       {Filter: q.Filter, Max: 100, MaxBytes: math.MaxInt64, MaxCompressed: math.MaxInt64},
			"in parts of one block": {Filter: q.Filter, Max: math.MaxInt, MaxBytes: 1, MaxCompressed: math.MaxInt64},
		} {
			if got, parts := all(t, path, q); fmt.Sprint(got) != fmt.Sprint(want) || parts == 1 && q.Max == 100 && len(want) > 100 {
				t.Errorf("%s, %s: in %d parts\n%v, want\n%v", name, limits, parts, got, want)
			}
		}
	}
	hour := Query{Filter: Filter{Since: at(3, 0), Until: at(4, 0)}, Max: 100, MaxBytes: 1, MaxCompressed: math.MaxInt64}
	if _, parts := all(t, path, hour); parts > 5 {
		t.Errorf("an hour of a day was read in %d blocks", parts)
	}
}

// TestLatestWhileRotated goes on after the file was moved away, and when it was removed.
func TestLatestWhileRotated(t *testing.T) {
	t.Parallel()
	path := rotated(t)
	q := Query{Max: 10, MaxBytes: math.MaxInt64}
	part, err := Latest(t.Context(), path, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"-20260502"); err != nil {
		t.Fatal(err)
	}
	write(t, path, `{"time":"2026-05-02T00:00:00.000Z"}`+"\n")
	q.After = part.Next
	if part, err = Latest(t.Context(), path, q); err != nil || len(part.Entries) != 10 || part.Entries[0].Count != 24*60-11 {
		t.Errorf("got %+v, %v", part, err)
	}
	if err := os.Remove(path + "-20260502"); err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{q.After, "x", "2026-05-02T00:00:00.000Z/-1", "2026-05-02T00:00:00.000Z/1000"} {
		q.After = after
		if _, err := Latest(t.Context(), path, q); !errors.Is(err, ErrNoPosition) {
			t.Errorf("after %q: %v", after, err)
		}
	}
}

// TestLatestWhileCompressed goes on in a file that is compressed between two parts, and in one that is being compressed.
func TestLatestWhileCompressed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	var text strings.Builder
	for n := range 20 {
		fmt.Fprintf(&text, `{"time":"2026-05-01T00:00:00.0%02dZ","count":%d}`+"\n", n, n)
	}
	write(t, path+".1", text.String())
	q := Query{Max: 5, MaxBytes: math.MaxInt64, MaxCompressed: 1 << 20}
	next := func(want int) {
		t.Helper()
		part, err := Latest(t.Context(), path, q)
		if err != nil || len(part.Entries) != 5 || part.Entries[0].Count != want || part.Entries[4].Count != want-4 || part.Reached != part.Entries[4].Time || len(part.Skipped) > 0 {
			t.Errorf("got %+v, %v; want the entries from %d on", part, err, want)
		}
		q.After = part.Next
	}
	next(19)
	write(t, path+".1.gz", compressed(t, text.String())[:40])
	next(14)
	write(t, path+".1.gz", compressed(t, text.String()))
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	next(9)
	next(4)
	if q.After != "" {
		t.Errorf("there is more after %s", q.After)
	}
}

// TestLatestSkips leaves out compressed files that are damaged, or too large.
func TestLatestSkips(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-05-01T00:00:00.000Z"}` + "\n"
	q := Query{Filter: Filter{Key: "none"}, Max: 1, MaxBytes: math.MaxInt64, MaxCompressed: int64(100 * len(line))}
	path := filepath.Join(t.TempDir(), "audit.log")
	whole := compressed(t, strings.Repeat(line, 10))
	write(t, path+".1.gz", whole[:len(whole)-8]+"\x00\x00\x00\x00\x01\x00\x00\x00")
	write(t, path+".2.gz", compressed(t, strings.Repeat(line, 101)))
	write(t, path+".3.gz", whole+whole[:20])
	write(t, path+".4.gz", compressed(t, strings.Repeat(line, 100))+compressed(t, line+line))
	write(t, path+".5.gz", compressed(t, line))
	part, err := Latest(t.Context(), path, q)
	slices.Sort(part.Skipped)
	if want := "[audit.log.1.gz audit.log.2.gz audit.log.3.gz audit.log.4.gz]"; err != nil || fmt.Sprint(part.Skipped) != want || part.Next != "" {
		t.Errorf("skipped %v, next %q, %v; want %s", part.Skipped, part.Next, err, want)
	}
	// A part reads no more than one of them beyond its bound.
	q.MaxBytes = 1
	part, err = Latest(t.Context(), path, q)
	if err != nil || part.Next == "" || part.Reached == "" && len(part.Skipped) < 2 {
		t.Errorf("got %+v, %v", part, err)
	}
}

// TestLatestOfDamaged reads lines that were cut, that are being written, and that are longer than any of a trail.
func TestLatestOfDamaged(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-05-01T00:00:00.000Z","operation":"op"}` + "\n"
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, line+`{"time":"2026-0`+"\n"+line+strings.Repeat("\x00", 3*block)+"\n"+line+`{"time":"2026-05-01T`)
	part, err := Latest(t.Context(), path, Query{Max: 100, MaxBytes: math.MaxInt64, MaxCompressed: math.MaxInt64})
	if err != nil || len(part.Entries) != 3 || part.Damaged < 2 {
		t.Errorf("got %d entries, %d damaged, %v", len(part.Entries), part.Damaged, err)
	}
	write(t, path, "")
	if part, err := Latest(t.Context(), path, Query{Max: 1, MaxBytes: 1}); err != nil || part.Next != "" || part.Entries != nil {
		t.Errorf("an empty file: %+v, %v", part, err)
	}
}
