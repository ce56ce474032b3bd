package apikey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// CacheTTL is how long a response of the store is used, counted from the question: whatever another process does to a key or
	// its organization takes effect after that time at the latest.
	CacheTTL = 5 * time.Second

	// UseInterval is the shortest time between two recorded uses of a key.
	UseInterval = time.Minute

	maxCached = 10_000 // keys; a further one replaces any of them
)

// ErrInvalid is the error for a key that is missing, malformed, unknown, expired or revoked, so that a caller who guesses keys
// does not learn which.
var ErrInvalid = errors.New("invalid api key")

// ErrSuspended is the error for a key that would be active, but whose organization is suspended. Only someone who has a key learns
// it.
var ErrSuspended = errors.New("the organization of the api key is suspended")

// Verifier finds the key of a secret. It is safe for concurrent use.
type Verifier struct {
	store   Store
	now     func() time.Time
	log     *slog.Logger
	lookups singleflight.Group
	known   known

	mu    sync.RWMutex
	cache map[Hash]*cacheEntry

	uses uses
}

// cacheEntry is a key as the store returned it.
type cacheEntry struct {
	key      Key
	lookedUp time.Time     // when the store was asked, on this machine's clock
	recorded *atomic.Int64 // when recording a use was last requested, Unix nanoseconds; shared by all entries of a key
}

// fresh reports whether the entry can still be used.
func (e *cacheEntry) fresh(now time.Time) bool { return now.Sub(e.lookedUp) < CacheTTL }

// storeTime returns the time of the store's clock. It can be ahead by the time between asking the store and its response, so a
// key never works too long.
func (e *cacheEntry) storeTime(now time.Time) time.Time { return e.key.ReadAt.Add(now.Sub(e.lookedUp)) }

// NewVerifier returns a Verifier of the keys in the store. now is the clock, time.Now outside of tests. The log gets
// a warning for each use that could not be recorded. Close the Verifier before the store.
func NewVerifier(store Store, now func() time.Time, log *slog.Logger) *Verifier {
	return &Verifier{
		store: store, now: now, log: log, cache: map[Hash]*cacheEntry{},
		known: known{store: store, now: now},
		uses:  uses{store: store, log: log, pending: map[string]time.Time{}},
	}
}

// Verify returns the key of the secret if it is active now, and records its use. The key is shared and must not be changed. Errors:
// ErrInvalid; ErrSuspended, with the key; the store's.
func (v *Verifier) Verify(ctx context.Context, secret string) (*Key, error) {
	hash, ok := HashOf(secret)
	if !ok {
		return nil, ErrInvalid
	}
	now := v.now()
	entry := v.cached(hash)
	if entry == nil || !entry.fresh(now) {
		var err error
		if entry, err = v.lookUp(ctx, hash); err != nil {
			return nil, err
		}
		now = v.now()
	}
	at := entry.storeTime(now)
	if !entry.key.Active(at) {
		return nil, ErrInvalid
	}
	if entry.key.Suspended {
		return &entry.key, ErrSuspended
	}
	v.recordUse(entry, at)
	return &entry.key, nil
}

// VerifyKnown is Verify for a caller who has sent many wrong keys: another wrong one costs no look-up. A key that was created
// within the last second can be taken for a wrong one.
func (v *Verifier) VerifyKnown(ctx context.Context, secret string) (*Key, error) {
	hash, ok := HashOf(secret)
	if !ok {
		return nil, ErrInvalid
	}
	if v.cached(hash) == nil {
		if ok, err := v.known.has(ctx, hash); err != nil || !ok {
			return nil, cmp.Or(err, ErrInvalid)
		}
	}
	return v.Verify(ctx, secret)
}

// Close waits until the uses so far are recorded, or the store fails: about 5 seconds at most. Verify still works after it, but records
// no uses.
func (v *Verifier) Close() { v.uses.close() }

// Cached returns how many keys the Verifier remembers.
func (v *Verifier) Cached() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.cache)
}

func (v *Verifier) cached(hash Hash) *cacheEntry {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.cache[hash]
}

// lookUp queries the store, once for all concurrent callers. A caller that leaves does not fail the others. It waits no longer than
// its result could be used.
func (v *Verifier) lookUp(ctx context.Context, hash Hash) (*cacheEntry, error) {
	entry, err, _ := v.lookups.Do(string(hash[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CacheTTL)
		defer cancel()
		asked := v.now()
		key, err := v.store.KeyByHash(ctx, hash)
		if errors.Is(err, ErrNotFound) {
			v.forget(hash) // it was removed
			return nil, ErrInvalid
		}
		if err != nil {
			return nil, fmt.Errorf("look up api key: %w", err)
		}
		return v.remember(hash, &cacheEntry{key: key, lookedUp: asked}), nil
	})
	if err != nil {
		return nil, err
	}
	return entry.(*cacheEntry), nil
}

func (v *Verifier) forget(hash Hash) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.cache, hash)
}

func (v *Verifier) remember(hash Hash, entry *cacheEntry) *cacheEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.cache[hash]; ok {
		entry.recorded = old.recorded
	} else {
		entry.recorded = new(atomic.Int64)
		if len(v.cache) >= maxCached {
			for other := range v.cache {
				delete(v.cache, other)
				break
			}
		}
	}
	v.cache[hash] = entry
	return entry
}

// recordUse records the use of a key in the background, unless this or another process did so within the last UseInterval. now
// is the time of the store's clock.
func (v *Verifier) recordUse(entry *cacheEntry, now time.Time) {
	last := entry.recorded.Load()
	if now.Sub(entry.key.LastUsedAt) < UseInterval || now.UnixNano()-last < int64(UseInterval) ||
		!entry.recorded.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	v.uses.add(entry.key.ID, toMilliseconds(now))
}
