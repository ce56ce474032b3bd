package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testUpdate(t *testing.T, s *suite) {
	t.Run("a record is returned as it stands", func(t *testing.T) {
		org := s.tenant(t)
		id, now := uuid.New(), s.clock.Now()
		got := org.createWithID(id, property.Patch{Values: property.Values{property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false)}})
		equal(t, "record", got, provider.Provider{
			ID: id, CustomerID: org.customer, Version: 1, CreatedAt: now, UpdatedAt: now,
			Values: valuesOf(property.Values{
				property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false),
			}),
		})
	})

	for id, p := range property.Table {
		t.Run(p.Name+" is set, replaced, cleared and left", func(t *testing.T) {
			org := s.tenant(t)
			record := org.create(patchOfAll(true))
			one, other := samples(id)
			values := []property.Value{other, one}
			if p.Nullable {
				values = append(values, property.Null, one)
			}
			for _, to := range values {
				from := record.Values[id]
				want := record
				want.Version++
				want.UpdatedAt = s.clock.Move(time.Second)
				want.Values[id] = to

				var patch property.Patch
				patch.Values[id] = to
				record = org.update(record, patch)
				equal(t, "record", record, want)
				equal(t, "record read again", org.find(record.CustomerID, record.ID), want)
				events := org.history(record.ID)
				equal(t, "changes", events[len(events)-1].Changes, []provider.Change{{Field: p.Name, From: from, To: to}})
			}
		})
		if p.Enum == nil {
			continue
		}
		t.Run(p.Name+" has each of its values", func(t *testing.T) {
			org := s.tenant(t)
			record := org.create(patchOfNulls())
			for _, to := range p.Enum {
				record = org.update(record, set(property.ID(id), to))
				equal(t, "value", org.find(record.CustomerID, record.ID).Values[id], property.Text(to))
			}
		})
	}

	t.Run("everything changes at once", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		for _, patch := range []property.Patch{patchOfAll(false), patchOfNulls(), patchOfAll(true)} {
			want := record
			want.Version++
			want, _ = want.With(&patch)
			record = org.update(record, patch)
			equal(t, "record", record, want)
			equal(t, "record read again", org.find(record.CustomerID, record.ID), want)
		}
	})

	for _, c := range []struct {
		name  string
		patch property.Patch
	}{
		{"of nothing", property.Patch{}},
		{"to the values it has", patchOfAll(true)},
	} {
		t.Run("a change "+c.name+" writes nothing", func(t *testing.T) {
			org := s.tenant(t)
			record := org.create(patchOfAll(true))
			s.clock.Move(time.Second)
			patch := c.patch
			patch.CustomerID, patch.Values[property.ProviderType] = &record.CustomerID, record.Values[property.ProviderType]
			equal(t, "record", org.update(record, patch), record)
			equal(t, "record, with If-Match", org.update(record, patch, 1), record)
			org.unchanged(record)
		})
	}

	t.Run("a change of nulls to null writes nothing", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		s.clock.Move(time.Second)
		equal(t, "record", org.update(record, patchOfNulls()), record)
		org.unchanged(record)
	})

	t.Run("what does not change is not in the history", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		patch := patchOfAll(true)
		patch.Values[property.City] = property.Text("Springfield")
		org.update(record, patch)
		equal(t, "changes", org.history(record.ID)[1].Changes, []provider.Change{{Field: "city", From: property.Text("one city"), To: property.Text("Springfield")}})
	})

	t.Run("an unknown record is not found", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		elsewhere := org.customerElsewhere()
		unknownID, wrongCustomer, unknownCustomer, unknownOrganization := record, record, record, org.updateOf(record, patchOfAll(true))
		unknownID.ID, wrongCustomer.CustomerID, unknownCustomer.CustomerID = uuid.New(), elsewhere, uuid.New()
		unknownOrganization.Organization = 1 << 40
		for name, u := range map[string]provider.Write{
			"unknown id":           org.updateOf(unknownID, patchOfAll(true)),
			"another's customer":   org.updateOf(wrongCustomer, patchOfAll(true)),
			"unknown customer":     org.updateOf(unknownCustomer, patchOfAll(true)),
			"unknown organization": unknownOrganization,
		} {
			if _, err := s.Write(t.Context(), u); CodeOrText(err) != provider.CodeNotFound {
				t.Errorf("%s: error %v, want not found", name, err)
			}
			if _, err := s.Get(t.Context(), u.Organization, u.CustomerID, u.ID); err != provider.ErrNotFound {
				t.Errorf("get, %s: error %v, want %v", name, err, provider.ErrNotFound)
			}
		}
		org.unchanged(record)
	})
}

// recreate creates a record with the values of another and brings it to a version.
func (org *tenant) recreate(r provider.Provider, version int64) provider.Provider {
	org.t.Helper()
	next := org.create(property.Patch{CustomerID: &r.CustomerID, Values: r.Values})
	for next.Version < version {
		next = org.update(next, set(property.City, fmt.Sprint(next.Version)))
	}
	return next
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

func testTenancy(t *testing.T, s *suite) {
	t.Run("the same IDs in two organizations are two records", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		id, customer := uuid.New(), uuid.New()
		patch := patchOfAll(true)
		patch.CustomerID = new(customer)
		record, others := org.createWithID(id, patch), other.createWithID(id, patch)
		record = org.update(record, patchOfAll(false))
		equal(t, "the other's record", other.find(customer, id), others)
		events, err := HistoryByID(t.Context(), org, id)
		if err != nil {
			t.Fatal(err)
		}
		versions := map[string]int64{}
		for _, event := range events {
			versions[event.Organization] = event.Version
		}
		equal(t, "the latest versions in the history", versions, map[string]int64{org.name: 2, other.name: 1})
		others = other.update(others, patchOfNulls())
		equal(t, "the record", org.find(customer, id), record)
		equal(t, "version", others.Version, int64(2))
	})

	t.Run("another organization's record is not found", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		record := org.create(patchOfAll(true))
		other.notFound(record.CustomerID, record.ID)
		other.notFound(other.customer, record.ID)
		org.unchanged(record)
	})
}
