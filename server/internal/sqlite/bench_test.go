package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
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

// BenchmarkCreate creates records with 64 callers: without idempotency keys, with them, with them next to a million others, and with them
// next to a million of which a quarter has expired, as in the long run.
func BenchmarkCreate(b *testing.B) {
	for _, kind := range []string{"no keys", "keys", "many keys", "old keys"} {
		b.Run(kind, func(b *testing.B) {
			s, ids := filled(b, 10_000, Options{})
			switch kind {
			case "many keys":
				addCreations(b, s, 1_000_000, s.now())
			case "old keys":
				addCreations(b, s, 1_000_000, s.now().Add(-provider.KeyLifetime))
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					w := createOf(ids[0], uuid.Must(uuid.NewV7()))
					if kind != "no keys" {
						w.Idempotency = provider.NewIdempotency(w.ID.String(), w.CustomerID, &w.Patch)
					}
					if _, err := s.Write(context.Background(), w); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func createOf(customer, id uuid.UUID) provider.Write {
	return provider.Write{Action: provider.Created, Organization: 1, CustomerID: customer, ID: id, Patch: storetest.PatchOf(0)}
}

// addCreations saves n creations with random keys, a quarter of them at a time of their own.
func addCreations(b *testing.B, s *Store, n int, quarter time.Time) {
	b.Helper()
	statement := fmt.Sprintf(`WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO idempotency_keys SELECT 1, randomblob(32), randomblob(32), randomblob(16), iif(i %% 4 = 0, %d, %d) FROM n`, n, quarter.UnixMilli(), s.now().UnixMilli())
	if err := s.write(b.Context(), func(c *sqlite.Conn) error { return execute(c, statement) }); err != nil {
		b.Fatal(err)
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
