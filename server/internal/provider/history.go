package provider

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
)

// Owner is an organization that has or had a record of some ID.
type Owner struct {
	Organization int64
	Name         string
	Version      int64 // of the record
}

// OrganizationEvent is an event and the name of the organization that its record belongs to.
type OrganizationEvent struct {
	Organization string
	Event
}

// historyWindow is how many events of a record are in memory at once.
const historyWindow = 500

// HistoryByID calls f for each event of every record that has or had the ID, in any organization, the oldest first. It is for the
// operator. It stops at f's first error and returns it. An unknown ID has no events.
func HistoryByID(ctx context.Context, s Store, id uuid.UUID, f func(*OrganizationEvent) error) error {
	owners, err := s.Owners(ctx, id)
	if err != nil {
		return err
	}
	histories := make([]*ownHistory, len(owners))
	for i, owner := range owners {
		histories[i] = &ownHistory{owner: owner}
	}
	for {
		for _, h := range histories {
			if err := h.fill(ctx, s, id); err != nil {
				return err
			}
		}
		histories = slices.DeleteFunc(histories, func(h *ownHistory) bool { return len(h.window) == 0 })
		if len(histories) == 0 {
			return nil
		}
		oldest := slices.MinFunc(histories, func(a, b *ownHistory) int {
			return cmp.Or(a.window[0].At.Compare(b.window[0].At), cmp.Compare(a.owner.Organization, b.owner.Organization))
		})
		if err := f(&OrganizationEvent{oldest.owner.Name, oldest.window[0]}); err != nil {
			return err
		}
		oldest.window = oldest.window[1:]
	}
}

// ownHistory is the history of one organization's record.
type ownHistory struct {
	owner  Owner
	window []Event // the next events, the oldest first
	read   int64   // the version up to which events were read
}

// fill reads the next events once the window is empty, unless there are none.
func (h *ownHistory) fill(ctx context.Context, s Store, id uuid.UUID) (err error) {
	for len(h.window) == 0 && h.read < h.owner.Version {
		h.window, err = s.Events(ctx, h.owner.Organization, id, h.read+historyWindow+1, historyWindow)
		if err != nil {
			return err
		}
		slices.Reverse(h.window)
		h.window = slices.DeleteFunc(h.window, func(e Event) bool { return e.Version <= h.read })
		h.read += historyWindow
	}
	return nil
}
