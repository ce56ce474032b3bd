package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// testVerify verifies a store again and again while records are created, changed, moved, deleted and purged, and events are removed.
// Nothing is wrong at any time.
func testVerify(t *testing.T, s *suite) {
	const writers, rounds = 4, 60
	org := s.tenant(t)
	elsewhere := org.customerElsewhere()
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range rounds {
				if err := liveThrough(t, org, elsewhere, n%3 == w%3); err != nil {
					t.Errorf("writer %d, round %d: %v", w, n, err)
					return
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		verified, err := s.Verify(t.Context(), func(p provider.Problem) { t.Errorf("verification: %v", p) })
		if err != nil {
			t.Fatal(err)
		}
		if done && (verified.Records != writers*rounds || verified.Versions < verified.Records) {
			t.Errorf("verified %+v, want %d records", verified, writers*rounds)
		}
	}
}

// liveThrough creates a record, changes it, removes some of its history, deletes it, and creates it again or purges it.
func liveThrough(t *testing.T, org *tenant, elsewhere uuid.UUID, again bool) error {
	one := org.importOf(uuid.New(), patchOfAll(true))
	customer := *one.Patch.CustomerID
	if _, err := org.Import(t.Context(), org.number, []provider.Import{one}, nil); err != nil {
		return err
	}
	for n := range 3 {
		patch := set(property.City, fmt.Sprint("city ", n))
		patch.CustomerID = &elsewhere
		w := provider.Write{Action: provider.Updated, Organization: org.number, CustomerID: customer, ID: one.ID, Patch: patch}
		if _, err := org.Write(t.Context(), w); err != nil {
			return err
		}
		customer = elsewhere
	}
	if _, err := org.RemoveEvents(t.Context(), org.number, []provider.RecordVersion{{ID: one.ID, Version: 2}}); err != nil {
		return err
	}
	deletion := provider.Write{Action: provider.Deleted, Organization: org.number, CustomerID: customer, ID: one.ID}
	if _, err := org.Write(t.Context(), deletion); err != nil {
		return err
	}
	if again {
		_, err := org.Import(t.Context(), org.number, []provider.Import{one}, nil)
		return err
	}
	return org.Purge(t.Context(), org.number, []uuid.UUID{one.ID})
}
