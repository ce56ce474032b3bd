package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// onceOf returns a creation with an idempotency key.
func (org *fixture) onceOf(key string) provider.Write {
	one := org.importOf(uuid.New())
	one.Patch.CustomerID = nil
	return provider.Write{
		Action: provider.Created, Organization: org.organization, CustomerID: org.record.CustomerID, ID: one.ID, Patch: one.Patch,
		Idempotency: provider.NewIdempotency(key, org.record.CustomerID, &one.Patch),
	}
}

func (org *fixture) once(key string) (provider.Provider, error) {
	return org.Write(context.Background(), org.onceOf(key))
}

// TestKeyBeingSaved has another transaction save a creation under the key after this store has read that there is none.
func TestKeyBeingSaved(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dsn := postgrestest.New(t)
			org := newFixture(t, dsn, postgres.Options{})
			w := org.onceOf("a key")
			other := connect(t, dsn)
			execute(t, other, "BEGIN")
			insert(t, other, org, w.Idempotency)

			var got provider.Provider
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				got, err = org.Write(context.Background(), w)
			}()
			watcher := connect(t, dsn)
			await.State(t, "the write waits", func() bool {
				return queryInt(t, watcher, "SELECT count(*) "+others+" AND wait_event_type = 'Lock'") == 1
			})
			execute(t, other, end)
			<-done
			want := map[string]uuid.UUID{"COMMIT": org.record.ID, "ROLLBACK": w.ID}[end]
			if err != nil || got.ID != want {
				t.Fatalf("the record %s, error %v; want the record %s", got.ID, err, want)
			}
			if records, err := org.list(); err != nil || end == "COMMIT" && len(records) != 1 {
				t.Errorf("%d records, error %v; want the other transaction's alone", len(records), err)
			}
			if again, err := org.once("a key"); err != nil || again.ID != want {
				t.Errorf("again: the record %s, error %v; want the record %s", again.ID, err, want)
			}
		})
	}
}

// insert saves a creation of the fixture's record.
func insert(t *testing.T, c *pgx.Conn, org *fixture, i *provider.Idempotency) {
	t.Helper()
	_, err := c.Exec(t.Context(), "INSERT INTO idempotency_keys (organization_id, key, fingerprint, provider_id, at) VALUES ($1, $2, $3, $4, clock_timestamp())",
		org.organization, i.Key[:], i.Fingerprint[:], [16]byte(org.record.ID))
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeysAreBounded has the clock run while records are created, and counts the keys that are kept. Another session reads and locks
// some of them all the time, which delays nothing.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	clock := storetest.NewClock(time.Now())
	org := newFixture(t, dsn, postgres.Options{Now: clock.Now})
	admin, holder := connect(t, dsn), connect(t, dsn)
	const perDay = 100
	for n := range 6 * perDay {
		clock.Move(provider.KeyLifetime / perDay)
		if n == perDay {
			execute(t, holder, "BEGIN; SELECT 1 FROM idempotency_keys ORDER BY at LIMIT 5 FOR UPDATE")
		}
		if _, err := org.once(fmt.Sprint("key ", n)); err != nil {
			t.Fatal(err)
		}
		if kept := queryInt(t, admin, "SELECT count(*) FROM idempotency_keys"); kept > perDay*3/2 {
			t.Fatalf("%d keys are kept after %d creations, of which %d are of the last day", kept, n, perDay)
		}
	}
	if kept := queryInt(t, admin, "SELECT count(*) FROM idempotency_keys"); kept < perDay {
		t.Errorf("%d keys are kept, want the %d of the last day", kept, perDay)
	}
}

// TestKeysReplaced has two stores create records under keys that have expired, in different orders.
func TestKeysReplaced(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	clock := storetest.NewClock(time.Now())
	org := newFixture(t, dsn, postgres.Options{Now: clock.Now})
	stores := []*postgres.Store{org.Store, open(t, dsn, postgres.Options{Now: clock.Now})}
	const keys = 30
	for round := range 4 {
		clock.Move(provider.KeyLifetime)
		ids := make(chan uuid.UUID, keys*len(stores))
		var all sync.WaitGroup
		for n := range keys {
			for i, s := range stores {
				key := (n + i*keys/2) % keys
				all.Go(func() {
					record, err := s.Write(t.Context(), org.onceOf(fmt.Sprint("key ", key)))
					if err != nil {
						t.Errorf("create: %v", err)
					}
					ids <- record.ID
				})
			}
		}
		all.Wait()
		close(ids)
		different := map[uuid.UUID]bool{}
		for id := range ids {
			different[id] = true
		}
		if len(different) != keys {
			t.Errorf("round %d: %d records under %d keys", round, len(different), keys)
		}
	}
	if n := queryInt(t, connect(t, dsn), "SELECT count(*) FROM providers"); n != 1+4*keys {
		t.Errorf("%d records, want %d", n, 1+4*keys)
	}
	if n := queryInt(t, connect(t, dsn), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks, want none", n)
	}
}
