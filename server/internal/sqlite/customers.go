package sqlite

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	listCustomers = `SELECT id FROM customers WHERE organization_id = ?1 AND id > ?2
			AND NOT EXISTS (SELECT 1 FROM purged_customers AS purged WHERE purged.organization_id = ?1 AND purged.id = customers.id)
		ORDER BY id LIMIT ?3`
	customerOf = "SELECT customer_id FROM providers WHERE organization_id = ?1 AND id = ?2 AND deleted = 0"
)

// ListCustomers implements [provider.Store].
func (s *Store) ListCustomers(ctx context.Context, organization int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	from := after[:]
	if after == uuid.Nil {
		from = []byte{} // before every ID, this one too
	}
	return s.customers(ctx, listCustomers, organization, from, limit)
}

// CustomerOf implements [provider.Store].
func (s *Store) CustomerOf(ctx context.Context, organization int64, id uuid.UUID) (uuid.UUID, error) {
	found, err := s.customers(ctx, customerOf, organization, id[:])
	if err == nil && len(found) == 0 {
		err = provider.ErrNotFound
	}
	if err != nil {
		return uuid.Nil, err
	}
	return found[0], nil
}

func (s *Store) customers(ctx context.Context, query string, arguments ...any) (customers []uuid.UUID, _ error) {
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, query, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
			var id uuid.UUID
			s.ColumnBytes(0, id[:])
			customers = append(customers, id)
			return nil
		}})
	})
	return customers, err
}
