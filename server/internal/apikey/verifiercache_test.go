package apikey_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

func TestRevocationTakesHoldWithinCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		store.RevokeKey(t.Context(), key.ID, 0)

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
		store.RevokeKey(t.Context(), key.ID, 0)
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
		store := &memory{clock: func() time.Time { return now }}
		v := apikey.NewVerifier(store, store.clock, slog.New(slog.DiscardHandler))
		defer v.Close()
		secret, key := create(t, store, apikey.Key{}, now)
		var revoked, ends, asked time.Time // when it was revoked, from when on, when the store was last asked
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, 3000).Draw(rt, "ms")) * time.Millisecond)
			},
			"revoke": func(rt *rapid.T) {
				if ends.IsZero() {
					revoked, ends = now, now.Add(time.Duration(rapid.Int64Range(0, 9000).Draw(rt, "overlap ms"))*time.Millisecond)
					store.RevokeKey(t.Context(), key.ID, ends.Sub(now))
				}
			},
			"verify": func(rt *rapid.T) {
				before, _ := store.counts()
				_, err := v.Verify(t.Context(), secret)
				after, _ := store.counts()
				over := !ends.IsZero() && !now.Before(ends)
				switch {
				case err != nil && !over:
					rt.Fatalf("an active key is rejected: %v", err)
				case err == nil && over && now.Sub(revoked) >= apikey.CacheTTL:
					rt.Fatalf("accepted %v after its revocation", now.Sub(revoked))
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
					store.RevokeKey(t.Context(), key.ID, time.Until(end))
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
		response := make(chan struct{})
		store := &memory{lookingUp: func(context.Context) { <-response }}
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())

		// The first caller looks the key up for all, and hangs up.
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
		close(response)
		synctest.Wait()
		if got := valid.Load(); got != 100 {
			t.Errorf("%d of 100 accepted", got)
		}
		wantLookups(t, store, 1)
		wantUses(t, store, 1)
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

func TestACachedKeyCostsOneAllocation(t *testing.T) {
	store := new(memory)
	v := newVerifier(t, store)
	secret, key := create(t, store, apikey.Key{}, time.Now())
	wantValid(t, v, secret, key.ID)
	if got := testing.AllocsPerRun(100, func() { v.Verify(t.Context(), secret) }); got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}
