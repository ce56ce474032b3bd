package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotFound says that a store has no such key.
var ErrNotFound = errors.New("there is no such key")

// ErrInactive says that a key is expired or revoked, and so cannot be replaced.
var ErrInactive = errors.New("the key is expired or revoked; make a new one with keys create")

// Store keeps keys. It is safe for concurrent use. Its clock is the one that every process with the same store has. Its errors
// do not repeat the ID they were given: it may be a secret that was pasted in the wrong place.
type Store interface {
	// CreateKey saves a new key, to be found by its ID and its hash.
	CreateKey(ctx context.Context, key Key, hash Hash) error

	// KeyByHash returns the key of that hash, whether or not it is still active. Errors: ErrNotFound.
	KeyByHash(ctx context.Context, hash Hash) (Key, error)

	// KeyByID returns the key of that ID, whether or not it is still active. Errors: ErrNotFound.
	KeyByID(ctx context.Context, id string) (Key, error)

	// ListKeys returns keys of every organization, active or not: at most limit, the oldest first, after one. The zero Key is for
	// the first.
	ListKeys(ctx context.Context, after Key, limit int) ([]Key, error)

	// KeyHashes returns the hashes of the keys that were created since then, and the time of the store's clock.
	KeyHashes(ctx context.Context, since time.Time) ([]Hash, time.Time, error)

	// RevokeKey ends a key after that time, counted from now; 0 ends it at once, whatever the clock says later. A revocation can
	// be brought forward, never put off: if the key has an earlier one, that stands and there is no error.
	// Errors: ErrNotFound.
	RevokeKey(ctx context.Context, id string, after time.Duration) error

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
	secret = Generate()
	hash, _ := HashOf(secret)
	key.ID, key.Prefix, key.Revoked = NewID(), Prefix(secret), false
	key.CreatedAt, key.ReadAt = toMilliseconds(now), toMilliseconds(now)
	key.ExpiresAt, key.RevokedAt, key.LastUsedAt = time.Time{}, time.Time{}, time.Time{}
	if lifetime > 0 {
		key.ExpiresAt = toMilliseconds(now.Add(lifetime))
	}
	if err := store.CreateKey(ctx, key, hash); err != nil {
		return "", Key{}, fmt.Errorf("create api key: %w", err)
	}
	return secret, key, nil
}

// Rotate replaces the key of that ID: it creates one with the same organization, name, permissions, rate limit and
// lifetime, counted from now, and revokes the old one after the overlap. It returns the new secret, which cannot be
// had again, and the new key. Errors: ErrNotFound, ErrInactive.
//
// After any other error it can be called again: what the failed call may have created has a secret that nobody knows.
func Rotate(ctx context.Context, store Store, id string, overlap time.Duration) (secret string, _ Key, _ error) {
	old, err := store.KeyByID(ctx, id)
	if err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: %w", err)
	}
	if !old.Active(old.ReadAt) {
		return "", Key{}, fmt.Errorf("rotate api key: %w", ErrInactive)
	}
	lifetime := time.Duration(0)
	if !old.ExpiresAt.IsZero() {
		lifetime = old.ExpiresAt.Sub(old.CreatedAt)
	}
	secret, next, err := Create(ctx, store, old, lifetime)
	if err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: %w", err)
	}
	if err := store.RevokeKey(ctx, id, overlap); err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: revoke the old one: %w", err)
	}
	return secret, next, nil
}

func toMilliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
