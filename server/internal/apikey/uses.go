package apikey

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	maxUses        = 200             // uses in one call of the store, so that it delays no other write for long
	maxPendingUses = 100_000         // keys whose use waits to be recorded; those of further ones are dropped
	recordTimeout  = 5 * time.Second // for one call of the store
)

// uses records when keys were used, in the background. The uses that arrive while the store records some are recorded together.
type uses struct {
	store Store
	log   *slog.Logger

	mu      sync.Mutex
	pending map[string]time.Time // by the ID of the key
	saved   chan struct{}        // closed when the goroutine that records them has ended; nil if there is none
	closed  bool
}

// add records a use of a key. It does not wait for the store.
func (u *uses) add(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.pending) >= maxPendingUses {
		return
	}
	u.pending[id] = at
	if u.saved == nil {
		u.saved = make(chan struct{})
		go u.save(u.saved)
	}
}

// close waits for the goroutine, if there is one.
func (u *uses) close() {
	u.mu.Lock()
	u.closed = true
	saved := u.saved
	u.mu.Unlock()
	if saved != nil {
		<-saved
	}
}

// save records pending uses until there are none, or the store fails; then they wait for the next use.
func (u *uses) save(saved chan struct{}) {
	defer close(saved)
	for {
		some := u.take()
		if some == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		err := u.store.RecordKeyUses(ctx, some)
		cancel()
		if err != nil {
			u.log.Warn("uses of api keys are not recorded yet", "keys", u.putBack(some), "error", err)
			return
		}
	}
}

// take returns up to maxUses pending uses. If there are none it returns nil, and the goroutine is to end.
func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.pending) == 0 {
		u.saved = nil
		return nil
	}
	some := make(map[string]time.Time, min(maxUses, len(u.pending)))
	for id, at := range u.pending {
		if len(some) == maxUses {
			break
		}
		some[id] = at
		delete(u.pending, id)
	}
	return some
}

// putBack makes uses pending again, and returns how many are. The goroutine is to end.
func (u *uses) putBack(some map[string]time.Time) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.Copy(some, u.pending) // which are later
	u.pending = some
	u.saved = nil
	return len(u.pending)
}
