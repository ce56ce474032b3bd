package storetest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testCustomers(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	want := []uuid.UUID{org.customer, uuid.Nil, uuid.Max}
	if _, err := s.Import(t.Context(), org.number, nil, want[1:]); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		want = append(want, org.customerElsewhere())
	}
	slices.SortFunc(want, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	t.Run("are listed in the order of their IDs", func(t *testing.T) {
		var got []uuid.UUID
		for after := uuid.Nil; ; after = got[len(got)-1] {
			page, err := s.ListCustomers(t.Context(), org.number, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if len(page) < 3 {
				break
			}
		}
		equal(t, "customers", got, want)
	})

	t.Run("are found by the ID of a record", func(t *testing.T) {
		record := org.create(property.Patch{})
		customerOf := func(organization int64, id uuid.UUID) uuid.UUID {
			t.Helper()
			customer, err := s.CustomerOf(t.Context(), organization, id)
			if (err != nil) != (customer == uuid.Nil) || err != nil && err != provider.ErrNotFound {
				t.Errorf("customer %v, error %v", customer, err)
			}
			return customer
		}
		equal(t, "customer", customerOf(org.number, record.ID), record.CustomerID)
		equal(t, "in another organization", customerOf(other.number, record.ID), uuid.Nil)
		equal(t, "of an unknown record", customerOf(org.number, uuid.New()), uuid.Nil)
		org.write(org.deleteOf(record))
		equal(t, "of a deleted record", customerOf(org.number, record.ID), uuid.Nil)
	})
}
