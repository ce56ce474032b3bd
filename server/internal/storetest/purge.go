package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/uuid"
)

func testPurge(t *testing.T, s *suite) {
	t.Run("of a provider", func(t *testing.T) { testPurgeProvider(t, s) })
	t.Run("of a customer", func(t *testing.T) { testPurgeCustomer(t, s) })
	t.Run("of an organization", func(t *testing.T) { testPurgeOrganization(t, s) })
	t.Run("that is stopped is completed by the next one", func(t *testing.T) { testPurgeAgain(t, s) })
	t.Run("of a customer whom others write to", func(t *testing.T) { testPurgeAndWrites(t, s) })
	t.Run("of a customer who is imported", func(t *testing.T) { testPurgeAndImports(t, s) })
}

func testPurgeProvider(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	id := uuid.New()
	record, others := org.createWithID(id, patchOfAll(true)), other.createWithID(id, patchOfAll(true))
	for n := range 600 { // several transactions
		record = org.update(record, set(property.City, fmt.Sprint(n)))
	}
	if err := provider.PurgeProvider(t.Context(), s, org.number, id); err != provider.ErrNotDeleted {
		t.Errorf("a record that is not deleted: %v", err)
	}
	if err := provider.PurgeProvider(t.Context(), s, org.number, uuid.New()); err != provider.ErrNotFound {
		t.Errorf("an unknown record: %v", err)
	}
	equal(t, "the record", org.find(record.CustomerID, id), record)
	org.write(org.deleteOf(record))
	for range 2 { // the second has nothing to do
		if err := provider.PurgeProvider(t.Context(), s, org.number, id); err != nil {
			t.Fatal(err)
		}
	}
	org.purged(id, 602, by)
	equal(t, "the other's record", other.find(others.CustomerID, id), others)
	record = org.createWithID(id, property.Patch{CustomerID: &record.CustomerID})
	equal(t, "the version of a new one", record.Version, int64(603))
}

// purged fails unless nothing is left of a record but its deletion.
func (org *tenant) purged(id uuid.UUID, version int64, by provider.Actor) {
	org.t.Helper()
	events, err := org.Events(org.t.Context(), org.number, id, math.MaxInt64, 1000)
	if err != nil || len(events) != 1 {
		org.t.Fatalf("%d events, %v; want one", len(events), err)
	}
	events[0].At = time.Time{}
	equal(org.t, "the event", events[0], provider.Event{ProviderID: id, Version: version, Action: provider.Deleted, By: by})
}

func (org *tenant) purgeCustomer(customer uuid.UUID) {
	org.t.Helper()
	if err := provider.PurgeCustomer(org.t.Context(), org, org.number, customer, nil); err != nil {
		org.t.Fatal(err)
	}
}

// customerIsUnknown fails if any method knows the customer.
func (org *tenant) customerIsUnknown(customer uuid.UUID, elsewhere provider.Provider) {
	org.t.Helper()
	if _, err := org.List(org.t.Context(), provider.List{Organization: org.number, CustomerID: customer, Limit: 10}); err != provider.ErrNoCustomer {
		org.t.Errorf("list: %v", err)
	}
	org.rejects(org.createOf(customer, property.Patch{}), provider.CodeNoCustomer)
	org.rejects(org.updateOf(elsewhere, property.Patch{CustomerID: &customer}), provider.CodeUnknownCustomer)
	if _, exported := org.export()[customer]; exported {
		org.t.Error("the export has the customer")
	}
}

func testPurgeCustomer(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	customer := org.customerElsewhere()
	here := func(patch property.Patch) property.Patch { patch.CustomerID = &customer; return patch }
	living := org.create(here(patchOfAll(true)))
	moved := org.update(org.create(patchOfAll(true)), property.Patch{CustomerID: &customer})
	deleted := org.create(here(patchOfAll(true)))
	for n := range 300 {
		living = org.update(living, set(property.City, fmt.Sprint(n)))
	}
	s.clock.Move(time.Second)
	org.write(org.deleteOf(deleted))
	bystander := org.create(patchOfAll(true))
	others := other.createWithID(living.ID, here(patchOfAll(true)))
	var many []provider.Import
	for range 600 { // several transactions
		many = append(many, org.importOf(uuid.New(), here(patchOfAll(false))))
	}
	org.imports(many...)

	count, err := s.CountPurge(t.Context(), org.number, &customer)
	equal(t, "what would go", count, provider.PurgeCount{Customers: 1, Existing: 602, Deleted: 1, Versions: 301 + 2 + 2 + 600})
	if err != nil {
		t.Error(err)
	}
	if err := provider.PurgeCustomer(t.Context(), s, org.number, uuid.New(), nil); CodeOrText(err) != provider.CodeNoCustomer {
		t.Errorf("an unknown customer: %v", err)
	}
	for range 2 {
		org.purgeCustomer(customer)
	}
	org.purged(living.ID, 302, provider.Actor{})
	org.purged(moved.ID, 3, provider.Actor{})
	org.purged(deleted.ID, 2, by)
	org.purged(many[599].ID, 2, provider.Actor{})
	org.notFound(customer, living.ID)
	org.customerIsUnknown(customer, bystander)
	equal(t, "the other customer's record", org.find(bystander.CustomerID, bystander.ID), bystander)
	equal(t, "the other organization's record", other.find(customer, others.ID), others)
	count, err = s.CountPurge(t.Context(), org.number, &customer)
	equal(t, "what would go afterwards", count, provider.PurgeCount{})
	if err != nil {
		t.Error(err)
	}

	again := org.createWithID(living.ID, here(property.Patch{}))
	equal(t, "the version of a new record", again.Version, int64(303))
	equal(t, "the customer's records", len(org.export()[customer]), 1)
}

