package postgres

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

const selectColumns = `SELECT attname::text, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
	FROM pg_attribute WHERE attrelid = 'providers'::regclass AND attnum > 0 AND NOT attisdropped`

// columns returns the columns of the table providers, as [schema.Dialect.Check] takes them.
func (s *Store) columns(ctx context.Context) (map[string]string, error) {
	type column struct{ Name, Definition string }
	found, err := read(ctx, s, pgx.RowToStructByPos[column], selectColumns)
	columns := map[string]string{}
	for _, c := range found {
		columns[c.Name] = c.Definition
	}
	return columns, err
}

// othersLifetime is how long the columns that hold no property are known, until they are read again: a newer server that
// shares the database may add one.
const othersLifetime = 5 * time.Second

// others are the columns that hold no property of this version of the contract. A deletion clears them.
type others struct {
	mu      sync.Mutex
	columns []string
	read    time.Time
}

// clearOthers returns the statement that clears the other columns of a record, which is empty if there are none. It reads
// nothing unless one of the writes is a deletion.
func (s *Store) clearOthers(ctx context.Context, writes []provider.Write) (string, error) {
	if !slices.ContainsFunc(writes, func(w provider.Write) bool { return w.Action == provider.Deleted }) {
		return "", nil
	}
	s.others.mu.Lock()
	defer s.others.mu.Unlock()
	if time.Since(s.others.read) > othersLifetime {
		columns, err := s.columns(ctx)
		if err != nil {
			return "", err
		}
		s.others.columns, s.others.read = schema.PostgreSQL.Others(columns), time.Now()
	}
	if len(s.others.columns) == 0 {
		return "", nil
	}
	var set []string
	for _, column := range s.others.columns {
		set = append(set, schema.Quote(column)+" = NULL")
	}
	return "UPDATE providers SET " + strings.Join(set, ", ") + " WHERE organization_id = $1 AND id = $2", nil
}
