package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrActive says that a key still works, or will once its organization is resumed, and so cannot be removed.
var ErrActive = errors.New("the key has not ended; revoke it first")

// Update is a change of a key. What is nil stays as it is.
type Update struct {
	Name      *string
	RateLimit *int // requests a minute, 0 for no limit
}

// piece is how many keys are in memory at once.
const piece = 500

// Filter selects keys.
type Filter struct {
	Organization int64   // 0 for every one
	States       []State // any of them; empty for every one
}

// Each calls f for each key that the filter selects, the oldest first, until f fails. Keys are read in pieces: one that changes in
// the meantime comes in its old or its new state. Errors: f's, and the store's.
func Each(ctx context.Context, store Store, filter Filter, f func(Key) error) error {
	return eachPiece(ctx, store, filter.Organization, func(keys []Key) error {
		for _, key := range keys {
			if len(filter.States) > 0 && !slices.Contains(filter.States, key.State()) {
				continue
			}
			if err := f(key); err != nil {
				return err
			}
		}
		return nil
	})
}

func eachPiece(ctx context.Context, store Store, organization int64, f func([]Key) error) error {
	var last Key
	for {
		keys, err := store.ListKeys(ctx, organization, last, piece)
		if err != nil {
			return err
		}
		if err := f(keys); err != nil || len(keys) < piece {
			return err
		}
		last = keys[len(keys)-1]
	}
}

// CountActive returns how many keys of each organization have not ended, by its number. Those of a suspended organization count.
func CountActive(ctx context.Context, store Store) (map[int64]int, error) {
	counts := map[int64]int{}
	err := Each(ctx, store, Filter{States: []State{Active, Rotating, Suspended}}, func(key Key) error {
		counts[key.Organization]++
		return nil
	})
	return counts, err
}

// Remove removes a key that has ended. The history keeps its ID. Errors: ErrNotFound, ErrActive.
func Remove(ctx context.Context, store Store, id string) error {
	removed, err := store.RemoveKeys(ctx, []string{id})
	if err != nil || removed > 0 {
		return err
	}
	if _, err := store.KeyByID(ctx, id); err != nil {
		return err
	}
	return ErrActive
}

// RemoveEnded removes all keys that ended before a time, and returns how many. Errors: the store's; then some may have been removed.
func RemoveEnded(ctx context.Context, store Store, before time.Time) (removed int, _ error) {
	err := eachPiece(ctx, store, 0, func(keys []Key) error {
		var ended []string
		for _, key := range keys {
			if end := key.End(); !end.IsZero() && end.Before(before) && !key.Active(key.ReadAt) {
				ended = append(ended, key.ID)
			}
		}
		if len(ended) == 0 {
			return nil
		}
		n, err := store.RemoveKeys(ctx, ended)
		removed += n
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("remove api keys: %w", err)
	}
	return removed, nil
}
