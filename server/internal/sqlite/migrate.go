package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // goose speaks database/sql
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Of several processes that start at once, one makes each change: the
// transactions of the others fail and find it made when they look again.
func migrate(ctx context.Context, path string) error {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	const looks = 5
	for look := 1; ; look++ {
		if err = up(ctx, db, files); err == nil || look == looks {
			return err
		}
	}
}

func up(ctx context.Context, db *sql.DB, files fs.FS) error {
	migrator, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	sources := migrator.ListSources()
	newest := sources[len(sources)-1].Version
	version, err := migrator.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if version > newest {
		return fmt.Errorf("its schema, version %d, was made by a newer version of this program, which knows up to %d; install the newer program", version, newest)
	}
	if version == newest {
		return nil
	}
	_, err = migrator.Up(ctx)
	return err
}
