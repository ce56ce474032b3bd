package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
)

// BenchmarkUpdate changes all text of random records on a server that waits for the disk, by few and by many callers,
// with batches of one and as they come, and with more or less of them in flight at once.
func BenchmarkUpdate(b *testing.B) {
	dsn := pgtest.Start(b, pgserver.Options{Durable: true, Settings: []string{"max_wal_size=4GB"}}).Database(b)
	organization, ids := fill(b, dsn, benchRecords)
	for _, o := range []postgres.Options{
		{Batch: writes.Options{Options: batch.Options{MaxBatch: 1}}, InFlight: 8}, {InFlight: 1}, {InFlight: 2}, {InFlight: 3}, {InFlight: 4}, {InFlight: 8},
	} {
		for _, callers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("batch=%d/in-flight=%d/callers=%d", o.Batch.MaxBatch, o.InFlight, callers), func(b *testing.B) {
				s := open(b, dsn, o)
				b.ReportAllocs()
				b.SetParallelism(callers / 2)
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						id := ids[rand.IntN(len(ids))]
						if _, err := s.Write(context.Background(), provider.Write{Action: provider.Updated, Organization: organization, CustomerID: ids[0], ID: id, Patch: storetest.PatchOf(rand.Int())}); err != nil {
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
			dsn := pgtest.Start(b, pgserver.Options{Durable: true, Settings: []string{"max_wal_size=4GB"}}).Database(b)
			org := newFixture(b, dsn, postgres.Options{})
			if old, others := map[string]int{"many keys": 0, "old keys": 2}[kind]; others {
				execute(b, connect(b, dsn), fmt.Sprintf(`INSERT INTO idempotency_keys SELECT %d, sha256(i::text::bytea), sha256(i::text::bytea), gen_random_uuid(),
					clock_timestamp() - CASE WHEN i %% 4 = 0 THEN interval '%d days' ELSE interval '0' END FROM generate_series(1, 1000000) AS n (i)`, org.organization, old))
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					w := org.onceOf(uuid.NewString())
					if kind == "no keys" {
						w.Idempotency = nil
					}
					if _, err := org.Write(context.Background(), w); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkRead has many callers read what customers of 20 records each have, and one export all of it.
func BenchmarkRead(b *testing.B) {
	s := open(b, pgtest.Start(b, pgserver.Options{}).Database(b), postgres.Options{})
	organization, _, err := s.EnsureOrganization(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	imports := newImports(20_000)
	for i := range imports {
		imports[i].Patch.CustomerID = &imports[i-i%20].ID
	}
	if _, err := s.Import(b.Context(), organization, imports, nil); err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func(customer, id uuid.UUID) error{
		"Get": func(customer, id uuid.UUID) error {
			_, err := s.Get(b.Context(), organization, customer, id)
			return err
		},
		"List": func(customer, _ uuid.UUID) error {
			_, err := s.List(b.Context(), provider.List{Organization: organization, CustomerID: customer, Limit: 20})
			return err
		},
		"History": func(customer, id uuid.UUID) error {
			_, err := s.History(b.Context(), organization, customer, id, 0, 20)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					one := &imports[rand.IntN(len(imports))]
					if err := read(*one.Patch.CustomerID, one.ID); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	b.Run("Export", func(b *testing.B) {
		for b.Loop() {
			if err := provider.Export(b.Context(), s, organization, func(uuid.UUID, *provider.Provider) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(imports)*b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkImport makes records, 3 for each new customer, on a server that waits for the disk.
func BenchmarkImport(b *testing.B) {
	for _, chunk := range []int{500, 2000, 5000} {
		b.Run(fmt.Sprintf("chunk=%d", chunk), func(b *testing.B) {
			s := open(b, pgtest.Start(b, pgserver.Options{Durable: true, Settings: []string{"max_wal_size=4GB"}}).Database(b), postgres.Options{})
			organization, _, err := s.EnsureOrganization(b.Context(), "bench")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				imports := newImports(chunk)
				b.StartTimer()
				if _, err := s.Import(b.Context(), organization, imports, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(chunk*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func newImports(n int) []provider.Import {
	imports := make([]provider.Import, n)
	for i := range imports {
		imports[i] = provider.Import{ID: uuid.New(), Patch: storetest.PatchOf(i)}
		imports[i].Patch.CustomerID = &imports[i-i%3].ID
	}
	return imports
}

const benchRecords = 100_000

func fill(b testing.TB, dsn string, n int) (organization int64, ids []uuid.UUID) {
	b.Helper()
	s := open(b, dsn, postgres.Options{})
	organization, _, err := s.EnsureOrganization(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	const chunk = 500
	for range n / chunk {
		imports := newImports(chunk)
		for i := range imports {
			ids = append(ids, imports[i].ID)
			imports[i].Patch.CustomerID = &ids[0]
		}
		if _, err := s.Import(b.Context(), organization, imports, nil); err != nil {
			b.Fatal(err)
		}
	}
	return organization, ids
}

// BenchmarkLockedRow updates records while another session has locked one that callers wait for. Compare it with the same lock
// without such callers: a transaction that stays open costs PostgreSQL time, too, as it cannot remove old rows.
func BenchmarkLockedRow(b *testing.B) {
	dsn := pgtest.Start(b, pgserver.Options{Durable: true}).Database(b)
	org := newFixture(b, dsn, postgres.Options{})
	locked := org.another()
	records := make([]*fixture, 64)
	for i := range records {
		records[i] = org.another()
	}
	for _, callers := range []int{0, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			ctx, stop := context.WithCancel(b.Context())
			var waiting sync.WaitGroup
			holder := connect(b, dsn)
			execute(b, holder, "BEGIN; SELECT 1 FROM providers WHERE id = '"+locked.record.ID.String()+"' FOR UPDATE")
			defer execute(b, holder, "COMMIT")
			for range callers {
				waiting.Go(func() {
					for ctx.Err() == nil {
						locked.Write(ctx, locked.updateOf(text(uuid.NewString())))
					}
				})
			}
			var next atomic.Int64
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				one := records[next.Add(1)%int64(len(records))]
				for p.Next() {
					if _, err := one.update(text(uuid.NewString())); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			stop()
			waiting.Wait()
		})
	}
}

// BenchmarkHotRecord has two stores update one record, as two servers do.
func BenchmarkHotRecord(b *testing.B) {
	dsn := pgtest.Start(b, pgserver.Options{Durable: true}).Database(b)
	org := newFixture(b, dsn, postgres.Options{})
	for _, stores := range []int{1, 2} {
		b.Run(fmt.Sprintf("stores=%d", stores), func(b *testing.B) {
			all := []*fixture{org, {Store: open(b, dsn, postgres.Options{}), t: b, organization: org.organization, record: org.record}}[:stores]
			var next atomic.Int64
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				one := all[next.Add(1)%int64(len(all))]
				for p.Next() {
					if _, err := one.update(text(uuid.NewString())); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
