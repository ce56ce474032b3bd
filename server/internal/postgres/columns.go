package postgres

import (
	"context"
	"strings"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

const selectColumns = `SELECT attname::text, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
	FROM pg_attribute WHERE attrelid = 'providers'::regclass AND attnum > 0 AND NOT attisdropped`

type tableColumn struct{ Name, Definition string }

// checkColumns fails if the table providers lacks a property of the contract.
func (s *Store) checkColumns(ctx context.Context) error {
	found, err := read(ctx, s, pgx.RowToStructByPos[tableColumn], selectColumns)
	if err != nil {
		return err
	}
	return schema.PostgreSQL.Check(byName(found))
}

func byName(found []tableColumn) map[string]string {
	columns := map[string]string{}
	for _, c := range found {
		columns[c.Name] = c.Definition
	}
	return columns
}

// clearOthers returns the statement that gives the columns of a record that hold no property their defaults. It is empty if
// there are none.
func clearOthers(columns []tableColumn) string {
	others := schema.PostgreSQL.Others(byName(columns))
	if len(others) == 0 {
		return ""
	}
	for i, other := range others {
		others[i] = schema.Quote(other) + " = DEFAULT"
	}
	return "UPDATE providers SET " + strings.Join(others, ", ") + " WHERE organization_id = $1 AND id = $2"
}
