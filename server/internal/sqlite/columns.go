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

// copiedTables is tablesOf as a copy sees it: its events name their records by the key of those.
func copiedTables(c *sqlite.Conn) (map[string]map[string]string, error) {
	tables, err := tablesOf(c)
	if events, records := tables[schema.Events.Name], tables[schema.Providers.Name]; events != nil && records != nil {
		events["organization_id"], events["provider_id"] = records["organization_id"], records["id"]
	}
	return tables, err
}
