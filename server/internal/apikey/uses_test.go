package apikey_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

func wantUses(t testing.TB, store *memory, want int) {
	t.Helper()
	synctest.Wait()
	if _, got := store.counts(); got != want {
		t.Fatalf("%d touches, want %d", got, want)
	}
}

func TestUseOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, v, secret, key.ID)
		wantUses(t, store, 1)
		for range 59 { // with a dozen look-ups in between
			time.Sleep(time.Second)
			wantValid(t, v, secret, key.ID)
		}
		wantUses(t, store, 1)
		time.Sleep(time.Second)
		for range 10 {
			wantValid(t, v, secret, key.ID)
		}
		wantUses(t, store, 2)
		saved, _ := store.KeyByID(t.Context(), key.ID)
		if !saved.LastUsedAt.Equal(time.Now()) {
			t.Errorf("last use %v, want %v", saved.LastUsedAt, time.Now())
		}
	})
}

func TestOtherProcessesUseToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		a, b := newVerifier(t, store), newVerifier(t, store)
		secret, key := create(t, store, apikey.Key{}, time.Now())
		wantValid(t, a, secret, key.ID)
		wantUses(t, store, 1)
		wantValid(t, b, secret, key.ID)
		wantUses(t, store, 1)
		time.Sleep(apikey.UseInterval)
		wantValid(t, b, secret, key.ID)
		wantUses(t, store, 2)
		wantValid(t, a, secret, key.ID)
		wantUses(t, store, 2)
	})
}

func TestARefusedKeyIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory)
		v := newVerifier(t, store)
		secret, _ := create(t, store, apikey.Key{ExpiresAt: time.Now()}, time.Now())
		wantInvalid(t, v, secret)
		wantUses(t, store, 0)
	})
}

func TestAFailingUseFailsNoRequest(t *testing.T) {
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
		if !strings.Contains(line, "keys=1") || !strings.Contains(line, errDown.Error()) || strings.Contains(line, secret[9:20]) {
			t.Errorf("log: %s", line)
		}
	})
}

func TestASlowUseDelaysCloseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{touching: func(context.Context) error { time.Sleep(time.Second); return nil }}
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
		began := time.Now()
		secret, key := create(t, store, apikey.Key{}, began)
		other, otherKey := create(t, store, apikey.Key{}, began)
		wantValid(t, v, secret, key.ID)
		synctest.Wait() // until the store records the first
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
		wantUses(t, store, 2)
	})
}

// However many keys are used while the store is slow, every use is recorded, in few calls and by one goroutine.
func TestManyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, fail := 0, true
		store := &memory{touching: func(context.Context) error {
			calls++
			time.Sleep(time.Second)
			if calls == 2 && fail {
				return errDown
			}
			return nil
		}}
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
		const keys = 5000
		use := func() {
			secret, key := create(t, store, apikey.Key{}, time.Now())
			wantValid(t, v, secret, key.ID)
		}
		before := runtime.NumGoroutine()
		for range keys - 1 {
			use()
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 1 {
			t.Errorf("%d goroutines record uses, want one", n)
		}
		time.Sleep(10 * time.Second) // the second call has failed by now
		use()
		v.Close()
		if _, recorded := store.counts(); recorded != keys || calls > 2+keys/200+2 {
			t.Errorf("%d of %d uses are recorded, in %d calls", recorded, keys, calls)
		}
	})
}

// While the store is away, the uses that wait take a bounded amount of memory.
func TestPendingUsesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		store := &memory{touching: func(context.Context) error { <-back; return nil }}
		v := apikey.NewVerifier(store, time.Now, slog.New(slog.DiscardHandler))
		for i := range apikey.MaxPendingUses + 1000 {
			v.Use(fmt.Sprint("key_", i))
		}
		synctest.Wait()
		if got := v.PendingUses(); got != apikey.MaxPendingUses {
			t.Errorf("%d uses wait, want %d", got, apikey.MaxPendingUses)
		}
		close(back)
		v.Close()
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
