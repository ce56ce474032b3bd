package storetest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testCreate(t *testing.T, s *suite) {
	t.Run("a record is returned as it stands", func(t *testing.T) {
		x := s.tenant(t)
		now := s.clock.move(time.Second)
		w := x.createOf(x.customer, provider.Patch{Type: set(provider.Specialist), Phone: text("+1 555 0100"), IsActive: set(new(false))})
		got := x.write(w)
		equal(t, "record", got, provider.Provider{
			ID: w.ID, CustomerID: x.customer, Version: 1, CreatedAt: now, UpdatedAt: now,
			Type: provider.Specialist, Phone: new("+1 555 0100"), IsActive: new(false),
		})
		x.unchanged(got)
		equal(t, "history", x.history(w.ID), []provider.Event{{ProviderID: w.ID, Version: 1, At: now, Action: provider.Created, By: by, Changes: []provider.Change{
			{Field: "customerId", From: nil, To: x.customer.String()},
			{Field: "providerType", From: nil, To: "Specialist"},
			{Field: "phone", From: nil, To: "+1 555 0100"},
			{Field: "isActive", From: nil, To: false},
		}}})
	})

	for _, patch := range []provider.Patch{patchOfAll(true), patchOfAll(false), patchOfNulls(), {}} {
		t.Run("it has the values that it was given", func(t *testing.T) {
			x := s.tenant(t)
			record := x.write(x.createOf(x.customer, patch))
			want, _ := patch.Apply(record)
			x.unchanged(want)
		})
	}

	t.Run("no field of a record is forgotten", func(t *testing.T) {
		x := s.tenant(t)
		patch := patchOfEveryField(t)
		created := x.write(x.createOf(x.customer, patch))
		patch.CustomerID.Value = x.customerElsewhere()
		updated := x.update(x.make(provider.Patch{}), patch)
		for _, record := range []provider.Provider{created, updated} {
			want, _ := patch.Apply(record)
			want.CustomerID = record.CustomerID
			got := x.find(record.CustomerID, record.ID)
			equal(t, "record", got, want)
			fields := reflect.ValueOf(got)
			for i := range fields.NumField() {
				if name := fields.Type().Field(i).Name; name != "Deleted" && fields.Field(i).IsZero() {
					t.Errorf("%s has no value", name)
				}
			}
		}
	})

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
			x.refuse(w, provider.Internal)
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

// patchOfEveryField sets every property by what a Patch has, whether the suite knows it or not.
func patchOfEveryField(t *testing.T) provider.Patch {
	t.Helper()
	var patch provider.Patch
	fields := reflect.ValueOf(&patch).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		fields.Field(i).FieldByName("Set").SetBool(true)
		switch value := fields.Field(i).FieldByName("Value").Addr().Interface().(type) {
		case *uuid.UUID: // a customer, the test's to choose
		case *provider.Type:
			*value = provider.Pharmacy
		case **string:
			*value = new(name)
		case **bool:
			*value = new(true)
		default:
			t.Fatalf("the suite has no value for %s", name)
		}
	}
	return patch
}

func testDelete(t *testing.T, s *suite) {
	t.Run("a record is gone, and its history tells what it was", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(provider.Patch{Type: set(provider.Pharmacy), City: text("Springfield"), IsActive: set(new(false))})
		beside := x.make(patchOfAll(true))
		now := s.clock.move(time.Second)
		got := x.write(x.deleteOf(record))
		equal(t, "ID", got.ID, record.ID)
		equal(t, "version", got.Version, int64(2))
		equal(t, "deleted", got.Deleted, true)
		x.notFound(record.CustomerID, record.ID)
		equal(t, "event", x.history(record.ID)[1], provider.Event{ProviderID: record.ID, Version: 2, At: now, Action: provider.Deleted, By: by, Changes: []provider.Change{
			{Field: "customerId", From: x.customer.String(), To: nil},
			{Field: "providerType", From: "Pharmacy", To: nil},
			{Field: "city", From: "Springfield", To: nil},
			{Field: "isActive", From: false, To: nil},
		}})
		x.unchanged(beside)
	})

	t.Run("of every property, its last value", func(t *testing.T) {
		x := s.tenant(t)
		record := x.update(x.make(patchOfAll(true)), patchOfAll(false))
		x.write(x.deleteOf(record, 2))
		changes := x.chain(record.ID)[2].Changes
		equal(t, "changes", len(changes), 2+len(properties))
		for i, p := range properties {
			equal(t, "change", changes[2+i], provider.Change{Field: p.name, From: p.get(&record), To: nil})
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
				beside := x.make(provider.Patch{})
				x.write(x.deleteOf(record))
				customer := x.customer
				if elsewhere {
					customer = x.customerElsewhere()
				}
				now := s.clock.move(time.Second)
				got := x.makeWithID(record.ID, provider.Patch{CustomerID: set(customer), Type: set(record.Type), City: text("Springfield")})
				equal(t, "record", got, provider.Provider{
					ID: record.ID, CustomerID: customer, Version: 3, CreatedAt: now, UpdatedAt: now, Type: record.Type, City: new("Springfield"),
				})
				x.unchanged(got)
				events := x.chain(record.ID)
				equal(t, "last event", events[2], provider.Event{ProviderID: record.ID, Version: 3, At: now, Action: provider.Created, Changes: []provider.Change{
					{Field: "customerId", From: nil, To: customer.String()},
					{Field: "providerType", From: nil, To: string(record.Type)},
					{Field: "city", From: nil, To: "Springfield"},
				}})
				listed := append(x.list(provider.List{CustomerID: customer, Limit: 10}), x.list(provider.List{Limit: 10})...)
				equal(t, "first of the list", listed[0], got)
				equal(t, "last of the list", listed[len(listed)-1], beside)

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
		record := x.make(provider.Patch{})
		s.clock.move(-time.Hour)
		x.write(x.deleteOf(record))
		got := x.makeWithID(record.ID, provider.Patch{})
		equal(t, "createdAt", got.CreatedAt, record.UpdatedAt)
		for _, event := range x.history(record.ID) {
			equal(t, "time of event", event.At, record.UpdatedAt)
		}
	})
}

func testEvents(t *testing.T, s *suite) {
	events := func(x *tenant, r provider.Provider, before int64, limit int) []provider.Event {
		t.Helper()
		events, err := s.Events(t.Context(), x.number, r.CustomerID, r.ID, before, limit)
		if err != nil {
			t.Fatalf("events: %v", err)
		}
		return events
	}

	t.Run("the latest come first, page by page", func(t *testing.T) {
		x := s.tenant(t)
		record := x.write(x.createOf(x.customer, patchOfAll(true)))
		elsewhere := x.customerElsewhere()
		for _, patch := range []provider.Patch{patchOfAll(false), patchOfNulls(), {CustomerID: set(elsewhere)}, patchOfAll(true), {Notes: text("")}, {City: text("a")}} {
			s.clock.move(time.Millisecond)
			record = x.update(record, patch)
		}
		x.make(provider.Patch{}) // another record's events stay out of it
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
		patch.CustomerID = set(customer)
		record, others := x.makeWithID(id, patch), other.makeWithID(id, patch)
		x.update(record, patchOfAll(false))
		equal(t, "events", len(events(x, record, 0, 10)), 2)
		equal(t, "the other's events", len(events(other, others, 0, 10)), 1)
	})
}
