package postgres

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/jackc/pgx/v5"
)

var (
	selectOthers = "SELECT customer_id, " + columns + ` FROM providers
		WHERE organization_id = $1 AND customer_id = $2 AND NOT deleted AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5`
	selectFirst = selectAll("$2", "")
	selectNext  = selectAll("$3", " AND customers.id > $2")
)

// selectAll returns a statement that reads customers with their records. Its inner query reads no more of a customer's than needed.
func selectAll(limit, condition string) string {
	return `SELECT customers.id, found.* FROM customers LEFT JOIN LATERAL (
			SELECT ` + columns + ` FROM providers
			WHERE organization_id = $1 AND customer_id = customers.id AND NOT deleted ORDER BY created_at, id LIMIT ` + limit + `
		) AS found ON true
		WHERE customers.organization_id = $1 AND ` + isOpen("customers.id") + condition + ` ORDER BY customers.id, found.created_at, found.id LIMIT ` + limit
}

// ListAll implements [provider.Store]: first the other records of the customer of the one before, then the next customers.
func (s *Store) ListAll(ctx context.Context, organization int64, after *provider.CustomerRecord, limit int) ([]provider.CustomerRecord, error) {
	end, err := s.takePage(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if after == nil {
		return read(ctx, s, scanCustomer, selectFirst, organization, limit)
	}
	customer := [16]byte(after.CustomerID)
	var others []provider.CustomerRecord
	if r := after.Record; r != nil {
		if others, err = read(ctx, s, scanCustomer, selectOthers, organization, customer, r.CreatedAt, [16]byte(r.ID), limit); err != nil || len(others) == limit {
			return others, err
		}
	}
	next, err := read(ctx, s, scanCustomer, selectNext, organization, customer, limit-len(others))
	return append(others, next...), err
}

func scanCustomer(row pgx.CollectableRow) (one provider.CustomerRecord, err error) {
	id := (*[16]byte)(&one.CustomerID)
	if none := row.RawValues()[1] == nil; none {
		others := make([]any, len(row.RawValues())-1) // not read
		return one, row.Scan(append([]any{id}, others...)...)
	}
	one.Record = new(provider.Provider)
	return one, scan(row, one.Record, id)
}
