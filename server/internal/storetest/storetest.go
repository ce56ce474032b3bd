// Package storetest is the contract of a store as a test suite, which every store passes unchanged:
//
//	func TestStore(t *testing.T) { storetest.Run(t, open) }
//
// It knows a store by its interface alone. Where the promises of provider.Store and apikey.Store leave a question
// open, the answer is here.
package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// Store is what the suite tests.
type Store interface {
	provider.Store
	apikey.Store
	Ping(context.Context) error
	Close() error
}

// Run runs the suite. Open returns a new, empty store that uses the clock; Run closes it.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) Store) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Update", testUpdate},
		{"Move", testMove},
		{"IfMatch", testIfMatch},
		{"History", testHistory},
		{"Tenancy", testTenancy},
		{"Text", testText},
		{"Clock", testClock},
		{"Import", testImport},
		{"Organization", testOrganization},
		{"Concurrency", testConcurrency},
		{"Cancel", testCancel},
		{"Keys", testKeys},
		{"Model", testModel},
		{"Close", testClose},
	} {
		t.Run(part.name, func(t *testing.T) {
			clock := &clock{time: time.Date(2026, 6, 17, 19, 7, 23, 709_000_000, time.UTC)}
			s := &suite{Store: open(t, clock.now), clock: clock}
			s.close = sync.OnceValue(s.Store.Close)
			t.Cleanup(func() { s.Close() })
			part.run(t, s)
		})
	}
}

// suite is a store under test. Facts that share one keep apart by an organization each.
type suite struct {
	Store
	close func() error
	clock *clock
}

// Close closes the store, once.
func (s *suite) Close() error { return s.close() }

// clock is a store's clock, which stands still until a test moves it.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

// move moves the clock, back if d is negative, and returns the new time.
func (c *clock) move(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	return c.time
}

// set sets the clock and returns the time that it showed.
func (c *clock) set(to time.Time) (was time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, c.time = c.time, to
	return was
}

// tenant is an organization of one test.
type tenant struct {
	*suite
	t        testing.TB
	number   int64
	customer uuid.UUID // one that exists, under whom records are made unless a test says otherwise
}

// tenant makes an organization with one customer.
func (s *suite) tenant(t testing.TB) *tenant {
	t.Helper()
	number, err := s.Organization(t.Context(), "organization "+uuid.NewString())
	if err != nil {
		t.Fatalf("make an organization: %v", err)
	}
	x := &tenant{s, t, number, uuid.New()}
	x.make(provider.Patch{})
	return x
}

// make makes a provider with that patch, of a type and under a customer even if the patch names none.
func (x *tenant) make(patch provider.Patch) provider.Provider {
	x.t.Helper()
	return x.makeWithID(uuid.New(), patch)
}

func (x *tenant) makeWithID(id uuid.UUID, patch provider.Patch) provider.Provider {
	x.t.Helper()
	one := x.importOf(id, patch)
	if err := x.Import(x.t.Context(), x.number, []provider.Import{one}); err != nil {
		x.t.Fatalf("import: %v", err)
	}
	return x.find(one.Patch.CustomerID.Value, id)
}

// importOf returns an import that is complete.
func (x *tenant) importOf(id uuid.UUID, patch provider.Patch) provider.Import {
	if !patch.CustomerID.Set {
		patch.CustomerID = set(x.customer)
	}
	if !patch.Type.Set {
		patch.Type = set(provider.Hospital)
	}
	return provider.Import{ID: id, Patch: patch}
}

// customerElsewhere makes another customer of the organization.
func (x *tenant) customerElsewhere() uuid.UUID {
	x.t.Helper()
	return x.make(provider.Patch{CustomerID: set(uuid.New())}).CustomerID
}

var by = provider.Actor{KeyID: "key_test", RequestID: "0195e8a0-0000-7000-8000-000000000001"}

func (x *tenant) updateOf(r provider.Provider, patch provider.Patch, ifMatch ...int64) provider.Update {
	return provider.Update{Organization: x.number, CustomerID: r.CustomerID, ID: r.ID, IfMatch: ifMatch, Patch: patch, By: by}
}

// update makes a change that succeeds.
func (x *tenant) update(r provider.Provider, patch provider.Patch, ifMatch ...int64) provider.Provider {
	x.t.Helper()
	next, err := x.Update(x.t.Context(), x.updateOf(r, patch, ifMatch...))
	if err != nil {
		x.t.Fatalf("update: %v", err)
	}
	return next
}

// refuse makes a change that fails with that code, and sees to it that the record stays as it is.
func (x *tenant) refuse(u provider.Update, code provider.Code) {
	x.t.Helper()
	_, err := x.Update(x.t.Context(), u)
	if codeOf(err) != code {
		x.t.Errorf("error %v, want one of code %s", err, code)
	}
}

// find reads a record, by a change of nothing.
func (x *tenant) find(customer, id uuid.UUID) provider.Provider {
	x.t.Helper()
	return x.update(provider.Provider{CustomerID: customer, ID: id}, provider.Patch{})
}

// unchanged fails if the record is not as it was, or its history has more than its version says.
func (x *tenant) unchanged(was provider.Provider) {
	x.t.Helper()
	equal(x.t, "record", x.find(was.CustomerID, was.ID), was)
	if events := x.history(was.ID); int64(len(events)) != was.Version {
		x.t.Errorf("%d events in the history of version %d", len(events), was.Version)
	}
}

func (x *tenant) history(id uuid.UUID) []provider.Event {
	x.t.Helper()
	events, err := x.History(x.t.Context(), id)
	if err != nil {
		x.t.Fatalf("history: %v", err)
	}
	return events
}

// codeOf returns the code of a domain error, "" if there is no error, and the text of any other.
func codeOf(err error) provider.Code {
	var domain *provider.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &domain):
		return domain.Code
	}
	return provider.Code(err.Error())
}

func set[T any](value T) provider.Field[T] { return provider.Field[T]{Set: true, Value: value} }

func text(s string) provider.Field[*string] { return set(&s) }

// equal fails the test if got is not what is wanted. *testing.T and *rapid.T have in common what it needs.
func equal(t interface {
	Helper()
	Errorf(format string, arguments ...any)
}, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
