package command

import (
	"context"
	"sync"
	"time"
)

// probeInterval is how long the result of a probe is used. A probe writes to the disk, and anybody can ask for /readyz.
const probeInterval = time.Second

// readiness probes a store.
type readiness struct {
	probe func(context.Context) error
	now   func() time.Time

	mu     sync.Mutex
	probed time.Time
	err    error
}

// check returns the error of a probe that is at most probeInterval old.
func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.probed.IsZero() || now.Sub(r.probed) >= probeInterval {
		r.err = r.probe(context.WithoutCancel(ctx)) // a caller that leaves does not make the server unready
		r.probed = r.now()
	}
	return r.err
}
