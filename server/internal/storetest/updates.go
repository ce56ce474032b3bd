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
