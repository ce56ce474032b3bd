package postgres

import (
	"sync"
	"sync/atomic"
	"time"
)

// waiting reports what a process waits for: soon, and then less and less often.
type waiting struct {
	report  func(reason string)
	reason  atomic.Pointer[string]
	done    chan struct{}
	running sync.WaitGroup
}

const (
	waitingInterval    = 2 * time.Second // until the first report; it doubles with each
	maxWaitingInterval = time.Minute
)

// newWaiting returns a waiting that calls report, which may be nil, until end is called.
func newWaiting(report func(reason string)) *waiting {
	w := &waiting{report: report, done: make(chan struct{})}
	if report != nil {
		w.running.Go(w.run)
	}
	return w
}

func (w *waiting) run() {
	for interval := waitingInterval; ; interval = min(2*interval, maxWaitingInterval) {
		select {
		case <-time.After(interval):
			w.report(*w.reason.Load())
		case <-w.done:
			return
		}
	}
}

func (w *waiting) set(reason string) { w.reason.Store(&reason) }

// end returns when report is not called any more.
func (w *waiting) end() {
	close(w.done)
	w.running.Wait()
}
