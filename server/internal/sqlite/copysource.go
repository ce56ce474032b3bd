package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// CopySource is a file that is copied to another database.
type CopySource struct{ conn *sqlite.Conn }

var _ storecopy.Source = (*CopySource)(nil)

// OpenCopySource opens the database at path, which no other process may have open. Until Close, nobody can write to it.
//
// Errors tell the operator what to do.
func OpenCopySource(ctx context.Context, path string) (*CopySource, error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, true)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := checkUnused(path); err != nil {
		return nil, err
	}
	c, err := openToVerify(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	c.SetInterrupt(ctx.Done())
	s := &CopySource{c}
	if err := s.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), s.Close())
	}
	return s, nil
}

// checkUnused fails if a process has the database open. One in a place where nothing can be written is not locked.
func checkUnused(path string) error {
	unlock, err := lockUnused(path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// begin begins the transaction that keeps others from writing.
func (s *CopySource) begin() error {
	if err := checkCurrent(s.conn); err != nil {
		return err
	}
	err := execute(s.conn, "BEGIN IMMEDIATE")
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultReadOnly {
		err = execute(s.conn, "BEGIN")
	}
	if err != nil {
		return err
	}
	if err := pragmas(s.conn, "query_only = ON", "temp_store = MEMORY", "cache_size = -65536"); err != nil {
		return err
	}
	tables, err := copiedTables(s.conn)
	if err != nil {
		return err
	}
	return schema.SQLite.CheckCopied(tables)
}

// Count implements [storecopy.Source].
func (s *CopySource) Count(_ context.Context, t *schema.Table) (n int64, err error) {
	err = sqlitex.Execute(s.conn, "SELECT count(*) FROM "+t.Name, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	return n, toDomainError(err)
}

// Rows implements [storecopy.Source].
func (s *CopySource) Rows(_ context.Context, t *schema.Table) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		stopped := errors.New("stopped")
		f := func(row []any) error {
			if !yield(row, nil) {
				return stopped
			}
			return nil
		}
		var err error
		if t == schema.Events {
			err = s.events(f)
		} else {
			err = sqlitex.Execute(s.conn, t.OrderedRows(), &sqlitex.ExecOptions{ResultFunc: func(statement *sqlite.Stmt) error {
				row, err := appendRow(nil, statement, t.Columns)
				if err != nil {
					return err
				}
				return f(row)
			}})
		}
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, toDomainError(err))
		}
	}
}

const (
	selectLatest = "SELECT organization_id, id, last_event, version FROM providers ORDER BY organization_id, id"

	// The event of a row, with the columns of schema.Events after those of the record.
	selectCopiedEvent = "SELECT version, at, action, key_id, request_id, changes FROM provider_events WHERE row = ?1"
	selectPrevious    = "SELECT previous FROM provider_events WHERE row = ?1"
)

// events calls f for the events of all records, those of each from the oldest.
func (s *CopySource) events(f func(row []any) error) error {
	record := schema.Events.Columns[:2]
	var chain []int64
	return sqlitex.Execute(s.conn, selectLatest, &sqlitex.ExecOptions{ResultFunc: func(statement *sqlite.Stmt) error {
		key, err := appendRow(nil, statement, record)
		if err != nil {
			return err
		}
		if chain, err = s.chain(chain[:0], statement.ColumnInt64(2), statement.ColumnInt64(3)); err != nil {
			return err
		}
		for _, row := range slices.Backward(chain) {
			err := sqlitex.Execute(s.conn, selectCopiedEvent, &sqlitex.ExecOptions{Args: []any{row}, ResultFunc: func(statement *sqlite.Stmt) error {
				event, err := appendRow(slices.Clip(key), statement, schema.Events.Columns[2:])
				if err != nil {
					return err
				}
				return f(event)
			}})
			if err != nil {
				return err
			}
		}
		return nil
	}})
}

var errLongChain = errors.New("a record has more events than versions; see verify")

// chain appends the rows of a record's events, from the latest to the oldest.
func (s *CopySource) chain(rows []int64, latest, version int64) ([]int64, error) {
	for next, more := latest, true; more; {
		if int64(len(rows)) > version {
			return rows, errLongChain
		}
		row := next
		more = false
		err := sqlitex.Execute(s.conn, selectPrevious, &sqlitex.ExecOptions{Args: []any{row}, ResultFunc: func(statement *sqlite.Stmt) error {
			rows = append(rows, row)
			more, next = !statement.ColumnIsNull(0), statement.ColumnInt64(0)
			return nil
		}})
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

var errNoUUID = errors.New("an ID is no UUID; see verify")

// appendRow appends the values of the columns to row.
func appendRow(row []any, s *sqlite.Stmt, columns []schema.TableColumn) ([]any, error) {
	row = slices.Grow(row, len(columns))
	for i, column := range columns {
		var value any
		switch {
		case s.ColumnIsNull(i):
		case column.Kind == schema.Integer:
			value = s.ColumnInt64(i)
		case column.Kind == schema.Text:
			value = s.ColumnText(i)
		case column.Kind == schema.Boolean:
			value = s.ColumnBool(i)
		case column.Kind == schema.Time:
			value = time.UnixMilli(s.ColumnInt64(i)).UTC()
		case column.Kind == schema.Bytes:
			bytes := make([]byte, s.ColumnLen(i))
			s.ColumnBytes(i, bytes)
			value = bytes
		case s.ColumnLen(i) != 16:
			return nil, errNoUUID
		default:
			var id [16]byte
			s.ColumnBytes(i, id[:])
			value = id
		}
		row = append(row, value)
	}
	return row, nil
}

// Close implements [storecopy.Source].
func (s *CopySource) Close() error { return s.conn.Close() }
