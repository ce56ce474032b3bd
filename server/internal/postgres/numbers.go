package postgres

import (
	"context"
	"sync/atomic"

	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/jackc/pgx/v5"
)

const (
	selectNumbers         = "SELECT number, name FROM property_names ORDER BY number"
	selectAnyOrganization = "SELECT 1 FROM organizations LIMIT 1"

	// Of two servers that take the same number, one gives way, and tries the next.
	insertNumber = "INSERT INTO property_names (number, name) SELECT coalesce(max(number), 0) + 1, $1 FROM property_names ON CONFLICT DO NOTHING"
)

// numbers are those of the properties in the history, as they were read last. There are none while a server may run that does not know them.
type numbers struct {
	atomic.Pointer[wire.Numbers]
	complete atomic.Bool // every property of the contract has one
}

// scan reads the rows of selectNumbers.
func (n *numbers) scan(rows pgx.Rows) error {
	found := new(wire.Numbers)
	var number int64
	var name string
	_, err := pgx.ForEachRow(rows, []any{&number, &name}, func() error { return found.Add(number, name) })
	if err == nil {
		n.Store(found)
		n.complete.Store(len(found.Missing()) == 0)
	}
	return err
}

func (n *numbers) read(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, selectNumbers)
	if err != nil {
		return err
	}
	return n.scan(rows)
}

// numberProperties reads the numbers, and gives one to each property that has none. If no property has one yet, that is left to begin.
func (s *Store) numberProperties(ctx context.Context, begin bool) error {
	for {
		if err := s.attempts(ctx, s.numbers.read); err != nil {
			return err
		}
		known := s.numbers.Load()
		missing := known.Missing()
		if len(missing) == 0 || known.None() && !begin {
			return nil
		}
		for _, name := range missing {
			if _, err := s.execute(ctx, insertNumber, name); err != nil {
				return err
			}
		}
	}
}

// beginNumbers numbers the properties of a database without organizations: no older server has anything to do with it.
func (s *Store) beginNumbers(ctx context.Context) error {
	organizations, err := read(ctx, s, pgx.RowTo[int], selectAnyOrganization)
	if err != nil || len(organizations) > 0 {
		return err
	}
	return s.numberProperties(ctx, true)
}