func testPurgeOrganization(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	var many []provider.Import
	for range 600 {
		many = append(many, org.importOf(uuid.New(), patchOfAll(true)))
	}
	org.imports(many...)
	record := org.find(org.customer, many[0].ID)
	for n := range 300 {
		record = org.update(record, set(property.City, fmt.Sprint(n)))
	}
	org.write(org.deleteOf(org.find(org.customer, many[1].ID)))
	once := org.createOf(org.customer, property.Patch{})
	once.Idempotency = provider.NewIdempotency("key", org.customer, &once.Patch)
	org.write(once)
	org.purgeCustomer(org.customerElsewhere())
	_, key, err := apikey.Create(t.Context(), s, apikey.Key{Organization: org.number, Name: "key"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	others := other.createWithID(record.ID, patchOfAll(true))
	_, member := s.invite(t, account.User{Email: "erased@example.com", Memberships: []account.Membership{{Organization: org.number, Role: account.Owner}}})
	if _, _, err := account.Offer(t.Context(), s, account.Invitation{Organization: org.number, Email: "offered@example.com", Role: account.Viewer}); err != nil {
		t.Fatal(err)
	}
	now := s.clock.Now()
	if err := s.AddUsage(t.Context(), []usage.Row{{Organization: org.number, At: now, Key: key.ID, Operation: "getProvider", Counts: usage.Counts{Requests: 1}}}); err != nil {
		t.Fatal(err)
	}

	count, err := s.CountPurge(t.Context(), org.number, nil)
	equal(t, "what would go", count, provider.PurgeCount{Customers: 2, Existing: 600, Deleted: 1, Versions: 600 + 300 + 1 + 1})
	if err != nil {
		t.Error(err)
	}
	removed := 0
	if err := provider.PurgeOrganization(t.Context(), s, org.number, func(records int) { removed += records }); err != nil {
		t.Fatal(err)
	}
	equal(t, "records that were removed", removed, 601)
	if number, err := s.FindOrganization(t.Context(), org.name); err != nil || number != 0 {
		t.Errorf("the organization has the number %d, %v", number, err)
	}
	if _, err := s.KeyByID(t.Context(), key.ID); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("its key: %v", err)
	}
	if u := s.user(t, member.ID); len(u.Memberships) > 0 {
		t.Errorf("its member has %+v", u.Memberships)
	}
	if invitations, err := s.ListInvitations(t.Context(), org.number); err != nil || len(invitations) > 0 {
		t.Errorf("%d invitations are left, %v", len(invitations), err)
	}
	for _, r := range usage.Resolutions() {
		if err := s.Usage(t.Context(), org.number, r, now, func(row usage.Row) { t.Errorf("left of its usage: %+v", row) }); err != nil {
			t.Error(err)
		}
	}
	if events, err := s.Events(t.Context(), org.number, record.ID, math.MaxInt64, 10); err != nil || len(events) > 0 {
		t.Errorf("%d events are left, %v", len(events), err)
	}
	org.rejects(org.createOf(org.customer, property.Patch{}), provider.CodeNoCustomer)
	org.rejects(org.updateOf(record, property.Patch{}), provider.CodeNotFound)
	equal(t, "the other organization's record", other.find(others.CustomerID, others.ID), others)
	number, created, err := s.EnsureOrganization(t.Context(), org.name)
	if err != nil || !created || number <= org.number || number == other.number {
		t.Errorf("an organization of its name has the number %d after %d; created %v, %v", number, org.number, created, err)
	}
	if err := provider.PurgeOrganization(t.Context(), s, org.number, nil); err != nil {
		t.Errorf("again: %v", err)
	}
}

func testPurgeAgain(t *testing.T, s *suite) {
	org := s.tenant(t)
	var many []provider.Import
	for range 600 {
		many = append(many, org.importOf(uuid.New(), patchOfAll(true)))
	}
	org.imports(many...)
	org.write(org.deleteOf(org.find(org.customer, many[0].ID)))
	purges := map[string]func(ctx context.Context, progress func(int)) error{
		"customer": func(ctx context.Context, f func(int)) error {
			return provider.PurgeCustomer(ctx, s, org.number, org.customer, f)
		},
		"organization": func(ctx context.Context, f func(int)) error { return provider.PurgeOrganization(ctx, s, org.number, f) },
	}
	for _, what := range []string{"customer", "organization"} {
		ctx, stop := context.WithCancel(t.Context())
		if err := purges[what](ctx, func(int) { stop() }); err == nil {
			t.Errorf("the purge of the %s was not stopped", what)
		}
		if _, err := s.Verify(t.Context(), func(p provider.Problem) { t.Errorf("verification of half of a %s: %v", what, p) }); err != nil {
			t.Error(err)
		}
		if err := purges[what](t.Context(), nil); err != nil {
			t.Errorf("the purge of the %s: %v", what, err)
		}
		if what == "customer" {
			org.purged(many[0].ID, 2, by)
			org.purged(many[599].ID, 2, provider.Actor{})
		}
	}
}

// testPurgeAndWrites purges a customer while callers create, move, change and delete records. Nobody is left behind: a record that was
// saved for the customer is purged, unless it was moved to another one in time.
func testPurgeAndWrites(t *testing.T, s *suite) {
	org := s.tenant(t)
	customer := org.customerElsewhere()
	var (
		writing sync.WaitGroup
		mu      sync.Mutex
		created []provider.Provider
		begun   = make(chan bool, 8)
	)
	for w := range 8 {
		writing.Go(func() {
			for n := 0; ; n++ {
				write := org.createOf(customer, patchOfAll(n%2 == 0))
				if w%2 == 0 {
					at := org.create(patchOfAll(true))
					write = org.updateOf(at, property.Patch{CustomerID: &customer})
				}
				record, err := s.Write(t.Context(), write)
				if code := CodeOrText(err); code == provider.CodeNoCustomer || code == provider.CodeUnknownCustomer {
					return
				} else if err != nil {
					t.Errorf("%s: %v", write.Action, err)
					return
				}
				mu.Lock()
				created = append(created, record)
				mu.Unlock()
				next := org.updateOf(record, set(property.City, "x"))
				if n%3 == 0 {
					next = org.deleteOf(record)
				}
				if _, err := s.Write(t.Context(), next); err != nil && err != provider.ErrNotFound {
					t.Errorf("%s: %v", next.Action, err)
				}
				if n == 3 {
					begun <- true
				}
			}
		})
	}
	for range 8 {
		<-begun
	}
	org.purgeCustomer(customer)
	writing.Wait()
	for _, record := range created {
		org.notFound(customer, record.ID)
		events, err := s.Events(t.Context(), org.number, record.ID, math.MaxInt64, 10)
		if err != nil || len(events) != 1 || events[0].Action != provider.Deleted || len(events[0].Changes) > 0 {
			t.Errorf("%d events are left, %v: %+v", len(events), err, events)
		}
	}
}

// testPurgeAndImports purges a customer while their records are imported. At the end either the customer is known, or no record is alive.
func testPurgeAndImports(t *testing.T, s *suite) {
	org := s.tenant(t)
	customer := org.customerElsewhere()
	var importing sync.WaitGroup
	for range 4 {
		importing.Go(func() {
			for range 10 {
				imports := []provider.Import{org.importOf(uuid.New(), property.Patch{CustomerID: &customer}), org.importOf(uuid.New(), property.Patch{CustomerID: &customer})}
				if _, err := s.Import(t.Context(), org.number, imports, nil); err != nil {
					t.Errorf("import: %v", err)
				}
			}
		})
	}
	for range 5 {
		if err := provider.PurgeCustomer(t.Context(), s, org.number, customer, nil); err != nil {
			t.Fatal(err)
		}
	}
	importing.Wait()
	for range 2 { // the last import or the last purge wins
		_, err := s.List(t.Context(), provider.List{Organization: org.number, CustomerID: customer, Limit: 1})
		count, countErr := s.CountPurge(t.Context(), org.number, &customer)
		if err == provider.ErrNoCustomer && count != (provider.PurgeCount{}) || countErr != nil {
			t.Errorf("of an unknown customer there is %+v, %v", count, countErr)
		}
		org.purgeCustomer(customer)
	}
}
