package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTimeout bounds how long migrate waits for another process that migrates, or for a lock on a table.
const migrationTimeout = 2 * time.Minute

var errMigrating = startError("another process has been migrating this database for " + migrationTimeout.String() +
	"; wait for it, or end it: pg_locks has its advisory lock, and pg_stat_activity what it does")

// migrate brings the schema up to date, and returns the name of the schema that has the tables, quoted. Of several processes
// that start at once, one applies each migration while the others wait.
func migrate(ctx context.Context, config *pgx.ConnConfig, waiting *waiting) (tables string, _ error) {
	config = config.Copy()
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SELECT set_config('lock_timeout', $1, false)", milliseconds(migrationTimeout))
		return err
	}))
	defer db.Close()
	waiting.set("a lock on the table " + schema.VersionTable)
	if err := renameVersionTable(ctx, db); err != nil {
		return "", err
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return "", err
	}
	if version > newestVersion {
		return "", schema.Newer(version, newestVersion)
	}
	if version < newestVersion { // nearly never; otherwise there is no lock to wait for
		if err := migrateUp(ctx, db, waiting); err != nil {
			return "", err
		}
	}
	err = db.QueryRowContext(ctx, "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass($1)", schema.VersionTable).Scan(&tables)
	return tables, err
}

func migrateUp(ctx context.Context, db *sql.DB, waiting *waiting) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrationTimeout/time.Second))) // looks once a second
	if err != nil {
		return err
	}
	migrator, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(migrationLock{locker, waiting}), goose.WithTableName(schema.VersionTable))
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}

// migrationLock is goose's lock, and records what the process waits for.
type migrationLock struct {
	lock.SessionLocker
	waiting *waiting
}

// SessionLock implements [lock.SessionLocker].
func (l migrationLock) SessionLock(ctx context.Context, c *sql.Conn) error {
	l.waiting.set("another process that migrates the database")
	err := l.SessionLocker.SessionLock(ctx, c)
	if err != nil && !errors.As(err, new(*pgconn.PgError)) && ctx.Err() == nil {
		return errMigrating
	}
	l.waiting.set("locks on the tables that it migrates")
	return err
}

// newestVersion is the schema's version after all migrations.
var newestVersion = schema.NewestVersion(migrations)

// renameVersionTable renames the table of versions of databases that had it under goose's own name. That of another program is
// next to tables that are not this program's.
func renameVersionTable(ctx context.Context, db *sql.DB) error {
	var old bool
	err := db.QueryRowContext(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL AND to_regclass('provider_events') IS NOT NULL AND to_regclass($1) IS NULL", schema.VersionTable).Scan(&old)
	if err != nil || !old {
		return err
	}
	_, err = db.ExecContext(ctx, "ALTER TABLE IF EXISTS goose_db_version RENAME TO "+schema.VersionTable)
	return err
}

// schemaVersion returns the newest migration that the database has seen, 0 if none.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	versions, err := database.NewStore(goose.DialectPostgres, schema.VersionTable)
	if err != nil {
		return 0, err
	}
	version, err := versions.GetLatestVersion(ctx, db)
	if errors.Is(err, database.ErrVersionNotFound) || err != nil && causeOf(err) == undefinedTable {
		return 0, nil
	}
	return version, err
}
