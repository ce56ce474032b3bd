package provider

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Write is a request to make, change or delete one record.
type Write struct {
	Action       Action    // what is asked for
	Organization int64     // whose key asks; nothing outside it is seen
	CustomerID   uuid.UUID // the customer under whom the caller makes the record, or looks for it
	ID           uuid.UUID // of a new record: one that was never used
	IfMatch      []int64   // the versions to which it may apply; nil: any, empty: none; not of a new record
	Patch        Patch     // not of a deletion; that of a new record sets Type
	By           Actor
}

// Actor is who asks for a change, for the history.
type Actor struct {
	KeyID     string // empty for the operator's own commands
	RequestID string // empty where there was no request
}

// Action is what a Write asks for and what an Event tells of, in the contract's words.
type Action string

// The actions.
const (
	Created Action = "created"
	Updated Action = "updated"
	Deleted Action = "deleted"
)

// Event is one line of a record's history.
type Event struct {
	ProviderID uuid.UUID
	Version    int64 // the version that the event made
	At         time.Time
	Action     Action
	By         Actor
	Changes    []Change
}

// Apply decides what a write makes of the record found under its ID, nil if there is none: the record as it is to be,
// and the event to write with it. A nil event means that nothing changes and nothing is to be written. now is the
// store's clock. Whether the CustomerID of a new or moved record exists is the store's to check; see NoCustomer.
//
// Errors: NotFound, PreconditionFailed, and Internal for a new record whose ID is taken.
func (w *Write) Apply(current *Provider, now time.Time) (Provider, *Event, error) {
	if w.Action == Created {
		if current != nil {
			return Provider{}, nil, Broken(nil)
		}
		patch := w.Patch
		patch.CustomerID = Field[uuid.UUID]{Set: true, Value: w.CustomerID}
		next, event := create(w.ID, nil, &patch, w.By, now)
		return next, event, nil
	}
	if !current.exists() || current.CustomerID != w.CustomerID {
		return Provider{}, nil, ErrNotFound
	}
	if w.IfMatch != nil && !slices.Contains(w.IfMatch, current.Version) {
		return Provider{}, nil, ErrPreconditionFailed
	}
	if w.Action == Deleted {
		next, event := remove(*current, w.By, now)
		return next, event, nil
	}
	next, event := amend(*current, &w.Patch, w.By, now)
	return next, event, nil
}

// NoCustomer returns the error of a write whose record would belong to a customer whom the organization does not have.
func (w *Write) NoCustomer() *Error {
	if w.Action == Created {
		return ErrNoCustomer
	}
	return ErrUnknownCustomer
}

// Import is an operator's request to make a record, or to change it if its ID is known. Patch sets CustomerID and
// Type; a CustomerID that is not known yet is made known.
type Import struct {
	ID           uuid.UUID
	Patch        Patch
	KeepExisting bool // leave the record alone if its ID is known
}

// Apply is to an Import what Write.Apply is to a Write. A record that was deleted is made anew and goes on with its
// history.
func (i *Import) Apply(current *Provider, now time.Time) (Provider, *Event) {
	switch {
	case current != nil && i.KeepExisting:
		return *current, nil
	case current.exists():
		return amend(*current, &i.Patch, Actor{}, now)
	}
	return create(i.ID, current, &i.Patch, Actor{}, now)
}

// create makes a record, the next version of a deleted one if there was one.
func create(id uuid.UUID, deleted *Provider, patch *Patch, by Actor, now time.Time) (Provider, *Event) {
	record := Provider{ID: id, Version: 1}
	now = clock(now)
	if deleted != nil {
		record.Version = deleted.Version + 1
		now = later(now, deleted.UpdatedAt)
	}
	record.CreatedAt, record.UpdatedAt = now, now
	record, changes := patch.Apply(record)
	return record, event(&record, Created, by, changes)
}

func amend(record Provider, patch *Patch, by Actor, now time.Time) (Provider, *Event) {
	next, changes := patch.Apply(record)
	if len(changes) == 0 {
		return record, nil
	}
	next.Version++
	next.UpdatedAt = later(clock(now), record.UpdatedAt)
	return next, event(&next, Updated, by, changes)
}

// remove empties a record and marks it. The event tells what it was last.
func remove(record Provider, by Actor, now time.Time) (Provider, *Event) {
	changes := record.values()
	for i := range changes {
		changes[i].From, changes[i].To = changes[i].To, nil
	}
	next := Provider{
		ID: record.ID, CustomerID: record.CustomerID, Type: record.Type, Deleted: true,
		Version: record.Version + 1, CreatedAt: record.CreatedAt, UpdatedAt: later(clock(now), record.UpdatedAt),
	}
	return next, event(&next, Deleted, by, changes)
}

func event(next *Provider, action Action, by Actor, changes []Change) *Event {
	return &Event{ProviderID: next.ID, Version: next.Version, At: next.UpdatedAt, Action: action, By: by, Changes: changes}
}

func clock(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
