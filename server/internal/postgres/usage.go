package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/jackc/pgx/v5"
)

var _ usage.Store = (*Store)(nil)

const (
	addUsage = `INSERT INTO usage (resolution, period, organization_id, key_id, operation, counts)
		SELECT resolution, period, organizations.id, key_id, operation, ARRAY[requests, rejected, limited, failed, l0, l1, l2, l3, l4, l5]
		FROM unnest($1::smallint[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
			$10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
			AS added (resolution, period, organization, key_id, operation, requests, rejected, limited, failed, l0, l1, l2, l3, l4, l5)
		JOIN organizations ON organizations.id = organization
		ON CONFLICT (resolution, period, organization_id, key_id, operation) DO UPDATE SET
			counts = ARRAY(SELECT a + b FROM unnest(usage.counts, excluded.counts) WITH ORDINALITY AS pairs (a, b, i) ORDER BY i)`
	selectUsage = "SELECT period, key_id, operation, counts FROM usage WHERE resolution = $1 AND period = ANY($2::timestamptz[]) AND organization_id = $3"
	removeUsage = `DELETE FROM usage WHERE ctid = ANY(ARRAY(
		SELECT ctid FROM usage WHERE resolution = $1 AND period < $2 ORDER BY period LIMIT $3 FOR UPDATE SKIP LOCKED))`
)

// AddUsage implements [usage.Store]. Every server locks the rows in the same order.
func (s *Store) AddUsage(ctx context.Context, rows []usage.Row) error {
	type line struct {
		usage.Row
		resolution usage.Resolution
	}
	sums := map[line]usage.Counts{} // of the rows of one period
	for _, row := range rows {
		for _, r := range usage.Resolutions() {
			counts := row.Counts
			at := line{usage.Row{Organization: row.Organization, At: r.Start(row.At), Key: row.Key, Operation: row.Operation}, r}
			counts.Add(sums[at])
			sums[at] = counts
		}
	}
	var lines []line
	for at, counts := range sums {
		at.Counts = counts
		lines = append(lines, at)
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.resolution, b.resolution), a.At.Compare(b.At), cmp.Compare(a.Organization, b.Organization), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operation, b.Operation))
	})
	var (
		resolutions      []int16
		periods          []time.Time
		organizations    []int64
		keys, operations []string
		counts           [10][]int64
	)
	for _, l := range lines {
		resolutions, periods, organizations = append(resolutions, int16(l.resolution)), append(periods, l.At), append(organizations, l.Organization)
		keys, operations = append(keys, l.Key), append(operations, l.Operation)
		for i, n := range append([]int64{l.Requests, l.Rejected, l.Limited, l.Failed}, l.Latency[:]...) {
			counts[i] = append(counts[i], n)
		}
	}
	arguments := []any{resolutions, periods, organizations, keys, operations}
	for _, column := range counts {
		arguments = append(arguments, column)
	}
	_, err := s.execute(ctx, addUsage, arguments...)
	return err
}

// Usage implements [usage.Store].
func (s *Store) Usage(ctx context.Context, organization int64, r usage.Resolution, since time.Time, f func(usage.Row)) error {
	end, err := s.takePage(ctx)
	if err != nil {
		return err
	}
	defer end()
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	var periods []time.Time
	for at := r.Start(since); !at.After(now); at = at.Add(r.Length()) {
		periods = append(periods, at)
	}
	rows, err := read(ctx, s, func(row pgx.CollectableRow) (u usage.Row, err error) {
		var counts []int64
		err = row.Scan(&u.At, &u.Key, &u.Operation, &counts)
		if err == nil && len(counts) == 4+len(u.Latency) {
			u.Requests, u.Rejected, u.Limited, u.Failed = counts[0], counts[1], counts[2], counts[3]
			copy(u.Latency[:], counts[4:])
		}
		u.Organization, u.At = organization, u.At.UTC()
		return u, err
	}, selectUsage, int16(r), periods, organization)
	for _, row := range rows {
		f(row)
	}
	return err
}

// RemoveUsage implements [usage.Store]. It leaves rows that another server removes.
func (s *Store) RemoveUsage(ctx context.Context, r usage.Resolution, before time.Time, limit int) (int, error) {
	removed, err := s.execute(ctx, removeUsage, int16(r), before, limit)
	return int(removed), err
}
