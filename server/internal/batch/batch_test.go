package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
)

// The result of a call: its number as text, except for these.
const bad = -1 // errBad

var errBad = errors.New("bad call")

func reply(calls []int) []batch.Result[string] {
	var results []batch.Result[string]
	for _, c := range calls {
		switch c {
		case bad:
			results = append(results, batch.Result[string]{Err: errBad})
		default:
			results = append(results, batch.Result[string]{Value: fmt.Sprint("reply ", c)})
		}
	}
	return results
}

// held is a Batch, in a synctest bubble, whose runs each wait to be released.
type held struct {
	*batch.Batch[int, string]
	gate chan struct{}
	runs [][]int // all that have started
}

func newHeld(o batch.Options) *held {
	h := &held{gate: make(chan struct{})}
	h.Batch = batch.New(func(calls []int) []batch.Result[string] {
		h.runs = append(h.runs, slices.Clone(calls))
		<-h.gate
		return reply(calls)
	}, o)
	return h
}

// outcome is what Do returned, or nothing yet.
type outcome struct {
	returned bool
	value    string
	err      error
}

// call starts a Do and returns when it has got as far as it can.
func (h *held) call(ctx context.Context, call int) *outcome {
	var o outcome
	go func() {
		value, err := h.Do(ctx, call)
		o = outcome{true, value, err}
	}()
	synctest.Wait()
	return &o
}

func (h *held) calls(calls ...int) []*outcome {
	var os []*outcome
	for _, c := range calls {
		os = append(os, h.call(context.Background(), c))
	}
	return os
}

// release ends the run in flight.
func (h *held) release() {
	h.gate <- struct{}{}
	synctest.Wait()
}

// close ends every run, and the Batch.
func (h *held) close() {
	close(h.gate)
	h.Close()
}

func wantRuns(t *testing.T, h *held, want ...[]int) {
	t.Helper()
	if !slices.EqualFunc(h.runs, want, slices.Equal) {
		t.Errorf("runs: got %v, want %v", h.runs, want)
	}
}

func wantOutcome(t *testing.T, got *outcome, value string, err error) {
	t.Helper()
	if !got.returned || got.value != value || !errors.Is(got.err, err) {
		t.Errorf("got %+v, want %q and error %v", *got, value, err)
	}
}

func TestRuns(t *testing.T) {
	for _, test := range []struct {
		name    string
		options batch.Options
		calls   []int // the first has a run of its own; the others arrive during it
		runs    [][]int
	}{
		{"a lone call starts at once", batch.Options{}, []int{1}, [][]int{{1}}},
		{"calls during a run share the next, in order", batch.Options{}, []int{1, 2, 3, 4}, [][]int{{1}, {2, 3, 4}}},
		{"no run is larger than MaxBatch", batch.Options{MaxBatch: 2}, []int{1, 2, 3, 4, 5, 6}, [][]int{{1}, {2, 3}, {4, 5}, {6}}},
		{"MaxBatch 1 switches batching off", batch.Options{MaxBatch: 1}, []int{1, 2, 3}, [][]int{{1}, {2}, {3}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld(test.options)
				outcomes := h.calls(test.calls...)
				wantRuns(t, h, test.runs[0])
				if got, want := h.Queued(), len(test.calls)-1; got != want {
					t.Errorf("queued: got %d, want %d", got, want)
				}
				for range test.runs {
					h.release()
				}
				wantRuns(t, h, test.runs...)
				for i, o := range outcomes {
					wantOutcome(t, o, fmt.Sprint("reply ", test.calls[i]), nil)
				}
				h.close()
			})
		})
	}
}

func TestNeighbours(t *testing.T) {
	for _, test := range []struct {
		name  string
		calls []int // of one run
		errs  []error
	}{
		{"a bad call fails alone", []int{2, bad, 3}, []error{nil, errBad, nil}},
		{"all may fail", []int{bad, bad}, []error{errBad, errBad}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld(batch.Options{})
				h.calls(1)
				outcomes := h.calls(test.calls...)
				h.release()
				h.release()
				for i, o := range outcomes {
					value := ""
					if test.errs[i] == nil {
						value = fmt.Sprint("reply ", test.calls[i])
					}
					wantOutcome(t, o, value, test.errs[i])
				}
				after := h.call(t.Context(), 9)
				h.release()
				wantOutcome(t, after, "reply 9", nil)
				h.close()
			})
		})
	}
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(batch.Options{MaxQueue: 2})
		waiting := h.calls(1, 2, 3)
		wantOutcome(t, h.call(t.Context(), 4), "", batch.ErrFull)
		h.release()
		waiting = append(waiting, h.calls(5)...)
		h.release()
		h.release()
		wantRuns(t, h, []int{1}, []int{2, 3}, []int{5})
		for i, o := range waiting {
			wantOutcome(t, o, fmt.Sprint("reply ", []int{1, 2, 3, 5}[i]), nil)
		}
		h.close()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(batch.Options{MaxBatch: 2})
		waiting := h.calls(1, 2, 3, 4)
		var closed atomic.Int32
		for range 2 {
			go func() { h.Close(); closed.Add(1) }()
		}
		synctest.Wait()
		wantOutcome(t, h.call(t.Context(), 5), "", batch.ErrClosed)
		h.release()
		h.release()
		if closed.Load() != 0 {
			t.Error("Close returned before the last run was over")
		}
		h.release()
		if got := closed.Load(); got != 2 {
			t.Errorf("%d of 2 Close returned after the last run", got)
		}
		wantRuns(t, h, []int{1}, []int{2, 3}, []int{4})
		for i, o := range waiting {
			wantOutcome(t, o, fmt.Sprint("reply ", i+1), nil)
		}
		wantOutcome(t, h.call(t.Context(), 6), "", batch.ErrClosed)
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		h := newHeld(batch.Options{Observe: func(r batch.Run) { got = append(got, fmt.Sprint(r.Size, " in ", r.Took, " after ", r.Waited)) }})
		h.calls(1, 2, bad)
		time.Sleep(time.Millisecond)
		h.release()
		time.Sleep(2 * time.Millisecond)
		h.release()
		if want := []string{"1 in 1ms after 0s", "2 in 2ms after 1ms"}; !slices.Equal(got, want) {
			t.Errorf("observed: got %v, want %v", got, want)
		}
		h.close()
	})
}

func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var results []batch.Result[int]
			batch := batch.New(func(calls []int) []batch.Result[int] {
				results = slices.Grow(results[:0], len(calls))[:len(calls)]
				return results
			}, batch.Options{})
			defer batch.Close()
			ctx, cancel := context.WithCancel(context.Background()) // a request's can be done, unlike Background
			defer cancel()
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					for n := i; n < b.N; n += callers {
						if _, err := batch.Do(ctx, n); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
