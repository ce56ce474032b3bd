package sqlite

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
)

// Without INDEXED BY, the planner looks through all of an organization's providers for each customer. In the order of the index,
// nothing is sorted.
var (
	selectOthers = "SELECT customer_id, " + columns + ` FROM providers INDEXED BY providers_by_customer
		WHERE organization_id = ?1 AND customer_id = ?2 AND deleted = 0 AND (created_at, id) > (?3, ?4) ORDER BY created_at, id LIMIT ?5`
	selectAll = "SELECT customers.id, " + columns + `
		FROM customers LEFT JOIN providers INDEXED BY providers_by_customer
			ON providers.organization_id = customers.organization_id AND customer_id = customers.id AND deleted = 0
		WHERE customers.organization_id = ?1 AND customers.id > ?2
			AND NOT EXISTS (SELECT 1 FROM purged_customers AS purged WHERE purged.organization_id = ?1 AND purged.id = customers.id)
		ORDER BY customers.id, created_at, providers.id LIMIT ?3`
)

// ListAll implements [provider.Store]: first the other records of the customer of the one before, then the next customers.
func (s *Store) ListAll(ctx context.Context, organization int64, after *provider.CustomerRecord, limit int) (piece []provider.CustomerRecord, _ error) {
	err := s.readPage(ctx, func(c *sqlite.Conn) (err error) {
		customer := []byte{} // before all others
		if after != nil {
			customer = after.CustomerID[:]
		}
		if after != nil && after.Record != nil {
			piece, err = customerRecords(c, piece, selectOthers, func(b *binder) {
				b.int64(organization)
				b.uuid(after.CustomerID)
				b.int64(after.Record.CreatedAt.UnixMilli())
				b.uuid(after.Record.ID)
				b.int64(int64(limit))
			})
			if err != nil || len(piece) == limit {
				return err
			}
		}
		piece, err = customerRecords(c, piece, selectAll, func(b *binder) {
			b.int64(organization)
			b.bytes(customer)
			b.int64(int64(limit - len(piece)))
		})
		return err
	})
	return piece, err
}

// customerRecords appends what a statement returns to all.
func customerRecords(c *sqlite.Conn, all []provider.CustomerRecord, query string, bind func(*binder)) ([]provider.CustomerRecord, error) {
	statement, err := c.Prepare(query)
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	bind(&binder{statement: statement})
	for {
		found, err := statement.Step()
		if err != nil || !found {
			return all, err
		}
		customer, record := customerRow(statement)
		all = append(all, provider.CustomerRecord{CustomerID: customer, Record: record})
	}
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
