package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testConcurrentImports(t *testing.T, s *suite) {
	for name, customerOf := range map[string]func(importer, record uuid.UUID) uuid.UUID{
		"imports of the same new records, each with a new customer of its own": func(importer, _ uuid.UUID) uuid.UUID { return importer },
		"imports of the same new records, with the same new customers":         func(_, record uuid.UUID) uuid.UUID { return record },
	} {
		t.Run(name, func(t *testing.T) {
			org := s.tenant(t)
			const importers, rounds = 6, 6
			for range rounds {
				var ids [8]uuid.UUID
				for i := range ids {
					ids[i] = uuid.New()
				}
				start := make(chan struct{})
				var all sync.WaitGroup
				for range importers {
					importer := uuid.New()
					all.Go(func() {
						var imports []provider.Import
						for _, i := range rand.Perm(len(ids)) {
							imports = append(imports, org.importOf(ids[i], property.Patch{CustomerID: new(customerOf(importer, ids[i])), Values: property.Values{property.Notes: property.Text(importer.String())}}))
						}
						<-start
						if _, err := s.Import(t.Context(), org.number, imports, nil); err != nil {
							t.Errorf("import: %v", err)
						}
					})
				}
				close(start)
				all.Wait()
				for _, id := range ids {
					equal(t, "events", len(org.chain(id)), importers)
				}
			}
		})
	}
}

func testImportsAndUpdates(t *testing.T, s *suite) {
	org := s.tenant(t)
	var records []provider.Provider
	for range 8 {
		records = append(records, org.create(property.Patch{}))
	}
	const rounds = 10
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for round := range rounds {
				var imports []provider.Import
				for _, i := range rand.Perm(len(records)) {
					imports = append(imports, org.importOf(records[i].ID, set(property.City, fmt.Sprint(n, " ", round))))
				}
				if _, err := s.Import(t.Context(), org.number, imports, nil); err != nil {
					t.Errorf("import: %v", err)
				}
			}
		})
	}
	for _, record := range records {
		all.Go(func() {
			for round := range rounds {
				if _, err := s.Write(t.Context(), org.updateOf(record, set(property.Notes, fmt.Sprint(round)))); err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, record := range records {
		equal(t, "events", len(org.chain(record.ID)), 1+4*rounds+rounds)
	}
}
