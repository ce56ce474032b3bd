package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

// Migrations returns all migrations, with those that are due in the database of a URL, which can be in use. It changes nothing. If try
// is set, it also runs those that are due, and rolls them back; until then they hold their locks.
//
// o.Latest is used as in Open.
func Migrations(ctx context.Context, dsn string, o Options, try bool) ([]schema.Migration, error) {
	config, err := parse(dsn, o.latest(dsn))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	all, err := migrationsOf(ctx, config.ConnConfig, try)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	return all, nil
}

func migrationsOf(ctx context.Context, config *pgx.ConnConfig, try bool) ([]schema.Migration, error) {
	if err := checkDatabase(ctx, config); err != nil {
		return nil, err
	}
	c, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx)) // which rolls back
	applied, err := appliedMigrations(ctx, c)
	if err != nil {
		return nil, err
	}
	all, err := schema.Migrations(migrations, applied)
	if err != nil || !try {
		return all, err
	}
	run := func(statements string) error {
		if _, err := c.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
			return causeOf(err) // without a value
		}
		return nil
	}
	if err := run("BEGIN; SET LOCAL lock_timeout = " + milliseconds(lockTimeout)); err != nil {
		return nil, err
	}
	if err := schema.Try(all, run); err != nil {
		return nil, startError(err.Error())
	}
	return all, nil
}

// appliedMigrations returns when each migration was applied, by version.
func appliedMigrations(ctx context.Context, c *pgx.Conn) (map[int64]time.Time, error) {
	applied := map[int64]time.Time{}
	table := ""
	err := c.QueryRow(ctx, `SELECT coalesce(to_regclass($1)::text, CASE WHEN to_regclass('provider_events') IS NOT NULL THEN to_regclass('goose_db_version')::text END, '')`,
		schema.VersionTable).Scan(&table)
	if err != nil || table == "" {
		return applied, err
	}
	rows, err := c.Query(ctx, "SELECT version_id, tstamp FROM "+table+" WHERE is_applied AND version_id > 0")
	if err != nil {
		return nil, err
	}
	var version int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error { applied[version] = at.UTC(); return nil })
	return applied, err
}
