// Package storetest is the contract of a store as a test suite, which every store passes unchanged:
//
//	func TestStore(t *testing.T) { storetest.Run(t, open) }
//
// It knows a store by its interface alone. Where the promises of provider.Store and apikey.Store leave a question
// open, the response is here.
package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// Store is what the suite tests.
type Store interface {
	provider.Store
	apikey.Store
	account.Store
	usage.Store
	Ping(context.Context) error
	Verify(context.Context, func(provider.Problem)) (provider.Verified, error)
	Close() error
}

// Run runs the suite, or only some parts of it. Open returns a new, empty store that uses the clock; Run closes it. Whatever the tests
// have done, verification finds nothing wrong.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) Store, only ...string) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Create", testCreate},
		{"Idempotency", testIdempotency},
		{"Update", testUpdate},
		{"Move", testMove},
		{"Delete", testDelete},
		{"IfMatch", testIfMatch},
		{"List", testList},
		{"History", testHistory},
		{"HistoryByID", testHistoryByID},
		{"Archive", testArchive},
		{"Purge", testPurge},
		{"Activity", testActivity},
		{"Verify", testVerify},
		{"Tenancy", testTenancy},
		{"Text", testText},
		{"Clock", testClock},
		{"Import", testImport},
		{"Export", testExport},
		{"Customers", testCustomers},
		{"Organization", testOrganization},
		{"Concurrency", testConcurrency},
		{"Cancel", testCancel},
		{"Keys", testKeys},
		{"Users", testUsers},
		{"Usage", testUsage},
		{"Rotation", testRotation},
		{"KeyManagement", testKeyManagement},
		{"Model", testModel},
		{"Close", testClose},
	} {
		if only != nil && !slices.Contains(only, part.name) {
			continue
		}
		t.Run(part.name, func(t *testing.T) {
			clock := NewClock(time.Date(2026, 6, 17, 19, 7, 23, 709_000_000, time.UTC))
			s := &suite{Store: open(t, clock.Now), clock: clock}
			s.close = sync.OnceValue(s.Store.Close)
			t.Cleanup(func() { s.Close() })
			part.run(t, s)
			if part.name == "Close" {
				return
			}
			if _, err := s.Verify(t.Context(), func(p provider.Problem) { t.Errorf("verification: %v", p) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// suite is a store under test. Facts that share one keep apart by an organization each.
type suite struct {
	Store
	close func() error
	clock *Clock
}

// Close closes the store, once.
func (s *suite) Close() error { return s.close() }

// tenant is an organization of one test.
type tenant struct {
	*suite
	t        testing.TB
	name     string
	number   int64
	customer uuid.UUID // one that exists, under whom records are created unless a test says otherwise
}

// tenant creates an organization with one customer.
func (s *suite) tenant(t testing.TB) *tenant {
	t.Helper()
	name := "organization " + uuid.NewString()
	number, _, err := s.EnsureOrganization(t.Context(), name)
	if err != nil {
		t.Fatalf("make an organization: %v", err)
	}
	org := &tenant{s, t, name, number, uuid.Nil}
	org.customer = org.customerElsewhere()
	return org
}

// create creates a provider with that patch, of a type and under a customer even if the patch names none.
func (org *tenant) create(patch property.Patch) provider.Provider {
	org.t.Helper()
	return org.createWithID(uuid.New(), patch)
}

func (org *tenant) createWithID(id uuid.UUID, patch property.Patch) provider.Provider {
	org.t.Helper()
	one := org.importOf(id, patch)
	org.imports(one)
	return org.find(*one.Patch.CustomerID, id)
}

// importOf returns an import that is complete.
func (org *tenant) importOf(id uuid.UUID, patch property.Patch) provider.Import {
	if patch.CustomerID == nil {
		patch.CustomerID = new(org.customer)
	}
	complete(&patch)
	return provider.Import{ID: id, Patch: patch}
}

// customerElsewhere creates another customer of the organization.
func (org *tenant) customerElsewhere() uuid.UUID {
	org.t.Helper()
	customer := uuid.New()
	if _, err := org.Import(org.t.Context(), org.number, nil, []uuid.UUID{customer}); err != nil {
		org.t.Fatalf("make a customer: %v", err)
	}
	return customer
}

var by = provider.Actor{KeyID: "key_test", RequestID: "0195e8a0-0000-7000-8000-000000000001"}

// createOf returns a write that creates a record, of a type even if the patch names none.
func (org *tenant) createOf(customer uuid.UUID, patch property.Patch) provider.Write {
	complete(&patch)
	return provider.Write{Action: provider.Created, Organization: org.number, CustomerID: customer, ID: uuid.New(), Patch: patch, By: by}
}

func (org *tenant) updateOf(r provider.Provider, patch property.Patch, ifMatch ...int64) provider.Write {
	return provider.Write{Action: provider.Updated, Organization: org.number, CustomerID: r.CustomerID, ID: r.ID, IfMatch: ifMatch, Patch: patch, By: by}
}

func (org *tenant) deleteOf(r provider.Provider, ifMatch ...int64) provider.Write {
	return provider.Write{Action: provider.Deleted, Organization: org.number, CustomerID: r.CustomerID, ID: r.ID, IfMatch: ifMatch, By: by}
}

// write sends a write that succeeds.
func (org *tenant) write(w provider.Write) provider.Provider {
	org.t.Helper()
	next, err := org.Write(org.t.Context(), w)
	if err != nil {
		org.t.Fatalf("%s: %v", w.Action, err)
	}
	return next
}

// update sends a change that succeeds.
func (org *tenant) update(r provider.Provider, patch property.Patch, ifMatch ...int64) provider.Provider {
	org.t.Helper()
	return org.write(org.updateOf(r, patch, ifMatch...))
}

// rejects expects a write that fails with that code.
func (org *tenant) rejects(u provider.Write, code provider.Code) {
	org.t.Helper()
	_, err := org.Write(org.t.Context(), u)
	if CodeOrText(err) != code {
		org.t.Errorf("error %v, want one of code %s", err, code)
	}
}

// find reads a record that is there.
func (org *tenant) find(customer, id uuid.UUID) provider.Provider {
	org.t.Helper()
	record, err := org.Get(org.t.Context(), org.number, customer, id)
	if err != nil {
		org.t.Fatalf("get: %v", err)
	}
	return record
}

// notFound fails if any method finds a record under that customer and ID.
func (org *tenant) notFound(customer, id uuid.UUID) {
	org.t.Helper()
	_, getErr := org.Get(org.t.Context(), org.number, customer, id)
	_, eventsErr := org.History(org.t.Context(), org.number, customer, id, 0, 10)
	at := provider.Provider{ID: id, CustomerID: customer}
	_, updateErr := org.Write(org.t.Context(), org.updateOf(at, patchOfAll(false)))
	_, noUpdateErr := org.Write(org.t.Context(), org.updateOf(at, property.Patch{}))
	_, deleteErr := org.Write(org.t.Context(), org.deleteOf(at))
	for method, err := range map[string]error{"get": getErr, "events": eventsErr, "update": updateErr, "update of nothing": noUpdateErr, "delete": deleteErr} {
		if err != provider.ErrNotFound {
			org.t.Errorf("%s: error %v, want the one of every unknown record", method, err)
		}
	}
	records, err := org.List(org.t.Context(), provider.List{Organization: org.number, CustomerID: customer, Limit: 1000})
	if err != nil && err != provider.ErrNoCustomer {
		org.t.Errorf("list: %v", err)
	}
	for _, record := range append(records, org.export()[customer]...) {
		if record.ID == id {
			org.t.Errorf("it is in the list or the export: %v", record)
		}
	}
}

// unchanged fails if the record is not as it was, or its history has more than its version says.
func (org *tenant) unchanged(was provider.Provider) {
	org.t.Helper()
	equal(org.t, "record", org.find(was.CustomerID, was.ID), was)
	if events := org.history(was.ID); int64(len(events)) != was.Version {
		org.t.Errorf("%d events in the history of version %d", len(events), was.Version)
	}
}

func (org *tenant) history(id uuid.UUID) []provider.Event {
	org.t.Helper()
	found, err := HistoryByID(org.t.Context(), org, id)
	if err != nil {
		org.t.Fatalf("history: %v", err)
	}
	var events []provider.Event
	for _, event := range found {
		events = append(events, event.Event)
	}
	return events
}

// HistoryByID returns what [provider.HistoryByID] calls its function with.
func HistoryByID(ctx context.Context, s provider.Store, id uuid.UUID) (events []provider.OrganizationEvent, _ error) {
	err := provider.HistoryByID(ctx, s, id, func(event *provider.OrganizationEvent) error {
		events = append(events, *event)
		return nil
	})
	return events, err
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
