package provider

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Update is a request to change one record.
type Update struct {
	Organization int64     // whose key asks; nothing outside it is seen
	CustomerID   uuid.UUID // the customer under whom the caller looks for the record
	ID           uuid.UUID
	IfMatch      []int64 // the versions to which the change may apply; nil: any, empty: none
	Patch        Patch
	By           Actor
}

// Actor is who asks for a change, for the history.
type Actor struct {
	KeyID     string // empty for the operator's own commands
	RequestID string // empty where there was no request
}

// Action is what an Event did to its record.
type Action string

// The actions.
const (
	Created Action = "created"
	Updated Action = "updated"
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

// Apply decides what an update makes of the record found under its ID, nil if there is none: the record as it is to
// be, and the event to write with it. A nil event means that nothing changes and nothing is to be written. now is
// the store's clock. Whether a new CustomerID exists is the store's to check.
//
// Errors: NotFound, PreconditionFailed.
func (u *Update) Apply(current *Provider, now time.Time) (Provider, *Event, error) {
	if current == nil || current.CustomerID != u.CustomerID {
		return Provider{}, nil, ErrNotFound
	}
	if u.IfMatch != nil && !slices.Contains(u.IfMatch, current.Version) {
		return Provider{}, nil, ErrPreconditionFailed
	}
	return amend(*current, &u.Patch, u.By, now)
}

// Import is an operator's request to make a record, or to change it if its ID is known. Patch sets CustomerID and
// Type; a CustomerID that is not known yet is made known.
type Import struct {
	ID           uuid.UUID
	Patch        Patch
	KeepExisting bool // leave the record alone if its ID is known
}

// Apply is to an Import what Update.Apply is to an Update.
func (i *Import) Apply(current *Provider, now time.Time) (Provider, *Event, error) {
	if current != nil && i.KeepExisting {
		return *current, nil, nil
	}
	if current != nil {
		return amend(*current, &i.Patch, Actor{}, now)
	}
	now = clock(now)
	record := Provider{ID: i.ID, Version: 1, CreatedAt: now, UpdatedAt: now}
	record, changes := i.Patch.Apply(record)
	return record, &Event{ProviderID: i.ID, Version: 1, At: now, Action: Created, Changes: changes}, nil
}

func amend(record Provider, patch *Patch, by Actor, now time.Time) (Provider, *Event, error) {
	next, changes := patch.Apply(record)
	if len(changes) == 0 {
		return record, nil, nil
	}
	next.Version++
	if now = clock(now); now.After(record.UpdatedAt) {
		next.UpdatedAt = now
	}
	return next, &Event{
		ProviderID: next.ID, Version: next.Version, At: next.UpdatedAt, Action: Updated, By: by, Changes: changes,
	}, nil
}

func clock(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }
