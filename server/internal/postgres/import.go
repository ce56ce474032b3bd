package postgres

import (
	"context"
	"slices"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Import implements [provider.Store], in two transactions. The first one creates the customers: transactions that create the same one wait
// for each other, and one that also imported the records would keep the others waiting for those.
func (s *Store) Import(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) (provider.ImportCount, error) {
	customers = slices.Clip(customers)
	for i := range imports {
		customers = append(customers, *imports[i].Patch.CustomerID)
	}
	count, err := s.importRecords(ctx, organization, nil, customers)
	if err == nil && len(imports) > 0 {
		count, err = s.importRecords(ctx, organization, imports, customers)
	}
	return count, err
}

func (s *Store) importRecords(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) (count provider.ImportCount, _ error) {
	err := s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		count = provider.ImportCount{}
		t := transaction{numbers: &s.numbers, clock: s.now}
		records := t.of(organization)
		for _, id := range customers {
			records.created[id] = false
		}
		for i := range imports {
			records.want(imports[i].ID)
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		for i := range imports {
			next, event := imports[i].Apply(records.wanted[imports[i].ID].current, t.now)
			count.Add(event)
			records.change(next, event)
		}
		err := t.commit(ctx, c)
		if err != nil && causeOf(err) == uniqueViolation { // another transaction created one of the records, which had no row to lock yet
			return serializationFailure
		}
		return err
	})
	if err != nil {
		return provider.ImportCount{}, err
	}
	return count, nil
}
