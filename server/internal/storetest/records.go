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
