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

	"github.com/carecycle/provider-api/gen/property"
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
		{"Create", testCreate},
		{"Update", testUpdate},
		{"Move", testMove},
		{"Delete", testDelete},
		{"IfMatch", testIfMatch},
		{"List", testList},
		{"History", testHistory},
		{"HistoryByID", testHistoryByID},
		{"Tenancy", testTenancy},
		{"Text", testText},
		{"Clock", testClock},
		{"Import", testImport},
		{"Export", testExport},
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
	name     string
	number   int64
	customer uuid.UUID // one that exists, under whom records are made unless a test says otherwise
}

// tenant makes an organization with one customer.
func (s *suite) tenant(t testing.TB) *tenant {
	t.Helper()
	name := "organization " + uuid.NewString()
	number, err := s.EnsureOrganization(t.Context(), name)
	if err != nil {
		t.Fatalf("make an organization: %v", err)
	}
	x := &tenant{s, t, name, number, uuid.Nil}
	x.customer = x.customerElsewhere()
	return x
}

// make makes a provider with that patch, of a type and under a customer even if the patch names none.
func (x *tenant) make(patch property.Patch) provider.Provider {
	x.t.Helper()
	return x.makeWithID(uuid.New(), patch)
}

func (x *tenant) makeWithID(id uuid.UUID, patch property.Patch) provider.Provider {
	x.t.Helper()
	one := x.importOf(id, patch)
	x.imports(one)
	return x.find(*one.Patch.CustomerID, id)
}

// importOf returns an import that is complete.
func (x *tenant) importOf(id uuid.UUID, patch property.Patch) provider.Import {
	if patch.CustomerID == nil {
		patch.CustomerID = new(x.customer)
	}
	complete(&patch)
	return provider.Import{ID: id, Patch: patch}
}

// customerElsewhere makes another customer of the organization.
func (x *tenant) customerElsewhere() uuid.UUID {
	x.t.Helper()
	customer := uuid.New()
	if err := x.Import(x.t.Context(), x.number, nil, []uuid.UUID{customer}); err != nil {
		x.t.Fatalf("make a customer: %v", err)
	}
	return customer
}

var by = provider.Actor{KeyID: "key_test", RequestID: "0195e8a0-0000-7000-8000-000000000001"}

// createOf returns a write that makes a record, of a type even if the patch names none.
func (x *tenant) createOf(customer uuid.UUID, patch property.Patch) provider.Write {
	complete(&patch)
	return provider.Write{Action: provider.Created, Organization: x.number, CustomerID: customer, ID: uuid.New(), Patch: patch, By: by}
}

func (x *tenant) updateOf(r provider.Provider, patch property.Patch, ifMatch ...int64) provider.Write {
	return provider.Write{Action: provider.Updated, Organization: x.number, CustomerID: r.CustomerID, ID: r.ID, IfMatch: ifMatch, Patch: patch, By: by}
}

func (x *tenant) deleteOf(r provider.Provider, ifMatch ...int64) provider.Write {
	return provider.Write{Action: provider.Deleted, Organization: x.number, CustomerID: r.CustomerID, ID: r.ID, IfMatch: ifMatch, By: by}
}

// write makes a write that succeeds.
func (x *tenant) write(w provider.Write) provider.Provider {
	x.t.Helper()
	next, err := x.Write(x.t.Context(), w)
	if err != nil {
		x.t.Fatalf("%s: %v", w.Action, err)
	}
	return next
}

// update makes a change that succeeds.
func (x *tenant) update(r provider.Provider, patch property.Patch, ifMatch ...int64) provider.Provider {
	x.t.Helper()
	return x.write(x.updateOf(r, patch, ifMatch...))
}

// refuse makes a write that fails with that code.
func (x *tenant) refuse(u provider.Write, code provider.Code) {
	x.t.Helper()
	_, err := x.Write(x.t.Context(), u)
	if CodeOrText(err) != code {
		x.t.Errorf("error %v, want one of code %s", err, code)
	}
}

// find reads a record that is there.
func (x *tenant) find(customer, id uuid.UUID) provider.Provider {
	x.t.Helper()
	record, err := x.Get(x.t.Context(), x.number, customer, id)
	if err != nil {
		x.t.Fatalf("get: %v", err)
	}
	return record
}

// notFound fails if any method finds a record under that customer and ID.
func (x *tenant) notFound(customer, id uuid.UUID) {
	x.t.Helper()
	_, getErr := x.Get(x.t.Context(), x.number, customer, id)
	_, eventsErr := x.History(x.t.Context(), x.number, customer, id, 0, 10)
	at := provider.Provider{ID: id, CustomerID: customer}
	_, updateErr := x.Write(x.t.Context(), x.updateOf(at, patchOfAll(false)))
	_, noUpdateErr := x.Write(x.t.Context(), x.updateOf(at, property.Patch{}))
	_, deleteErr := x.Write(x.t.Context(), x.deleteOf(at))
	for method, err := range map[string]error{"get": getErr, "events": eventsErr, "update": updateErr, "update of nothing": noUpdateErr, "delete": deleteErr} {
		if err != provider.ErrNotFound {
			x.t.Errorf("%s: error %v, want the one of every unknown record", method, err)
		}
	}
	records, err := x.List(x.t.Context(), provider.List{Organization: x.number, CustomerID: customer, Limit: 1000})
	if err != nil && err != provider.ErrNoCustomer {
		x.t.Errorf("list: %v", err)
	}
	for _, record := range append(records, x.export()[customer]...) {
		if record.ID == id {
			x.t.Errorf("it is in the list or the export: %v", record)
		}
	}
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
	events, err := x.HistoryByID(x.t.Context(), id)
	if err != nil {
		x.t.Fatalf("history: %v", err)
	}
	return events
}

// CodeOrText returns the code of a domain error, "" if there is no error, and the text of any other.
func CodeOrText(err error) provider.Code {
	var domain *provider.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &domain):
		return domain.Code
	}
	return provider.Code(err.Error())
}

// set returns a change of one property to a text.
func set(p property.ID, text string) property.Patch {
	var patch property.Patch
	patch.Values[p] = property.Text(text)
	return patch
}

// equal fails the test if got is not what is wanted. *testing.T and *rapid.T have in common what it needs.
func equal(t interface {
	Helper()
	Errorf(format string, arguments ...any)
}, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(property.Value{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
