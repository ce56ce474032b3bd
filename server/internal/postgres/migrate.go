package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Of several processes that start at once, one makes each change while the
// others wait for it.
func migrate(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600)) // looks once a second, for 10 minutes
	if err != nil {
		return err
	}
	migrator, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithTableName(schema.VersionTable))
	if err != nil {
		return err
	}
	sources := migrator.ListSources()
	newest := sources[len(sources)-1].Version
	if err := renameVersionTable(ctx, db); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if version > newest {
		return fmt.Errorf("its schema, version %d, was made by a newer version of this program, which knows up to %d; install the newer program", version, newest)
	}
	if version == newest { // as nearly always; then there is no lock to wait for
		return nil
	}
	_, err = migrator.Up(ctx)
	return err
}

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
