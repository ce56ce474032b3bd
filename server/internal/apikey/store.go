package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotFound says that a store has no such key.
var ErrNotFound = errors.New("there is no such key")

// Store keeps keys. It is safe for concurrent use. Its clock is the one that every process with the same store has. Its errors
// do not repeat the ID they were given: it may be a secret that was pasted in the wrong place.
type Store interface {
	// CreateKey saves a new key, to be found by its ID and its hash.
	CreateKey(ctx context.Context, key Key, hash Hash) error

	// KeyByHash returns the key of that hash, whether or not it is still active. Errors: ErrNotFound.
	KeyByHash(ctx context.Context, hash Hash) (Key, error)

	// KeyByID returns the key of that ID, whether or not it is still active. Errors: ErrNotFound.
	KeyByID(ctx context.Context, id string) (Key, error)

	// ListKeys returns keys of an organization, or of every one if that is 0, active or not: at most limit, the oldest first, after
	// one. The zero Key is for the first.
	ListKeys(ctx context.Context, organization int64, after Key, limit int) ([]Key, error)

	// KeyHashes returns the hashes of the keys that were created since then, and the time of the store's clock.
	KeyHashes(ctx context.Context, since time.Time) ([]Hash, time.Time, error)

	// RevokeKey ends a key after that time, counted from now; 0 ends it at once, whatever the clock says later. A revocation can
	// be brought forward, never put off: if the key has an earlier one, that stands and there is no error.
	// Errors: ErrNotFound.
	RevokeKey(ctx context.Context, id string, after time.Duration) error

	// RotateKey saves a new key, which succeeds the one of that ID, and revokes that one after the overlap, counted from now: both or
	// neither. Errors: ErrNotFound, and those of Key.CheckRotation.
	RotateKey(ctx context.Context, id string, next Key, hash Hash, overlap time.Duration) error

	// UndoRotation revokes the successor of a key at once. The key has no successor and no end then, as before the rotation, unless
	// it was revoked in the meantime.
	UndoRotation(ctx context.Context, id, successor string) error

	// UpdateKey changes a key, whether or not it is still active. Errors: ErrNotFound.
	UpdateKey(ctx context.Context, id string, update Update) error

	// RemoveKeys removes those of the keys that are not active, and returns how many. An unknown ID is no error.
	RemoveKeys(ctx context.Context, ids []string) (removed int, err error)

	// Now returns the time of the store's clock.
	Now(ctx context.Context) (time.Time, error)

	// RecordKeyUses records when keys were last used, by ID. A later use already recorded stands. An unknown ID is no error.
	RecordKeyUses(ctx context.Context, uses map[string]time.Time) error
}

// Create saves a new key and returns its secret, which cannot be had again, and the key as saved. The key works for the
// lifetime, or until it is revoked if that is 0. Of the key given, ID, Prefix and every time are set here.
func Create(ctx context.Context, store Store, key Key, lifetime time.Duration) (secret string, _ Key, _ error) {
	now, err := store.Now(ctx)
	if err != nil {
		return "", Key{}, fmt.Errorf("create api key: %w", err)
	}
	secret, key, hash := newKey(key, now, lifetime)
	if err := store.CreateKey(ctx, key, hash); err != nil {
		return "", Key{}, fmt.Errorf("create api key %s: %w", key.ID, err) // if the outcome is unknown, that is the one to revoke
	}
	return secret, key, nil
}

// newKey returns a secret, and a key like another one that begins now.
func newKey(like Key, now time.Time, lifetime time.Duration) (secret string, key Key, _ Hash) {
	secret, key = Generate(), like
	hash, _ := HashOf(secret)
	key.ID, key.Prefix, key.Revoked, key.Successor = NewID(), Prefix(secret), false, ""
	key.CreatedAt, key.ReadAt = toMilliseconds(now), toMilliseconds(now)
	key.ExpiresAt, key.RevokedAt, key.LastUsedAt = time.Time{}, time.Time{}, time.Time{}
	if lifetime > 0 {
		key.ExpiresAt = toMilliseconds(now.Add(lifetime))
	}
	return secret, key, hash
}

func toMilliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
