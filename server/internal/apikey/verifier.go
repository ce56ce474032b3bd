package apikey

import (
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
	// CacheTTL is how long a response of the store is used, counted from the question: so long at most, a revocation
	// that another process writes goes unnoticed.
	CacheTTL = 5 * time.Second

	// UseInterval is how far apart the noted uses of a key are at least.
	UseInterval = time.Minute

	maxCached      = 10_000          // keys; a further one takes the place of any
	maxPendingUses = 1_000           // uses waiting to be noted; further ones are not
	recordTimeout  = 5 * time.Second // until a use is given up
)

// ErrInvalid is the error for a key that is missing, malformed, unknown, expired or revoked, so that a caller who tries keys
// does not learn which.
var ErrInvalid = errors.New("invalid api key")

// Verifier finds the key of a secret. It is safe for concurrent use.
type Verifier struct {
	store   Store
	now     func() time.Time
	log     *slog.Logger
	lookups singleflight.Group

	mu    sync.RWMutex
	cache map[Hash]*cacheEntry

	pendingUses chan struct{} // holds one for each use that is being noted
	saving      chan struct{} // holds one while the store is noting one
}

// cacheEntry is what the store said of a key.
type cacheEntry struct {
	key      Key
	until    time.Time
	recorded *atomic.Int64 // when a touch was last asked for, Unix nanoseconds; one for all answers about a key
}

// NewVerifier returns a Verifier of the keys in the store. now is the clock, time.Now outside of tests. The log gets
// a warning for each use that could not be noted. The Verifier is to be closed before the store.
func NewVerifier(store Store, now func() time.Time, log *slog.Logger) *Verifier {
	return &Verifier{
		store: store, now: now, log: log, cache: map[Hash]*cacheEntry{},
		pendingUses: make(chan struct{}, maxPendingUses), saving: make(chan struct{}, 1),
	}
}

// Verify returns the key that the secret belongs to, if it is active now, and has its use noted. The key is shared
// and must not be changed. Errors: ErrInvalid, or the store's if it cannot be asked.
func (v *Verifier) Verify(ctx context.Context, secret string) (*Key, error) {
	hash, ok := HashOf(secret)
	if !ok {
		return nil, ErrInvalid
	}
	now := v.now()
	a := v.cached(hash)
	if a == nil || !now.Before(a.until) {
		var err error
		if a, err = v.lookUp(ctx, hash); err != nil {
			return nil, err
		}
		now = v.now()
	}
	if !a.key.Active(now) {
		return nil, ErrInvalid
	}
	v.recordUse(a, now)
	return &a.key, nil
}

// Close waits until the uses seen so far are noted or given up, about 5 seconds at most. Verify still works after it,
// but notes no more. Close is called once.
func (v *Verifier) Close() {
	for range maxPendingUses {
		v.pendingUses <- struct{}{}
	}
}

func (v *Verifier) cached(hash Hash) *cacheEntry {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.cache[hash]
}

// lookUp asks the store, once for all who want to know at the same time. One of them giving up must not fail the
// others; no response is waited for that would be too old to use.
func (v *Verifier) lookUp(ctx context.Context, hash Hash) (*cacheEntry, error) {
	a, err, _ := v.lookups.Do(string(hash[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CacheTTL)
		defer cancel()
		until := v.now().Add(CacheTTL)
		key, err := v.store.KeyByHash(ctx, hash)
		if errors.Is(err, ErrNotFound) {
			return nil, ErrInvalid
		}
		if err != nil {
			return nil, fmt.Errorf("look up api key: %w", err)
		}
		return v.remember(hash, &cacheEntry{key: key, until: until}), nil
	})
	if err != nil {
		return nil, err
	}
	return a.(*cacheEntry), nil
}

func (v *Verifier) remember(hash Hash, a *cacheEntry) *cacheEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.cache[hash]; ok {
		a.recorded = old.recorded
	} else {
		a.recorded = new(atomic.Int64)
		if len(v.cache) >= maxCached {
			for other := range v.cache {
				delete(v.cache, other)
				break
			}
		}
	}
	v.cache[hash] = a
	return a
}

// recordUse has the use of a key noted in the background, unless this or another process did so within the last
// TouchInterval.
func (v *Verifier) recordUse(a *cacheEntry, now time.Time) {
	last := a.recorded.Load()
	if now.Sub(a.key.LastUsedAt) < UseInterval || now.UnixNano()-last < int64(UseInterval) ||
		!a.recorded.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	select {
	case v.pendingUses <- struct{}{}:
		go v.saveUse(a.key.ID, toMilliseconds(now))
	default:
	}
}

// saveUse writes one use at a time, so that no request has to wait for more than one of them in the store.
func (v *Verifier) saveUse(id string, at time.Time) {
	defer func() { <-v.pendingUses }()
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	v.saving <- struct{}{}
	defer func() { <-v.saving }()
	if err := v.store.RecordKeyUse(ctx, id, at); err != nil {
		v.log.WarnContext(ctx, "the last use of an api key was not noted", "key", id, "error", err)
	}
}
