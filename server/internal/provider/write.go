package provider

import (
	"slices"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// Write is a request to create, change or delete one record.
type Write struct {
	Action       Action
	Organization int64          // of the key; nothing outside it is seen
	CustomerID   uuid.UUID      // the customer under whom the caller creates the record, or looks for it
	ID           uuid.UUID      // for a new record, one that was never used
	IfMatch      []int64        // the versions to which it may apply; nil for any; not for a new record
	Patch        property.Patch // not for a deletion; for a new record it sets what cannot be null, and no CustomerID
	Idempotency  *Idempotency   // for a new record that the caller may request again; nil for any other write
	By           Actor
	Timing       *Timing // set by the store for a write that is traced; nil for any other
}

// Timing says when a store did what for a write. It is complete when Write returns, unless its caller has left.
type Timing struct {
	Begun      time.Time // the transaction; zero if there was none
	Committing time.Time // its commit; zero if there was none
	Ended      time.Time
	Size       int // writes that shared the transaction
}

// Committing records that the commit of a transaction with these writes begins.
func Committing(writes []Write) {
	for i := range writes {
		if t := writes[i].Timing; t != nil {
			t.Committing = time.Now()
		}
	}
}

// Actor is who made a change, for the history.
type Actor struct {
	KeyID     string // empty for the operator's own commands
	RequestID string // empty where there was no request
}

// Action is what a Write does and what an Event records, as the contract names it.
type Action string

// The actions.
const (
	Created Action = "created"
	Updated Action = "updated"
	Deleted Action = "deleted"
)

// Event is one entry of a record's history.
type Event struct {
	ProviderID uuid.UUID
	Version    int64 // of the record after the event
	At         time.Time
	Action     Action
	By         Actor
	Changes    []Change
}

// Apply decides what a write does to the record with its ID; current is nil if there is none. It returns the new state and the
// event to save with it. A nil event means that nothing changes and nothing is to be saved. now is the time of the store's
// clock. The store checks whether the CustomerID of a new or moved record exists; see NoCustomer. If the write has an Idempotency, it
// calls Repeats first.
//
// Errors: CodeNotFound, CodePreconditionFailed, and CodeInternal for a new record whose ID is taken.
func (w *Write) Apply(current *Provider, now time.Time) (Provider, *Event, error) {
	if w.Action == Created {
		if current != nil {
			return Provider{}, nil, Internal(nil)
		}
		next, event := create(w.ID, w.CustomerID, nil, &w.Patch, w.By, now)
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

// NoCustomer returns the error of a write whose record would belong to a customer that the organization does not have.
func (w *Write) NoCustomer() *Error {
	if w.Action == Created {
		return ErrNoCustomer
	}
	return ErrUnknownCustomer
}

// Import is an operator's request to create a record, or to change it if its ID exists. Patch sets CustomerID and what cannot
// be null. A customer that does not exist is created.
type Import struct {
	ID           uuid.UUID
	Patch        property.Patch
	KeepExisting bool // leave the record alone if its ID exists
}

// Apply is [Write.Apply] for an Import. Unless KeepExisting is set, a record that was deleted is created again and continues its
// history.
func (i *Import) Apply(current *Provider, now time.Time) (Provider, *Event) {
	switch {
	case current != nil && i.KeepExisting:
		return *current, nil
	case current.exists():
		return amend(*current, &i.Patch, Actor{}, now)
	}
	return create(i.ID, *i.Patch.CustomerID, current, &i.Patch, Actor{}, now)
}

// ImportCount counts the outcomes of Imports.
type ImportCount struct{ Created, Changed, Unchanged int }

// Add counts one outcome: the event of an Import, nil if nothing changed.
func (c *ImportCount) Add(event *Event) {
	switch {
	case event == nil:
		c.Unchanged++
	case event.Action == Created:
		c.Created++
	default:
		c.Changed++
	}
}

// Records returns how many there are in all.
func (c ImportCount) Records() int { return c.Created + c.Changed + c.Unchanged }

// Plus returns the sum of two counts.
func (c ImportCount) Plus(other ImportCount) ImportCount {
	return ImportCount{c.Created + other.Created, c.Changed + other.Changed, c.Unchanged + other.Unchanged}
}

// create creates a record: the next version of a deleted one, if there was one.
func create(id, customer uuid.UUID, deleted *Provider, patch *property.Patch, by Actor, now time.Time) (Provider, *Event) {
	now = toMilliseconds(now)
	version := int64(1)
	if deleted != nil {
		version = deleted.Version + 1
		now = later(now, deleted.UpdatedAt)
	}
	next := Provider{ID: id, CustomerID: customer, Version: version, CreatedAt: now, UpdatedAt: now, Values: property.Nulls()}
	for p, value := range patch.Values {
		if !value.IsAbsent() {
			next.Values[p] = value
		}
	}
	return next, event(&next, Created, by, given(&next))
}

func amend(current Provider, patch *property.Patch, by Actor, now time.Time) (Provider, *Event) {
	next, changes := current.With(patch)
	if len(changes) == 0 {
		return current, nil
	}
	next.Version++
	next.UpdatedAt = later(toMilliseconds(now), current.UpdatedAt)
	return next, event(&next, Updated, by, changes)
}

// remove clears a record and marks it as deleted. The event holds its last values.
func remove(current Provider, by Actor, now time.Time) (Provider, *Event) {
	changes := given(&current)
	for i := range changes {
		changes[i].From, changes[i].To = changes[i].To, property.Null
	}
	next := current
	next.Deleted = true
	next.Version++
	next.UpdatedAt = later(toMilliseconds(now), current.UpdatedAt)
	for id := range next.Values {
		if property.Table[id].Nullable {
			next.Values[id] = property.Null
		}
	}
	return next, event(&next, Deleted, by, changes)
}

func event(next *Provider, action Action, by Actor, changes []Change) *Event {
	return &Event{ProviderID: next.ID, Version: next.Version, At: next.UpdatedAt, Action: action, By: by, Changes: changes}
}

func toMilliseconds(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
