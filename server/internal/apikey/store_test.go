package apikey_test

import (
	"cmp"
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

	lookingUp  func(context.Context)       // called by KeyByHash once it has its response
	touching   func(context.Context) error // called by RecordKeyUses before it writes
	down       error                       // every method's error, but RecordKeyUses's
	noRevoke   error                       // RevokeKey's error
	noRotation error                       // RotateKey's error
	clock      func() time.Time            // nil for time.Now
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

func (m *memory) ListKeys(_ context.Context, organization int64, after apikey.Key, limit int) (keys []apikey.Key, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range m.keys[m.index(after.ID)+1:] {
		if key.ReadAt = m.now(); len(keys) < limit && (organization == 0 || key.Organization == organization) {
			keys = append(keys, key)
		}
	}
	return keys, m.down
}

func (m *memory) RotateKey(_ context.Context, id string, next apikey.Key, hash apikey.Hash, overlap time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := &m.keys[m.index(id)]
	if err := cmp.Or(m.noRotation, key.CheckRotation(m.now())); err != nil {
		return err
	}
	key.Successor, key.RevokedAt = next.ID, m.now().Add(overlap)
	m.keys, m.hashes = append(m.keys, next), append(m.hashes, hash)
	return nil
}

func (m *memory) UndoRotation(_ context.Context, id, successor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[m.index(successor)].Revoked = true
	key := &m.keys[m.index(id)]
	key.Successor, key.RevokedAt = "", time.Time{}
	return nil
}

func (m *memory) UpdateKey(_ context.Context, id string, update apikey.Update) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[m.index(id)].RateLimit = *update.RateLimit
	return nil
}

func (m *memory) RemoveKeys(_ context.Context, ids []string) (removed int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if i := m.index(id); i >= 0 && !m.keys[i].Active(m.now()) {
			m.keys, m.hashes = slices.Delete(m.keys, i, i+1), slices.Delete(m.hashes, i, i+1)
			removed++
		}
	}
	return removed, nil
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

// suspend suspends the organizations of all keys, or resumes them.
func (m *memory) suspend(suspended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		m.keys[i].Suspended = suspended
	}
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

func TestStoreErrorsPassThrough(t *testing.T) {
	store := &memory{down: errDown}
	if got, _, err := apikey.Create(t.Context(), store, apikey.Key{}, 0); !errors.Is(err, errDown) || got != "" {
		t.Errorf("create with the store down: secret of %d bytes, %v", len(got), err)
	}
	if err := apikey.Rotate(t.Context(), store, "key_a", 0, nobody); !errors.Is(err, errDown) {
		t.Errorf("rotate with the store down: %v", err)
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
