package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testCreate(t *testing.T, s *suite) {
	t.Run("a record is returned as it stands", func(t *testing.T) {
		x := s.tenant(t)
		now := s.clock.move(time.Second)
		w := x.createOf(x.customer, property.Patch{Values: property.Values{property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false)}})
		got := x.write(w)
		equal(t, "record", got, provider.Provider{
			ID: w.ID, CustomerID: x.customer, Version: 1, CreatedAt: now, UpdatedAt: now,
			Values: valuesOf(property.Values{
				property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false),
			}),
		})
		x.unchanged(got)
		equal(t, "history", x.history(w.ID), []provider.Event{{ProviderID: w.ID, Version: 1, At: now, Action: provider.Created, By: by, Changes: []provider.Change{
			{Field: "customerId", From: property.Null, To: property.Text(x.customer.String())},
			{Field: "providerType", From: property.Null, To: property.Text("Specialist")},
			{Field: "phone", From: property.Null, To: property.Text("+1 555 0100")},
			{Field: "isActive", From: property.Null, To: property.Boolean(false)},
		}}})
	})

	for _, patch := range []property.Patch{patchOfAll(true), patchOfAll(false), patchOfNulls(), {}} {
		t.Run("it has the values that it was given", func(t *testing.T) {
			x := s.tenant(t)
			record := x.write(x.createOf(x.customer, patch))
			want, _ := record.With(&patch)
			x.unchanged(want)
			if slices.Contains(want.Values[:], property.Value{}) {
				t.Errorf("a property has no value, not even null: %v", want.Values)
			}
		})
	}

	t.Run("not under a customer whom the organization does not have", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		for name, customer := range map[string]uuid.UUID{"unknown": uuid.New(), "another organization's": other.customer, "nil": uuid.Nil} {
			w := x.createOf(customer, patchOfAll(true))
			if _, err := s.Write(t.Context(), w); err != provider.ErrNoCustomer {
				t.Errorf("%s: error %v, want %v", name, err, provider.ErrNoCustomer)
			}
			x.notFound(customer, w.ID)
			equal(t, "events", len(x.history(w.ID)), 0)
		}
	})

	t.Run("not under an ID that was used", func(t *testing.T) {
		x := s.tenant(t)
		record, deleted := x.make(patchOfAll(true)), x.make(patchOfAll(true))
		x.write(x.deleteOf(deleted))
		for _, id := range []uuid.UUID{record.ID, deleted.ID} {
			w := x.createOf(x.customer, patchOfAll(false))
			w.ID = id
			x.refuse(w, provider.CodeInternal)
		}
		x.unchanged(record)
		x.notFound(deleted.CustomerID, deleted.ID)
	})

	t.Run("the same ID in two organizations is two records", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		record := x.make(patchOfAll(true))
		w := other.createOf(other.customer, patchOfAll(false))
		w.ID = record.ID
		others := other.write(w)
		equal(t, "version", others.Version, int64(1))
		equal(t, "the one", x.find(record.CustomerID, record.ID), record)
		other.write(other.deleteOf(others))
		equal(t, "the one, once the other is gone", x.find(record.CustomerID, record.ID), record)
	})
}

