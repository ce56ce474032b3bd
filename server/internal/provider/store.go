package provider

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// Store keeps providers and their history. It is safe for concurrent use.
//
// Every method can also fail with CodeUnavailable, and those that write with CodeOutcomeUnknown. A store's errors hold no value
// of a record.
type Store interface {
	// Write creates, changes or deletes one record and returns its new state, once that is durable. Writes to one record
	// follow one another: none is lost and its versions have no gaps. A caller that gives up after the write began does
	// not undo it.
	//
	// Errors: CodeNotFound, CodeNoCustomer for a new record, CodePreconditionFailed, CodeUnknownCustomer, and CodeInternal for a new record whose ID is taken.
	Write(ctx context.Context, w Write) (Provider, error)

	// Get returns the record that a customer has under an ID.
	//
	// Errors: CodeNotFound.
	Get(ctx context.Context, organization int64, customer, id uuid.UUID) (Provider, error)

	// List returns records of one customer, the newest first: by CreatedAt, and by ID where that is the same.
	//
	// Errors: CodeNoCustomer.
	List(ctx context.Context, l List) ([]Provider, error)

	// History returns the latest events of a record that a customer has, the latest first: up to limit of those with a
	// version below before, of all if before is 0.
	//
	// Errors: CodeNotFound.
	History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]Event, error)

	// Import creates or changes records of one organization, in order, and makes their customers known, and the others
	// that are named: all of that durably, or none of it.
	Import(ctx context.Context, organization int64, imports []Import, customers []uuid.UUID) error

	// Export calls f with every customer of an organization, in the order of their IDs: once for each of their records, or
	// with nil if they have none. It shows the state of one moment, and ends with f's first error.
	//
	// Errors: CodeNoOrganization; f's.
	Export(ctx context.Context, organization string, f func(customer uuid.UUID, record *Provider) error) error

	// HistoryByID returns the events of every record that has or had the ID, in whatever organization, oldest first. It is
	// the operator's view. An unknown ID has an empty history.
	HistoryByID(ctx context.Context, id uuid.UUID) ([]Event, error)

	// EnsureOrganization returns the number of the organization of that name, and creates it if there is none.
	EnsureOrganization(ctx context.Context, name string) (int64, error)
}

// List is a question for a part of one customer's records. Those that it leaves out do not count for Limit.
type List struct {
	Organization int64
	CustomerID   uuid.UUID
	Filters      []property.Filter // which a record meets, all of them
	After        *Position         // nil: from the start
	Limit        int               // most records to return; at least 1
}

// Position is a record's place in the order of a List. What comes after it is older, or as old with a smaller ID.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}
