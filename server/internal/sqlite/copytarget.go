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
	record     int64 // the row of the record that is added next, after its events
	event      int64 // the row of the event that is added next
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
	if err := errors.Join(t.mark(), t.number()); err != nil {
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
		if tables[t.Name] == nil || t == schema.PropertyNames { // which a command may have filled; see mark
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
	const withoutOrganizations = "DELETE FROM property_names WHERE NOT EXISTS (SELECT 1 FROM organizations)"
	return errors.Join(execute(t.conn, withoutOrganizations), execute(t.conn, "CREATE TABLE IF NOT EXISTS "+schema.CopyMarker+" (since INTEGER) STRICT"))
}

// firstCopied is the row of the first event that is added. Arrange gives them smaller ones.
const firstCopied = 1 << 40

// number finds the rows that are free.
func (t *CopyTarget) number() (err error) {
	if t.record, err = number(t.conn, selectLastRow); err != nil {
		return err
	}
	t.event, err = number(t.conn, selectLast)
	t.record, t.event = t.record+1, max(t.event+1, firstCopied)
	return err
}

// checkComplete fails if the database is an incomplete copy.
func checkComplete(c *sqlite.Conn) error {
	return sqlitex.ExecuteTransient(c, "SELECT 1 FROM sqlite_schema WHERE name = '"+schema.CopyMarker+"'",
		&sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { return schema.ErrIncompleteCopy }})
}

// insertRows are the statements that insert a row of each table. Those of records and events end with columns that copies leave out.
var insertRows = func() map[*schema.Table]string {
	statements := map[*schema.Table]string{}
	for _, t := range schema.Tables {
		names := t.ColumnNames()
		switch t {
		case schema.Providers:
			names = append(names, "row", "last_event")
		case schema.Events:
			names = append(names[recordColumns:], "row", "record", "previous")
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
		row = append(slices.Clip(row), t.record, t.lastEvent)
		t.record, t.lastEvent = t.record+1, 0
	}
	return toDomainError(t.insert(insertRows[table], row))
}

// recordColumns is how many columns of schema.Events name the record, for which SQLite has its row.
const recordColumns = 2

// addEvent inserts an event, which names the one before it. If those before it were archived, it names a row that there never is.
func (t *CopyTarget) addEvent(row []any) error {
	row = append(slices.Clip(row[recordColumns:]), t.event, t.record, t.lastEvent)
	if row[0].(int64) == 1 { // its version
		row[len(row)-1] = nil
	}
	if err := t.insert(insertRows[schema.Events], row); err != nil {
		return err
	}
	t.event, t.lastEvent = t.event+1, t.event
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

// An event that was added gets the row of its place in the order of times, in which it would have been saved here. Both tables have numbers
// only, and are in the file, as there may be more of them than fit in memory.
const (
	findRows = `
		CREATE TABLE copied_times (at INTEGER, added INTEGER, PRIMARY KEY (at, added)) WITHOUT ROWID;
		INSERT INTO copied_times SELECT at, row FROM provider_events WHERE row >= 1 << 40;
		CREATE TABLE copied_rows (row INTEGER PRIMARY KEY, added INTEGER NOT NULL UNIQUE);
		INSERT INTO copied_rows (added) SELECT added FROM copied_times ORDER BY at, added;
		DROP TABLE copied_times`
	moveEvents = `UPDATE provider_events SET row = (SELECT copied.row FROM copied_rows AS copied WHERE added = provider_events.row),
			previous = iif(previous IS NULL, NULL, coalesce((SELECT copied.row FROM copied_rows AS copied WHERE added = previous), 0))
		WHERE row IN (SELECT added FROM copied_rows AS copied WHERE copied.row >= ?1 AND copied.row < ?2)`
	moveLatest = `
		UPDATE providers SET last_event = (SELECT copied.row FROM copied_rows AS copied WHERE added = last_event) WHERE last_event >= 1 << 40;
		DROP TABLE copied_rows`
)

// Arrange implements [storecopy.Target].
func (t *CopyTarget) Arrange(context.Context) (err error) {
	end, err := sqlitex.ImmediateTransaction(t.conn)
	if err != nil {
		return toDomainError(err)
	}
	defer func() {
		end(&err)
		err = toDomainError(err)
	}()
	if err := sqlitex.ExecuteScript(t.conn, findRows, nil); err != nil {
		return err
	}
	moved, err := number(t.conn, "SELECT coalesce(max(row), 0) FROM copied_rows")
	if err != nil {
		return err
	}
	const piece = 10_000
	for row := int64(1); row <= moved; row += piece {
		if err := execute(t.conn, moveEvents, row, row+piece); err != nil {
			return err
		}
	}
	for row := int64(0); row <= moved; row++ {
		if err := savePart(t.conn, row); err != nil {
			return err
		}
	}
	return sqlitex.ExecuteScript(t.conn, moveLatest, nil)
}

// Complete implements [storecopy.Target].
func (t *CopyTarget) Complete(context.Context) error {
	return toDomainError(execute(t.conn, "DROP TABLE "+schema.CopyMarker))
}
