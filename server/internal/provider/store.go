package provider

import (
	"context"

	"github.com/google/uuid"
)

// Store keeps providers and their history. It is safe for concurrent use.
//
// Every method can also fail with Unavailable. A store's errors hold no value of a record.
type Store interface {
	// Update changes one record and returns it as it stands, once that is durable. Changes to one record follow one
	// another: none is lost and its versions have no gaps. A caller that gives up after the change began does not
	// undo it.
	//
	// Errors: NotFound, PreconditionFailed, UnknownCustomer.
	Update(ctx context.Context, u Update) (Provider, error)

	// Import makes or changes the records of one organization, in order, each durable or none of them.
	Import(ctx context.Context, organization int64, imports []Import) error

	// History returns the events of every record that has the ID, in whatever organization, oldest first. It is the
	// operator's view. An unknown ID has an empty history.
	History(ctx context.Context, id uuid.UUID) ([]Event, error)

	// Organization returns the number of the organization of that name, and makes it if there is none.
	Organization(ctx context.Context, name string) (int64, error)
}
