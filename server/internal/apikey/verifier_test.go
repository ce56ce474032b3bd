package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

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

func wantTouches(t testing.TB, store *memory, want int) {
	t.Helper()
	synctest.Wait()
	if _, got := store.counts(); got != want {
		t.Fatalf("%d touches, want %d", got, want)
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
				store.RevokeKey(t.Context(), key.ID, now.Add(c.revoked))
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

func TestRevocationTakesHoldWithinCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		store.RevokeKey(t.Context(), key.ID, time.Now())

		// Use does not prolong it.
		for range 4 {
			time.Sleep(apikey.CacheTTL / 4)
			if time.Now().Before(key.CreatedAt.Add(apikey.CacheTTL)) {
				wantValid(t, v, secret, key.ID)
				wantLookups(t, store, 1)
			}
		}
		wantInvalid(t, v, secret)
		wantLookups(t, store, 2)
	})
}

func TestCacheTTLCountsFromTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{lookingUp: func(context.Context) { time.Sleep(2 * time.Second) }}
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		go v.Verify(t.Context(), secret)
		time.Sleep(time.Millisecond) // the store has read the key and is slow to say so
		store.RevokeKey(t.Context(), key.ID, time.Now())
		revoked := time.Now()
		time.Sleep(apikey.CacheTTL - 2*time.Millisecond)
		wantValid(t, v, secret, key.ID)
		time.Sleep(time.Until(revoked.Add(apikey.CacheTTL)))
		wantInvalid(t, v, secret)
	})
}

// Whatever happens when: a key that is not revoked works, one revoked for CacheTTL does not, and the store is asked
// at most once in CacheTTL.
func TestVerifyOverTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)
		store := new(memory)
		v := apikey.NewVerifier(store, func() time.Time { return now }, slog.New(slog.DiscardHandler))
		defer v.Close()
		secret, key := create(t, store, apikey.Key{}, now)
		var told, ends, asked time.Time // when it was revoked, from when on, when the store was last asked
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, 3000).Draw(rt, "ms")) * time.Millisecond)
			},
			"revoke": func(rt *rapid.T) {
				if ends.IsZero() {
					told, ends = now, now.Add(time.Duration(rapid.Int64Range(0, 9000).Draw(rt, "overlap ms"))*time.Millisecond)
					store.RevokeKey(t.Context(), key.ID, ends)
				}
			},
			"verify": func(rt *rapid.T) {
				before, _ := store.counts()
				_, err := v.Verify(t.Context(), secret)
				after, _ := store.counts()
				over := !ends.IsZero() && !now.Before(ends)
				switch {
				case err != nil && !over:
					rt.Fatalf("an active key is refused: %v", err)
				case err == nil && over && now.Sub(told) >= apikey.CacheTTL:
					rt.Fatalf("accepted %v after its revocation", now.Sub(told))
				}
				if after > before {
					if now.Sub(asked) < apikey.CacheTTL {
						rt.Fatalf("looked up again after %v", now.Sub(asked))
					}
					asked = now
				}
			},
		})
	})
}

func TestTheClockEndsACachedKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		key    apikey.Key
		revoke bool
	}{
		{name: "expiry"},
		{name: "revocation foretold", revoke: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(memory)
				v := newVerifier(t, store)
				end := time.Now().Add(time.Second)
				if !c.revoke {
					c.key.ExpiresAt = end
				}
				secret, key := create(t, store, c.key, time.Now())
				if c.revoke {
					store.RevokeKey(t.Context(), key.ID, end)
				}
				wantValid(t, v, secret, key.ID)
				time.Sleep(time.Second - time.Nanosecond)
				wantValid(t, v, secret, key.ID)
				time.Sleep(time.Nanosecond)
				wantInvalid(t, v, secret)
				wantLookups(t, store, 1)
			})
		})
	}
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
		secret, key, err := apikey.Rotate(t.Context(), store, old.ID, time.Hour, time.Now())
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

func TestVerifyWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		store.down = errDown
		time.Sleep(apikey.CacheTTL - time.Nanosecond)
		wantValid(t, v, secret, key.ID)
		time.Sleep(time.Nanosecond)
		_, err := v.Verify(t.Context(), secret)
		if !errors.Is(err, errDown) || errors.Is(err, apikey.ErrInvalid) || strings.Contains(err.Error(), secret[9:20]) {
			t.Errorf("with the store down: %v", err)
		}
		store.down = nil
		wantValid(t, v, secret, key.ID)
	})
}

func TestALookUpIsGivenUpWhenItsAnswerWouldBeTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{lookingUp: func(ctx context.Context) { <-ctx.Done() }}
		v := newVerifier(t, store)
		secret, _ := create(t, store, apikey.Key{}, time.Now())
		began := time.Now()
		_, err := v.Verify(t.Context(), secret)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != apikey.CacheTTL {
			t.Errorf("Verify = %v after %v", err, took)
		}
	})
}

func TestConcurrentMissesLookUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		store := &memory{lookingUp: func(context.Context) { <-answer }}
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())

		// Whoever comes first asks for all, and hangs up.
		ctx, hangUp := context.WithCancel(t.Context())
		go v.Verify(ctx, secret)
		synctest.Wait()
		var valid atomic.Int32
		for range 100 {
			go func() {
				if got, err := v.Verify(t.Context(), secret); err == nil && got.ID == key.ID {
					valid.Add(1)
				}
			}()
		}
		synctest.Wait()
		hangUp()
		close(answer)
		synctest.Wait()
		if got := valid.Load(); got != 100 {
			t.Errorf("%d of 100 accepted", got)
		}
		wantLookups(t, store, 1)
		wantTouches(t, store, 1)
	})
}

func TestTouchOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		wantTouches(t, store, 1)
		for range 59 { // with a dozen look-ups in between
			time.Sleep(time.Second)
			wantValid(t, v, secret, key.ID)
		}
		wantTouches(t, store, 1)
		time.Sleep(time.Second)
		for range 10 {
			wantValid(t, v, secret, key.ID)
		}
		wantTouches(t, store, 2)
		saved, _ := store.KeyByID(t.Context(), key.ID)
		if !saved.LastUsedAt.Equal(time.Now()) {
			t.Errorf("last use %v, want %v", saved.LastUsedAt, time.Now())
		}
	})
}

func TestOtherProcessesTouchToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		a, b := newVerifier(t, store), newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, a, secret, key.ID)
		wantTouches(t, store, 1)
		wantValid(t, b, secret, key.ID)
		wantTouches(t, store, 1)
		time.Sleep(apikey.UseInterval)
		wantValid(t, b, secret, key.ID)
		wantTouches(t, store, 2)
		wantValid(t, a, secret, key.ID)
		wantTouches(t, store, 2)
	})
}

func TestARefusedKeyIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, _ := create(t, store, apikey.Key{ExpiresAt: time.Now()}, time.Now())
		wantInvalid(t, v, secret)
		wantTouches(t, store, 0)
	})
}

func TestAFailingTouchFailsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		store := &memory{touching: func(context.Context) error { tries++; return errDown }}
		var log bytes.Buffer
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		secret, key := create(t, store, apikey.Key{}, time.Now())
		for range 60 {
			wantValid(t, v, secret, key.ID)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if tries != 1 {
			t.Errorf("%d tries within a minute, want 1", tries)
		}
		wantValid(t, v, secret, key.ID)
		v.Close()
		if tries != 2 {
			t.Errorf("%d tries after a minute, want 2", tries)
		}
		line := log.String()
		if !strings.Contains(line, key.ID) || !strings.Contains(line, errDown.Error()) || strings.Contains(line, secret[9:20]) {
			t.Errorf("log: %s", line)
		}
	})
}

func TestASlowTouchDelaysCloseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{touching: func(context.Context) error { time.Sleep(time.Second); return nil }}
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
		began := time.Now()
		secret, key := create(t, store, apikey.Key{}, began)
		other, otherKey := create(t, store, apikey.Key{}, began)
		wantValid(t, v, secret, key.ID)
		wantValid(t, v, other, otherKey.ID)
		if took := time.Since(began); took != 0 {
			t.Errorf("Verify took %v", took)
		}
		v.Close()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("closed after %v, want 2s: one touch after the other", took)
		}
		time.Sleep(apikey.UseInterval)
		wantValid(t, v, secret, key.ID)
		wantTouches(t, store, 2)
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{touching: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
		began := time.Now()
		for range 100 {
			secret, key := create(t, store, apikey.Key{}, began)
			wantValid(t, v, secret, key.ID)
		}
		v.Close()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("closed after %v, want 5s", took)
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, anyKey{})
		for range apikey.MaxCached + 100 {
			if _, err := v.Verify(t.Context(), apikey.Generate()); err != nil {
				t.Fatal(err)
			}
		}
		if got := v.Cached(); got != apikey.MaxCached {
			t.Errorf("%d keys cached, want %d", got, apikey.MaxCached)
		}
	})
}

// anyKey is a store that knows every key.
type anyKey struct{ apikey.Store }

func (anyKey) KeyByHash(context.Context, apikey.Hash) (apikey.Key, error) {
	return apikey.Key{ID: "key_any"}, nil
}

func (anyKey) RecordKeyUse(context.Context, string, time.Time) error { return nil }

// For the race detector: everything at once, on the real clock.
func TestVerifyConcurrently(t *testing.T) {
	store := new(memory)
	var ahead atomic.Int64 // lets answers grow old and touches fall due
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

func TestACachedKeyCostsNoAllocation(t *testing.T) {
	store := new(memory)
	v := newVerifier(t, store)
	secret, key := create(t, store, apikey.Key{}, time.Now())
	wantValid(t, v, secret, key.ID)
	if got := testing.AllocsPerRun(100, func() { v.Verify(t.Context(), secret) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
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
