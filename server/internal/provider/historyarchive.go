package provider

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// RecordVersion is a record, deleted or not, and its version.
type RecordVersion struct {
	ID      uuid.UUID
	Version int64
}

// archivePiece is how many records, or events, of an archive are in memory at once.
const archivePiece = 500

// Archive hands the events that are older than a time to save, some at a time, and removes them once save has returned. The latest
// event of each record stays. It returns how many events were removed. It can be stopped and begun again at any time.
//
// Errors: save's, and the store's.
func Archive(ctx context.Context, s Store, before time.Time, save func([]OrganizationEvent) error) (removed int, _ error) {
	organizations, err := s.ListOrganizations(ctx)
	if err != nil {
		return 0, err
	}
	for _, organization := range organizations {
		a := archive{store: s, before: before, save: save, organization: organization}
		err := a.run(ctx)
		removed += a.removed
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// archive is the archive of one organization.
type archive struct {
	store        Store
	before       time.Time
	save         func([]OrganizationEvent) error
	organization Organization

	events  []OrganizationEvent // to be saved
	records []RecordVersion     // whose events they are, up to that version
	removed int
}

func (a *archive) run(ctx context.Context) error {
	var after *uuid.UUID
	for {
		records, err := a.store.ListVersions(ctx, a.organization.Number, after, archivePiece)
		if err != nil {
			return err
		}
		for i := range records {
			if err := a.add(ctx, &records[i]); err != nil {
				return err
			}
		}
		if len(records) < archivePiece {
			return a.flush(ctx)
		}
		after = &records[len(records)-1].ID
	}
}

// add adds the old events of a record.
func (a *archive) add(ctx context.Context, r *RecordVersion) error {
	h := ownHistory{owner: Owner{Organization: a.organization.Number, Version: r.Version - 1}} // without the latest
	for {
		if err := h.fill(ctx, a.store, r.ID); err != nil {
			return err
		}
		last := int64(0)
		for _, event := range h.window {
			if event.Version >= r.Version || !event.At.Before(a.before) {
				break
			}
			a.events = append(a.events, OrganizationEvent{a.organization.Name, event})
			last = event.Version
		}
		if last == 0 {
			return nil
		}
		a.records = append(a.records, RecordVersion{r.ID, last})
		if len(a.events) >= archivePiece {
			if err := a.flush(ctx); err != nil {
				return err
			}
		}
		if last != h.window[len(h.window)-1].Version {
			return nil
		}
		h.window = nil
	}
}

// flush saves the events, and then removes them.
func (a *archive) flush(ctx context.Context) error {
	if len(a.events) == 0 {
		return nil
	}
	if err := a.save(a.events); err != nil {
		return err
	}
	removed, err := a.store.RemoveEvents(ctx, a.organization.Number, a.records)
	a.removed += removed
	a.events, a.records = a.events[:0], a.records[:0]
	return err
}
