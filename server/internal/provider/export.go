package provider

import (
	"context"

	"github.com/google/uuid"
)

// CustomerRecord is a customer and one of their records, nil if they have none.
type CustomerRecord struct {
	CustomerID uuid.UUID
	Record     *Provider
}

// exportPiece is how many records of an export are in memory at once.
const exportPiece = 500

// Export calls f for every customer of the organization of that number, in the order of their IDs: once for each record, or with a nil record if
// there is none. It stops at f's first error and returns it.
//
// Each record is as it was at one moment, but they are read in pieces, so that a slow f keeps nothing from being written. A record
// that is changed in the meantime comes in its old or its new state; one that moves to another customer can be missing, or come twice.
//
// Errors: the store's; f's.
func Export(ctx context.Context, s Store, organization int64, f func(customer uuid.UUID, record *Provider) error) error {
	var after *CustomerRecord
	for {
		piece, err := s.ListAll(ctx, organization, after, exportPiece)
		if err != nil {
			return err
		}
		for i := range piece {
			if err := f(piece[i].CustomerID, piece[i].Record); err != nil {
				return err
			}
		}
		if len(piece) < exportPiece {
			return nil
		}
		after = &piece[len(piece)-1]
	}
}
