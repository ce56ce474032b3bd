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
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		elsewhere := x.customerElsewhere()
		want := record
		want.CustomerID, want.Values[property.City], want.Version, want.UpdatedAt = elsewhere, property.Null, 2, s.clock.move(time.Second)

		moved := x.update(record, property.Patch{CustomerID: new(elsewhere), Values: property.Values{property.City: property.Null}})
		equal(t, "record", moved, want)
		equal(t, "record under its new path", x.find(elsewhere, record.ID), want)
		x.notFound(record.CustomerID, record.ID)
		equal(t, "changes", x.history(record.ID)[1].Changes, []provider.Change{
			{Field: "customerId", From: property.Text(record.CustomerID.String()), To: property.Text(elsewhere.String())},
			{Field: "city", From: property.Text("one city"), To: property.Null},
		})

		back := x.update(moved, property.Patch{CustomerID: new(record.CustomerID)})
		equal(t, "customer", back.CustomerID, record.CustomerID)
		x.refuse(x.updateOf(moved, property.Patch{}), provider.CodeNotFound)
		x.unchanged(back)
	})

	t.Run("not to an unknown customer, nor to another organization's", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		record := x.make(patchOfAll(true))
		s.clock.move(time.Second)
		for name, customer := range map[string]uuid.UUID{"unknown": uuid.New(), "another organization's": other.customer, "nil": uuid.Nil} {
			patch := patchOfAll(false)
			patch.CustomerID = new(customer)
			if _, err := s.Write(t.Context(), x.updateOf(record, patch)); err != provider.ErrUnknownCustomer {
				t.Errorf("%s: error %v, want the one of every unknown customer", name, err)
			}
		}
		x.unchanged(record)
	})

	t.Run("a record that is not found has no say about customers", func(t *testing.T) {
		x := s.tenant(t)
		stranger := provider.Provider{ID: uuid.New(), CustomerID: x.customer}
		for _, customer := range []uuid.UUID{uuid.New(), x.customerElsewhere()} {
			x.refuse(x.updateOf(stranger, property.Patch{CustomerID: new(customer)}), provider.CodeNotFound)
		}
	})
}
