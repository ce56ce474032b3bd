package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testCancel(t *testing.T, s *suite) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, call := range map[string]func(*tenant, provider.Provider) error{
		"Write": func(org *tenant, r provider.Provider) error {
			_, err := s.Write(gone, org.updateOf(r, patchOfAll(false)))
			return err
		},
		"Import": func(org *tenant, r provider.Provider) error {
			_, err := s.Import(gone, org.number, []provider.Import{org.importOf(r.ID, patchOfAll(false))}, nil)
			return err
		},
	} {
		t.Run(name+" by a caller who left before it began changes nothing", func(t *testing.T) {
			org := s.tenant(t)
			record := org.create(patchOfAll(true))
			if err := call(org, record); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
			org.unchanged(record)
		})
	}

	for name, call := range map[string]func(*tenant, provider.Provider) error{
		"Get": func(org *tenant, r provider.Provider) error {
			_, err := s.Get(gone, org.number, r.CustomerID, r.ID)
			return err
		},
		"List": func(org *tenant, r provider.Provider) error {
			_, err := s.List(gone, provider.List{Organization: org.number, CustomerID: r.CustomerID, Limit: 1})
			return err
		},
		"History": func(org *tenant, r provider.Provider) error {
			_, err := s.History(gone, org.number, r.CustomerID, r.ID, 0, 1)
			return err
		},
		"Export": func(org *tenant, r provider.Provider) error {
			return provider.Export(gone, s, org.number, func(uuid.UUID, *provider.Provider) error { return nil })
		},
	} {
		t.Run(name+" for a caller who left ends", func(t *testing.T) {
			org := s.tenant(t)
			if err := call(org, org.create(property.Patch{})); CodeOrText(err) != provider.CodeUnavailable && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want one that says that it ended", err)
			}
		})
	}

	t.Run("a caller who leaves does not disturb the others", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		const callers = 32
		var left atomic.Int32
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				ctx := t.Context()
				switch {
				case n%4 == 0: // leaves as soon as the store has the call
					ctx = newImpatient(ctx)
				case n%2 == 0: // leaves at any time, if the call takes that long
					short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					defer cancel()
					ctx = short
				}
				_, err := s.Write(ctx, org.updateOf(record, set(property.Notes, fmt.Sprint(n))))
				switch {
				case n%4 == 0 && errors.Is(err, context.Canceled):
					left.Add(1)
				case err != nil && (n%4 != 2 || !errors.Is(err, context.DeadlineExceeded)):
					t.Errorf("update: %v", err)
				}
			})
		}
		all.Wait()
		if left.Load() == 0 {
			t.Error("no caller left, so nothing was tested")
		}
		said := map[property.Value]bool{}
		for _, event := range org.chain(record.ID)[1:] {
			said[event.Changes[0].To] = true
		}
		for n := 1; n < callers; n += 2 {
			if !said[property.Text(fmt.Sprint(n))] {
				t.Errorf("the change of caller %d, who stayed, is not in the history", n)
			}
		}
	})
}

// impatient is a context that ends as soon as something waits for its end: the caller leaves while the store has the call.
type impatient struct {
	context.Context
	leave context.CancelFunc
}

func newImpatient(ctx context.Context) impatient {
	ctx, leave := context.WithCancel(ctx)
	return impatient{ctx, leave}
}

func (i impatient) Done() <-chan struct{} {
	i.leave()
	return i.Context.Done()
}

func testClose(t *testing.T, s *suite) {
	org := s.tenant(t)
	record := org.create(property.Patch{})
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			_, err := s.Write(t.Context(), org.updateOf(record, set(property.Notes, fmt.Sprint(n))))
			if code := CodeOrText(err); code != "" && code != provider.CodeUnavailable {
				t.Errorf("update while the store closes: %v", err)
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	all.Wait()
	org.rejects(org.updateOf(record, property.Patch{}), provider.CodeUnavailable)
	_, getErr := s.Get(t.Context(), org.number, record.CustomerID, record.ID)
	_, listErr := s.List(t.Context(), provider.List{Organization: org.number, CustomerID: record.CustomerID, Limit: 1})
	_, eventsErr := s.History(t.Context(), org.number, record.CustomerID, record.ID, 0, 1)
	exportErr := provider.Export(t.Context(), s, org.number, func(uuid.UUID, *provider.Provider) error { return nil })
	for method, err := range map[string]error{"get": getErr, "list": listErr, "events": eventsErr, "export": exportErr} {
		if CodeOrText(err) != provider.CodeUnavailable {
			t.Errorf("%s from a closed store: error %v, want unavailable", method, err)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("ping of a closed store: no error")
	}
	if _, err := s.KeyByID(t.Context(), "key_unknown"); err == nil || errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("look-up in a closed store: error %v, want one that is not about the key", err)
	}
}
