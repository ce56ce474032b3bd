package sqlite

import (
	"github.com/carecycle/provider-api/server/internal/schema"
	_ "modernc.org/sqlite" // goose uses database/sql
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// checkColumns fails if the table of providers lacks a property of the contract.
func checkColumns(c *sqlite.Conn) error {
	tables, err := tablesOf(c)
	if err != nil {
		return err
	}
	return schema.SQLite.Check(tables["providers"])
}

// tablesOf returns the tables of a database as [schema.Dialect.CheckCopied] takes them.
func tablesOf(c *sqlite.Conn) (map[string]map[string]string, error) {
	const query = `SELECT tables.name, columns.name, columns.type || iif(columns."notnull", ' NOT NULL', '')
		FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND tables.name NOT GLOB 'sqlite_*'`
	tables := map[string]map[string]string{}
	err := sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		table := s.ColumnText(0)
		if tables[table] == nil {
			tables[table] = map[string]string{}
		}
		tables[table][s.ColumnText(1)] = s.ColumnText(2)
		return nil
	}})
	return tables, err
}
