// Package writes runs a store's writes in transactions that many callers share.
//
// It stands between a store's Write and its transaction, around package batch, and is the one place where a transaction
// that fails or panics is turned into the error of each of its calls.
package writes

import (
	"context"
	"errors"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/panictrace"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// Options configure the batches. The zero value has the defaults.
type Options struct {
	batch.Options

	// Transaction, if not nil, is called after each transaction, with its error, nil if it was committed. The next one waits for it.
	Transaction func(run batch.Run, err error)

	// Panicked, if not nil, is called with the place where a transaction panicked, for the operator's log: a line for each
	// function. The panic's value, which could be one of a record, is not reported.
	Panicked func(trace string)
}

// Writer is the Write of a [provider.Store] whose transactions each take many writes.
type Writer struct {
	batch *batch.Batch[provider.Write, provider.Provider]
}

// Result is the outcome of one write.
type Result = batch.Result[provider.Provider]

// Transaction applies the writes of a batch in one transaction and returns a result for each, once all of them are durable. A write
// that its record rejects fails alone, in its result. An error means that the transaction failed as a
// whole: CodeUnavailable and CodeOutcomeUnknown then apply to every write. After any other error, or a panic, nothing was changed;
// one of the writes may have caused it, so each gets a transaction of its own.
type Transaction func(writes []provider.Write) ([]Result, error)

// New returns a Writer that runs its writes with run.
func New(run Transaction, o Options) *Writer {
	t := &transaction{run: run, panicked: o.Panicked}
	if o.Transaction != nil {
		o.Observe = func(run batch.Run) { o.Transaction(run, t.err) }
	}
	return &Writer{batch.New(t.results, o.Options)}
}

// Write implements [provider.Store].
func (w *Writer) Write(ctx context.Context, write provider.Write) (provider.Provider, error) {
	record, err := w.batch.Do(ctx, write)
	switch {
	case err == nil, provider.CodeOf(err) != "":
		return record, err
	case errors.Is(err, batch.ErrAbandoned):
		return record, provider.OutcomeUnknown(err)
	case errors.Is(err, batch.ErrFull), errors.Is(err, batch.ErrTimeout), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return record, provider.Unavailable(time.Second, err)
	case errors.Is(err, batch.ErrClosed):
		return record, provider.Unavailable(5*time.Second, err)
	}
	return record, err
}

// Queued returns the number of writes that wait for a transaction.
func (w *Writer) Queued() int { return w.batch.Queued() }

// Close finishes the writes that wait and rejects new ones.
func (w *Writer) Close() { w.batch.Close() }

type transaction struct {
	run      Transaction
	panicked func(trace string)
	err      error // of the last batch
}

// results returns a result for each write, also if their transaction fails.
func (t *transaction) results(writes []provider.Write) []Result {
	results, err := t.try(writes)
	t.err = err
	if err == nil {
		return results
	}
	results = make([]Result, len(writes))
	code := provider.CodeOf(err)
	everyones := code == provider.CodeUnavailable || code == provider.CodeOutcomeUnknown
	for i := range writes {
		if len(writes) > 1 && !everyones {
			results[i] = t.alone(writes[i : i+1])
		} else {
			results[i].Err = err
		}
	}
	return results
}

// alone runs one write in a transaction of its own.
func (t *transaction) alone(write []provider.Write) Result {
	results, err := t.try(write)
	if err != nil {
		return Result{Err: err}
	}
	return results[0]
}

var (
	errPanicked   = errors.New("the transaction panicked")
	errMiscounted = errors.New("the transaction returned the wrong number of results")
)

// try turns a panic into an error. A panic happens before the commit, and the store then rolls the transaction back or closes its
// connection: nothing was changed.
func (t *transaction) try(writes []provider.Write) (results []Result, err error) {
	defer func() {
		if recover() != nil {
			results, err = nil, provider.Internal(errPanicked)
			if t.panicked != nil {
				t.panicked(panictrace.New())
			}
		}
	}()
	begun := time.Now()
	results, err = t.run(writes)
	ended := time.Now()
	for i := range writes {
		if timing := writes[i].Timing; timing != nil {
			timing.Begun, timing.Ended, timing.Size = begun, ended, len(writes)
		}
	}
	if err == nil && len(results) != len(writes) {
		return nil, provider.OutcomeUnknown(errMiscounted)
	}
	return results, err
}
