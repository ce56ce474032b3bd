package apikey_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

func TestState(t *testing.T) {
	now := time.Date(2026, 6, 17, 19, 7, 23, 0, time.UTC)
	past, later, last := now.Add(-time.Hour), now.Add(time.Hour), now.Add(2*time.Hour)
	for _, c := range []struct {
		key  apikey.Key
		want apikey.State
		end  time.Time
	}{
		{apikey.Key{}, apikey.Active, time.Time{}},
		{apikey.Key{ExpiresAt: later}, apikey.Active, later},
		{apikey.Key{ExpiresAt: now}, apikey.Expired, now},
		{apikey.Key{RevokedAt: later}, apikey.Rotating, later},
		{apikey.Key{RevokedAt: later, ExpiresAt: last}, apikey.Rotating, later},
		{apikey.Key{RevokedAt: last, ExpiresAt: later}, apikey.Rotating, later},
		{apikey.Key{RevokedAt: now}, apikey.Revoked, now},
		{apikey.Key{RevokedAt: past, ExpiresAt: past}, apikey.Revoked, past},
		{apikey.Key{Revoked: true, RevokedAt: later}, apikey.Revoked, later}, // the clock went back
		{apikey.Key{Suspended: true}, apikey.Suspended, time.Time{}},
		{apikey.Key{Suspended: true, RevokedAt: later}, apikey.Suspended, later},
		{apikey.Key{Suspended: true, ExpiresAt: past}, apikey.Expired, past},
		{apikey.Key{Suspended: true, Revoked: true, RevokedAt: past}, apikey.Revoked, past},
	} {
		c.key.ReadAt = now
		if got := c.key.State(); got != c.want || !c.key.End().Equal(c.end) || !slices.Contains(apikey.States(), got) {
			t.Errorf("%+v: %s until %v, want %s until %v", c.key, got, c.key.End(), c.want, c.end)
		}
	}
}

// TestManyKeys reads and removes more keys than are in memory at once.
func TestManyKeys(t *testing.T) {
	now := time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)
	store := &memory{clock: func() time.Time { return now }}
	const all = 1200 // a third of them ends each hour: one in the past, two in the future
	for i := range all {
		ends := now.Add(time.Duration(i%3) * time.Hour).Add(-30 * time.Minute)
		store.keys = append(store.keys, apikey.Key{ID: fmt.Sprint(i), Organization: int64(i % 2), ExpiresAt: ends})
		store.hashes = append(store.hashes, apikey.Hash{})
	}
	for _, c := range []struct {
		filter apikey.Filter
		want   int
	}{
		{apikey.Filter{}, all},
		{apikey.Filter{Organization: 1}, all / 2},
		{apikey.Filter{States: []apikey.State{apikey.Expired, apikey.Revoked}}, all / 3},
		{apikey.Filter{Organization: 1, States: []apikey.State{apikey.Active}}, all / 3},
	} {
		got := 0
		err := apikey.Each(t.Context(), store, c.filter, func(apikey.Key) error { got++; return nil })
		if err != nil || got != c.want {
			t.Errorf("%+v: %d keys, %v; want %d", c.filter, got, err, c.want)
		}
	}
	if counts, err := apikey.CountActive(t.Context(), store); err != nil || counts[0] != all/3 || counts[1] != all/3 {
		t.Errorf("active keys %v, %v", counts, err)
	}
	for _, c := range []struct {
		before time.Time
		want   int
	}{{now.Add(-time.Hour), 0}, {now.Add(24 * time.Hour), all / 3}} {
		if removed, err := apikey.RemoveEnded(t.Context(), store, c.before); err != nil || removed != c.want {
			t.Errorf("before %v: removed %d, %v; want %d", c.before, removed, err, c.want)
		}
	}
	if len(store.keys) != all*2/3 {
		t.Errorf("%d keys are left", len(store.keys))
	}
}

func TestRemove(t *testing.T) {
	store := new(memory)
	_, key := create(t, store, apikey.Key{}, time.Now())
	if err := apikey.Remove(t.Context(), store, key.ID); !errors.Is(err, apikey.ErrActive) {
		t.Errorf("a key that works: error %v, want ErrActive", err)
	}
	store.RevokeKey(t.Context(), key.ID, 0)
	if err := apikey.Remove(t.Context(), store, key.ID); err != nil {
		t.Error(err)
	}
	if err := apikey.Remove(t.Context(), store, key.ID); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("again: error %v, want ErrNotFound", err)
	}
}
