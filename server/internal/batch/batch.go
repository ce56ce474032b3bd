// Package batch collects concurrent calls into one run.
//
// It sits between a store's method and its transaction: the method calls Do with one change, and a run saves the changes of
// many callers with one commit. There is no timer: the calls that arrive during a run become the next one, so a lone call
// waits for nothing, and many share one fsync.
package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// The errors of Do that are not the run's own.
var (
	ErrFull      = errors.New("batch: too many calls are waiting")
	ErrTimeout   = errors.New("batch: the call waited too long for its run")
	ErrClosed    = errors.New("batch: closed")
	ErrAbandoned = errors.New("batch: the caller left while its run was in flight")
)

// Options limit a Batch and observe it. The zero value has the defaults.
type Options struct {
	MaxBatch int // most calls in one run; 1 turns batching off, 0 means 256
	MaxQueue int // most calls that wait for a run; 0 means 4096

	// MaxWait is how long a call may wait for its run; one that has waited longer is not run. 0 means 5 seconds.
	MaxWait time.Duration

	// Observe, if not nil, is called after every run. The next run waits for it.
	Observe func(Run)
}

// Run describes a run, for Observe.
type Run struct {
	Size   int           // calls
	Took   time.Duration // from its begin to its results
	Waited time.Duration // how long the first of its calls waited for it
}

// Result is the outcome of one call.
type Result[R any] struct {
	Value R
	Err   error
}

// Batch runs calls together. It is safe for concurrent use. New returns one.
type Batch[Q, R any] struct {
	run  func(calls []Q) []Result[R]
	o    Options
	over chan struct{} // closed after the last run

	mu      sync.Mutex
	arrived sync.Cond // the queue has a call, or is closed
	queue   []*waiter[Q, R]
	closed  bool

	// The run in flight. Only the serving goroutine uses these; it reuses the slices.
	started []*waiter[Q, R]
	calls   []Q
}

// waiter is a call whose caller waits.
type waiter[Q, R any] struct {
	ctx     context.Context
	call    Q
	since   time.Time
	started bool           // its run has begun; guarded by Batch.mu
	result  chan Result[R] // has room for one, so that a run never waits for a caller that left
}

// New returns a Batch and starts the goroutine that calls run, one run at a time. Close ends it.
//
// run gets calls in the order of their arrival, at least one and at most MaxBatch, and returns one result for each, in that
// order. It must not keep the calls. Its results are read before the next run. It has no context, so it limits its own time.
// It must not panic.
func New[Q, R any](run func(calls []Q) []Result[R], o Options) *Batch[Q, R] {
	if o.MaxBatch <= 0 {
		o.MaxBatch = 256
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 5 * time.Second
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 4096
	}
	b := &Batch[Q, R]{run: run, o: o, over: make(chan struct{})}
	b.arrived.L = &b.mu
	go b.serve()
	return b
}

// Do runs the call, together with others, and returns its own result.
//
// If ctx is done before the run starts, the call is dropped and Do returns ctx.Err(). If ctx is done later, the run continues,
// and Do returns an error that is both ErrAbandoned and ctx.Err().
//
// Errors: those of the run; ErrFull, at once, if MaxQueue calls are waiting; ErrTimeout after MaxWait; ErrClosed after
// Close; ErrAbandoned. After ErrAbandoned the outcome is unknown; after the others, and after ctx.Err() alone, nothing was
// done.
func (b *Batch[Q, R]) Do(ctx context.Context, call Q) (R, error) {
	w := &waiter[Q, R]{ctx: ctx, call: call, since: time.Now(), result: make(chan Result[R], 1)}
	if err := b.enter(w); err != nil {
		return *new(R), err
	}
	select {
	case r := <-w.result:
		return r.Value, r.Err
	case <-ctx.Done():
	}
	if b.leave(w) {
		return *new(R), ctx.Err()
	}
	select {
	case r := <-w.result: // arrived at the same moment, and says more
		return r.Value, r.Err
	default:
		return *new(R), fmt.Errorf("%w: %w", ErrAbandoned, ctx.Err())
	}
}

// Queued returns the number of calls that wait for a run.
func (b *Batch[Q, R]) Queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// Close rejects new calls, runs those that wait, and returns after the last run. It can be called again.
func (b *Batch[Q, R]) Close() {
	b.mu.Lock()
	b.closed = true
	b.arrived.Signal()
	b.mu.Unlock()
	<-b.over
}

func (b *Batch[Q, R]) enter(w *waiter[Q, R]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if len(b.queue) >= b.o.MaxQueue {
		return ErrFull
	}
	b.queue = append(b.queue, w)
	b.arrived.Signal()
	return nil
}

// leave drops the call, or reports false if its run has begun.
func (b *Batch[Q, R]) leave(w *waiter[Q, R]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.started {
		return false
	}
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	return true
}

func (b *Batch[Q, R]) serve() {
	defer close(b.over)
	for b.start() {
		begin := time.Now()
		run := Run{Size: len(b.calls), Waited: begin.Sub(b.started[0].since)}
		results := b.run(b.calls)
		run.Took = time.Since(begin)
		for i, w := range b.started {
			w.result <- results[i]
		}
		if b.o.Observe != nil {
			b.o.Observe(run)
		}
		// Let callers that are ready call first: of 64 that call again at once, 46 share a run instead of 32.
		runtime.Gosched()
	}
}

// start waits for calls and puts them into the next run. It returns false after Close, when there are no more.
func (b *Batch[Q, R]) start() bool {
	clear(b.started)
	clear(b.calls)
	b.started, b.calls = b.started[:0], b.calls[:0]

	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.calls) == 0 {
		for len(b.queue) == 0 {
			if b.closed {
				return false
			}
			b.arrived.Wait()
		}
		n := 0
		for ; n < len(b.queue) && len(b.calls) < b.o.MaxBatch; n++ {
			w := b.queue[n]
			if w.ctx.Err() != nil {
				continue // its Do returns too
			}
			w.started = true
			if time.Since(w.since) > b.o.MaxWait {
				w.result <- Result[R]{Err: ErrTimeout}
				continue
			}
			b.started = append(b.started, w)
			b.calls = append(b.calls, w.call)
		}
		b.queue = slices.Delete(b.queue, 0, n)
	}
	return true
}
