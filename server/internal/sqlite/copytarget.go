package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// CopyTarget is a file that becomes a copy of another database.
type CopyTarget struct {
	CopySource       // what is copied already
	lastEvent  int64 // the row that was added last; 0 for the first event of a record
}

var _ storecopy.Target = (*CopyTarget)(nil)

// OpenCopyTarget opens the file at path, which has no rows or is an incomplete copy, and creates it if there is none. Until Close, no other
// process can open it, and until Complete, no store can.
//
// Errors tell the operator what to do.
func OpenCopyTarget(ctx context.Context, path string) (*CopyTarget, error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := checkUnused(path); err != nil {
		return nil, err
	}
	if err := migrateTarget(ctx, path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	t := &CopyTarget{CopySource: CopySource{c}}
	if err := t.mark(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), t.Close())
	}
	c.SetInterrupt(ctx.Done())
	return t, nil
}

// migrateTarget migrates a database that can become a copy.
func migrateTarget(ctx context.Context, path string) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := checkOwner(c); err != nil {
		return err
	}
	if err := checkTarget(c); err != nil {
		return err
	}
	if err := configureWriter(c); err != nil {
		return err
	}
	if err := migrate(ctx, c, path); err != nil {
		return err
	}
	if err := checkColumns(c); err != nil {
		return err
	}
	return pragmas(c, fmt.Sprintf("application_id = %d", applicationID))
}

// checkTarget fails unless the database has no rows or is an incomplete copy.
func checkTarget(c *sqlite.Conn) error {
	tables, err := tablesOf(c)
	if err != nil || tables[schema.CopyMarker] != nil {
		return err
	}
	for _, t := range schema.Tables {
		if tables[t.Name] == nil {
			continue
		}
		err := sqlitex.ExecuteTransient(c, "SELECT 1 FROM "+t.Name+" LIMIT 1", &sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { return schema.ErrNotEmpty }})
		if err != nil {
			return err
		}
	}
	return nil
}

// mark locks the file for this process alone, and marks it as a copy.
func (t *CopyTarget) mark() error {
	if err := pragmas(t.conn, "locking_mode = EXCLUSIVE"); err != nil {
		return err
	}
	if err := configureWriter(t.conn); err != nil {
		return err
	}
	if err := pragmas(t.conn, "wal_autocheckpoint = 1000"); err != nil {
		return err
	}
	if err := checkTarget(t.conn); err != nil {
		return err
	}
	return execute(t.conn, "CREATE TABLE IF NOT EXISTS "+schema.CopyMarker+" (since INTEGER) STRICT")
}

// checkComplete fails if the database is an incomplete copy.
func checkComplete(c *sqlite.Conn) error {
	return sqlitex.ExecuteTransient(c, "SELECT 1 FROM sqlite_schema WHERE name = '"+schema.CopyMarker+"'",
		&sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { return schema.ErrIncompleteCopy }})
}

// insertRows are the statements that insert a row of each table. Records and events have a column that copies leave out, the last.
var insertRows = func() map[*schema.Table]string {
	statements := map[*schema.Table]string{}
	for _, t := range schema.Tables {
		names := t.ColumnNames()
		switch t {
		case schema.Providers:
			names = append(names, "last_event")
		case schema.Events:
			names = append(names, "previous")
		}
		statements[t] = "INSERT INTO " + t.Name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Repeat("?, ", len(names)-1) + "?)"
	}
	return statements
}()

// Add implements [storecopy.Target].
func (t *CopyTarget) Add(_ context.Context, table *schema.Table, row []any) error {
	if t.conn.AutocommitEnabled() {
		if err := execute(t.conn, "BEGIN IMMEDIATE"); err != nil {
			return toDomainError(err)
		}
	}
	switch table {
	case schema.Events:
		return toDomainError(t.addEvent(row))
	case schema.Providers:
		row = append(slices.Clip(row), t.lastEvent)
		t.lastEvent = 0
	}
	return toDomainError(t.insert(insertRows[table], row))
}

// addEvent inserts an event, which names the one before it, and its record only now and then: see eventInterval. If those before it were
// archived, it names a row that there never is.
func (t *CopyTarget) addEvent(row []any) error {
	const organization, id, version = 0, 1, 2
	row = append(slices.Clip(row), t.lastEvent)
	if row[version].(int64) == 1 {
		row[len(row)-1] = nil
	}
	if row[version].(int64)%eventInterval != 0 {
		row[organization], row[id] = nil, nil
	}
	if err := t.insert(insertRows[schema.Events], row); err != nil {
		return err
	}
	t.lastEvent = t.conn.LastInsertRowID()
	return nil
}

// insert runs a statement with the values of a row.
func (t *CopyTarget) insert(query string, row []any) error {
	statement, err := t.conn.Prepare(query)
	if err != nil {
		return err
	}
	for i, value := range row {
		switch value := value.(type) {
		case nil:
			statement.BindNull(i + 1)
		case int64:
			statement.BindInt64(i+1, value)
		case string:
			statement.BindText(i+1, value)
		case bool:
			statement.BindBool(i+1, value)
		case time.Time:
			statement.BindInt64(i+1, value.UnixMilli())
		case [16]byte:
			statement.BindBytes(i+1, value[:])
		case []byte:
			statement.BindBytes(i+1, value)
		default:
			return fmt.Errorf("sqlite: no column has a %T", value)
		}
	}
	return run(statement)
}

// Commit implements [storecopy.Target].
func (t *CopyTarget) Commit(context.Context) error {
	if t.conn.AutocommitEnabled() {
		return nil
	}
	return toDomainError(execute(t.conn, "COMMIT"))
}

// Complete implements [storecopy.Target].
func (t *CopyTarget) Complete(context.Context) error {
	return toDomainError(execute(t.conn, "DROP TABLE "+schema.CopyMarker))
}
