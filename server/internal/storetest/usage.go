package storetest

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/usage"
)

func testUsage(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	start := usage.Day.Start(s.clock.Now())
	row := func(organization int64, at time.Duration, key, operation string, n int64) usage.Row {
		return usage.Row{Organization: organization, At: start.Add(at), Key: key, Operation: operation, Counts: usage.Counts{
			Requests: n, Rejected: n + 1, Limited: n + 2, Failed: n + 3, Latency: [6]int64{n, 0, n, 0, 0, 7},
		}}
	}
	add := func(rows ...usage.Row) {
		if err := s.AddUsage(t.Context(), rows); err != nil {
			t.Error(err)
		}
	}
	get := func(organization int64, r usage.Resolution, since time.Time) (rows []usage.Row) {
		t.Helper()
		if err := s.Usage(t.Context(), organization, r, since, func(row usage.Row) { rows = append(rows, row) }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(rows, func(a, b usage.Row) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operation, b.Operation))
		})
		return rows
	}
	sum := func(rows ...usage.Row) usage.Row {
		total := rows[0]
		for _, row := range rows[1:] {
			total.Add(row.Counts)
		}
		return total
	}
	s.clock.Move(start.Add(3 * time.Hour).Sub(s.clock.Now()))
	minutes := []usage.Row{row(org.number, 0, "a", "read", 1), row(org.number, time.Minute, "a", "read", 10), row(org.number, time.Hour, "a", "read", 100), row(org.number, time.Hour, "b", "write", 5)}
	var all sync.WaitGroup // the servers of a fleet
	for _, row := range minutes {
		all.Go(func() { add(row) })
	}
	all.Go(func() { add(append(minutes[:2:2], row(other.number, 0, "c", "read", 9))...) })
	all.Wait()
	twice := func(row usage.Row) usage.Row { return sum(row, row) }
	equal(t, "minutes", get(org.number, usage.Minute, start), []usage.Row{twice(minutes[0]), twice(minutes[1]), minutes[2], minutes[3]})
	first := twice(sum(minutes[0], minutes[1]))
	equal(t, "hours", get(org.number, usage.Hour, start), []usage.Row{first, minutes[2], minutes[3]})
	day := sum(first, minutes[2])
	ofB := minutes[3]
	ofB.At = start
	equal(t, "days", get(org.number, usage.Day, start.Add(time.Hour)), []usage.Row{day, ofB})
	equal(t, "since the second minute", len(get(org.number, usage.Minute, start.Add(time.Minute+time.Second))), 3)
	equal(t, "another organization's", len(get(other.number, usage.Minute, start)), 1)

	add(row(1<<40, 0, "a", "read", 1)) // an organization that was removed in the meantime
	remove := func(before time.Time, limit, want int) {
		t.Helper()
		removed, err := s.RemoveUsage(t.Context(), usage.Minute, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "removed", removed, want)
	}
	remove(start.Add(time.Minute), 1, 1)
	remove(start.Add(time.Minute), 10, 1) // of the two organizations
	remove(start.Add(time.Minute), 10, 0)
	equal(t, "minutes that are left", len(get(org.number, usage.Minute, start)), 3)
	equal(t, "hours that are left", len(get(org.number, usage.Hour, start)), 3)
}
