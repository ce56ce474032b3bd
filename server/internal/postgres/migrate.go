package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

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
	migrator, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	sources := migrator.ListSources()
	newest := sources[len(sources)-1].Version
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

// schemaVersion returns the newest migration that the database has seen, 0 if none.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	versions, err := database.NewStore(goose.DialectPostgres, goose.DefaultTablename)
	if err != nil {
		return 0, err
	}
	version, err := versions.GetLatestVersion(ctx, db)
	if errors.Is(err, database.ErrVersionNotFound) || err != nil && causeOf(err) == undefinedTable {
		return 0, nil
	}
	return version, err
}
