package storetest

import (
	"testing"

	"github.com/google/uuid"
)

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
