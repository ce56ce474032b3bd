package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
)

func TestLeaving(t *testing.T) {
	deadline := func(h *held, call int, d time.Duration) *outcome {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		context.AfterFunc(ctx, cancel)
		return h.call(ctx, call)
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, h *held)
	}{
		{"before it calls: dropped", func(t *testing.T, h *held) {
			gone := deadline(h, 1, 0)
			if gone.err != context.DeadlineExceeded {
				t.Errorf("got %v, want the plain error of the context", gone.err)
			}
			wantRuns(t, h)
		}},
		{"before the run starts: dropped, and its place is free", func(t *testing.T, h *held) {
			h.calls(1, 2)
			gone := deadline(h, 3, time.Second)
			h.calls(4)
			time.Sleep(time.Second)
			synctest.Wait()
			if gone.err != context.DeadlineExceeded {
				t.Errorf("got %v, want the plain error of the context", gone.err)
			}
			if got := h.Queued(); got != 2 {
				t.Errorf("queued: got %d, want 2", got)
			}
			h.release()
			wantRuns(t, h, []int{1}, []int{2, 4})
		}},
		{"after the run starts: it is finished", func(t *testing.T, h *held) {
			gone := deadline(h, 1, time.Second)
			next := h.call(context.Background(), 2)
			time.Sleep(time.Second)
			synctest.Wait()
			wantOutcome(t, gone, "", batch.ErrAbandoned)
			wantOutcome(t, gone, "", context.DeadlineExceeded)
			h.release()
			h.release()
			wantRuns(t, h, []int{1}, []int{2})
			wantOutcome(t, next, "reply 2", nil)
		}},
		{"all of them: no run is empty", func(t *testing.T, h *held) {
			h.calls(1)
			deadline(h, 2, time.Second)
			deadline(h, 3, time.Second)
			time.Sleep(time.Second)
			synctest.Wait()
			h.release()
			h.calls(4)
			wantRuns(t, h, []int{1}, []int{4})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld(batch.Options{})
				test.do(t, h)
				h.close()
			})
		})
	}
}

// A context can be done before the goroutine that waits on it has noticed; such a call must not slip into the run.
func TestDoneButNotYetLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(batch.Options{})
		h.calls(1)
		ctx := &unnoticed{Context: t.Context(), done: make(chan struct{})}
		gone := h.call(ctx, 2)
		next := h.call(t.Context(), 3)
		ctx.err = context.Canceled
		h.release()
		wantRuns(t, h, []int{1}, []int{3})
		close(ctx.done)
		h.release()
		if gone.err != context.Canceled {
			t.Errorf("got %v, want the plain error of the context", gone.err)
		}
		wantOutcome(t, next, "reply 3", nil)
		h.close()
	})
}

// unnoticed is a context that is done some time before its channel says so.
type unnoticed struct {
	context.Context
	err  error
	done chan struct{}
}

func (c *unnoticed) Err() error { return c.err }

func (c *unnoticed) Done() <-chan struct{} { return c.done }
