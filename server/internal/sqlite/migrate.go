package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // goose uses database/sql
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate migrates the schema. If several processes do so at once, one applies each migration; the transactions of the others fail,
// and they check again.
func migrate(ctx context.Context, c *sqlite.Conn, path string) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	const looks = 5
	for look := 1; ; look++ {
		err := migrateOnce(ctx, c, path, files)
		if err == nil || look == looks || ctx.Err() != nil {
			return err
		}
	}
}

func migrateOnce(ctx context.Context, c *sqlite.Conn, path string, files fs.FS) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer db.Close()
	migrator, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName(schema.VersionTable))
	if err != nil {
		return err
	}
	if err := renameVersionTable(c); err != nil {
		return err
	}
	sources := migrator.ListSources()
	newest := sources[len(sources)-1].Version
	version, err := schemaVersion(c)
	switch {
	case err != nil || version == newest:
		return err
	case version > newest:
		return fmt.Errorf("its schema, version %d, was made by a newer version of this program, which knows up to %d; install the newer program", version, newest)
	}
	_, err = migrator.Up(ctx)
	return err
}

// renameVersionTable renames the table of versions of databases that had it under goose's own name.
func renameVersionTable(c *sqlite.Conn) error {
	old := false
	err := sqlitex.ExecuteTransient(c, "SELECT 1 FROM sqlite_schema WHERE name = 'goose_db_version'",
		&sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { old = true; return nil }})
	if err != nil || !old {
		return err
	}
	return sqlitex.ExecuteTransient(c, "ALTER TABLE goose_db_version RENAME TO "+schema.VersionTable, nil)
}

// schemaVersion returns the newest migration that was applied, 0 in a new file.
func schemaVersion(c *sqlite.Conn) (version int64, err error) {
	get := func(query string) error {
		return sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			version = s.ColumnInt64(0)
			return nil
		}})
	}
	if err := get("SELECT count(*) FROM sqlite_schema WHERE name = '" + schema.VersionTable + "'"); err != nil || version == 0 {
		return 0, err
	}
	err = get("SELECT max(version_id) FROM " + schema.VersionTable + " WHERE is_applied")
	return version, err
}

// applicationID marks a database as this program's in the file's header; "care" in ASCII.
const applicationID = 0x63617265

// checkOwner fails if the file is another program's database. It changes nothing.
func checkOwner(c *sqlite.Conn) error {
	c.SetBusyTimeout(busyTimeout)
	var id, tables, ours int64
	err := sqlitex.ExecuteTransient(c, "SELECT (SELECT application_id FROM pragma_application_id), count(*), count(*) FILTER (WHERE name IN ('"+schema.VersionTable+"', 'provider_events')) FROM sqlite_schema",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			id, tables, ours = s.ColumnInt64(0), s.ColumnInt64(1), s.ColumnInt64(2)
			return nil
		}})
	if err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0 && ours == 0) {
		return errors.New("it is the database of another program, and was left as it is; name another file with --database")
	}
	return nil
}