func testDelete(t *testing.T, s *suite) {
	t.Run("a record is gone, and its history tells what it was", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{Values: property.Values{property.ProviderType: property.Text("Pharmacy"), property.City: property.Text("Springfield"), property.IsActive: property.Boolean(false)}})
		other := x.make(patchOfAll(true))
		now := s.clock.move(time.Second)
		got := x.write(x.deleteOf(record))
		equal(t, "ID", got.ID, record.ID)
		equal(t, "version", got.Version, int64(2))
		equal(t, "deleted", got.Deleted, true)
		x.notFound(record.CustomerID, record.ID)
		equal(t, "event", x.history(record.ID)[1], provider.Event{ProviderID: record.ID, Version: 2, At: now, Action: provider.Deleted, By: by, Changes: []provider.Change{
			{Field: "customerId", From: property.Text(x.customer.String()), To: property.Null},
			{Field: "providerType", From: property.Text("Pharmacy"), To: property.Null},
			{Field: "city", From: property.Text("Springfield"), To: property.Null},
			{Field: "isActive", From: property.Boolean(false), To: property.Null},
		}})
		x.unchanged(other)
	})

	t.Run("of every property, its last value", func(t *testing.T) {
		x := s.tenant(t)
		record := x.update(x.make(patchOfAll(true)), patchOfAll(false))
		x.write(x.deleteOf(record, 2))
		changes := x.chain(record.ID)[2].Changes
		equal(t, "changes", len(changes), 1+len(property.Table))
		for id, p := range property.Table {
			equal(t, "change", changes[1+id], provider.Change{Field: p.Name, From: record.Values[id], To: property.Null})
		}
	})

	t.Run("an unknown record is not found", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		x.notFound(record.CustomerID, uuid.New())
		x.notFound(x.customerElsewhere(), record.ID)
		x.notFound(uuid.New(), record.ID)
		x.unchanged(record)
	})

	t.Run("a deleted record that is imported is made anew and goes on with its history", func(t *testing.T) {
		for name, elsewhere := range map[string]bool{"under its customer": false, "under another": true} {
			t.Run(name, func(t *testing.T) {
				x := s.tenant(t)
				record := x.make(patchOfAll(true))
				other := x.make(property.Patch{})
				x.write(x.deleteOf(record))
				customer := x.customer
				if elsewhere {
					customer = x.customerElsewhere()
				}
				now := s.clock.move(time.Second)
				got := x.makeWithID(record.ID, property.Patch{CustomerID: new(customer), Values: property.Values{property.ProviderType: record.Values[property.ProviderType], property.City: property.Text("Springfield")}})
				equal(t, "record", got, provider.Provider{
					ID: record.ID, CustomerID: customer, Version: 3, CreatedAt: now, UpdatedAt: now,
					Values: valuesOf(property.Values{property.ProviderType: record.Values[property.ProviderType], property.City: property.Text("Springfield")}),
				})
				x.unchanged(got)
				events := x.chain(record.ID)
				equal(t, "last event", events[2], provider.Event{ProviderID: record.ID, Version: 3, At: now, Action: provider.Created, Changes: []provider.Change{
					{Field: "customerId", From: property.Null, To: property.Text(customer.String())},
					{Field: "providerType", From: property.Null, To: record.Values[property.ProviderType]},
					{Field: "city", From: property.Null, To: property.Text("Springfield")},
				}})
				listed := append(x.list(provider.List{CustomerID: customer, Limit: 10}), x.list(provider.List{Limit: 10})...)
				equal(t, "first of the list", listed[0], got)
				equal(t, "last of the list", listed[len(listed)-1], other)

				again := x.update(got, patchOfAll(false), 3)
				x.write(x.deleteOf(again, 4))
				x.notFound(customer, record.ID)
				equal(t, "events", len(x.chain(record.ID)), 5)
			})
		}
	})

	t.Run("an import that keeps what exists leaves it deleted", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		x.write(x.deleteOf(record))
		one := x.importOf(record.ID, patchOfAll(false))
		one.KeepExisting = true
		x.imports(one)
		x.notFound(record.CustomerID, record.ID)
		equal(t, "events", len(x.history(record.ID)), 2)
	})

	t.Run("the clock may have been turned back", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		s.clock.move(-time.Hour)
		x.write(x.deleteOf(record))
		got := x.makeWithID(record.ID, property.Patch{})
		equal(t, "createdAt", got.CreatedAt, record.UpdatedAt)
		for _, event := range x.history(record.ID) {
			equal(t, "time of event", event.At, record.UpdatedAt)
		}
	})
}

func testHistory(t *testing.T, s *suite) {
	events := func(x *tenant, r provider.Provider, before int64, limit int) []provider.Event {
		t.Helper()
		events, err := s.History(t.Context(), x.number, r.CustomerID, r.ID, before, limit)
		if err != nil {
			t.Fatalf("events: %v", err)
		}
		return events
	}

	t.Run("the latest come first, page by page", func(t *testing.T) {
		x := s.tenant(t)
		record := x.write(x.createOf(x.customer, patchOfAll(true)))
		elsewhere := x.customerElsewhere()
		for _, patch := range []property.Patch{patchOfAll(false), patchOfNulls(), {CustomerID: &elsewhere}, patchOfAll(true), set(property.Notes, ""), set(property.City, "a")} {
			s.clock.move(time.Millisecond)
			record = x.update(record, patch)
		}
		x.make(property.Patch{}) // another record's events stay out of it
		want := x.history(record.ID)
		slices.Reverse(want)
		equal(t, "events", events(x, record, 0, 100), want)
		for limit := 1; limit <= len(want)+1; limit++ {
			var got []provider.Event
			before := int64(0)
			for {
				page := events(x, record, before, limit)
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
		equal(t, "events before the first", len(events(x, record, 1, 10)), 0)
		equal(t, "events before one to come", events(x, record, 100, 2), want[:2])
	})

	t.Run("the same ID in two organizations has two histories", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		id, customer := uuid.New(), uuid.New()
		patch := patchOfAll(true)
		patch.CustomerID = new(customer)
		record, others := x.makeWithID(id, patch), other.makeWithID(id, patch)
		x.update(record, patchOfAll(false))
		equal(t, "events", len(events(x, record, 0, 10)), 2)
		equal(t, "the other's events", len(events(other, others, 0, 10)), 1)
	})
}
