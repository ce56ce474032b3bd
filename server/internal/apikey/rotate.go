package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrInactive says that a key is expired or revoked, and so cannot be replaced.
var ErrInactive = errors.New("the key is expired or revoked; create a new one with keys create")

// RotatedError says that a key has been replaced before.
type RotatedError struct {
	Successor string // the ID of the key that replaces it; empty if a version of this program did it that did not record it
}

// Error names the successor.
func (e *RotatedError) Error() string {
	if e.Successor == "" {
		return "the key is being replaced already; create another one with keys create"
	}
	return "the key was replaced already, by " + e.Successor + "; rotate that one if nobody has got it"
}

// CheckRotation fails if a key cannot be replaced at a time of the store's clock. Errors: RotatedError, ErrInactive.
func (k *Key) CheckRotation(now time.Time) error {
	switch {
	case k.Successor != "", k.Active(now) && !k.RevokedAt.IsZero():
		return &RotatedError{k.Successor}
	case !k.Active(now):
		return ErrInactive
	}
	return nil
}

// deliveryTime is how long the predecessor of a key works at least while the key is delivered, so that it can go on if nobody gets
// the new one.
const deliveryTime = time.Minute

// Deliver hands a new key to the person who asked for it. Its error means that nobody has the secret.
type Deliver func(secret string, key Key) error

// Issue creates a key, as Create does, and delivers it. If that fails, nobody has the key, so it is revoked.
func Issue(ctx context.Context, store Store, key Key, lifetime time.Duration, deliver Deliver) error {
	secret, key, err := Create(ctx, store, key, lifetime)
	if err != nil {
		return err
	}
	return deliverOr(secret, key, deliver, func() error { return store.RevokeKey(context.WithoutCancel(ctx), key.ID, 0) })
}

// Rotate replaces the key of that ID: it creates one with the same organization, name, permissions, rate limit and lifetime,
// counted from now, delivers it, and revokes the old one after the overlap. If nobody got the new key, it is revoked, and the old one
// goes on as before. Errors: ErrNotFound, ErrInactive, RotatedError, deliver's.
//
// After any other error the rotation may have happened: then a RotatedError of the next attempt names the successor.
func Rotate(ctx context.Context, store Store, id string, overlap time.Duration, deliver Deliver) error {
	old, err := store.KeyByID(ctx, id)
	if err != nil {
		return err
	}
	if err := old.CheckRotation(old.ReadAt); err != nil {
		return err
	}
	lifetime := time.Duration(0)
	if !old.ExpiresAt.IsZero() {
		lifetime = old.ExpiresAt.Sub(old.CreatedAt)
	}
	secret, next, hash := newKey(old, old.ReadAt, lifetime)
	if err := store.RotateKey(ctx, id, next, hash, max(overlap, deliveryTime)); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what has begun is finished
	if err := deliverOr(secret, next, deliver, func() error { return store.UndoRotation(ctx, id, next.ID) }); err != nil {
		return err
	}
	if overlap >= deliveryTime {
		return nil
	}
	if err := store.RevokeKey(ctx, id, overlap); err != nil {
		return fmt.Errorf("the key was replaced, but the old one works for %v more; revoke it: %w", deliveryTime, err)
	}
	return nil
}

// deliverOr delivers a key, or undoes its creation.
func deliverOr(secret string, key Key, deliver Deliver, undo func() error) error {
	err := deliver(secret, key)
	if err == nil {
		return nil
	}
	if undoErr := undo(); undoErr != nil {
		return fmt.Errorf("nobody has got the key (%w), and it could not be revoked (%w); revoke %s", err, undoErr, key.ID)
	}
	return fmt.Errorf("nobody has got the key, so it was revoked: %w", err)
}
