package sqlite

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/usage"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ usage.Store = (*Store)(nil)

const (
	usageCounts = "requests, rejected, limited, failed, latency_0, latency_1, latency_2, latency_3, latency_4, latency_5"

	addUsage = `INSERT INTO usage (resolution, period, organization_id, key_id, operation, ` + usageCounts + `)
		SELECT ?1, ?2, id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15 FROM organizations WHERE id = ?3
		ON CONFLICT (resolution, period, organization_id, key_id, operation) DO UPDATE SET
			requests = requests + excluded.requests, rejected = rejected + excluded.rejected, limited = limited + excluded.limited, failed = failed + excluded.failed,
			latency_0 = latency_0 + excluded.latency_0, latency_1 = latency_1 + excluded.latency_1, latency_2 = latency_2 + excluded.latency_2,
			latency_3 = latency_3 + excluded.latency_3, latency_4 = latency_4 + excluded.latency_4, latency_5 = latency_5 + excluded.latency_5`
	selectUsage = "SELECT key_id, operation, " + usageCounts + " FROM usage WHERE resolution = ?1 AND period = ?2 AND organization_id = ?3"
	removeUsage = `DELETE FROM usage WHERE (resolution, period, organization_id, key_id, operation) IN (
		SELECT resolution, period, organization_id, key_id, operation FROM usage WHERE resolution = ?1 AND period < ?2 ORDER BY period LIMIT ?3)`
)

// AddUsage implements [usage.Store].
func (s *Store) AddUsage(ctx context.Context, rows []usage.Row) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		for _, row := range rows {
			for _, r := range usage.Resolutions() {
				arguments := []any{int64(r), r.Start(row.At).UnixMilli(), row.Organization, row.Key, row.Operation, row.Requests, row.Rejected, row.Limited, row.Failed}
				for _, n := range row.Latency {
					arguments = append(arguments, n)
				}
				if err := execute(c, addUsage, arguments...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Usage implements [usage.Store]. It looks for each period, as the table is in the order of periods.
func (s *Store) Usage(ctx context.Context, organization int64, r usage.Resolution, since time.Time, f func(usage.Row)) error {
	return s.readPage(ctx, func(c *sqlite.Conn) error {
		for at, now := r.Start(since), s.now(); !at.After(now); at = at.Add(r.Length()) {
			err := sqlitex.Execute(c, selectUsage, &sqlitex.ExecOptions{
				Args: []any{int64(r), at.UnixMilli(), organization},
				ResultFunc: func(s *sqlite.Stmt) error {
					row := usage.Row{Organization: organization, At: at, Key: s.ColumnText(0), Operation: s.ColumnText(1), Counts: usage.Counts{
						Requests: s.ColumnInt64(2), Rejected: s.ColumnInt64(3), Limited: s.ColumnInt64(4), Failed: s.ColumnInt64(5),
					}}
					for i := range row.Latency {
						row.Latency[i] = s.ColumnInt64(6 + i)
					}
					f(row)
					return nil
				},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// RemoveUsage implements [usage.Store].
func (s *Store) RemoveUsage(ctx context.Context, r usage.Resolution, before time.Time, limit int) (removed int, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		err := execute(c, removeUsage, int64(r), before.UnixMilli(), limit)
		removed = c.Changes()
		return err
	})
	return removed, err
}
