package storetest

import (
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testMove(t *testing.T, s *suite) {
	t.Run("a record moves to another customer", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		elsewhere := org.customerElsewhere()
		want := record
		want.CustomerID, want.Values[property.City], want.Version, want.UpdatedAt = elsewhere, property.Null, 2, s.clock.Move(time.Second)

		moved := org.update(record, property.Patch{CustomerID: new(elsewhere), Values: property.Values{property.City: property.Null}})
		equal(t, "record", moved, want)
		equal(t, "record under its new path", org.find(elsewhere, record.ID), want)
		org.notFound(record.CustomerID, record.ID)
		equal(t, "changes", org.history(record.ID)[1].Changes, []provider.Change{
			{Field: "customerId", From: property.Text(record.CustomerID.String()), To: property.Text(elsewhere.String())},
			{Field: "city", From: property.Text("one city"), To: property.Null},
		})

		back := org.update(moved, property.Patch{CustomerID: new(record.CustomerID)})
		equal(t, "customer", back.CustomerID, record.CustomerID)
		org.rejects(org.updateOf(moved, property.Patch{}), provider.CodeNotFound)
		org.unchanged(back)
	})

	t.Run("not to an unknown customer, nor to another organization's", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		record := org.create(patchOfAll(true))
		s.clock.Move(time.Second)
		for name, customer := range map[string]uuid.UUID{"unknown": uuid.New(), "another organization's": other.customer, "nil": uuid.Nil} {
			patch := patchOfAll(false)
			patch.CustomerID = new(customer)
			if _, err := s.Write(t.Context(), org.updateOf(record, patch)); err != provider.ErrUnknownCustomer {
				t.Errorf("%s: error %v, want the one of every unknown customer", name, err)
			}
		}
		org.unchanged(record)
	})

	t.Run("a record that is not found has no say about customers", func(t *testing.T) {
		org := s.tenant(t)
		stranger := provider.Provider{ID: uuid.New(), CustomerID: org.customer}
		for _, customer := range []uuid.UUID{uuid.New(), org.customerElsewhere()} {
			org.rejects(org.updateOf(stranger, property.Patch{CustomerID: new(customer)}), provider.CodeNotFound)
		}
	})
}
