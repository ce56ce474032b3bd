package sqlite

import (
	"github.com/carecycle/provider-api/server/internal/schema"
	_ "modernc.org/sqlite" // goose uses database/sql
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// checkColumns fails if the table of providers lacks a property of the contract.
func checkColumns(c *sqlite.Conn) error {
	columns := map[string]string{}
	err := sqlitex.ExecuteTransient(c, "SELECT name, type || iif(\"notnull\", ' NOT NULL', '') FROM pragma_table_info('providers')",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			columns[s.ColumnText(0)] = s.ColumnText(1)
			return nil
		}})
	if err != nil {
		return err
	}
	return schema.SQLite.Check(columns)
}
