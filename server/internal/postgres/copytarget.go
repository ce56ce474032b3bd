package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"github.com/jackc/pgx/v5"
)

// CopyTarget is a database that becomes a copy of another one. It uses one connection.
type CopyTarget struct {
	CopySource // what is copied already
	rows       map[*schema.Table][][]any
	buffered   int
}

var _ storecopy.Target = (*CopyTarget)(nil)

// OpenCopyTarget opens the database of a URL, which has no rows or is an incomplete copy, and which no server has open. The user must have the
// right to create tables. Until Complete, no store opens the database. waiting is called as that of Options.
//
// Errors tell the operator what to do.
func OpenCopyTarget(ctx context.Context, dsn string, waiting func(reason string)) (*CopyTarget, error) {
	t := &CopyTarget{rows: map[*schema.Table][][]any{}}
	err := openCopy(dsn, func(config *pgx.ConnConfig) error {
		if err := checkDatabase(ctx, config); err != nil && !errors.Is(err, schema.ErrIncompleteCopy) {
			return err
		}
		if err := t.connect(ctx, config, ""); err != nil {
			return err
		}
		if err := t.checkTarget(ctx); err != nil {
			return err
		}
		if err := t.migrate(ctx, config, waiting); err != nil {
			return err
		}
		_, err := t.conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+schema.CopyMarker+" (since timestamptz)")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// checkTarget fails unless the database has no rows or is an incomplete copy.
func (t *CopyTarget) checkTarget(ctx context.Context) error {
	tables, err := tablesOf(ctx, t.conn)
	if err != nil || tables[schema.CopyMarker] != nil {
		return err
	}
	for _, table := range schema.Tables {
		if tables[table.Name] == nil {
			continue
		}
		var found bool
		if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table.Name+")").Scan(&found); err != nil {
			return err
		}
		if found {
			return schema.ErrNotEmpty
		}
	}
	return nil
}

// migrate migrates the database, and has the connection find its tables.
func (t *CopyTarget) migrate(ctx context.Context, config *pgx.ConnConfig, report func(reason string)) error {
	waiting := newWaiting(report)
	defer waiting.end()
	waiting.set("the database to respond")
	tables, err := migrate(ctx, config, waiting)
	if err != nil {
		return err
	}
	_, err = t.conn.Exec(ctx, "SELECT set_config('search_path', $1, false)", tables)
	return err
}

// checkComplete fails if the database is an incomplete copy.
func checkComplete(ctx context.Context, c *pgx.Conn) error {
	var incomplete bool
	err := c.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema.CopyMarker).Scan(&incomplete)
	if err == nil && incomplete {
		err = schema.ErrIncompleteCopy
	}
	return err
}

// maxBuffered is how many rows are sent at a time.
const maxBuffered = 5000

// Add implements [storecopy.Target].
func (t *CopyTarget) Add(ctx context.Context, table *schema.Table, row []any) error {
	t.rows[table] = append(t.rows[table], row)
	if t.buffered++; t.buffered < maxBuffered {
		return nil
	}
	return t.domainError(t.send(ctx))
}

// send sends the rows that are buffered.
func (t *CopyTarget) send(ctx context.Context) error {
	if t.conn.PgConn().TxStatus() == idle {
		if _, err := t.conn.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
	}
	for _, table := range schema.Tables {
		if len(t.rows[table]) == 0 {
			continue
		}
		names := make([]string, len(table.Columns))
		for i := range table.Columns {
			names[i] = table.Columns[i].Name
		}
		if _, err := t.conn.CopyFrom(ctx, pgx.Identifier{table.Name}, names, pgx.CopyFromRows(t.rows[table])); err != nil {
			return err
		}
		clear(t.rows[table]) // so that nothing keeps them in memory
		t.rows[table] = t.rows[table][:0]
	}
	t.buffered = 0
	return nil
}

// Commit implements [storecopy.Target].
func (t *CopyTarget) Commit(ctx context.Context) error {
	err := t.send(ctx)
	if err == nil {
		_, err = t.conn.Exec(ctx, "COMMIT")
	}
	return t.domainError(err)
}

// Arrange implements [storecopy.Target]. It does nothing: no row names another one by its place.
func (t *CopyTarget) Arrange(context.Context) error { return nil }

// Complete implements [storecopy.Target]. The numbers of new organizations follow those that were copied.
func (t *CopyTarget) Complete(ctx context.Context) error {
	if t.conn.PgConn().TxStatus() != idle { // what was compared
		if _, err := t.conn.Exec(ctx, "COMMIT"); err != nil {
			return t.domainError(err)
		}
	}
	b := new(pgx.Batch)
	b.Queue("BEGIN")
	for _, table := range schema.Tables {
		for _, column := range table.Columns {
			if column.Kind == schema.Integer {
				b.Queue(fmt.Sprintf("SELECT setval(pg_get_serial_sequence($1, $2), (SELECT max(%s) FROM %s)) WHERE pg_get_serial_sequence($1, $2) IS NOT NULL",
					schema.Quote(column.Name), table.Name), table.Name, column.Name)
			}
		}
	}
	b.Queue(`SELECT setval(pg_get_serial_sequence('organizations', 'id'), (SELECT max(id) FROM (
		SELECT id FROM organizations UNION ALL SELECT id FROM purged_organizations) AS used))`) // no number is used again
	b.Queue("DROP TABLE " + schema.CopyMarker)
	b.Queue("COMMIT")
	return t.domainError(t.conn.SendBatch(ctx, b).Close())
}
