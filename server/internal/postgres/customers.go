package postgres

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	firstCustomers   = "SELECT id FROM customers WHERE organization_id = $1 AND " + isOpen("customers.id") + " ORDER BY id LIMIT $2"
	nextCustomers    = "SELECT id FROM customers WHERE organization_id = $1 AND id > $2 AND " + isOpen("customers.id") + " ORDER BY id LIMIT $3"
	selectCustomerOf = "SELECT customer_id FROM providers WHERE organization_id = $1 AND id = $2 AND NOT deleted"
)

// ListCustomers implements [provider.Store].
func (s *Store) ListCustomers(ctx context.Context, organization int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	if after == uuid.Nil {
		return read(ctx, s, pgx.RowTo[uuid.UUID], firstCustomers, organization, limit)
	}
	return read(ctx, s, pgx.RowTo[uuid.UUID], nextCustomers, organization, after, limit)
}

// CustomerOf implements [provider.Store].
func (s *Store) CustomerOf(ctx context.Context, organization int64, id uuid.UUID) (uuid.UUID, error) {
	found, err := read(ctx, s, pgx.RowTo[uuid.UUID], selectCustomerOf, organization, id)
	if err == nil && len(found) == 0 {
		err = provider.ErrNotFound
	}
	if err != nil {
		return uuid.Nil, err
	}
	return found[0], nil
}
