package storecopy_test

import (
	either "cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// kind is a kind of store.
type kind struct {
	name   string
	create func(*testing.T) string // the name of a database that does not exist, or is empty
	open   func(ctx context.Context, name string, now func() time.Time) (storetest.Store, error)
	source func(ctx context.Context, name string) (storecopy.Source, error)
	target func(ctx context.Context, name string) (storecopy.Target, error)
}

var kinds = []kind{
	{
		name:   "SQLite",
		create: func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") },
		open: func(ctx context.Context, name string, now func() time.Time) (storetest.Store, error) {
			return sqlite.Open(ctx, name, sqlite.Options{Now: now})
		},
		source: func(ctx context.Context, name string) (storecopy.Source, error) {
			return sqlite.OpenCopySource(ctx, name)
		},
		target: func(ctx context.Context, name string) (storecopy.Target, error) {
			return sqlite.OpenCopyTarget(ctx, name)
		},
	},
	{
		name:   "PostgreSQL",
		create: func(t *testing.T) string { return pgtest.New(t) },
		open: func(ctx context.Context, name string, now func() time.Time) (storetest.Store, error) {
			return postgres.Open(ctx, name, postgres.Options{Now: now})
		},
		source: func(ctx context.Context, name string) (storecopy.Source, error) {
			return postgres.OpenCopySource(ctx, name)
		},
		target: func(ctx context.Context, name string) (storecopy.Target, error) {
			return postgres.OpenCopyTarget(ctx, name, nil)
		},
	},
}

// each runs a test for each pair of kinds.
func each(t *testing.T, test func(t *testing.T, from, to kind)) {
	for _, from := range kinds {
		for _, to := range kinds {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				test(t, from, to)
			})
		}
	}
}

// TestCopy does random things to a store, copies it, and compares all that a store can say about itself. Afterwards both stores respond
// alike to the same writes.
func TestCopy(t *testing.T) {
	each(t, func(t *testing.T, from, to kind) {
		seed := rand.Uint64()
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), clock: storetest.NewClock(time.Date(2026, 6, 17, 19, 7, 23, 709_000_000, time.UTC))}
		fromName, toName := from.create(t), to.create(t)
		original := w.open(from, fromName)
		w.fill(original, 100)
		want := w.describe(original)
		w.close(original)
		if err := copyAll(t.Context(), from, fromName, to, toName); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		original, copied := w.open(from, fromName), w.open(to, toName)
		compare(t, fmt.Sprintf("seed %d", seed), w.describe(copied), want)
		if _, err := copied.Verify(t.Context(), func(p provider.Problem) { t.Errorf("seed %d: verification: %v", seed, p) }); err != nil {
			t.Error(err)
		}
		compare(t, fmt.Sprintf("responses afterwards, seed %d", seed), w.goOn(copied), w.goOn(original))
		w.close(original)
		w.close(copied)
	})
}

func copyAll(ctx context.Context, from kind, fromName string, to kind, toName string) error {
	source, err := from.source(ctx, fromName)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.target(ctx, toName)
	if err != nil {
		return err
	}
	defer target.Close()
	_, err = storecopy.Copy(ctx, source, target, quiet)
	return err
}

