package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carecycle/provider-api/server/internal/batch"
)

// Whatever the bounds, and anyone who leaves, what Do says of a call is what happened to it.
func TestEveryCallIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := batch.Options{
			MaxBatch: rapid.IntRange(1, 20).Draw(t, "MaxBatch"),
			MaxQueue: rapid.IntRange(1, 40).Draw(t, "MaxQueue"),
			MaxWait:  time.Hour, // no call is late, however slow the machine is
		}
		callers := rapid.IntRange(1, 64).Draw(t, "callers")
		leave := rapid.IntRange(2, 10).Draw(t, "one in so many leaves")
		const each = 50

		ran := make([]int, callers*each) // times that each call was in a run; all are over when it is read
		observed := 0
		o.Observe = func(r batch.Run) {
			observed += r.Size
			if r.Size < 1 || r.Size > o.MaxBatch {
				t.Errorf("a run of %d, with MaxBatch %d", r.Size, o.MaxBatch)
			}
		}
		b := batch.New(func(calls []int) []batch.Result[string] {
			for _, c := range calls {
				ran[c]++
			}
			runtime.Gosched()
			return reply(calls)
		}, o)

		outcomes := make([]outcome, len(ran))
		var wg sync.WaitGroup
		for first := range callers {
			wg.Go(func() {
				for c := first; c < len(ran); c += callers {
					ctx, cancel := context.WithCancel(context.Background())
					if c%leave == 0 {
						go cancel()
					}
					value, err := b.Do(ctx, c)
					outcomes[c] = outcome{true, value, err}
					cancel()
				}
			})
		}
		wg.Wait()
		b.Close()

		total := 0
		for c, got := range outcomes {
			want := 0
			switch {
			case got.err == nil:
				want = 1
				if reply := fmt.Sprint("reply ", c); got.value != reply {
					t.Errorf("call %d: got %q, want %q", c, got.value, reply)
				}
			case errors.Is(got.err, batch.ErrAbandoned):
				want = 1
			case got.err != context.Canceled && got.err != batch.ErrFull:
				t.Errorf("call %d: unexpected error %v", c, got.err)
			}
			if ran[c] != want {
				t.Errorf("call %d: ran %d times, want %d: %+v", c, ran[c], want, got)
			}
			total += ran[c]
		}
		if observed != total {
			t.Errorf("observed %d calls, want %d", observed, total)
		}
	})
}
