package postgres

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// exportTimeout bounds an export and its statement, which last as long as the reader needs.
const exportTimeout = 24 * time.Hour

// With the inner query, rows come from the start, and only one customer's are sorted.
var selectAll = `SELECT customers.id, found.* FROM customers LEFT JOIN LATERAL (
		SELECT ` + columns + ` FROM providers
		WHERE organization_id = $1 AND customer_id = customers.id AND NOT deleted ORDER BY id
	) AS found ON true
	WHERE customers.organization_id = $1 ORDER BY customers.id, found.id`

// Export implements [provider.Store]. It is not retried: f cannot take back what it was given.
func (s *Store) Export(ctx context.Context, name string, f func(customer uuid.UUID, record *provider.Provider) error) error {
	number, err := s.findOrganization(ctx, name)
	if err != nil {
		return err
	}
	if number == 0 {
		return provider.ErrNoOrganization
	}
	var stopped error // f's error is the caller's, not one of the store
	err = s.attempt(ctx, exportTimeout, func(ctx context.Context, c *pgx.Conn) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		deadline, _ := ctx.Deadline()
		err := inSnapshot(ctx, c, func(b *pgx.Batch) {
			b.Queue("SET LOCAL statement_timeout = " + milliseconds(time.Until(deadline)))
			b.Queue(selectAll, number).Query(func(rows pgx.Rows) error {
				for rows.Next() && stopped == nil {
					customer, record, err := scanCustomer(rows)
					if err != nil {
						return err
					}
					stopped = f(customer, record)
				}
				if stopped != nil {
					stop() // the driver would read the rest
				}
				return stopped
			})
		})
		if stopped != nil {
			return nil
		}
		return err
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// scanCustomer returns a customer and their record, nil if they have none.
func scanCustomer(rows pgx.Rows) (customer uuid.UUID, _ *provider.Provider, err error) {
	if none := rows.RawValues()[1] == nil; none {
		others := make([]any, len(rows.RawValues())-1) // not read
		err = rows.Scan(append([]any{(*[16]byte)(&customer)}, others...)...)
		return customer, nil, err
	}
	record := new(provider.Provider)
	err = scan(rows, record, (*[16]byte)(&customer))
	return customer, record, err
}
