package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

var errDown = errors.New("store is down")

// memory is a Store, with switches for the tests.
type memory struct {
	mu      sync.Mutex
	keys    []apikey.Key
	hashes  []apikey.Hash
	lookups int // calls of KeyByHash
	queries int // calls of KeyHashes
	touches []time.Time

	lookingUp func(context.Context)       // called by KeyByHash once it has its response
	touching  func(context.Context) error // called by RecordKeyUses before it writes
	down      error                       // every method's error, but RecordKeyUses's
	noRevoke  error                       // RevokeKey's error
	clock     func() time.Time            // nil for time.Now
}

var _ apikey.Store = (*memory)(nil)

func (m *memory) CreateKey(_ context.Context, key apikey.Key, hash apikey.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.hashes = append(m.keys, key), append(m.hashes, hash)
	return m.down
}

func (m *memory) KeyByHash(ctx context.Context, hash apikey.Hash) (apikey.Key, error) {
	m.mu.Lock()
	m.lookups++
	key, err := m.at(slices.Index(m.hashes, hash))
	m.mu.Unlock()
	if m.lookingUp != nil {
		m.lookingUp(ctx)
		err = errors.Join(err, ctx.Err())
	}
	return key, err
}

func (m *memory) KeyByID(_ context.Context, id string) (apikey.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at(m.index(id))
}

func (m *memory) ListKeys(context.Context, apikey.Key, int) ([]apikey.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), m.down
}

func (m *memory) now() time.Time {
	if m.clock != nil {
		return m.clock()
	}
	return time.Now()
}

func (m *memory) Now(context.Context) (time.Time, error) { return m.now(), m.down }

func (m *memory) KeyHashes(_ context.Context, since time.Time) (hashes []apikey.Hash, now time.Time, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queries++
	for i := range m.keys {
		if !m.keys[i].CreatedAt.Before(since) {
			hashes = append(hashes, m.hashes[i])
		}
	}
	return hashes, m.now(), m.down
}

func (m *memory) RevokeKey(_ context.Context, id string, after time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noRevoke != nil {
		return m.noRevoke
	}
	i := m.index(id)
	if i < 0 {
		return apikey.ErrNotFound
	}
	key, at := &m.keys[i], m.now().Add(after)
	if key.RevokedAt.IsZero() || at.Before(key.RevokedAt) {
		key.RevokedAt = at
	}
	key.Revoked = key.Revoked || after <= 0
	return m.down
}

