package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"github.com/jackc/pgx/v5"
)

// CopySource is a database that is copied to another one. It uses one connection.
type CopySource struct{ conn *pgx.Conn }

var _ storecopy.Source = (*CopySource)(nil)

// OpenCopySource opens the database of a URL, which no server may have open. Until Close, nobody can write to its tables, and all that is read
// is the state of one moment. The user must be the owner of the tables, or have the privilege UPDATE on all of them.
//
// Errors tell the operator what to do.
func OpenCopySource(ctx context.Context, dsn string) (*CopySource, error) {
	s := new(CopySource)
	err := openCopy(dsn, func(config *pgx.ConnConfig) error {
		if err := checkDatabase(ctx, config); err != nil {
			return err
		}
		if err := s.connect(ctx, config, ""); err != nil {
			return err
		}
		return s.begin(ctx)
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openCopy calls f with the configuration of a URL. Its errors name the database.
func openCopy(dsn string, f func(*pgx.ConnConfig) error) error {
	config, err := parse(dsn, func() (string, error) { return dsn, nil })
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := f(config.ConnConfig); err != nil {
		return fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	return nil
}

// connect connects to a database, once nobody else uses it. tables is the schema of the tables, quoted, or empty.
func (s *CopySource) connect(ctx context.Context, config *pgx.ConnConfig, tables string) (err error) {
	if s.conn, err = pgx.ConnectConfig(ctx, config.Copy()); err != nil {
		return err
	}
	if err := configureSession(ctx, s.conn, tables); err != nil {
		return err
	}
	// A table is read to its end in one statement, while the other database may let it wait.
	_, err = s.conn.Exec(ctx, `SELECT set_config(name, value, false) FROM (VALUES
		('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('enable_seqscan', 'on')) AS parameters (name, value)`)
	if err != nil {
		return err
	}
	return s.waitUntilUnused(ctx)
}

var errServed = startError("a server, or another command of this program, has the database open; stop it first")

// killedTimeout is how long PostgreSQL may take to end the connections of a process that was killed.
const killedTimeout = 5 * time.Second

// waitUntilUnused fails if another process of this program uses the database.
func (s *CopySource) waitUntilUnused(ctx context.Context) error {
	const others = `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()`
	for deadline := time.Now().Add(killedTimeout); ; {
		var n int
		if err := s.conn.QueryRow(ctx, others).Scan(&n); err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errServed
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin begins the transaction that keeps others from writing.
func (s *CopySource) begin(ctx context.Context) error {
	tables, err := tablesOf(ctx, s.conn)
	if err != nil {
		return err
	}
	if tables[schema.VersionTable] == nil {
		return startError("it is no database of this program; name another one")
	}
	var version int64
	if err := s.conn.QueryRow(ctx, "SELECT max(version_id) FROM "+schema.VersionTable+" WHERE is_applied").Scan(&version); err != nil {
		return err
	}
	switch {
	case version < newestVersion:
		return startError(fmt.Sprintf("its schema has version %d, and this program needs %d; run migrate first", version, newestVersion))
	case version > newestVersion:
		return schema.Newer(version, newestVersion)
	}
	if err := schema.PostgreSQL.CheckCopied(tables); err != nil {
		return err
	}
	var names []string
	for _, t := range schema.Tables {
		names = append(names, t.Name)
	}
	b := new(pgx.Batch)
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ")
	b.Queue("LOCK TABLE " + strings.Join(names, ", ") + " IN SHARE MODE") // before anything is read, so that nothing is older than the lock
	return s.conn.SendBatch(ctx, b).Close()
}

// tablesOf returns the tables of the program as [schema.Dialect.CheckCopied] takes them. Others can be in the same schema.
func tablesOf(ctx context.Context, c *pgx.Conn) (map[string]map[string]string, error) {
	names := []string{schema.CopyMarker}
	for name := range schema.Omitted {
		names = append(names, name)
	}
	for _, t := range schema.Tables {
		names = append(names, t.Name)
	}
	rows, err := c.Query(ctx, `SELECT name, attname::text, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
		FROM unnest($1::text[]) AS tables (name) JOIN pg_attribute ON attrelid = to_regclass(name) WHERE attnum > 0 AND NOT attisdropped`, names)
	if err != nil {
		return nil, err
	}
	tables := map[string]map[string]string{}
	var table, column, definition string
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &definition}, func() error {
		if tables[table] == nil {
			tables[table] = map[string]string{}
		}
		tables[table][column] = definition
		return nil
	})
	return tables, err
}

// Count implements [storecopy.Source].
func (s *CopySource) Count(ctx context.Context, t *schema.Table) (n int64, err error) {
	err = s.conn.QueryRow(ctx, "SELECT count(*) FROM "+t.Name).Scan(&n)
	return n, s.domainError(err)
}

// fetchRows is how many rows are read in a round trip.
const fetchRows = 1000

// Rows implements [storecopy.Source]. It reads by a cursor, so that the connection can do other things between two pieces.
func (s *CopySource) Rows(ctx context.Context, t *schema.Table) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		cursor := t.Name + "_cursor"
		err := s.exec(ctx, "DECLARE "+cursor+" NO SCROLL CURSOR FOR "+t.OrderedRows())
		for err == nil {
			var piece [][]any
			if piece, err = s.fetch(ctx, cursor); err != nil {
				break
			}
			for _, row := range piece {
				if !yield(row, nil) {
					return // the cursor ends with the transaction
				}
			}
			if len(piece) < fetchRows {
				err = s.exec(ctx, "CLOSE "+cursor)
				break
			}
		}
		if err != nil {
			yield(nil, s.domainError(err))
		}
	}
}

// exec runs a statement in a transaction.
func (s *CopySource) exec(ctx context.Context, statement string) error {
	if s.conn.PgConn().TxStatus() == idle {
		if _, err := s.conn.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
	}
	_, err := s.conn.Exec(ctx, statement)
	return err
}

func (s *CopySource) fetch(ctx context.Context, cursor string) ([][]any, error) {
	rows, err := s.conn.Query(ctx, "FETCH "+strconv.Itoa(fetchRows)+" FROM "+cursor)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) {
		values, err := row.Values()
		for i := range values {
			if at, isTime := values[i].(time.Time); isTime {
				values[i] = at.UTC()
			}
		}
		return values, err
	})
}

func (s *CopySource) domainError(err error) error {
	if err == nil {
		return nil
	}
	return toDomainError(s.conn, err)
}

// Close implements [storecopy.Source].
func (s *CopySource) Close() error {
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return s.conn.Close(ctx)
}
