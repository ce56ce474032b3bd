package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
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
	if err := renameVersionTable(c); err != nil {
		return err
	}
	version, err := schemaVersion(c)
	switch {
	case err != nil || version == newestVersion:
		return err
	case version > newestVersion:
		return schema.Newer(version, newestVersion)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)")
	if err != nil {
		return err
	}
	defer db.Close()
	migrator, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName(schema.VersionTable))
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}

// newestVersion is the schema's version after all migrations.
var newestVersion = schema.NewestVersion(migrations)

// oldVersionTable is goose's own name of the table of versions, which the first databases have.
const oldVersionTable = "goose_db_version"

// renameVersionTable renames the table of versions of databases that had it under goose's own name.
func renameVersionTable(c *sqlite.Conn) error {
	old := false
	err := sqlitex.ExecuteTransient(c, "SELECT 1 FROM sqlite_schema WHERE name = '"+oldVersionTable+"'",
		&sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { old = true; return nil }})
	if err != nil || !old {
		return err
	}
	return sqlitex.ExecuteTransient(c, "ALTER TABLE "+oldVersionTable+" RENAME TO "+schema.VersionTable, nil)
}

// versionTable returns the name of the table of versions, which is empty in a new file.
func versionTable(c *sqlite.Conn) (table string, err error) {
	err = sqlitex.ExecuteTransient(c, "SELECT name FROM sqlite_schema WHERE name IN ('"+schema.VersionTable+"', '"+oldVersionTable+"')",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { table = s.ColumnText(0); return nil }})
	return table, err
}

// schemaVersion returns the newest migration that was applied, 0 in a new file.
func schemaVersion(c *sqlite.Conn) (version int64, err error) {
	table, err := versionTable(c)
	if err != nil || table == "" {
		return 0, err
	}
	err = sqlitex.ExecuteTransient(c, "SELECT max(version_id) FROM "+table+" WHERE is_applied",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { version = s.ColumnInt64(0); return nil }})
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
