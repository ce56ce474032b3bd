package storetest

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testIdempotency(t *testing.T, s *suite) {
	t.Run("a creation that is repeated returns the record as it was created", func(t *testing.T) { testRepeated(t, s) })
	t.Run("a key is for one creation", func(t *testing.T) { testKeyReused(t, s) })
	t.Run("a key is free again after 24 hours", func(t *testing.T) { testKeyExpired(t, s) })
	t.Run("a record whose first event is gone is returned as it is", func(t *testing.T) { testFirstEventGone(t, s) })
	t.Run("a rejected creation leaves its key free", func(t *testing.T) { testKeyOfRejected(t, s) })
	t.Run("creations with one key at the same time create one record", func(t *testing.T) { testOneKeyAtOnce(t, s) })
	t.Run("creations with many keys at the same time, each twice", func(t *testing.T) { testManyKeysAtOnce(t, s) })
}

// onceOf is createOf with an idempotency key.
func (org *tenant) onceOf(key string, customer uuid.UUID, patch property.Patch) provider.Write {
	w := org.createOf(customer, patch)
	w.Idempotency = provider.NewIdempotency(key, customer, &w.Patch)
	return w
}

// records returns the number of records of the tenant's customer.
func (org *tenant) records() int {
	org.t.Helper()
	return len(org.list(provider.List{Limit: 1000}))
}

func testRepeated(t *testing.T, s *suite) {
	for name, patch := range map[string]property.Patch{"all values": patchOfAll(true), "other values": patchOfAll(false), "nulls": patchOfNulls(), "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			org := s.tenant(t)
			again := func() provider.Provider {
				t.Helper()
				s.clock.Move(time.Second)
				return org.write(org.onceOf("a key", org.customer, patch))
			}
			created := again()
			equal(t, "again", again(), created)
			org.unchanged(created)

			record := org.update(created, property.Patch{CustomerID: new(org.customerElsewhere()), Values: set(property.City, "elsewhere").Values})
			for n := range 200 { // the first event is far from the latest
				record = org.update(record, set(property.Notes, fmt.Sprint(n)))
			}
			equal(t, "after changes", again(), created)
			org.unchanged(record)
			org.write(org.deleteOf(record))
			equal(t, "after the deletion", again(), created)
			org.createWithID(created.ID, set(property.City, "imported"))
			equal(t, "after an import of the ID", again(), created)
			equal(t, "records of the customer", org.records(), 1)
		})
	}
}

func testKeyReused(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	patch := set(property.City, "a")
	patch.Values[property.IsActive] = property.Boolean(true)
	created := org.write(org.onceOf("a key", org.customer, patch))

	inactive, withNull, without := patch, patch, patch
	inactive.Values[property.IsActive] = property.Boolean(false)
	withNull.Values[property.Fax] = property.Null
	without.Values[property.City] = property.Value{}
	moved := set(property.Address, "a")
	moved.Values[property.IsActive] = property.Boolean(true)
	for name, w := range map[string]provider.Write{
		"another text":        org.onceOf("a key", org.customer, set(property.City, "b")),
		"another boolean":     org.onceOf("a key", org.customer, inactive),
		"one value less":      org.onceOf("a key", org.customer, without),
		"the value elsewhere": org.onceOf("a key", org.customer, moved),
		"another customer":    org.onceOf("a key", org.customerElsewhere(), patch),
		"no such customer":    org.onceOf("a key", uuid.New(), patch),
	} {
		if _, err := s.Write(t.Context(), w); err != provider.ErrIdempotencyKeyReused {
			t.Errorf("%s: error %v, want %v", name, err, provider.ErrIdempotencyKeyReused)
		}
		org.notFound(w.CustomerID, w.ID)
	}
	equal(t, "null instead of absent", org.write(org.onceOf("a key", org.customer, withNull)), created)
	equal(t, "records", org.records(), 1)

	another := org.write(org.onceOf("A key", org.customer, patch))
	others := other.write(other.onceOf("a key", other.customer, patch))
	unkeyed := org.write(org.createOf(org.customer, patch))
	if another.ID == created.ID || others.ID == created.ID || unkeyed.ID == created.ID {
		t.Error("another key, another organization or no key returned the record of the first")
	}
	org.unchanged(created)
	other.unchanged(others)
}

