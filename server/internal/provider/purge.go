package provider

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// ErrNotDeleted is the error of PurgeProvider for a record that is not deleted.
var ErrNotDeleted = errors.New("the provider is not deleted")

// Eraser is the part of a Store that removes values for good. Each call is a short transaction, or several of them, that others can write
// between. The functions Purge… of this package put them together; each of those can be stopped, and completes what it began when it is
// called again.
type Eraser interface {
	// Purge leaves of records only their tombstones: see [Provider.Purged]. Of their history it leaves the deletion, without values.
	// Unknown IDs are ignored. The caller has removed what a long history has too many of; see RemoveEvents.
	Purge(ctx context.Context, organization int64, ids []uuid.UUID) error

	// RemoveRecords removes records with their history, and leaves nothing of them. It is for those of an organization that is removed.
	RemoveRecords(ctx context.Context, organization int64, ids []uuid.UUID) error

	// CloseCustomer makes a customer unknown to everyone but this interface: no record can be created for it or moved to it, once those
	// in flight are saved. An import that names the customer opens it again. CloseCustomer reports whether the customer was open.
	//
	// Errors: CodeNoCustomer.
	CloseCustomer(ctx context.Context, organization int64, customer uuid.UUID) (wasOpen bool, err error)

	// ListOfCustomer returns records of a customer, open or not: those that are not deleted, or those that are deleted and not purged.
	// There are at most limit, the oldest first, after a position. Nil is for the first.
	ListOfCustomer(ctx context.Context, organization int64, customer uuid.UUID, deleted bool, after *Position, limit int) ([]PositionedVersion, error)

	// RemoveOrganization removes an organization without records, with its customers and all that belongs to it. Its number is never
	// used again. It reports false, and has not removed the organization, if there are records.
	RemoveOrganization(ctx context.Context, organization int64) (removed bool, err error)

	// CountPurge counts what a purge of a customer would remove, or of the organization if that is nil.
	CountPurge(ctx context.Context, organization int64, customer *uuid.UUID) (PurgeCount, error)

	// Scrub overwrites what the store's own files may still have of removed values, as far as it can while others use them: SQLite's log. It fails if a
	// reader keeps it from that.
	Scrub(ctx context.Context) error
}

// PositionedVersion is a record's place among those of its customer, and its version.
type PositionedVersion struct {
	Position
	Version int64
}

// PurgeCount counts what a purge removes.
type PurgeCount struct {
	Customers int64
	Existing  int64 // records that are not deleted
	Deleted   int64 // records that are deleted, and not purged
	Versions  int64 // of all of them, those that were archived included
}

// Purged returns the tombstone of a record: its IDs, its version and its times, and no value. A record that is not deleted is deleted by
// that, and the event is to be saved; otherwise the event is nil.
func (r Provider) Purged(now time.Time) (next Provider, event *Event) {
	next = r
	if !r.Deleted {
		next, event = remove(r, Actor{}, now)
		event.Changes = nil
	}
	for id := range next.Values {
		if !property.Table[id].Nullable {
			next.Values[id] = property.Text("")
		}
	}
	return next, event
}

// purgePiece is how many versions a transaction of a purge removes at most.
const purgePiece = 50

// PurgeProvider purges a deleted record.
//
// Errors: CodeNotFound; ErrNotDeleted.
func PurgeProvider(ctx context.Context, s Store, organization int64, id uuid.UUID) error {
	latest, err := s.Events(ctx, organization, id, math.MaxInt64, 1)
	switch {
	case err != nil:
		return err
	case len(latest) == 0:
		return ErrNotFound
	case latest[0].Action != Deleted:
		return ErrNotDeleted
	}
	p := purge{store: s, organization: organization, remove: s.Purge}
	if err := p.add(ctx, RecordVersion{id, latest[0].Version}); err != nil {
		return err
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	return s.Scrub(ctx)
}

// PurgeCustomer purges all records of a customer, deleted or not, and the customer. progress is called with how many records were purged
// since the last call.
//
// Errors: CodeNoCustomer.
func PurgeCustomer(ctx context.Context, s Store, organization int64, customer uuid.UUID, progress func(records int)) error {
	p := purge{store: s, organization: organization, remove: s.Purge, progress: progress}
	if _, err := s.CloseCustomer(ctx, organization, customer); err != nil {
		return err
	}
	for {
		for _, deleted := range []bool{false, true} { // a record that the API deletes is then among the second
			if err := p.customer(ctx, customer, deleted); err != nil {
				return err
			}
		}
		opened, err := s.CloseCustomer(ctx, organization, customer)
		if err != nil {
			return err
		}
		if !opened { // so no record was added
			return s.Scrub(ctx)
		}
	}
}

// PurgeOrganization removes an organization and all that belongs to it. progress is called with how many records were removed since the
// last call. Records that are imported in the meantime are removed, too.
func PurgeOrganization(ctx context.Context, s Store, organization int64, progress func(records int)) error {
	p := purge{store: s, organization: organization, remove: s.RemoveRecords, progress: progress}
	for {
		if err := p.all(ctx); err != nil {
			return err
		}
		removed, err := s.RemoveOrganization(ctx, organization)
		if err != nil {
			return err
		}
		if removed {
			return s.Scrub(ctx)
		}
	}
}

// purge collects records until they have as many versions as a transaction removes.
type purge struct {
	store        Store
	organization int64
	remove       func(ctx context.Context, organization int64, ids []uuid.UUID) error
	progress     func(records int) // may be nil

	ids      []uuid.UUID
	versions int64
}

func (p *purge) customer(ctx context.Context, customer uuid.UUID, deleted bool) error {
	var after *Position
	for {
		records, err := p.store.ListOfCustomer(ctx, p.organization, customer, deleted, after, purgePiece)
		if err != nil {
			return err
		}
		for i := range records {
			if err := p.add(ctx, RecordVersion{records[i].ID, records[i].Version}); err != nil {
				return err
			}
		}
		if len(records) < purgePiece {
			return p.flush(ctx)
		}
		after = &records[len(records)-1].Position
	}
}

func (p *purge) all(ctx context.Context) error {
	var after *uuid.UUID
	for {
		records, err := p.store.ListVersions(ctx, p.organization, after, purgePiece)
		if err != nil {
			return err
		}
		for i := range records {
			if err := p.add(ctx, records[i]); err != nil {
				return err
			}
		}
		if len(records) < purgePiece {
			return p.flush(ctx)
		}
		after = &records[len(records)-1].ID
	}
}

// add adds a record. It removes the oldest events of a long history on their own.
func (p *purge) add(ctx context.Context, r RecordVersion) error {
	for upTo := int64(purgePiece); upTo < r.Version; upTo += purgePiece {
		if _, err := p.store.RemoveEvents(ctx, p.organization, []RecordVersion{{r.ID, upTo}}); err != nil {
			return err
		}
	}
	p.ids = append(p.ids, r.ID)
	if p.versions += min(r.Version, purgePiece); p.versions < purgePiece {
		return nil
	}
	return p.flush(ctx)
}

func (p *purge) flush(ctx context.Context) error {
	if len(p.ids) == 0 {
		return nil
	}
	if err := p.remove(ctx, p.organization, p.ids); err != nil {
		return err
	}
	if p.progress != nil {
		p.progress(len(p.ids))
	}
	p.ids, p.versions = p.ids[:0], 0
	return nil
}
