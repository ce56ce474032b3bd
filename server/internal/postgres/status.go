package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

// ReadStatus describes the database of a URL, which can be in use, and calls key with each key in the order of their times. It does not
// migrate, and changes nothing. latest is as in Options.
//
// Errors tell the operator what to do. They hold nothing of the URL but its hosts, its database and its user.
func ReadStatus(ctx context.Context, dsn string, latest func() (string, error), key func(apikey.Key)) (s provider.Status, err error) {
	if latest == nil {
		latest = func() (string, error) { return dsn, nil }
	}
	config, err := parse(dsn, latest)
	if err != nil {
		return s, fmt.Errorf("open database: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := config.BeforeConnect(limited, config.ConnConfig); err != nil {
		return s, fmt.Errorf("open database: %w", err)
	}
	c, err := pgx.ConnectConfig(limited, config.ConnConfig)
	if err == nil {
		defer c.Close(ctx)
		err = configureSession(limited, c, "")
	}
	if err == nil {
		s, err = readStatus(ctx, c, key)
	}
	if err != nil {
		return s, fmt.Errorf("read database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	return s, nil
}

const (
	selectSchemaVersion = "SELECT coalesce(max(version_id), 0) FROM " + schema.VersionTable + " WHERE is_applied"

	selectUnfinished = "SELECT (SELECT count(*) FROM property_names) < $1 AND EXISTS (SELECT FROM organizations)"

	// What PostgreSQL itself keeps: the count of the last ANALYZE, or of the statistics since.
	selectEstimate = `SELECT coalesce(max(greatest(pg_class.reltuples, n_live_tup)), 0)::bigint
		FROM pg_class LEFT JOIN pg_stat_user_tables ON relid = pg_class.oid WHERE pg_class.oid = to_regclass($1)`

	// The table has events in the order in which they were written, but for those in the place of archived ones; nothing else has the
	// order of their times. This reads up to 8 MiB.
	selectOldestEvent = "SELECT min(at) FROM provider_events WHERE ctid < '(1000,0)'::tid"
)

func readStatus(ctx context.Context, c *pgx.Conn, key func(apikey.Key)) (s provider.Status, err error) {
	if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return s, err
	}
	s.NewestVersion = newestVersion
	exists := false
	if err := c.QueryRow(ctx, "SELECT pg_database_size(current_database()), to_regclass($1) IS NOT NULL", schema.VersionTable).Scan(&s.Bytes, &exists); err != nil || !exists {
		return s, err
	}
	if err := c.QueryRow(ctx, selectSchemaVersion).Scan(&s.SchemaVersion); err != nil || !s.Current() {
		return s, err
	}
	var oldest *time.Time
	b := new(pgx.Batch)
	b.Queue(selectEstimate, "providers").QueryRow(func(row pgx.Row) error { return row.Scan(&s.Records) })
	b.Queue(selectEstimate, "provider_events").QueryRow(func(row pgx.Row) error { return row.Scan(&s.Events) })
	b.Queue(selectUnfinished, len(provider.ChangedProperties())).QueryRow(func(row pgx.Row) error { return row.Scan(&s.Unfinished) })
	b.Queue(selectOldestEvent).QueryRow(func(row pgx.Row) error { return row.Scan(&oldest) })
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return s, err
	}
	s.OldestEvent = timeOrZero(oldest)
	rows, err := c.Query(ctx, selectAllKeys)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scanKey(rows)
		if err != nil {
			return s, err
		}
		key(one)
	}
	return s, rows.Err()
}
