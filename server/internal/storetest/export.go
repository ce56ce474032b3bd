package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// export returns what an export hands over: by customer, their records, the newest first.
func (org *tenant) export() map[uuid.UUID][]provider.Provider {
	org.t.Helper()
	all := map[uuid.UUID][]provider.Provider{}
	err := provider.Export(org.t.Context(), org, org.number, func(customer uuid.UUID, record *provider.Provider) error {
		records, seen := all[customer]
		switch {
		case record != nil:
			equal(org.t, "customer of the record", record.CustomerID, customer)
			records = append(records, *record)
		case seen:
			org.t.Errorf("customer %s came twice, once without a record", customer)
		}
		all[customer] = records
		return nil
	})
	if err != nil {
		org.t.Fatalf("export: %v", err)
	}
	for customer := range all {
		newestFirst(all[customer])
	}
	return all
}

func testExport(t *testing.T, s *suite) {
	t.Run("it is all that there is of an organization, and no more", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		want := map[uuid.UUID][]provider.Provider{org.customer: nil}
		for n := range 5 {
			customer := org.customerElsewhere()
			var records []provider.Provider
			for range n {
				s.clock.Move(time.Duration(n-2) * time.Millisecond)
				records = append(records, org.write(org.createOf(customer, patchOfAll(n%2 == 0))))
				other.createWithID(records[0].ID, property.Patch{CustomerID: new(customer)})
				deleted := org.write(org.createOf(customer, patchOfAll(true)))
				org.write(org.deleteOf(deleted))
			}
			want[customer] = newestFirst(records)
		}
		alone := org.customerElsewhere() // whose only record is deleted
		org.write(org.deleteOf(org.write(org.createOf(alone, property.Patch{}))))
		want[alone] = nil
		equal(t, "export", org.export(), want)
	})

	t.Run("it is read in pieces", func(t *testing.T) {
		org := s.tenant(t)
		for n := range 5 { // org.customer has no record
			customer := org.customerElsewhere()
			for range n * 2 {
				if n != 3 {
					s.clock.Move(time.Millisecond)
				}
				org.write(org.createOf(customer, patchOfAll(n%2 == 0)))
			}
		}
		all, err := s.ListAll(t.Context(), org.number, nil, 100)
		if err != nil || len(all) != 2+20 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		for limit := 1; limit <= len(all)+1; limit++ {
			var got []provider.CustomerRecord
			var after *provider.CustomerRecord
			for {
				piece, err := s.ListAll(t.Context(), org.number, after, limit)
				if err != nil || len(piece) > limit {
					t.Fatalf("%d records of at most %d, %v", len(piece), limit, err)
				}
				if got = append(got, piece...); len(piece) < limit {
					break
				}
				after = &got[len(got)-1]
			}
			equal(t, fmt.Sprint("pieces of ", limit), got, all)
		}
	})

	t.Run("a piece is the state of one moment", func(t *testing.T) {
		org := s.tenant(t)
		customers := []uuid.UUID{org.customer, org.customerElsewhere(), org.customerElsewhere()}
		var records []provider.Provider
		for n := range 30 {
			records = append(records, org.create(property.Patch{CustomerID: new(customers[n%3])}))
		}
		want := org.export()
		got := map[uuid.UUID][]provider.Provider{}
		calls := 0
		err := provider.Export(t.Context(), s, org.number, func(customer uuid.UUID, record *provider.Provider) error {
			if calls++; calls == 1 {
				for n, r := range records {
					moved := org.update(r, property.Patch{CustomerID: new(customers[(n+1)%3]), Values: property.Values{property.Notes: property.Text("moved")}})
					if n%2 == 0 {
						org.write(org.deleteOf(moved))
					}
				}
				org.create(property.Patch{CustomerID: new(uuid.New())})
			}
			got[customer] = append(got[customer], *record)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for customer := range got {
			newestFirst(got[customer])
		}
		equal(t, "export", got, want)
	})

	t.Run("it ends with the caller's error", func(t *testing.T) {
		org := s.tenant(t)
		org.create(property.Patch{})
		org.customerElsewhere()
		full, calls := errors.New("the disk is full"), 0
		err := provider.Export(t.Context(), s, org.number, func(uuid.UUID, *provider.Provider) error { calls++; return full })
		if err != full || calls != 1 {
			t.Errorf("error %v after %d calls, want %v after 1", err, calls, full)
		}
		equal(t, "customers of the next export", len(org.export()), 2)
	})

	t.Run("of an organization without customers, nothing", func(t *testing.T) {
		org := &tenant{suite: s, t: t, name: uuid.NewString()}
		if _, _, err := s.EnsureOrganization(t.Context(), org.name); err != nil {
			t.Fatal(err)
		}
		equal(t, "customers", len(org.export()), 0)
	})
}
