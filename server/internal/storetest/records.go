package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testCreate(t *testing.T, s *suite) {
	t.Run("a record is returned as it stands", func(t *testing.T) {
		org := s.tenant(t)
		now := s.clock.Move(time.Second)
		w := org.createOf(org.customer, property.Patch{Values: property.Values{property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false)}})
		got := org.write(w)
		equal(t, "record", got, provider.Provider{
			ID: w.ID, CustomerID: org.customer, Version: 1, CreatedAt: now, UpdatedAt: now,
			Values: valuesOf(property.Values{
				property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false),
			}),
		})
		org.unchanged(got)
		equal(t, "history", org.history(w.ID), []provider.Event{{ProviderID: w.ID, Version: 1, At: now, Action: provider.Created, By: by, Changes: []provider.Change{
			{Field: "customerId", From: property.Null, To: property.Text(org.customer.String())},
			{Field: "providerType", From: property.Null, To: property.Text("Specialist")},
			{Field: "phone", From: property.Null, To: property.Text("+1 555 0100")},
			{Field: "isActive", From: property.Null, To: property.Boolean(false)},
		}}})
	})

	for _, patch := range []property.Patch{patchOfAll(true), patchOfAll(false), patchOfNulls(), {}} {
		t.Run("it has the values that it was given", func(t *testing.T) {
			org := s.tenant(t)
			record := org.write(org.createOf(org.customer, patch))
			want, _ := record.With(&patch)
			org.unchanged(want)
			if slices.Contains(want.Values[:], property.Value{}) {
				t.Errorf("a property has no value, not even null: %v", want.Values)
			}
		})
	}

	t.Run("not under a customer whom the organization does not have", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		for name, customer := range map[string]uuid.UUID{"unknown": uuid.New(), "another organization's": other.customer, "nil": uuid.Nil} {
			w := org.createOf(customer, patchOfAll(true))
			if _, err := s.Write(t.Context(), w); err != provider.ErrNoCustomer {
				t.Errorf("%s: error %v, want %v", name, err, provider.ErrNoCustomer)
			}
			org.notFound(customer, w.ID)
			equal(t, "events", len(org.history(w.ID)), 0)
		}
	})

	t.Run("not under an ID that was used", func(t *testing.T) {
		org := s.tenant(t)
		record, deleted := org.create(patchOfAll(true)), org.create(patchOfAll(true))
		org.write(org.deleteOf(deleted))
		for _, id := range []uuid.UUID{record.ID, deleted.ID} {
			w := org.createOf(org.customer, patchOfAll(false))
			w.ID = id
			org.rejects(w, provider.CodeInternal)
		}
		org.unchanged(record)
		org.notFound(deleted.CustomerID, deleted.ID)
	})

	t.Run("the same ID in two organizations is two records", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		record := org.create(patchOfAll(true))
		w := other.createOf(other.customer, patchOfAll(false))
		w.ID = record.ID
		others := other.write(w)
		equal(t, "version", others.Version, int64(1))
		equal(t, "the one", org.find(record.CustomerID, record.ID), record)
		other.write(other.deleteOf(others))
		equal(t, "the one, once the other is gone", org.find(record.CustomerID, record.ID), record)
	})
}

