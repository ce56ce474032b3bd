package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
)

// BenchmarkUpdate changes all text of random records, by 1 and by 64 callers, with batches of one and as they come.
func BenchmarkUpdate(b *testing.B) {
	for _, maxBatch := range []int{1, 0} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("batch=%d/callers=%d", maxBatch, callers), func(b *testing.B) {
				s, ids := filled(b, 10_000, Options{Batch: writes.Options{Options: batch.Options{MaxBatch: maxBatch}}})
				b.ReportAllocs()
				b.SetParallelism(callers)
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						id := ids[rand.IntN(len(ids))]
						if _, err := s.Write(context.Background(), provider.Write{Action: provider.Updated, Organization: 1, CustomerID: ids[0], ID: id, Patch: storetest.PatchOf(rand.Int())}); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

func filled(b testing.TB, n int, o Options) (*Store, []uuid.UUID) {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	organization, _, err := s.EnsureOrganization(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]uuid.UUID, n)
	imports := make([]provider.Import, n)
	for i := range ids {
		ids[i] = uuid.New()
		imports[i] = provider.Import{ID: ids[i], Patch: storetest.PatchOf(i)}
		imports[i].Patch.CustomerID = &ids[0]
	}
	if _, err := s.Import(b.Context(), organization, imports, nil); err != nil {
		b.Fatal(err)
	}
	return s, ids
}
