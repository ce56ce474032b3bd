package apikey_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// The tests run in synctest bubbles: time.Now is a fake clock there, which time.Sleep moves without waiting.

func newVerifier(t testing.TB, store apikey.Store) *apikey.Verifier {
	t.Helper()
	v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(v.Close)
	return v
}

// wantValid checks that the secret is accepted as the key of that ID.
func wantValid(t testing.TB, v *apikey.Verifier, secret, id string) {
	t.Helper()
	if key, err := v.Verify(t.Context(), secret); err != nil || key.ID != id {
		t.Fatalf("Verify = %+v, %v; want key %s", key, err, id)
	}
}

func wantInvalid(t testing.TB, v *apikey.Verifier, secret string) {
	t.Helper()
	if key, err := v.Verify(t.Context(), secret); err != apikey.ErrInvalid || key != nil {
		t.Fatalf("Verify = %+v, %v; want ErrInvalid itself", key, err)
	}
}

func wantLookups(t testing.TB, store *memory, want int) {
	t.Helper()
	if got, _ := store.counts(); got != want {
		t.Fatalf("%d look-ups, want %d", got, want)
	}
}

func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		store := new(memory)
		v := newVerifier(t, store)
		for _, c := range []struct {
			name             string
			expires, revoked time.Duration // from now; 0 for never
			want             bool
		}{
			{"plain", 0, 0, true},
			{"expires later", time.Hour, 0, true},
			{"expired", -time.Millisecond, 0, false},
			{"revoked", 0, -time.Millisecond, false},
			{"revoked from later on", 0, time.Hour, true},
		} {
			var key apikey.Key
			if c.expires != 0 {
				key.ExpiresAt = now.Add(c.expires)
			}
			secret, key := create(t, store, key, now)
			if c.revoked != 0 {
				store.RevokeKey(t.Context(), key.ID, c.revoked)
			}
			for _, state := range []string{"new", "cached"} {
				got, err := v.Verify(t.Context(), secret)
				if c.want && (err != nil || got.ID != key.ID) || !c.want && err != apikey.ErrInvalid {
					t.Errorf("%s, %s: Verify = %+v, %v", c.name, state, got, err)
				}
			}
		}
	})
}

// The clock that counts is the store's: each machine has its own.
func TestClocksApart(t *testing.T) {
	for name, apart := range map[string]time.Duration{"the store's clock is behind": -2 * time.Minute, "the store's clock is ahead": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &memory{clock: func() time.Time { return time.Now().Add(apart) }}
				v := newVerifier(t, store)
				secret, _, err := apikey.Create(t.Context(), store, apikey.Key{}, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				replaced, old := create(t, store, apikey.Key{}, store.now())
				store.RevokeKey(t.Context(), old.ID, time.Minute)
				time.Sleep(time.Minute - time.Nanosecond)
				for what, secret := range map[string]string{"a key that expires": secret, "a key that is being replaced": replaced} {
					if _, err := v.Verify(t.Context(), secret); err != nil {
						t.Errorf("%s, before its end: %v", what, err)
					}
				}
				time.Sleep(time.Nanosecond)
				wantInvalid(t, v, secret)
				wantInvalid(t, v, replaced)
			})
		})
	}
}

// However many keys a caller makes up, the store is asked once a second.
func TestVerifyKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		for n := range 1000 {
			if got, err := v.VerifyKnown(t.Context(), apikey.Generate()); err != apikey.ErrInvalid || got != nil {
				t.Fatalf("VerifyKnown = %+v, %v; want ErrInvalid itself", got, err)
			}
			time.Sleep(time.Second / 100)
			if n == 500 {
				secret, key = create(t, store, apikey.Key{}, time.Now())
				time.Sleep(time.Second)
			}
		}
		wantLookups(t, store, 0)
		if store.queries < 10 || store.queries > 12 {
			t.Errorf("%d queries in 11 seconds", store.queries)
		}
		if got, err := v.VerifyKnown(t.Context(), secret); err != nil || got.ID != key.ID {
			t.Errorf("VerifyKnown = %+v, %v; want key %s", got, err, key.ID)
		}
		store.down = errDown
		time.Sleep(time.Second)
		queries := store.queries
		for range 3 {
			if _, err := v.VerifyKnown(t.Context(), apikey.Generate()); !errors.Is(err, errDown) {
				t.Errorf("with the store down: %v", err)
			}
		}
		if store.queries != queries+1 {
			t.Errorf("%d queries of a store that is down, want 1", store.queries-queries)
		}
	})
}

