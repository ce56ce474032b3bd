package provider

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// Store keeps providers and their history. It is safe for concurrent use.
//
// Every method can also return CodeUnavailable, and those that write CodeOutcomeUnknown. The errors hold no value of a record.
//
// A third store is a package next to sqlite and postgres that implements this interface and apikey.Store. It loads and saves;
// Write.Apply and Import.Apply decide what a change does. Its migrations create a column for each property of the contract, in
// a Dialect of package schema. Its tests call storetest.Run, which is the contract of a store, and its form of --database is
// known to openStore, verify, backup, restore and copy in package command.
type Store interface {
	// Write creates, changes or deletes one record and returns its new state once that is durable. Writes to one record
	// happen one after the other: none is lost, and the versions have no gaps. A caller that leaves after the write began
	// does not undo it.
	//
	// Of the writes of an organization with one Idempotency, the first creates a record, and those of the next 24 hours return it
	// as it was created. This holds for writes at the same time, too, also through several servers.
	//
	// Errors: CodeNotFound, CodeNoCustomer for a new record, CodePreconditionFailed, CodeUnknownCustomer,
	// CodeIdempotencyKeyReused, and CodeInternal for a new record whose ID is taken.
	Write(ctx context.Context, w Write) (Provider, error)

	// Get returns the record that a customer has under an ID.
	//
	// Errors: CodeNotFound.
	Get(ctx context.Context, organization int64, customer, id uuid.UUID) (Provider, error)

	// List returns records of one customer, the newest first: ordered by CreatedAt, then by ID.
	//
	// Errors: CodeNoCustomer.
	List(ctx context.Context, l List) ([]Provider, error)

	// History returns events of a record that a customer has, the latest first: up to limit events with a version below
	// before. If before is 0, it starts with the latest event.
	//
	// Errors: CodeNotFound.
	History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]Event, error)

	// Import creates or changes records of one organization, in order, and creates their customers and the others that are
	// listed if they do not exist. It returns how many records were created, changed and left as they were. After an error, the
	// first of them may have been imported; the count is theirs.
	Import(ctx context.Context, organization int64, imports []Import, customers []uuid.UUID) (ImportCount, error)

	// ListAll returns records of an organization for Export: at most limit, in the order of customer, time of creation and ID,
	// and one without a record for each customer that has none. It starts after the last one before, nil for the first.
	ListAll(ctx context.Context, organization int64, after *CustomerRecord, limit int) ([]CustomerRecord, error)

	// ListCustomers returns the customers of an organization, with or without records: at most limit, in the order of their IDs, after
	// one. The zero ID is for the first.
	ListCustomers(ctx context.Context, organization int64, after uuid.UUID, limit int) ([]uuid.UUID, error)

	// CustomerOf returns the customer of an organization who has the record with the ID.
	//
	// Errors: CodeNotFound.
	CustomerOf(ctx context.Context, organization int64, id uuid.UUID) (uuid.UUID, error)

	// Owners returns the organizations that have or had a record with the ID, in the order of their numbers. It is for the
	// operator.
	Owners(ctx context.Context, id uuid.UUID) ([]Owner, error)

	// Events returns events of a record, deleted or not, the latest first: up to limit events with a version below before. An
	// unknown record has none.
	Events(ctx context.Context, organization int64, id uuid.UUID, before int64, limit int) ([]Event, error)

	// ListOrganizations returns all organizations, in the order of their numbers.
	ListOrganizations(ctx context.Context) ([]Organization, error)

	// ListVersions returns records of an organization, deleted or not: at most limit, in the order of their IDs, after one. Nil is
	// for the first.
	ListVersions(ctx context.Context, organization int64, after *uuid.UUID, limit int) ([]RecordVersion, error)

	// RemoveEvents removes the events of records up to a version of each, but never a record's latest. It returns how many.
	RemoveEvents(ctx context.Context, organization int64, upTo []RecordVersion) (removed int, err error)

	// Activity returns events of many records, the latest first, with a cursor for those before them: at most Limit. SQLite takes the
	// order in which they were saved; PostgreSQL that of their times. One call reads a bounded number of events, so there can be fewer
	// than Limit, or none, and still a next page.
	//
	// Errors: ErrInvalidCursor.
	Activity(ctx context.Context, q ActivityQuery) (ActivityPage, error)

	Eraser

	// Stats describes the store. It asks no database.
	Stats() Stats

	// FindOrganization returns the number of the organization of that name, 0 if there is none.
	FindOrganization(ctx context.Context, name string) (int64, error)

	// EnsureOrganization returns the number of the organization of that name. It creates the organization if there is none, and
	// reports whether it did. The name is taken as it is: see the function EnsureOrganization.
	EnsureOrganization(ctx context.Context, name string) (number int64, created bool, err error)

	// RenameOrganization gives the organization of that number another name. Errors: ErrNameTaken.
	RenameOrganization(ctx context.Context, number int64, name string) error

	// SuspendOrganization suspends the organization of that number, so that its keys are refused within apikey.CacheTTL, or resumes
	// it. Nothing of its data changes, and it can be repeated.
	SuspendOrganization(ctx context.Context, number int64, suspended bool) error
}

// List selects records of one customer.
type List struct {
	Organization int64
	CustomerID   uuid.UUID
	Filters      []property.Filter // a record must match all of them
	After        *Position         // the last record of the page before; nil for the first page
	Limit        int               // at least 1
}

// Position is a record's place in the order of a List. Later records are older, or as old with a smaller ID.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}
