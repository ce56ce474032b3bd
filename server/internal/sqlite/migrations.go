package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Migrations returns all migrations, with those that are due in the database at path, which can be in use. It changes nothing. If try is
// set, it also runs those that are due, and rolls them back; other processes cannot write while it does.
func Migrations(ctx context.Context, path string, try bool) ([]schema.Migration, error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, true)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	all, err := migrationsOf(ctx, path, try)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	return all, nil
}

func migrationsOf(ctx context.Context, path string, try bool) (_ []schema.Migration, err error) {
	c, err := openToVerify(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	if err := checkOwner(c); err != nil {
		return nil, err
	}
	applied, err := appliedMigrations(c)
	if err != nil {
		return nil, err
	}
	all, err := schema.Migrations(migrations, applied)
	if err != nil || !try {
		return all, err
	}
	if err := sqlitex.ExecuteTransient(c, "BEGIN IMMEDIATE", nil); err != nil {
		return nil, err
	}
	defer sqlitex.ExecuteTransient(c, "ROLLBACK", nil) // closing the connection has the same effect
	return all, schema.Try(all, func(statements string) error { return sqlitex.ExecuteScript(c, statements, nil) })
}

// appliedMigrations returns when each migration was applied, by version.
func appliedMigrations(c *sqlite.Conn) (map[int64]time.Time, error) {
	applied := map[int64]time.Time{}
	table, err := versionTable(c)
	if err != nil || table == "" {
		return applied, err
	}
	err = sqlitex.ExecuteTransient(c, "SELECT version_id, unixepoch(tstamp) FROM "+table+" WHERE is_applied AND version_id > 0",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			applied[s.ColumnInt64(0)] = time.Unix(s.ColumnInt64(1), 0).UTC()
			return nil
		}})
	return applied, err
}
