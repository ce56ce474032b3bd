package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testArchive(t *testing.T, s *suite) {
	archive := func(before time.Time) (saved []provider.OrganizationEvent, removed int) {
		t.Helper()
		removed, err := provider.Archive(t.Context(), s, before, func(events []provider.OrganizationEvent) error {
			saved = append(saved, events...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return saved, removed
	}
	archive(s.clock.Now()) // what other tests have left

	t.Run("old events are handed over and removed, but the latest of each record", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		id := uuid.New()
		record, others := org.createWithID(id, property.Patch{}), other.createWithID(id, property.Patch{})
		for n := range 1200 { // several windows
			record = org.update(record, set(property.City, fmt.Sprint(n)))
		}
		before := s.clock.Move(time.Second)
		for n := range 3 {
			record = org.update(record, set(property.Notes, fmt.Sprint(n)))
		}
		want, err := HistoryByID(t.Context(), org, id)
		if err != nil {
			t.Fatal(err)
		}
		var old, rest []provider.OrganizationEvent
		for _, event := range want {
			if event.Organization == org.name && event.At.Before(before) {
				old = append(old, event)
			} else {
				rest = append(rest, event)
			}
		}
		saved, removed := archive(before)
		saved = slices.DeleteFunc(saved, func(e provider.OrganizationEvent) bool { return e.ProviderID != id })
		equal(t, "saved", saved, old)
		if removed < len(old) {
			t.Errorf("%d events were removed, want %d", removed, len(old))
		}
		got, err := HistoryByID(t.Context(), org, id)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "what is left", got, rest)
		page, err := s.History(t.Context(), org.number, record.CustomerID, id, 1203, 10)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "a page at its end", len(page), 1)
		equal(t, "the record", org.find(record.CustomerID, id), record)
		if again, removed := archive(before); len(again) != 0 || removed != 0 {
			t.Errorf("again: %d events saved, %d removed", len(again), removed)
		}
		record = org.update(record, set(property.City, "later"))
		equal(t, "the version after it", record.Version, int64(1205))
		equal(t, "the other's record", other.find(others.CustomerID, id), others)
	})

	t.Run("nothing is removed that was not saved", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		record = org.update(record, set(property.City, "a"))
		full := errors.New("the disk is full")
		removed, err := provider.Archive(t.Context(), s, s.clock.Move(time.Second), func([]provider.OrganizationEvent) error { return full })
		if err != full || removed != 0 {
			t.Errorf("%d removed, error %v", removed, err)
		}
		equal(t, "events", int64(len(org.history(record.ID))), record.Version)
	})
}
