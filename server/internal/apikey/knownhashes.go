package apikey

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	// knownInterval is how far apart the queries for new keys are at least.
	knownInterval = time.Second

	// knownOverlap is how far back a query for new keys looks: longer than it takes to commit one.
	knownOverlap = time.Minute
)

// known has the keys of the store, so that a caller who makes up keys causes no look-up for each. It is filled when it is first
// used, and asks the store for new keys at most once in knownInterval.
type known struct {
	store Store
	now   func() time.Time

	mu     sync.Mutex
	hashes map[uint64]struct{} // the first bytes of each
	asked  time.Time           // when the store was last asked, on this machine's clock
	since  time.Time           // the store's time then
	err    error               // of that query
}

// has reports whether the store has a key of that hash. It can be wrong about a key that is younger than knownInterval, and, with
// luck, about a hash that is none.
func (k *known) has(ctx context.Context, hash Hash) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.hashes[short(hash)]; ok {
		return true, nil
	}
	now := k.now()
	if !k.asked.IsZero() && now.Sub(k.asked) < knownInterval {
		return false, k.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CacheTTL) // others wait for this too
	defer cancel()
	hashes, read, err := k.store.KeyHashes(ctx, k.since)
	k.asked, k.err = now, nil
	if err != nil {
		k.err = fmt.Errorf("look up new api keys: %w", err)
		return false, k.err
	}
	if k.hashes == nil {
		k.hashes = make(map[uint64]struct{}, len(hashes))
	}
	for _, h := range hashes {
		k.hashes[short(h)] = struct{}{}
	}
	k.since = read.Add(-knownOverlap)
	_, ok := k.hashes[short(hash)]
	return ok, nil
}

func short(h Hash) uint64 { return binary.BigEndian.Uint64(h[:]) }