func compare(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(property.Value{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// world is what was done to a store.
type world struct {
	t             *testing.T
	random        *rand.Rand
	clock         *storetest.Clock
	organizations []int64
	customers     []uuid.UUID // each of every organization
	ids           []uuid.UUID
	once          []provider.Write // creations with an idempotency key
	hashes        []apikey.Hash
	keys          []string
	users         []account.User
	purged        int64 // an organization
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(k kind, name string) storetest.Store {
	w.t.Helper()
	s, err := k.open(w.t.Context(), name, w.clock.Now)
	w.check(err)
	return s
}

func (w *world) close(s storetest.Store) {
	w.t.Helper()
	w.check(s.Close())
}

func pick[T any](w *world, from []T) T { return from[w.random.IntN(len(from))] }

// fill does n random things. Among the records is one with so many events that SQLite names it more than once.
func (w *world) fill(s storetest.Store, n int) {
	w.t.Helper()
	ctx := w.t.Context()
	for i := range 4 {
		number, _, err := s.EnsureOrganization(ctx, fmt.Sprintf("organization %d 😀", i))
		w.check(err)
		w.organizations = append(w.organizations, number)
		w.customers, w.ids = append(w.customers, uuid.New()), append(w.ids, uuid.New(), uuid.New(), uuid.New())
	}
	w.organizations = w.organizations[:3] // the last one stays empty
	for _, organization := range w.organizations {
		_, err := s.Import(ctx, organization, nil, append(w.customers, uuid.New()))
		w.check(err)
	}
	w.keysOf(s)
	w.usersOf(s)
	for range n {
		w.clock.Move(time.Duration(w.random.IntN(3000)) * time.Millisecond)
		w.act(s)
	}
	for range 70 {
		w.write(s, provider.Write{Action: provider.Updated, Organization: w.organizations[0], CustomerID: w.customers[0], ID: w.ids[0],
			Patch: property.Patch{Values: property.Values{property.City: property.Text(uuid.NewString())}}})
	}
	w.purge(s)
}

// purge purges a record, a customer and the newest organization, whose numbers are never used again.
func (w *world) purge(s storetest.Store) {
	ctx := w.t.Context()
	w.check(provider.PurgeProvider(ctx, s, w.organizations[0], w.removed(s)))
	w.check(provider.PurgeCustomer(ctx, s, w.organizations[0], w.customers[3], nil))
	number, _, err := s.EnsureOrganization(ctx, "purged")
	w.check(err)
	patch := storetest.PatchOf(1)
	patch.CustomerID = &w.customers[0]
	_, err = s.Import(ctx, number, []provider.Import{{ID: uuid.New(), Patch: patch}}, w.customers)
	w.check(err)
	w.check(provider.PurgeOrganization(ctx, s, number, nil))
	w.purged = number
}

// removed creates a record, changes it and deletes it.
func (w *world) removed(s storetest.Store) uuid.UUID {
	id, customer := uuid.New(), w.customers[0]
	w.ids = append(w.ids, id)
	patch := storetest.PatchOf(7)
	w.write(s, provider.Write{Action: provider.Created, Organization: w.organizations[0], CustomerID: customer, ID: id, Patch: patch})
	w.write(s, provider.Write{Action: provider.Deleted, Organization: w.organizations[0], CustomerID: customer, ID: id})
	return id
}

// keysOf creates keys of every kind.
func (w *world) keysOf(s storetest.Store) {
	w.t.Helper()
	ctx := w.t.Context()
	for i := range 12 {
		key := apikey.Key{Organization: pick(w, w.organizations), Name: fmt.Sprint("key ", i), Permissions: apikey.Permissions()[:1+i%2], RateLimit: i % 3}
		secret, key, err := apikey.Create(ctx, s, key, time.Duration(i%4)*time.Hour)
		w.check(err)
		hash, _ := apikey.HashOf(secret)
		w.hashes, w.keys = append(w.hashes, hash), append(w.keys, key.ID)
		switch i % 4 {
		case 1:
			w.check(s.RevokeKey(ctx, key.ID, 0))
		case 2:
			w.check(s.RevokeKey(ctx, key.ID, time.Hour))
		case 3:
			w.check(s.RecordKeyUses(ctx, map[string]time.Time{key.ID: w.clock.Now()}))
		}
	}
}

// usersOf creates users in every state, and an invitation.
func (w *world) usersOf(s storetest.Store) {
	w.t.Helper()
	ctx := w.t.Context()
	for i := range 4 {
		_, u, err := account.Invite(ctx, s, account.User{Email: fmt.Sprintf("user%d@example.com", i), Operator: i == 0,
			Memberships: []account.Membership{{Organization: w.organizations[0], Role: account.Roles()[i%3]}}})
		w.check(err)
		w.users = append(w.users, u)
		switch i {
		case 1:
			w.check(s.SetPassword(ctx, u.ID, "hash", ""))
			w.check(s.SetSubject(ctx, u.ID, "", "https://issuer.example 1"))
			w.check(s.SetTOTP(ctx, u.ID, account.TOTP{Secret: "SECRET"}, 7, []account.Hash{account.HashOf("one"), account.HashOf("two")}, ""))
		case 2:
			w.check(s.SetDisabled(ctx, u.ID, true))
		case 3:
			w.check(s.RecordSignIn(ctx, u.ID))
		}
	}
	_, _, err := account.Offer(ctx, s, account.Invitation{Organization: w.organizations[1], Email: "new@example.com", Role: account.Owner})
	w.check(err)
}

// write sends a write, which may be rejected.
func (w *world) write(s storetest.Store, one provider.Write) (provider.Provider, provider.Code) {
	one.By = provider.Actor{KeyID: w.keys[0], RequestID: "0195e8a0-0000-7000-8000-000000000001"}
	next, err := s.Write(w.t.Context(), one)
	return next, storetest.CodeOrText(err)
}

// act does one random thing to a random record.
func (w *world) act(s storetest.Store) {
	w.t.Helper()
	organization, customer, id := pick(w, w.organizations), pick(w, w.customers), pick(w, w.ids)
	patch := storetest.PatchOf(w.random.IntN(50))
	one := provider.Write{Organization: organization, CustomerID: customer, ID: id}
	switch w.random.IntN(6) {
	case 0:
		patch.CustomerID = &customer
		_, err := s.Import(w.t.Context(), organization, []provider.Import{{ID: id, Patch: patch}}, nil)
		w.check(err)
	case 1:
		one.Action, one.ID, one.Patch = provider.Created, uuid.New(), patch
		one.Idempotency = provider.NewIdempotency(fmt.Sprint("key ", len(w.once)), customer, &patch)
		w.write(s, one)
		w.once, w.ids = append(w.once, one), append(w.ids, one.ID)
	case 2:
		one.Action = provider.Deleted
		w.write(s, one)
	case 3:
		_, err := s.RemoveEvents(w.t.Context(), organization, []provider.RecordVersion{{ID: id, Version: 2}})
		w.check(err)
	default:
		one.Action = provider.Updated
		one.Patch.Values = patch.Values
		if w.random.IntN(4) == 0 {
			to := pick(w, w.customers)
			one.Patch.CustomerID = &to
		}
		w.write(s, one)
	}
}

// description is all that a store says about itself.
type description struct {
	Organizations []provider.Organization
	Customers     map[int64][]provider.CustomerRecord
	Versions      map[int64][]provider.RecordVersion
	Lists         map[string][]provider.Provider
	Events        map[string][]provider.Event
	Owners        map[uuid.UUID][]provider.Owner
	Listed        map[int64][]uuid.UUID // customers
	Activity      []provider.ActivityEvent
	Keys          []apikey.Key
	Hashes        []apikey.Key
	Users         []account.User
	Codes         map[string]account.TOTP
	Invitations   []account.Invitation
}

func (w *world) describe(s storetest.Store) (d description) {
	w.t.Helper()
	ctx := w.t.Context()
	d = description{Customers: map[int64][]provider.CustomerRecord{}, Versions: map[int64][]provider.RecordVersion{},
		Lists: map[string][]provider.Provider{}, Events: map[string][]provider.Event{}, Owners: map[uuid.UUID][]provider.Owner{}, Listed: map[int64][]uuid.UUID{}, Codes: map[string]account.TOTP{}}
	var err error
	d.Organizations, err = s.ListOrganizations(ctx)
	w.check(err)
	for _, organization := range w.organizations {
		d.Customers[organization], err = s.ListAll(ctx, organization, nil, 10_000)
		w.check(err)
		d.Listed[organization], err = s.ListCustomers(ctx, organization, uuid.Nil, 10_000)
		w.check(err)
		d.Versions[organization], err = s.ListVersions(ctx, organization, nil, 10_000)
		w.check(err)
		for _, customer := range w.customers {
			for name, filters := range map[string][]property.Filter{"": nil, "active": {{Property: property.IsActive, Value: property.Boolean(true)}}} {
				d.Lists[fmt.Sprint(organization, customer, name)] = w.pages(s, provider.List{Organization: organization, CustomerID: customer, Filters: filters, Limit: 7})
			}
		}
		for _, record := range d.Versions[organization] {
			d.Events[fmt.Sprint(organization, record.ID)], err = s.Events(ctx, organization, record.ID, math.MaxInt64, 10_000)
			w.check(err)
			d.Events[fmt.Sprint("old ", organization, record.ID)], err = s.Events(ctx, organization, record.ID, 65, 3)
			w.check(err)
		}
	}
	for _, id := range w.ids {
		d.Owners[id], err = s.Owners(ctx, id)
		w.check(err)
	}
	w.check(provider.EachActivity(ctx, s, provider.ActivityQuery{}, func(e *provider.ActivityEvent) error {
		d.Activity = append(d.Activity, *e)
		return nil
	}))
	if !slices.IsSortedFunc(d.Activity, latestFirst) {
		w.t.Error("an event comes before a later one")
	}
	slices.SortFunc(d.Activity, func(a, b provider.ActivityEvent) int { // those of the same time have another order in each kind of store
		inTie := strings.Compare(fmt.Sprint(a.Organization, a.ProviderID), fmt.Sprint(b.Organization, b.ProviderID))
		return either.Or(latestFirst(a, b), inTie, int(a.Version-b.Version))
	})
	d.Keys, err = s.ListKeys(ctx, 0, apikey.Key{}, 1000)
	w.check(err)
	for _, hash := range w.hashes {
		key, err := s.KeyByHash(ctx, hash)
		w.check(err)
		d.Hashes = append(d.Hashes, key)
	}
	d.Users, err = s.ListUsers(ctx, 0, "", 1000)
	w.check(err)
	for _, u := range d.Users {
		if u.TwoStep {
			d.Codes[u.ID], err = s.FindTOTP(ctx, u.ID)
			w.check(err)
		}
	}
	d.Invitations, err = s.ListInvitations(ctx, w.organizations[1])
	w.check(err)
	return d
}

func latestFirst(a, b provider.ActivityEvent) int { return b.At.Compare(a.At) }

// pages reads all pages of a list.
func (w *world) pages(s storetest.Store, l provider.List) (records []provider.Provider) {
	w.t.Helper()
	for {
		page, err := s.List(w.t.Context(), l)
		if provider.CodeOf(err) == provider.CodeNoCustomer { // purged
			return nil
		}
		w.check(err)
		records = append(records, page...)
		if len(page) < l.Limit {
			return records
		}
		last := page[len(page)-1]
		l.After = &provider.Position{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// goOn repeats creations, changes records, uses codes, and creates an organization. It returns the responses.
func (w *world) goOn(s storetest.Store) (responses []any) {
	w.t.Helper()
	for _, one := range w.once {
		one.ID = uuid.NewSHA1(one.ID, nil) // of the second request
		next, code := w.write(s, one)
		responses = append(responses, next, code)
	}
	for _, organization := range w.organizations {
		for _, id := range w.ids {
			next, code := w.write(s, provider.Write{Action: provider.Updated, Organization: organization, CustomerID: w.customers[0], ID: id,
				Patch: property.Patch{Values: property.Values{property.City: property.Text("afterwards")}}})
			responses = append(responses, next, code)
		}
	}
	id := w.users[1].ID
	for _, step := range []account.Step{7, 8} {
		responses = append(responses, storetest.CodeOrText(s.UseStep(w.t.Context(), id, step)))
	}
	for _, code := range []string{"one", "three"} {
		responses = append(responses, storetest.CodeOrText(s.UseRecoveryCode(w.t.Context(), id, account.HashOf(code))))
	}
	number, created, err := s.EnsureOrganization(w.t.Context(), "new")
	w.check(err)
	if number <= w.purged {
		w.t.Errorf("a new organization has the number %d, and %d was used before", number, w.purged)
	}
	return append(responses, created)
}