func testDelete(t *testing.T, s *suite) {
	t.Run("a record is gone, and its history tells what it was", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{Values: property.Values{property.ProviderType: property.Text("Pharmacy"), property.City: property.Text("Springfield"), property.IsActive: property.Boolean(false)}})
		other := org.create(patchOfAll(true))
		now := s.clock.Move(time.Second)
		got := org.write(org.deleteOf(record))
		equal(t, "ID", got.ID, record.ID)
		equal(t, "version", got.Version, int64(2))
		equal(t, "deleted", got.Deleted, true)
		org.notFound(record.CustomerID, record.ID)
		equal(t, "event", org.history(record.ID)[1], provider.Event{ProviderID: record.ID, Version: 2, At: now, Action: provider.Deleted, By: by, Changes: []provider.Change{
			{Field: "customerId", From: property.Text(org.customer.String()), To: property.Null},
			{Field: "providerType", From: property.Text("Pharmacy"), To: property.Null},
			{Field: "city", From: property.Text("Springfield"), To: property.Null},
			{Field: "isActive", From: property.Boolean(false), To: property.Null},
		}})
		org.unchanged(other)
	})

	t.Run("of every property, its last value", func(t *testing.T) {
		org := s.tenant(t)
		record := org.update(org.create(patchOfAll(true)), patchOfAll(false))
		org.write(org.deleteOf(record, 2))
		changes := org.chain(record.ID)[2].Changes
		equal(t, "changes", len(changes), 1+len(property.Table))
		for id, p := range property.Table {
			equal(t, "change", changes[1+id], provider.Change{Field: p.Name, From: record.Values[id], To: property.Null})
		}
	})

	t.Run("an unknown record is not found", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		org.notFound(record.CustomerID, uuid.New())
		org.notFound(org.customerElsewhere(), record.ID)
		org.notFound(uuid.New(), record.ID)
		org.unchanged(record)
	})

	t.Run("a deleted record that is imported is made again and goes on with its history", func(t *testing.T) {
		for name, elsewhere := range map[string]bool{"under its customer": false, "under another": true} {
			t.Run(name, func(t *testing.T) {
				org := s.tenant(t)
				record := org.create(patchOfAll(true))
				other := org.create(property.Patch{})
				org.write(org.deleteOf(record))
				customer := org.customer
				if elsewhere {
					customer = org.customerElsewhere()
				}
				now := s.clock.Move(time.Second)
				got := org.createWithID(record.ID, property.Patch{CustomerID: new(customer), Values: property.Values{property.ProviderType: record.Values[property.ProviderType], property.City: property.Text("Springfield")}})
				equal(t, "record", got, provider.Provider{
					ID: record.ID, CustomerID: customer, Version: 3, CreatedAt: now, UpdatedAt: now,
					Values: valuesOf(property.Values{property.ProviderType: record.Values[property.ProviderType], property.City: property.Text("Springfield")}),
				})
				org.unchanged(got)
				events := org.chain(record.ID)
				equal(t, "last event", events[2], provider.Event{ProviderID: record.ID, Version: 3, At: now, Action: provider.Created, Changes: []provider.Change{
					{Field: "customerId", From: property.Null, To: property.Text(customer.String())},
					{Field: "providerType", From: property.Null, To: record.Values[property.ProviderType]},
					{Field: "city", From: property.Null, To: property.Text("Springfield")},
				}})
				listed := append(org.list(provider.List{CustomerID: customer, Limit: 10}), org.list(provider.List{Limit: 10})...)
				equal(t, "first of the list", listed[0], got)
				equal(t, "last of the list", listed[len(listed)-1], other)

				again := org.update(got, patchOfAll(false), 3)
				org.write(org.deleteOf(again, 4))
				org.notFound(customer, record.ID)
				equal(t, "events", len(org.chain(record.ID)), 5)
			})
		}
	})

	t.Run("an import that keeps what exists leaves it deleted", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		org.write(org.deleteOf(record))
		one := org.importOf(record.ID, patchOfAll(false))
		one.KeepExisting = true
		org.imports(one)
		org.notFound(record.CustomerID, record.ID)
		equal(t, "events", len(org.history(record.ID)), 2)
	})

	t.Run("the clock may have been turned back", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		s.clock.Move(-time.Hour)
		org.write(org.deleteOf(record))
		got := org.createWithID(record.ID, property.Patch{})
		equal(t, "createdAt", got.CreatedAt, record.UpdatedAt)
		for _, event := range org.history(record.ID) {
			equal(t, "time of event", event.At, record.UpdatedAt)
		}
	})
}

