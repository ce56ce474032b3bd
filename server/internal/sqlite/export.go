package sqlite

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
)

// Without INDEXED BY, the planner looks through all of an organization's providers for each customer. In the order of the index,
// nothing is sorted.
var selectAll = "SELECT customers.id, " + columns + `
	FROM customers LEFT JOIN providers INDEXED BY providers_by_customer
		ON providers.organization_id = customers.organization_id AND customer_id = customers.id AND deleted = 0
	WHERE customers.organization_id = ?1 ORDER BY customers.id, created_at, providers.id`

// Export implements [provider.Store]. Its two statements need no transaction:
// an organization keeps its number.
func (s *Store) Export(ctx context.Context, name string, f func(customer uuid.UUID, record *provider.Provider) error) error {
	var stopped error // f's error is the caller's, not one of the store
	err := s.read(ctx, func(c *sqlite.Conn) error {
		number, err := findOrganization(c, name)
		if err != nil {
			return err
		}
		if number == 0 {
			return provider.ErrNoOrganization
		}
		statement, err := c.Prepare(selectAll)
		if err != nil {
			return err
		}
		defer statement.Reset()
		statement.BindInt64(1, number)
		for stopped == nil {
			found, err := statement.Step()
			if err != nil || !found {
				return err
			}
			stopped = f(customerRow(statement))
		}
		return nil
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// customerRow returns a customer and their record, nil if they have none.
func customerRow(statement *sqlite.Stmt) (customer uuid.UUID, record *provider.Provider) {
	row := scanner{statement: statement}
	customer = row.uuid()
	if !statement.ColumnIsNull(row.read) {
		record = new(provider.Provider)
		row.provider(record)
	}
	return customer, record
}
