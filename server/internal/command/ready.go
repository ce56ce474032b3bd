package command

import (
	"context"
	"sync"
	"time"
)

// probeInterval is how long the result of a probe is used. A probe writes to the disk, and anybody can ask for /readyz.
const probeInterval = time.Second

// scrapeTimeout bounds how long a scrape of /metrics waits for a probe: without it, the scrape would time out while the database is
// down, and no metric would say so.
const scrapeTimeout = 2 * time.Second

// readiness probes a store, with one probe at a time.
type readiness struct {
	probe func(context.Context) error

	mu     sync.Mutex
	latest *probeResult
}

type probeResult struct {
	done chan struct{} // closed when the rest is there
	at   time.Time
	err  error
}

// check returns the error of a probe that is at most probeInterval old, or ctx's if that ends first.
func (r *readiness) check(ctx context.Context) error {
	result := r.recent(ctx)
	select {
	case <-result.done:
		return result.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// scrape reports within scrapeTimeout whether the store is ready.
func (r *readiness) scrape() bool {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	return r.check(ctx) == nil
}

// recent returns the latest probe, in flight or over, after starting one if that is too old.
func (r *readiness) recent(ctx context.Context) *probeResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest != nil {
		select {
		case <-r.latest.done:
			if time.Since(r.latest.at) < probeInterval {
				return r.latest
			}
		default:
			return r.latest
		}
	}
	result := &probeResult{done: make(chan struct{})}
	r.latest = result
	go func() {
		defer close(result.done)
		result.err = r.probe(context.WithoutCancel(ctx)) // a caller that leaves does not make the server unready
		result.at = time.Now()
	}()
	return result
}