func (m *memory) RecordKeyUses(ctx context.Context, uses map[string]time.Time) error {
	if m.touching != nil {
		if err := m.touching(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range uses {
		m.touches = append(m.touches, at)
		if i := m.index(id); i >= 0 && at.After(m.keys[i].LastUsedAt) {
			m.keys[i].LastUsedAt = at
		}
	}
	return nil
}

func (m *memory) index(id string) int {
	return slices.IndexFunc(m.keys, func(k apikey.Key) bool { return k.ID == id })
}

func (m *memory) at(i int) (apikey.Key, error) {
	if m.down != nil {
		return apikey.Key{}, m.down
	}
	if i < 0 {
		return apikey.Key{}, apikey.ErrNotFound
	}
	key := m.keys[i]
	key.ReadAt = m.now()
	return key, nil
}

// counts returns how many look-ups and touches there were.
func (m *memory) counts() (lookups, touches int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lookups, len(m.touches)
}

// create saves a key that was created at that time, may read and write, and expires at its ExpiresAt.
func create(t testing.TB, store apikey.Store, key apikey.Key, at time.Time) (string, apikey.Key) {
	t.Helper()
	secret := apikey.Generate()
	hash, _ := apikey.HashOf(secret)
	key.ID, key.Prefix, key.Permissions, key.CreatedAt = apikey.NewID(), apikey.Prefix(secret), apikey.Permissions(), at
	if err := store.CreateKey(t.Context(), key, hash); err != nil {
		t.Fatal(err)
	}
	return secret, key
}

func TestCreate(t *testing.T) {
	now := time.Date(2026, 6, 17, 21, 7, 23, 709_999_999, time.FixedZone("CEST", 7200))
	store := &memory{clock: func() time.Time { return now }}
	secret, key, err := apikey.Create(t.Context(), store, apikey.Key{
		ID: "key_chosen", Organization: 7, OrganizationName: "Clinic", Name: "intake", Prefix: "chosen",
		Permissions: []apikey.Permission{apikey.ProvidersWrite}, RateLimit: 60,
		CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Minute), Revoked: true, RevokedAt: now, LastUsedAt: now,
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 6, 17, 19, 7, 23, 709_000_000, time.UTC)
	want := apikey.Key{
		ID: key.ID, Organization: 7, OrganizationName: "Clinic", Name: "intake", Prefix: secret[:9],
		Permissions: []apikey.Permission{apikey.ProvidersWrite}, RateLimit: 60,
		CreatedAt: created, ExpiresAt: created.Add(time.Hour), ReadAt: created,
	}
	if !reflect.DeepEqual(key, want) || key.ID == "key_chosen" {
		t.Errorf("created %+v\n   want %+v", key, want)
	}
	hash, ok := apikey.HashOf(secret)
	saved, err := store.KeyByHash(t.Context(), hash)
	saved.ReadAt = created
	if !ok || err != nil || !reflect.DeepEqual(saved, want) {
		t.Errorf("saved %+v, %v\n want %+v", saved, err, want)
	}
}

func TestRotate(t *testing.T) {
	made := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	now := made.Add(10 * 24 * time.Hour)
	for _, c := range []struct {
		name                 string
		expires, revoked     time.Time // of the old key
		overlap              time.Duration
		wantExpires, wantEnd time.Time // of the new key; of the old one
	}{
		{name: "overlap", overlap: 24 * time.Hour, wantEnd: now.Add(24 * time.Hour)},
		{name: "at once", wantEnd: now},
		{name: "a lifetime begins again", expires: made.Add(14 * 24 * time.Hour), wantExpires: now.Add(14 * 24 * time.Hour), wantEnd: now},
		{name: "a later revocation is brought forward", revoked: now.Add(48 * time.Hour), overlap: time.Hour, wantEnd: now.Add(time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &memory{clock: func() time.Time { return now }}
			oldSecret, old := create(t, store, apikey.Key{Organization: 7, OrganizationName: "Clinic", Name: "intake", RateLimit: 60, ExpiresAt: c.expires}, made)
			if !c.revoked.IsZero() {
				store.RevokeKey(t.Context(), old.ID, c.revoked.Sub(now))
			}
			store.RecordKeyUses(t.Context(), map[string]time.Time{old.ID: now})

			secret, key, err := apikey.Rotate(t.Context(), store, old.ID, c.overlap)
			if err != nil {
				t.Fatal(err)
			}
			want := old
			want.ID, want.Prefix, want.CreatedAt, want.ExpiresAt, want.ReadAt = key.ID, secret[:9], now, c.wantExpires, now
			if !reflect.DeepEqual(key, want) || key.ID == old.ID || secret == oldSecret {
				t.Errorf("new key %+v\n    want %+v", key, want)
			}
			if saved, err := store.KeyByID(t.Context(), old.ID); err != nil || !saved.RevokedAt.Equal(c.wantEnd) {
				t.Errorf("old key revoked at %v, %v; want %v", saved.RevokedAt, err, c.wantEnd)
			}
		})
	}
}

func TestRotateRefusesWhatHasEnded(t *testing.T) {
	made := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, end := range map[string]func(apikey.Store, apikey.Key){
		"revoked": func(s apikey.Store, k apikey.Key) { s.RevokeKey(t.Context(), k.ID, 0) },
		"expired": func(apikey.Store, apikey.Key) {},
	} {
		store := &memory{clock: func() time.Time { return made.Add(2 * time.Hour) }}
		_, key := create(t, store, apikey.Key{ExpiresAt: made.Add(time.Hour)}, made)
		end(store, key)
		if _, _, err := apikey.Rotate(t.Context(), store, key.ID, time.Hour); !errors.Is(err, apikey.ErrInactive) {
			t.Errorf("%s: error %v, want ErrInactive", name, err)
		}
		if keys, _ := store.ListKeys(t.Context(), apikey.Key{}, 10); len(keys) != 1 {
			t.Errorf("%s: there are %d keys", name, len(keys))
		}
	}
}

func TestStoreErrorsPassThrough(t *testing.T) {
	now := time.Now()
	store := new(memory)
	secret, key := create(t, store, apikey.Key{}, now)

	// An operator who takes the key for its ID.
	_, _, err := apikey.Rotate(t.Context(), store, secret, 0)
	if !errors.Is(err, apikey.ErrNotFound) || strings.Contains(fmt.Sprintf("%+v", err), secret[9:20]) {
		t.Errorf("rotate an unknown key: %v", err)
	}

	store.noRevoke = errDown
	got, _, err := apikey.Rotate(t.Context(), store, key.ID, 0)
	if !errors.Is(err, errDown) || got != "" {
		t.Errorf("rotate without being able to revoke: secret of %d bytes, %v", len(got), err)
	}
	store.noRevoke = nil
	if _, _, err := apikey.Rotate(t.Context(), store, key.ID, 0); err != nil {
		t.Errorf("rotate again: %v", err)
	}

	store.down = errDown
	if _, _, err := apikey.Rotate(t.Context(), store, key.ID, 0); !errors.Is(err, errDown) {
		t.Errorf("rotate with the store down: %v", err)
	}
	if got, _, err := apikey.Create(t.Context(), store, apikey.Key{}, 0); !errors.Is(err, errDown) || got != "" {
		t.Errorf("create with the store down: secret of %d bytes, %v", len(got), err)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	store := new(memory)
	secret, key := create(t, store, apikey.Key{}, time.Now())
	hash, _ := apikey.HashOf(secret)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if out := fmt.Sprintf(format, []any{key, &key, hash, store}); strings.Contains(out, secret[len(key.Prefix):]) {
			t.Errorf("%s prints the secret", format)
		}
	}
}
