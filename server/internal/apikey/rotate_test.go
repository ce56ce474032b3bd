package apikey_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

var errNobody = errors.New("nobody reads")

// nobody is the delivery of a key that nobody gets.
func nobody(string, apikey.Key) error { return errNobody }

// rotate rotates a key, and returns the delivered one.
func rotate(t testing.TB, store apikey.Store, id string, overlap time.Duration) (secret string, key apikey.Key, _ error) {
	t.Helper()
	err := apikey.Rotate(t.Context(), store, id, overlap, func(s string, k apikey.Key) error { secret, key = s, k; return nil })
	return secret, key, err
}

func TestRotate(t *testing.T) {
	created := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	now := created.Add(10 * 24 * time.Hour)
	for _, c := range []struct {
		name                 string
		expires              time.Time // of the old key
		overlap              time.Duration
		wantExpires, wantEnd time.Time // of the new key; of the old one
	}{
		{name: "overlap", overlap: 24 * time.Hour, wantEnd: now.Add(24 * time.Hour)},
		{name: "an overlap of seconds", overlap: time.Second, wantEnd: now.Add(time.Second)},
		{name: "at once", wantEnd: now},
		{name: "a lifetime begins again", expires: created.Add(14 * 24 * time.Hour), wantExpires: now.Add(14 * 24 * time.Hour), wantEnd: now},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &memory{clock: func() time.Time { return now }}
			oldSecret, old := create(t, store, apikey.Key{Organization: 7, OrganizationName: "Clinic", Name: "intake", RateLimit: 60, ExpiresAt: c.expires}, created)
			store.RecordKeyUses(t.Context(), map[string]time.Time{old.ID: now})

			secret, key, err := rotate(t, store, old.ID, c.overlap)
			if err != nil {
				t.Fatal(err)
			}
			want := old
			want.ID, want.Prefix, want.CreatedAt, want.ExpiresAt, want.ReadAt = key.ID, secret[:9], now, c.wantExpires, now
			if !reflect.DeepEqual(key, want) || key.ID == old.ID || secret == oldSecret {
				t.Errorf("new key %+v\n    want %+v", key, want)
			}
			saved, err := store.KeyByID(t.Context(), old.ID)
			if err != nil || !saved.RevokedAt.Equal(c.wantEnd) || saved.Revoked != (c.overlap == 0) || saved.Successor != key.ID {
				t.Errorf("old key %+v, %v; want it replaced by %s, and revoked at %v", saved, err, key.ID, c.wantEnd)
			}
			if _, _, err := rotate(t, store, old.ID, c.overlap); err == nil || !strings.Contains(err.Error(), key.ID) {
				t.Errorf("again: error %v, want one that names %s", err, key.ID)
			}
		})
	}
}

func TestRotateRefusesWhatHasEnded(t *testing.T) {
	created := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, end := range map[string]func(apikey.Store, apikey.Key){
		"revoked": func(s apikey.Store, k apikey.Key) { s.RevokeKey(t.Context(), k.ID, 0) },
		"expired": func(apikey.Store, apikey.Key) {},
	} {
		store := &memory{clock: func() time.Time { return created.Add(2 * time.Hour) }}
		_, key := create(t, store, apikey.Key{ExpiresAt: created.Add(time.Hour)}, created)
		end(store, key)
		if _, _, err := rotate(t, store, key.ID, time.Hour); !errors.Is(err, apikey.ErrInactive) {
			t.Errorf("%s: error %v, want ErrInactive", name, err)
		}
		if len(store.keys) != 1 {
			t.Errorf("%s: there are %d keys", name, len(store.keys))
		}
	}
}

// A version of this program that recorded no successor has begun to replace a key.
func TestRotateRefusesWhatIsBeingReplaced(t *testing.T) {
	store := new(memory)
	_, key := create(t, store, apikey.Key{}, time.Now())
	store.RevokeKey(t.Context(), key.ID, time.Hour)
	if _, _, err := rotate(t, store, key.ID, time.Hour); !errors.As(err, new(*apikey.RotatedError)) {
		t.Errorf("error %v, want a RotatedError", err)
	}
}

// A key that nobody gets does not work, and what it was to replace goes on.
func TestNobodyGetsTheKey(t *testing.T) {
	store := new(memory)
	if err := apikey.Issue(t.Context(), store, apikey.Key{}, 0, nobody); !errors.Is(err, errNobody) || !store.keys[0].Revoked {
		t.Errorf("created: error %v, %+v", err, store.keys)
	}
	_, old := create(t, store, apikey.Key{}, time.Now())
	for _, overlap := range []time.Duration{0, time.Hour} {
		err := apikey.Rotate(t.Context(), store, old.ID, overlap, nobody)
		last := store.keys[len(store.keys)-1]
		if key := store.keys[1]; !errors.Is(err, errNobody) || !reflect.DeepEqual(key, old) || !last.Revoked {
			t.Errorf("overlap %v: error %v, old key %+v, new key %+v", overlap, err, key, last)
		}
	}
	store.noRevoke = errDown
	err := apikey.Issue(t.Context(), store, apikey.Key{}, 0, nobody)
	if last := store.keys[len(store.keys)-1]; !errors.Is(err, errDown) || !strings.HasSuffix(err.Error(), "revoke "+last.ID) {
		t.Errorf("without being able to revoke: error %v, want one that says to revoke %s", err, last.ID)
	}
}

func TestRotationErrors(t *testing.T) {
	store := new(memory)
	secret, key := create(t, store, apikey.Key{}, time.Now())

	// An operator who takes the key for its ID.
	if _, _, err := rotate(t, store, secret, 0); !errors.Is(err, apikey.ErrNotFound) || strings.Contains(fmt.Sprintf("%+v", err), secret[9:20]) {
		t.Errorf("an unknown key: %v", err)
	}
	store.noRotation = errDown
	if got, _, err := rotate(t, store, key.ID, 0); !errors.Is(err, errDown) || got != "" {
		t.Errorf("with the store down: secret of %d bytes, %v", len(got), err)
	}
	store.noRotation, store.noRevoke = nil, errDown
	got, next, err := rotate(t, store, key.ID, 0)
	if !errors.Is(err, errDown) || got == "" {
		t.Errorf("without being able to revoke: secret of %d bytes, %v", len(got), err)
	}
	if saved, err := store.KeyByID(t.Context(), next.ID); err != nil || saved.State() != apikey.Active {
		t.Errorf("the delivered key is %s, %v", saved.State(), err)
	}
}