// A revoked key stays revoked when a clock is set back.
func TestRevokedWhateverTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		store.RevokeKey(t.Context(), key.ID, 0)
		store.clock = func() time.Time { return time.Now().Add(-2 * time.Minute) }
		wantInvalid(t, v, secret)
	})
}

func TestVerifyRefusesWhatIsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, _ := create(t, store, apikey.Key{}, time.Now())
		for _, other := range []string{"", "cc_", secret[1:], secret + " ", strings.ToUpper(secret)} {
			wantInvalid(t, v, other)
		}
		wantLookups(t, store, 0)
		wantInvalid(t, v, apikey.Generate())
		wantLookups(t, store, 1)
		if got := v.Cached(); got != 0 {
			t.Errorf("%d unknown keys cached", got)
		}
	})
}

func TestANewKeyWorksThoughItWasTriedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret := apikey.Generate()
		wantInvalid(t, v, secret)
		hash, _ := apikey.HashOf(secret)
		store.CreateKey(t.Context(), apikey.Key{ID: "key_1"}, hash)
		wantValid(t, v, secret, "key_1")
	})
}

func TestAKeyThatExpiresDuringItsLookUpIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{lookingUp: func(context.Context) { time.Sleep(2 * time.Second) }}
		v := newVerifier(t, store)
		secret, _ := create(t, store, apikey.Key{ExpiresAt: time.Now().Add(time.Second)}, time.Now())
		wantInvalid(t, v, secret)
	})
}

func TestRotationOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		oldSecret, old := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, oldSecret, old.ID)
		secret, key, err := rotate(t, store, old.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		wantValid(t, v, oldSecret, old.ID)
		wantValid(t, v, secret, key.ID)
		time.Sleep(time.Nanosecond)
		wantInvalid(t, v, oldSecret)
		wantValid(t, v, secret, key.ID)
	})
}

func TestSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		expired, _ := create(t, store, apikey.Key{ExpiresAt: time.Now()}, time.Now())
		wantValid(t, v, secret, key.ID)
		for _, suspended := range []bool{true, false} {
			store.suspend(suspended)
			time.Sleep(max(apikey.CacheTTL, apikey.UseInterval))
			_, before := store.counts()
			if got, err := v.Verify(t.Context(), secret); errors.Is(err, apikey.ErrSuspended) != suspended || got.ID != key.ID {
				t.Errorf("suspended %v: key %+v, error %v", suspended, got, err)
			}
			wantInvalid(t, v, expired)
			synctest.Wait()
			if _, after := store.counts(); (after == before) != suspended {
				t.Errorf("suspended %v: %d uses were recorded", suspended, after-before)
			}
		}
	})
}

func TestRemovedKeyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		store.RevokeKey(t.Context(), key.ID, 0)
		if err := apikey.Remove(t.Context(), store, key.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(apikey.CacheTTL)
		wantInvalid(t, v, secret)
		if n := v.Cached(); n != 0 {
			t.Errorf("%d keys are cached", n)
		}
	})
}

func (anyKey) KeyByHash(context.Context, apikey.Hash) (apikey.Key, error) {
	return apikey.Key{ID: "key_any", ReadAt: time.Now()}, nil
}

func (anyKey) RecordKeyUses(context.Context, map[string]time.Time) error { return nil }

// For the race detector: everything at once, on the real clock.
func TestVerifyConcurrently(t *testing.T) {
	store := new(memory)
	var ahead atomic.Int64 // lets responses grow old and touches fall due
	v := apikey.NewVerifier(store, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, slog.New(slog.DiscardHandler))
	type made struct{ secret, id string }
	var keys []made
	for range 8 {
		secret, key := create(t, store, apikey.Key{}, time.Now())
		keys = append(keys, made{secret, key.ID})
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				k := keys[(i+n)%len(keys)]
				if key, err := v.Verify(t.Context(), k.secret); err != nil || key.ID != k.id {
					t.Errorf("Verify = %+v, %v; want %s", key, err, k.id)
				}
				ahead.Add(int64(time.Second))
				if n == 400 && i == 0 {
					v.Close()
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkVerify(b *testing.B) {
	store := new(memory)
	v := newVerifier(b, store)
	secret, key := create(b, store, apikey.Key{}, time.Now())
	wantValid(b, v, secret, key.ID)
	mistyped := secret[:10] + "-" + secret[11:]
	ctx := b.Context()

	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Verify(ctx, secret)
		}
	})
	b.Run("hit in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				v.Verify(ctx, secret)
			}
		})
	})
	b.Run("mistyped", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Verify(ctx, mistyped)
		}
	})
}