func testHistory(t *testing.T, s *suite) {
	events := func(org *tenant, r provider.Provider, before int64, limit int) []provider.Event {
		t.Helper()
		events, err := s.History(t.Context(), org.number, r.CustomerID, r.ID, before, limit)
		if err != nil {
			t.Fatalf("events: %v", err)
		}
		return events
	}

	t.Run("the latest come first, page by page", func(t *testing.T) {
		org := s.tenant(t)
		record := org.write(org.createOf(org.customer, patchOfAll(true)))
		elsewhere := org.customerElsewhere()
		for _, patch := range []property.Patch{patchOfAll(false), patchOfNulls(), {CustomerID: &elsewhere}, patchOfAll(true), set(property.Notes, ""), set(property.City, "a")} {
			s.clock.Move(time.Millisecond)
			record = org.update(record, patch)
		}
		org.create(property.Patch{}) // another record's events stay out of it
		want := org.history(record.ID)
		slices.Reverse(want)
		equal(t, "events", events(org, record, 0, 100), want)
		for limit := 1; limit <= len(want)+1; limit++ {
			var got []provider.Event
			before := int64(0)
			for {
				page := events(org, record, before, limit)
				if len(page) > limit {
					t.Fatalf("%d events, want at most %d", len(page), limit)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				before = page[len(page)-1].Version
			}
			equal(t, "pages", got, want)
		}
		equal(t, "events before the first", len(events(org, record, 1, 10)), 0)
		equal(t, "events before one to come", events(org, record, 100, 2), want[:2])
	})

	t.Run("a page anywhere in a long history", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		id := uuid.New()
		record := org.createWithID(id, property.Patch{})
		others := other.createWithID(id, property.Patch{}) // whose history is another one
		for n := range 300 {
			record = org.update(record, set(property.City, fmt.Sprint(n)))
			if n%3 == 0 {
				others = other.update(others, set(property.City, fmt.Sprint(n)))
			}
			if n == 150 { // its history goes on
				org.write(org.deleteOf(record))
				record = org.createWithID(id, property.Patch{CustomerID: &record.CustomerID})
			}
		}
		all, err := org.Events(t.Context(), org.number, id, math.MaxInt64, 1000)
		if err != nil || int64(len(all)) != record.Version || all[0].Version != record.Version {
			t.Fatalf("%d events of %d versions, %v", len(all), record.Version, err)
		}
		for before := int64(1); before < record.Version+3; before++ {
			later := max(0, record.Version+1-before) // events that are not before
			want := all[later:]
			equal(t, fmt.Sprint("events before ", before), events(org, record, before, 5), want[:min(5, len(want))])
		}
	})

	t.Run("the same ID in two organizations has two histories", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		id, customer := uuid.New(), uuid.New()
		patch := patchOfAll(true)
		patch.CustomerID = new(customer)
		record, others := org.createWithID(id, patch), other.createWithID(id, patch)
		org.update(record, patchOfAll(false))
		equal(t, "events", len(events(org, record, 0, 10)), 2)
		equal(t, "the other's events", len(events(other, others, 0, 10)), 1)
	})
}

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

func testPurge(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	id := uuid.New()
	record, others := org.createWithID(id, patchOfAll(true)), other.createWithID(id, patchOfAll(true))
	for n := range 100 {
		record = org.update(record, set(property.City, fmt.Sprint(n)))
	}
	if err := s.Purge(t.Context(), org.number, id); err != provider.ErrNotDeleted {
		t.Errorf("a record that is not deleted: %v", err)
	}
	if err := s.Purge(t.Context(), org.number, uuid.New()); CodeOrText(err) != provider.CodeNotFound {
		t.Errorf("an unknown record: %v", err)
	}
	equal(t, "the record", org.find(record.CustomerID, id), record)
	org.write(org.deleteOf(record))
	for range 2 { // the second has nothing to do
		if err := s.Purge(t.Context(), org.number, id); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Events(t.Context(), org.number, id, math.MaxInt64, 1000)
	if err != nil || len(events) != 1 || events[0].Action != provider.Deleted || events[0].Version != 102 || len(events[0].Changes) != 0 {
		t.Errorf("after it: %d events, the latest %+v, %v; want the deletion without values", len(events), events, err)
	}
	equal(t, "the other's record", other.find(others.CustomerID, id), others)
	record = org.createWithID(id, property.Patch{CustomerID: &record.CustomerID})
	equal(t, "the version of a new one", record.Version, int64(103))
}
