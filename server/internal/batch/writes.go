package batch

import (
	"context"
	"errors"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/stack"
)

// Writes is the Write of a provider.Store whose transactions each take many of them.
type Writes struct {
	batch *Batch[provider.Write, provider.Provider]
}

// Transaction makes the changes of a batch in one transaction and returns a result for each call, once all of it is
// durable; a call that its record refuses fails alone, in its result. An error means that the transaction failed as a
// whole: Unavailable and OutcomeUnknown are then every call's answer; after any other, which one of the calls may have
// caused, nothing was changed and each call is given a transaction of its own.
type Transaction func(calls []provider.Write) ([]Result[provider.Provider], error)

// NewWrites returns a Writes that hands its calls to run.
func NewWrites(run Transaction, o Options) *Writes {
	return &Writes{New(run.safely(o.Panicked).results, o)}
}

// safely makes a panic an error, so that the calls of the batch are tried one by one and only the one that panics fails.
// The transaction has been undone on the panic's way here.
func (run Transaction) safely(panicked func(trace string)) Transaction {
	return func(calls []provider.Write) (results []Result[provider.Provider], err error) {
		defer func() {
			if v := recover(); v != nil {
				results, err = nil, provider.Broken(ErrPanicked)
				if panicked != nil {
					panicked(stack.Trace())
				}
			}
		}()
		return run(calls)
	}
}

func (run Transaction) results(calls []provider.Write) []Result[provider.Provider] {
	results, err := run(calls)
	if err == nil {
		return results
	}
	results = make([]Result[provider.Provider], len(calls))
	var whole *provider.Error
	everyones := errors.As(err, &whole) && (whole.Code == provider.Unavailable || whole.Code == provider.OutcomeUnknown)
	if len(calls) > 1 && !everyones {
		for i := range calls {
			results[i] = run.results(calls[i : i+1])[0]
		}
		return results
	}
	for i := range results {
		results[i].Err = err
	}
	return results
}

// Write implements [provider.Store].
func (w *Writes) Write(ctx context.Context, call provider.Write) (provider.Provider, error) {
	record, err := w.batch.Do(ctx, call)
	switch {
	case errors.Is(err, ErrUnderway), errors.Is(err, ErrPanicked):
		return record, provider.Unknown(err)
	case errors.Is(err, ErrFull), errors.Is(err, ErrLate), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return record, provider.Busy(err)
	case errors.Is(err, ErrClosed):
		return record, provider.Down(err)
	}
	return record, err
}

// Close finishes the writes that wait and refuses new ones.
func (w *Writes) Close() { w.batch.Close() }
