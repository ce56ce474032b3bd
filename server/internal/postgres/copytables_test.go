package postgres

import (
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

// TestCopiedTables fails if a migration has added a table or a column that a copy of the database would lack: add it to schema.Tables, or
// to schema.Omitted with the reason.
func TestCopiedTables(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	check := func() error {
		tables, err := tablesOf(t.Context(), c)
		if err != nil {
			return err
		}
		rows, err := c.Query(t.Context(), "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema")
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, name := range names {
			if tables[name] == nil {
				tables[name] = map[string]string{}
			}
		}
		if err != nil {
			return err
		}
		return schema.PostgreSQL.CheckCopied(tables)
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	for _, added := range []struct{ statement, want string }{
		{"ALTER TABLE api_keys ADD COLUMN added text", "a copy would lack the column api_keys.added"},
		{"CREATE TABLE added (id bigint)", "a copy would lack the table added"},
	} {
		if _, err := c.Exec(t.Context(), added.statement); err != nil {
			t.Fatal(err)
		}
		if err := check(); err == nil || !strings.Contains(err.Error(), added.want) {
			t.Errorf("%s: %v, want %s", added.statement, err, added.want)
		}
	}
}