func testKeyExpired(t *testing.T, s *suite) {
	org := s.tenant(t)
	once := func() provider.Provider {
		t.Helper()
		return org.write(org.onceOf("a key", org.customer, property.Patch{}))
	}
	first := once()
	s.clock.Move(-time.Hour)
	equal(t, "with the clock turned back", once(), first)
	s.clock.Move(time.Hour + provider.KeyLifetime - time.Millisecond)
	equal(t, "just before 24 hours", once(), first)
	org.rejects(org.onceOf("a key", org.customer, set(property.City, "b")), provider.CodeIdempotencyKeyReused)
	s.clock.Move(time.Millisecond)
	second := org.write(org.onceOf("a key", org.customer, set(property.City, "b")))
	if second.ID == first.ID {
		t.Error("after 24 hours: the same record, want a new one")
	}
	s.clock.Move(provider.KeyLifetime - time.Millisecond)
	equal(t, "just before 24 hours of the second", org.write(org.onceOf("a key", org.customer, set(property.City, "b"))), second)
	equal(t, "records", org.records(), 2)
}

func testFirstEventGone(t *testing.T, s *suite) {
	org := s.tenant(t)
	once := func() provider.Write { return org.onceOf("a key", org.customer, set(property.City, "a")) }
	record := org.write(once())
	for n := range 100 {
		record = org.update(record, set(property.Notes, fmt.Sprint(n)))
	}
	record = org.update(record, property.Patch{CustomerID: new(org.customerElsewhere())})
	if _, err := s.RemoveEvents(t.Context(), org.number, []provider.RecordVersion{{ID: record.ID, Version: 1}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "after an archive", org.write(once()), record)
	if _, err := s.RemoveEvents(t.Context(), org.number, []provider.RecordVersion{{ID: record.ID, Version: math.MaxInt64}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "after an archive of all but the latest", org.write(once()), record)
	org.write(org.deleteOf(record))
	org.rejects(once(), provider.CodeNotFound)
	if err := provider.PurgeProvider(t.Context(), s, org.number, record.ID); err != nil {
		t.Fatal(err)
	}
	org.rejects(once(), provider.CodeNotFound)
	equal(t, "records", org.records(), 0)
}

func testKeyOfRejected(t *testing.T, s *suite) {
	org := s.tenant(t)
	org.rejects(org.onceOf("a key", uuid.New(), property.Patch{}), provider.CodeNoCustomer)
	created := org.write(org.onceOf("a key", org.customer, set(property.City, "a")))
	equal(t, "again", org.write(org.onceOf("a key", org.customer, set(property.City, "a"))), created)
}

func testOneKeyAtOnce(t *testing.T, s *suite) {
	org := s.tenant(t)
	for round := range 4 {
		if round == 3 { // the key of the round before, which has expired
			s.clock.Move(provider.KeyLifetime)
		}
		const callers = 20
		key, before := fmt.Sprint("key ", min(round, 2)), org.records()
		var mu sync.Mutex
		returned := map[uuid.UUID]int{}
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				patch := set(property.City, fmt.Sprint(round))
				if round == 1 { // two creations
					patch = set(property.City, fmt.Sprint(caller%2))
				}
				got, err := s.Write(t.Context(), org.onceOf(key, org.customer, patch))
				if err != nil && (round != 1 || err != provider.ErrIdempotencyKeyReused) {
					t.Errorf("round %d: %v", round, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					returned[got.ID]++
				}
			})
		}
		all.Wait()
		equal(t, "new records", org.records()-before, 1)
		equal(t, "records that were returned", len(returned), 1)
		for id, n := range returned {
			if want := map[bool]int{true: callers / 2, false: callers}[round == 1]; n != want {
				t.Errorf("round %d: the record was returned %d times, want %d", round, n, want)
			}
			equal(t, "events", len(org.history(id)), 1)
		}
	}
}

func testManyKeysAtOnce(t *testing.T, s *suite) {
	organizations := []*tenant{s.tenant(t), s.tenant(t)}
	const keys = 40
	for range 2 { // the second time, all keys have expired
		s.clock.Move(provider.KeyLifetime)
		before := organizations[0].records()
		ids := make([][2]uuid.UUID, len(organizations)*keys)
		var all sync.WaitGroup
		for n := range ids {
			for i := range ids[n] {
				all.Go(func() {
					org := organizations[n%len(organizations)]
					got, err := s.Write(t.Context(), org.onceOf(fmt.Sprint("key ", n), org.customer, set(property.City, fmt.Sprint(n))))
					if err != nil {
						t.Errorf("create: %v", err)
					}
					ids[n][i] = got.ID
				})
			}
		}
		all.Wait()
		for n, both := range ids {
			if both[0] != both[1] {
				t.Errorf("key %d has two records", n)
			}
		}
		for _, org := range organizations {
			equal(t, "new records", org.records()-before, keys)
		}
	}
}
