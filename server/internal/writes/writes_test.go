package writes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/writes"
)

// A call that panics, or breaks the transaction, fails alone: its neighbours are tried again without it.
func TestWritesFailAlone(t *testing.T) {
	constraint := provider.Internal(errors.New("a constraint"))
	for name, fail := range map[string]func() error{
		"panic": func() error { panic("a value") },
		"error": func() error { return constraint },
	} {
		synctest.Test(t, func(t *testing.T) {
			gate, traces := make(chan struct{}), 0
			var sizes []int // of the transactions
			u := writes.New(func(calls []provider.Write) ([]writes.Result, error) {
				sizes = append(sizes, len(calls))
				<-gate
				for _, call := range calls {
					if call.Organization == 13 {
						if err := fail(); err != nil {
							return nil, err
						}
					}
				}
				return make([]writes.Result, len(calls)), nil
			}, writes.Options{Panicked: func(trace string) {
				traces++
				if !strings.HasPrefix(trace, "github.com/carecycle/provider-api/server/internal/writes_test.TestWritesFailAlone") || strings.Contains(trace, "a value") {
					t.Errorf("%s: the trace does not begin where the panic was, or shows its value:\n%s", name, trace)
				}
			}})
			defer u.Close()
			var wait sync.WaitGroup
			write := func(organization int64) {
				wait.Go(func() {
					_, err := u.Write(context.Background(), provider.Write{Action: provider.Updated, Organization: organization})
					want := provider.Code("")
					if organization == 13 {
						want = provider.CodeInternal // nothing was changed, which is known
					}
					if got := provider.CodeOf(err); got != want {
						t.Errorf("%s: organization %d got the error %v, want the code %q", name, organization, err, want)
					}
				})
			}
			write(0)
			synctest.Wait() // the first transaction has begun; the other calls share the second
			for organization := int64(1); organization < 20; organization++ {
				write(organization)
			}
			synctest.Wait()
			close(gate)
			wait.Wait()
			if want := append([]int{1, 19}, slices.Repeat([]int{1}, 19)...); !slices.Equal(sizes, want) {
				t.Errorf("%s: transactions of %d calls, want %d", name, sizes, want)
			}
			if (traces > 0) != (name == "panic") {
				t.Errorf("%s: %d traces", name, traces)
			}
		})
	}
}

// Who leaves or waits too long before the run is told that nothing was changed.
func TestWritesThatDidNotRunAreUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		u := writes.New(func(calls []provider.Write) ([]writes.Result, error) {
			runs += len(calls)
			time.Sleep(10 * time.Second)
			return make([]writes.Result, len(calls)), nil
		}, writes.Options{Options: batch.Options{MaxWait: 5 * time.Second}})
		defer u.Close()
		go u.Write(context.Background(), provider.Write{}) // holds the queue up
		synctest.Wait()
		left, leave := context.WithTimeout(context.Background(), time.Second)
		defer leave()
		var wait sync.WaitGroup
		for name, ctx := range map[string]context.Context{"left": left, "waited": context.Background()} {
			wait.Go(func() {
				_, err := u.Write(ctx, provider.Write{})
				if provider.CodeOf(err) != provider.CodeUnavailable {
					t.Errorf("%s: error %v", name, err)
				}
			})
		}
		wait.Wait()
		if runs != 1 {
			t.Errorf("%d calls were run, want 1", runs)
		}
	})
}

// A transaction that forgets a result may have made every change.
func TestMiscount(t *testing.T) {
	w := writes.New(func([]provider.Write) ([]writes.Result, error) { return nil, nil }, writes.Options{})
	defer w.Close()
	if _, err := w.Write(t.Context(), provider.Write{}); provider.CodeOf(err) != provider.CodeOutcomeUnknown {
		t.Errorf("error %v, want an unknown outcome", err)
	}
}

// An unknown outcome stays unknown, whatever its cause.
func TestOutcomeStaysUnknown(t *testing.T) {
	w := writes.New(func([]provider.Write) ([]writes.Result, error) {
		return nil, provider.OutcomeUnknown(fmt.Errorf("commit: %w", context.DeadlineExceeded))
	}, writes.Options{})
	defer w.Close()
	if _, err := w.Write(t.Context(), provider.Write{}); provider.CodeOf(err) != provider.CodeOutcomeUnknown {
		t.Errorf("error %v, want an unknown outcome", err)
	}
}
