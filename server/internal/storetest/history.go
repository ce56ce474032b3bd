package storetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

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

func testHistoryByID(t *testing.T, s *suite) {
	t.Run("it tells who changed what, when, from what to what", func(t *testing.T) {
		org := s.tenant(t)
		made := s.clock.Move(time.Second)
		record := org.create(property.Patch{Values: property.Values{property.ProviderType: property.Text("Hospital"), property.City: property.Text("Springfield"), property.IsActive: property.Boolean(true)}})
		changed := s.clock.Move(time.Second)
		u := org.updateOf(record, property.Patch{Values: property.Values{property.ProviderType: property.Text("Pharmacy"), property.City: property.Null, property.IsActive: property.Boolean(false), property.Notes: property.Text("")}})
		u.By = provider.Actor{KeyID: "key_abc", RequestID: "request 1"}
		if _, err := s.Write(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		equal(t, "history", org.history(record.ID), []provider.Event{
			{ProviderID: record.ID, Version: 1, At: made, Action: provider.Created, Changes: []provider.Change{
				{Field: "customerId", From: property.Null, To: property.Text(org.customer.String())},
				{Field: "providerType", From: property.Null, To: property.Text("Hospital")},
				{Field: "city", From: property.Null, To: property.Text("Springfield")},
				{Field: "isActive", From: property.Null, To: property.Boolean(true)},
			}},
			{ProviderID: record.ID, Version: 2, At: changed, Action: provider.Updated, By: u.By, Changes: []provider.Change{
				{Field: "providerType", From: property.Text("Hospital"), To: property.Text("Pharmacy")},
				{Field: "city", From: property.Text("Springfield"), To: property.Null},
				{Field: "isActive", From: property.Boolean(true), To: property.Boolean(false)},
				{Field: "notes", From: property.Null, To: property.Text("")},
			}},
		})
	})

	t.Run("an unknown record has none", func(t *testing.T) {
		org := s.tenant(t)
		equal(t, "events", len(org.history(uuid.New())), 0)
	})

	t.Run("a rejected change has none", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		org.rejects(org.updateOf(record, property.Patch{CustomerID: new(uuid.New())}), provider.CodeUnknownCustomer)
		org.rejects(org.updateOf(record, patchOfAll(true), 9), provider.CodePreconditionFailed)
		equal(t, "events", len(org.history(record.ID)), 1)
	})

	t.Run("the oldest event comes first, also of several organizations", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		id := uuid.New()
		records := []provider.Provider{other.createWithID(id, property.Patch{}), org.createWithID(id, property.Patch{})}
		for n := range 12 {
			s.clock.Move(time.Second)
			tenant, record := []*tenant{other, org}[n%2], &records[n%2]
			*record = tenant.update(*record, set(property.City, fmt.Sprint(n)))
		}
		var cities []string
		for _, event := range org.history(id)[2:] {
			city, _ := event.Changes[0].To.Text()
			cities = append(cities, city)
		}
		equal(t, "cities in the history", cities, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"})
	})
}
