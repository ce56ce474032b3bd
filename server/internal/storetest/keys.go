package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

func testKeys(t *testing.T, s *suite) {
	t.Run("a key is found by its hash and its ID", func(t *testing.T) {
		for name, key := range map[string]apikey.Key{
			"with everything": {
				Name: "intake “Süd” 😀", Permissions: []apikey.Permission{apikey.ProvidersWrite, apikey.ProvidersRead}, RateLimit: 600,
			},
			"with as little as can be": {},
		} {
			secret, want := s.createKey(t, key)
			hash, _ := apikey.HashOf(secret)
			got, err := s.KeyByHash(t.Context(), hash)
			if err != nil {
				t.Fatal(err)
			}
			got.ReadAt = time.Time{}
			equal(t, "key "+name+", by hash", got, want)
			equal(t, "key "+name+", by ID", s.key(t, want.ID), want)
		}
	})

	t.Run("every time of a key is kept to the millisecond", func(t *testing.T) {
		at := s.clock.Now().Truncate(time.Hour)
		_, key := s.createKey(t, apikey.Key{})
		want := key
		want.ID, want.CreatedAt, want.ExpiresAt, want.RevokedAt = apikey.NewID(), at.Add(time.Millisecond), at.Add(2*time.Millisecond), at.Add(999*time.Millisecond)
		hash, _ := apikey.HashOf(apikey.Generate())
		if err := s.CreateKey(t.Context(), want, hash); err != nil {
			t.Fatal(err)
		}
		want.LastUsedAt = at.Add(7 * time.Millisecond)
		if err := s.RecordKeyUses(t.Context(), map[string]time.Time{want.ID: want.LastUsedAt.Add(999_999)}); err != nil {
			t.Fatal(err)
		}
		got := s.key(t, want.ID)
		equal(t, "key", got, want)
		for what, at := range map[string]time.Time{"created": got.CreatedAt, "expires": got.ExpiresAt, "revoked": got.RevokedAt, "last used": got.LastUsedAt} {
			if at.Location() != time.UTC {
				t.Errorf("%s is in %v, want UTC", what, at.Location())
			}
		}
	})

	t.Run("what is unknown is not found, and not repeated", func(t *testing.T) {
		secret := apikey.Generate() // pasted where an ID belongs
		hash, _ := apikey.HashOf(secret)
		_, byHash := s.KeyByHash(t.Context(), hash)
		_, byID := s.KeyByID(t.Context(), secret)
		for name, err := range map[string]error{
			"KeyByHash": byHash, "KeyByID": byID, "RevokeKey": s.RevokeKey(t.Context(), secret, 0),
			"RotateKey": s.RotateKey(t.Context(), secret, apikey.Key{ID: apikey.NewID()}, hash, 0),
			"UpdateKey": s.UpdateKey(t.Context(), secret, apikey.Update{Name: new("x")}), "Remove": apikey.Remove(t.Context(), s, secret),
		} {
			if !errors.Is(err, apikey.ErrNotFound) || strings.Contains(fmt.Sprintf("%+v", err), secret) {
				t.Errorf("%s: error %v, want %v", name, err, apikey.ErrNotFound)
			}
		}
		if err := s.RecordKeyUses(t.Context(), map[string]time.Time{secret: s.clock.Now()}); err != nil {
			t.Errorf("RecordKeyUses: error %v, want none", err)
		}
	})

	t.Run("an ID and a hash belong to one key", func(t *testing.T) {
		secret, key := s.createKey(t, apikey.Key{Name: "first"})
		hash, _ := apikey.HashOf(secret)
		fresh, _ := apikey.HashOf(apikey.Generate())
		second := key
		second.Name = "second"
		sameHash := second
		sameHash.ID = apikey.NewID()
		for name, err := range map[string]error{"the same ID": s.CreateKey(t.Context(), second, fresh), "the same hash": s.CreateKey(t.Context(), sameHash, hash)} {
			if err == nil || strings.Contains(err.Error(), key.ID) {
				t.Errorf("%s: error %v, want one without the ID", name, err)
			}
		}
		equal(t, "key", s.key(t, key.ID), key)
	})

	t.Run("the list has the keys of all organizations, the oldest first", func(t *testing.T) {
		var want []apikey.Key
		mine := map[string]bool{}
		for range 5 {
			_, key := s.createKey(t, apikey.Key{Name: "list", Permissions: apikey.Permissions()})
			s.clock.Move(time.Second)
			mine[key.ID] = true
			want = append(want, key)
		}
		revoked := &want[2]
		revoked.Revoked, revoked.RevokedAt = true, s.clock.Now()
		if err := s.RevokeKey(t.Context(), revoked.ID, 0); err != nil {
			t.Fatal(err)
		}
		listed, err := s.ListKeys(t.Context(), 0, apikey.Key{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var paged []apikey.Key
		for last := (apikey.Key{}); ; last = paged[len(paged)-1] {
			page, err := s.ListKeys(t.Context(), 0, last, 2)
			if err != nil {
				t.Fatal(err)
			}
			if paged = append(paged, page...); len(page) < 2 {
				break
			}
		}
		for i := range paged {
			paged[i].ReadAt = listed[i].ReadAt
		}
		equal(t, "pages", paged, listed)
		var got []apikey.Key
		for _, key := range listed {
			if mine[key.ID] {
				key.ReadAt = time.Time{}
				got = append(got, key)
			}
		}
		equal(t, "keys", got, want)
	})

	t.Run("a revocation is brought forward, never put off", func(t *testing.T) {
		_, key := s.createKey(t, apikey.Key{})
		_, other := s.createKey(t, apikey.Key{})
		now := s.clock.Now()
		for _, step := range []struct{ at, want time.Duration }{
			{48 * time.Hour, 48 * time.Hour}, {72 * time.Hour, 48 * time.Hour}, {24 * time.Hour, 24 * time.Hour}, {0, 0}, {time.Hour, 0},
		} {
			if err := s.RevokeKey(t.Context(), key.ID, step.at); err != nil {
				t.Fatal(err)
			}
			key.Revoked, key.RevokedAt = step.want == 0, now.Add(step.want)
			equal(t, fmt.Sprint("key, revoked at ", step.at), s.key(t, key.ID), key)
		}
		equal(t, "another key", s.key(t, other.ID), other)
	})

	t.Run("the hashes of new keys", func(t *testing.T) {
		s.createKey(t, apikey.Key{})
		since := s.clock.Move(time.Second)
		secret, _ := s.createKey(t, apikey.Key{})
		want, _ := apikey.HashOf(secret)
		hashes, now, err := s.KeyHashes(t.Context(), since)
		if err != nil || !slices.Equal(hashes, []apikey.Hash{want}) || !now.Equal(s.clock.Now()) {
			t.Errorf("%d hashes at %v, %v; want that of the second key at %v", len(hashes), now, err, s.clock.Now())
		}
	})

	t.Run("a key is read at the time of the store's clock", func(t *testing.T) {
		secret, _ := s.createKey(t, apikey.Key{})
		hash, _ := apikey.HashOf(secret)
		for range 2 {
			want := s.clock.Move(time.Hour).Truncate(time.Millisecond)
			key, err := s.KeyByHash(t.Context(), hash)
			now, nowErr := s.Now(t.Context())
			if err != nil || nowErr != nil || !key.ReadAt.Equal(want) || !now.Truncate(time.Millisecond).Equal(want) {
				t.Errorf("read at %v, %v; now %v, %v; want %v", key.ReadAt, err, now, nowErr, want)
			}
		}
	})

	t.Run("the latest use stands", func(t *testing.T) {
		_, key := s.createKey(t, apikey.Key{})
		now := s.clock.Now()
		for _, step := range []struct{ at, want time.Duration }{{0, 0}, {time.Minute, time.Minute}, {time.Second, time.Minute}, {time.Hour, time.Hour}} {
			if err := s.RecordKeyUses(t.Context(), map[string]time.Time{key.ID: now.Add(step.at)}); err != nil {
				t.Fatal(err)
			}
			key.LastUsedAt = now.Add(step.want)
			equal(t, fmt.Sprint("key, used at ", step.at), s.key(t, key.ID), key)
		}
	})

	t.Run("many use and revoke a key at once", func(t *testing.T) {
		_, key := s.createKey(t, apikey.Key{})
		now := s.clock.Now()
		var all sync.WaitGroup
		for _, n := range rand.Perm(16) {
			all.Go(func() {
				at := now.Add(time.Duration(n) * time.Second)
				if err := errors.Join(s.RecordKeyUses(t.Context(), map[string]time.Time{key.ID: at}), s.RevokeKey(t.Context(), key.ID, at.Sub(now))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		key.LastUsedAt, key.Revoked, key.RevokedAt = now.Add(15*time.Second), true, now
		equal(t, "key", s.key(t, key.ID), key)
	})

	t.Run("the keys of one organization", func(t *testing.T) {
		_, first := s.createKey(t, apikey.Key{})
		s.createKey(t, apikey.Key{})
		second := first
		second.ID = apikey.NewID()
		hash, _ := apikey.HashOf(apikey.Generate())
		if err := s.CreateKey(t.Context(), second, hash); err != nil {
			t.Fatal(err)
		}
		want := []string{first.ID, second.ID} // of the same time, in the order of their IDs
		slices.Sort(want)
		var got []string
		for last := (apikey.Key{}); ; {
			keys, err := s.ListKeys(t.Context(), first.Organization, last, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(keys) == 0 {
				break
			}
			last = keys[0]
			got = append(got, last.ID)
		}
		equal(t, "keys", got, want)
	})

	t.Run("a caller who left gets no key, and revokes none", func(t *testing.T) {
		org := s.tenant(t)
		_, key := s.createKey(t, apikey.Key{})
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, unmade, err := apikey.Create(gone, s, apikey.Key{Organization: org.number}, 0)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("create: error %v, want %v", err, context.Canceled)
		}
		if _, err := s.KeyByID(t.Context(), unmade.ID); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("the key of who left: error %v, want %v", err, apikey.ErrNotFound)
		}
		if err := s.RevokeKey(gone, key.ID, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("revoke: error %v, want %v", err, context.Canceled)
		}
		equal(t, "key", s.key(t, key.ID), key)
	})
}

func testRotation(t *testing.T, s *suite) {
	// rotated returns a key, and the one that replaces it after an hour.
	rotated := func(t *testing.T) (old, next apikey.Key) {
		_, old = s.createKey(t, apikey.Key{Name: "nightly"})
		s.clock.Move(time.Second)
		err := apikey.Rotate(t.Context(), s, old.ID, time.Hour, func(_ string, key apikey.Key) error { next = key; return nil })
		if err != nil {
			t.Fatal(err)
		}
		next.ReadAt = time.Time{}
		return old, next
	}

	t.Run("a key names the one that replaces it", func(t *testing.T) {
		old, next := rotated(t)
		equal(t, "new key", s.key(t, next.ID), next)
		old.Successor, old.RevokedAt = next.ID, s.clock.Now().Add(time.Hour)
		equal(t, "old key", s.key(t, old.ID), old)
	})

	t.Run("a key is replaced once, while it works", func(t *testing.T) {
		old, next := rotated(t)
		_, revoked := s.createKey(t, apikey.Key{})
		_, ending := s.createKey(t, apikey.Key{})
		_, expired := s.createKey(t, apikey.Key{})
		if err := errors.Join(s.RevokeKey(t.Context(), revoked.ID, 0), s.RevokeKey(t.Context(), ending.ID, 2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		refused := func(what, id string, want error) {
			t.Helper()
			hash, _ := apikey.HashOf(apikey.Generate())
			third := next
			third.ID = apikey.NewID()
			before := s.key(t, id)
			if err := s.RotateKey(t.Context(), id, third, hash, 0); fmt.Sprint(err) != want.Error() {
				t.Errorf("%s: error %v, want %v", what, err, want)
			}
			equal(t, what, s.key(t, id), before)
			if _, err := s.KeyByID(t.Context(), third.ID); !errors.Is(err, apikey.ErrNotFound) {
				t.Errorf("%s: the new key: error %v, want %v", what, err, apikey.ErrNotFound)
			}
		}
		refused("a replaced key", old.ID, &apikey.RotatedError{Successor: next.ID})
		refused("a revoked key", revoked.ID, apikey.ErrInactive)
		refused("a key that is to end", ending.ID, &apikey.RotatedError{})
		s.clock.Move(time.Hour)
		refused("an expired key", expired.ID, apikey.ErrInactive)
		refused("a replaced key that has ended", old.ID, &apikey.RotatedError{Successor: next.ID})
	})

	t.Run("also if many replace it at once", func(t *testing.T) {
		_, old := s.createKey(t, apikey.Key{})
		var all sync.WaitGroup
		outcomes := make([]error, 8)
		for i := range outcomes {
			all.Go(func() {
				outcomes[i] = apikey.Rotate(t.Context(), s, old.ID, time.Hour, func(string, apikey.Key) error { return nil })
			})
		}
		all.Wait()
		successor, done := s.key(t, old.ID).Successor, 0
		for _, err := range outcomes {
			var rotated *apikey.RotatedError
			switch {
			case err == nil:
				done++
			case !errors.As(err, &rotated) || rotated.Successor != successor:
				t.Errorf("error %v, want a RotatedError that names %s", err, successor)
			}
		}
		keys, err := s.ListKeys(t.Context(), old.Organization, apikey.Key{}, 100)
		if done != 1 || len(keys) != 2 || err != nil {
			t.Errorf("%d replaced the key, and there are %d keys, %v; want 1 and 2", done, len(keys), err)
		}
	})

	t.Run("neither happens if the new key cannot be saved", func(t *testing.T) {
		_, old := s.createKey(t, apikey.Key{})
		hash, _ := apikey.HashOf(apikey.Generate())
		if err := s.RotateKey(t.Context(), old.ID, old, hash, 0); err == nil { // the ID is taken
			t.Error("no error")
		}
		equal(t, "old key", s.key(t, old.ID), old)
	})

	t.Run("it can be undone", func(t *testing.T) {
		old, next := rotated(t)
		if err := s.UndoRotation(t.Context(), old.ID, next.ID); err != nil {
			t.Fatal(err)
		}
		equal(t, "old key", s.key(t, old.ID), old)
		next.Revoked, next.RevokedAt = true, s.clock.Now()
		equal(t, "new key", s.key(t, next.ID), next)
	})

	t.Run("but what was revoked in the meantime stays so", func(t *testing.T) {
		old, next := rotated(t)
		old.Successor, old.Revoked, old.RevokedAt = next.ID, true, s.clock.Now()
		if err := errors.Join(s.RevokeKey(t.Context(), old.ID, 0), s.UndoRotation(t.Context(), old.ID, next.ID)); err != nil {
			t.Fatal(err)
		}
		equal(t, "old key", s.key(t, old.ID), old)
	})
}

func testKeyManagement(t *testing.T, s *suite) {
	t.Run("a name and a limit change, and nothing else", func(t *testing.T) {
		_, key := s.createKey(t, apikey.Key{Name: "before", RateLimit: 60, Permissions: apikey.Permissions()})
		_, other := s.createKey(t, apikey.Key{Name: "other", RateLimit: 60})
		for _, update := range []apikey.Update{{}, {Name: new("after")}, {RateLimit: new(0)}, {Name: new("both “Süd”"), RateLimit: new(600)}} {
			if err := s.UpdateKey(t.Context(), key.ID, update); err != nil {
				t.Fatal(err)
			}
			if update.Name != nil {
				key.Name = *update.Name
			}
			if update.RateLimit != nil {
				key.RateLimit = *update.RateLimit
			}
			equal(t, "key", s.key(t, key.ID), key)
		}
		equal(t, "another key", s.key(t, other.ID), other)
	})

	t.Run("keys that have ended are removed, others stay", func(t *testing.T) {
		_, expired := s.createKey(t, apikey.Key{}) // in an hour
		_, ending := s.createKey(t, apikey.Key{})
		now := s.clock.Move(30 * time.Minute)
		_, revoked := s.createKey(t, apikey.Key{})
		_, works := s.createKey(t, apikey.Key{})
		_, rotating := s.createKey(t, apikey.Key{})
		if err := errors.Join(s.RevokeKey(t.Context(), revoked.ID, 0), s.RevokeKey(t.Context(), ending.ID, time.Minute), s.RevokeKey(t.Context(), rotating.ID, 40*time.Minute)); err != nil {
			t.Fatal(err)
		}
		s.clock.Move(30 * time.Minute)
		removed, err := s.RemoveKeys(t.Context(), []string{works.ID, expired.ID, rotating.ID, ending.ID, "key_none"})
		if removed != 2 || err != nil {
			t.Errorf("removed %d keys, %v; want 2", removed, err)
		}
		s.clock.Set(now.Add(-time.Second)) // revoked is revoked, whatever the clock
		if err := apikey.Remove(t.Context(), s, revoked.ID); err != nil {
			t.Error(err)
		}
		if err := apikey.Remove(t.Context(), s, works.ID); !errors.Is(err, apikey.ErrActive) {
			t.Errorf("a key that works: error %v, want %v", err, apikey.ErrActive)
		}
		for id, want := range map[string]error{expired.ID: apikey.ErrNotFound, ending.ID: apikey.ErrNotFound, revoked.ID: apikey.ErrNotFound, works.ID: nil, rotating.ID: nil} {
			if _, err := s.KeyByID(t.Context(), id); err != want {
				t.Errorf("%s: error %v, want %v", id, err, want)
			}
		}
		if removed, err := s.RemoveKeys(t.Context(), nil); removed != 0 || err != nil {
			t.Errorf("of no keys, removed %d, %v", removed, err)
		}
	})
}

// createKey creates a key in an organization of its own.
func (s *suite) createKey(t testing.TB, key apikey.Key) (secret string, _ apikey.Key) {
	t.Helper()
	key.OrganizationName = "organization of " + apikey.NewID()
	var err error
	if key.Organization, _, err = s.EnsureOrganization(t.Context(), key.OrganizationName); err != nil {
		t.Fatal(err)
	}
	secret, key, err = apikey.Create(t.Context(), s, key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key.ReadAt = time.Time{}
	return secret, key
}

// key returns a key without the time at which it was read.
func (s *suite) key(t testing.TB, id string) apikey.Key {
	t.Helper()
	key, err := s.KeyByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	key.ReadAt = time.Time{}
	return key
}
