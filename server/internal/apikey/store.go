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

// Store keeps keys. It is safe for concurrent use. Its errors do not repeat the ID they were given: it may be a secret
// that was pasted in the wrong place.
type Store interface {
	// CreateKey saves a new key, to be found by its ID and its hash.
	CreateKey(ctx context.Context, key Key, hash Hash) error

	// KeyByHash returns the key of that hash, whether or not it is still active. Errors: ErrNotFound.
	KeyByHash(ctx context.Context, hash Hash) (Key, error)

	// KeyByID returns the key of that ID, whether or not it is still active. Errors: ErrNotFound.
	KeyByID(ctx context.Context, id string) (Key, error)

	// ListKeys returns the keys of every organization, active or not, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)

	// RevokeKey ends a key at that time, which may be in the future: the key works until then. A revocation can be
	// brought forward, never put off: if the key has an earlier one, that stands and there is no error.
	// Errors: ErrNotFound.
	RevokeKey(ctx context.Context, id string, at time.Time) error

	// RecordKeyUse notes that a key was used at that time. A later use already noted stands. An unknown ID is no error.
	RecordKeyUse(ctx context.Context, id string, at time.Time) error
}

// Create saves a new key and returns its secret, which cannot be had again, and the key as saved. Of the key given,
// ID, Prefix and every time but ExpiresAt are set here.
func Create(ctx context.Context, store Store, key Key, now time.Time) (secret string, _ Key, _ error) {
	secret = Generate()
	hash, _ := HashOf(secret)
	key.ID, key.Prefix = NewID(), Prefix(secret)
	key.CreatedAt, key.ExpiresAt = toMilliseconds(now), toMilliseconds(key.ExpiresAt)
	key.RevokedAt, key.LastUsedAt = time.Time{}, time.Time{}
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
func Rotate(ctx context.Context, store Store, id string, overlap time.Duration, now time.Time) (secret string, _ Key, _ error) {
	old, err := store.KeyByID(ctx, id)
	if err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: %w", err)
	}
	if !old.Active(now) {
		return "", Key{}, fmt.Errorf("rotate api key: %w", ErrInactive)
	}
	next := old
	if !old.ExpiresAt.IsZero() {
		next.ExpiresAt = now.Add(old.ExpiresAt.Sub(old.CreatedAt))
	}
	secret, next, err = Create(ctx, store, next, now)
	if err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: %w", err)
	}
	if err := store.RevokeKey(ctx, id, toMilliseconds(now.Add(overlap))); err != nil {
		return "", Key{}, fmt.Errorf("rotate api key: revoke the old one: %w", err)
	}
	return secret, next, nil
}

func toMilliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
