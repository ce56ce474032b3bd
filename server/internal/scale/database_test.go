//go:build !race

package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// database is a store with records of every kind that may matter:
//
//   - an organization with size records, two for each customer
//   - a tenth as many in organizations of 100 each
//   - a customer with a fifth as many, of whom one in a thousand is not active, and one in a thousand is a pharmacy
//   - a record with a tenth as many events
//   - a fiftieth as many keys
//   - a tenth as many records that are deleted, and a customer of whose as many records 20 are left
//   - a record that was moved between two customers, a hundredth as many times
type database struct {
	storetest.Store
	t    testing.TB
	url  string // or path
	size int

	organization int64
	records      []provider.Provider // of it; IDs only
	small        []provider.Provider // each of another organization
	smaller      []int64             // those organizations
	crowd        uuid.UUID           // the customer with many records
	middle       *provider.Position  // of them
	busy         provider.Provider   // the record with many events
	events       int64
	hashes       []apikey.Hash
	keys         []apikey.Key
	deleted      []provider.Provider
	emptied      uuid.UUID // the customer with 20 records
	moved        provider.Provider
}

const (
	organizationName = "large"
	chunk            = 2000 // records of an import
	smallSize        = 100
)

func fill(t testing.TB, s storetest.Store, size int) *database {
	d := &database{Store: s, t: t, size: size}
	d.organization = d.newOrganization(organizationName)
	d.records = d.create(d.organization, size, 2, nil)
	for n := range max(1, size/10/smallSize) {
		organization := d.newOrganization(fmt.Sprint("small ", n))
		d.smaller = append(d.smaller, organization)
		d.small = append(d.small, d.create(organization, smallSize, 2, nil)[0])
	}
	crowd := d.create(d.organization, size/5, size/5, func(n int, patch *property.Patch) {
		patch.Values[property.ProviderType] = property.Text("Hospital")
		patch.Values[property.IsActive] = property.Boolean(n%1000 != 7)
		if n%1000 == 3 {
			patch.Values[property.ProviderType] = property.Text("Pharmacy")
		}
	})
	d.crowd = crowd[0].CustomerID
	middle, err := s.Get(t.Context(), d.organization, d.crowd, crowd[len(crowd)/2].ID)
	d.check(err)
	d.middle = &provider.Position{CreatedAt: middle.CreatedAt, ID: middle.ID}

	d.busy = d.create(d.organization, 1, 1, nil)[0]
	d.events = int64(size / 10)
	d.concurrently(int(d.events), func(n int) error {
		_, err := s.Write(context.Background(), d.update(d.organization, d.busy, fmt.Sprint(n)))
		return err
	})
	d.deleted = d.create(d.organization, size/10, 2, nil)
	gone := d.create(d.organization, size/10, size/10, nil)
	d.emptied = gone[0].CustomerID
	d.deleted = append(d.deleted, gone[20:]...)
	d.concurrently(len(d.deleted), func(n int) error {
		r := d.deleted[n]
		_, err := s.Write(context.Background(), provider.Write{Action: provider.Deleted, Organization: d.organization, CustomerID: r.CustomerID, ID: r.ID})
		return err
	})
	d.moved = d.create(d.organization, 1, 1, nil)[0]
	for n := range size / 100 {
		d.check(d.move(d.records[n%2].CustomerID))
	}
	for range max(1, size/50) {
		secret, key, err := apikey.Create(t.Context(), s, apikey.Key{Organization: d.organization, Permissions: apikey.Permissions()}, 0)
		d.check(err)
		hash, _ := apikey.HashOf(secret)
		d.hashes, d.keys = append(d.hashes, hash), append(d.keys, key)
	}
	return d
}

// move moves the record that is often moved.
func (d *database) move(to uuid.UUID) error {
	w := d.update(d.organization, d.moved, "x")
	w.Patch.CustomerID = &to
	_, err := d.Write(context.Background(), w)
	d.moved.CustomerID = to
	return err
}

func (d *database) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) newOrganization(name string) int64 {
	d.t.Helper()
	number, _, err := d.EnsureOrganization(d.t.Context(), name)
	d.check(err)
	return number
}

// create imports records with random IDs.
func (d *database) create(organization int64, n, perCustomer int, change func(int, *property.Patch)) (records []provider.Provider) {
	d.t.Helper()
	var customer uuid.UUID
	for len(records) < n {
		imports := make([]provider.Import, min(chunk, n-len(records)))
		for i := range imports {
			if len(records)%perCustomer == 0 {
				customer = uuid.New()
			}
			r := provider.Provider{ID: uuid.New(), CustomerID: customer}
			imports[i] = provider.Import{ID: r.ID, Patch: storetest.PatchOf(len(records))}
			imports[i].Patch.CustomerID = &r.CustomerID
			if change != nil {
				change(len(records), &imports[i].Patch)
			}
			records = append(records, r)
		}
		_, err := d.Import(d.t.Context(), organization, imports, nil)
		d.check(err)
	}
	return records
}

const callers = 64

// callers changes random records, each caller after a pause, until f has returned, and returns how long each change took, sorted.
func (d *database) callers(pause time.Duration, f func()) (times []time.Duration) {
	d.t.Helper()
	var (
		over atomic.Bool
		all  sync.WaitGroup
		mu   sync.Mutex
	)
	for range callers {
		all.Go(func() {
			for !over.Load() {
				begin := time.Now()
				_, err := d.Write(context.Background(), d.update(d.organization, d.record(), uuid.NewString()))
				took := time.Since(begin)
				if err != nil {
					d.t.Error(err)
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	f()
	over.Store(true)
	all.Wait()
	slices.Sort(times)
	return times
}

// concurrently calls f with the numbers below n, as many at a time as share a transaction.
func (d *database) concurrently(n int, f func(int) error) {
	d.t.Helper()
	failed := make(chan error, callers)
	for caller := range callers {
		go func() {
			var err error
			for i := caller; i < n && err == nil; i += callers {
				err = f(i)
			}
			failed <- err
		}()
	}
	for range callers {
		d.check(<-failed)
	}
}

func (d *database) update(organization int64, r provider.Provider, city string) provider.Write {
	return provider.Write{Action: provider.Updated, Organization: organization, CustomerID: r.CustomerID, ID: r.ID,
		Patch: property.Patch{Values: property.Values{property.City: property.Text(city)}}}
}

func (d *database) record() provider.Provider { return d.records[rand.IntN(len(d.records))] }

// databaseSize returns how many bytes a database takes that was just filled. It sums up the times of the new events, as autovacuum will
// do within a minute; until then a search by time reads those events.
func databaseSize(t testing.TB, dsn string) (size int64) {
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "SELECT brin_summarize_new_values('provider_events_by_time')"); err != nil {
		t.Fatal(err)
	}
	if err := c.QueryRow(t.Context(), "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
		t.Fatal(err)
	}
	return size
}

// operation is what a request or a command does once.
type operation struct {
	name string
	run  func(*database) error
	may  growth
}

// growth is what an operation may cost more in a larger database.
type growth int

const (
	same        growth = iota
	withGarbage        // records that are deleted, until PostgreSQL has vacuumed them
	withOwners         // organizations, as only the operator does it
)

// tooSlow reports whether an operation depends on the size of the database.
func (o operation) tooSlow(ratio float64) bool {
	switch o.may {
	case withGarbage:
		return ratio > 2*maxRatio
	case withOwners:
		return false
	}
	return ratio > maxRatio
}

var operations = []operation{
	{"get a record", func(d *database) error {
		r := d.record()
		_, err := d.Get(context.Background(), d.organization, r.CustomerID, r.ID)
		return err
	}, same},
	{"update a record", func(d *database) error {
		_, err := d.Write(context.Background(), d.update(d.organization, d.record(), uuid.NewString()))
		return err
	}, same},
	{"update without a change", func(d *database) error {
		r := d.record()
		_, err := d.Write(context.Background(), provider.Write{Action: provider.Updated, Organization: d.organization, CustomerID: r.CustomerID, ID: r.ID})
		return err
	}, same},
	{"update a record of a small organization", func(d *database) error {
		n := rand.IntN(len(d.small))
		_, err := d.Write(context.Background(), d.update(d.smaller[n], d.small[n], uuid.NewString()))
		return err
	}, same},
	{"update the record with many events", func(d *database) error {
		_, err := d.Write(context.Background(), d.update(d.organization, d.busy, uuid.NewString()))
		return err
	}, same},
	{"create a record, move it, delete it and make it again", func(d *database) error {
		r, to, patch := provider.Provider{ID: uuid.New(), CustomerID: d.crowd}, d.record().CustomerID, storetest.PatchOf(0)
		for _, w := range []provider.Write{
			{Action: provider.Created, CustomerID: r.CustomerID, Patch: patch},
			{Action: provider.Updated, CustomerID: r.CustomerID, Patch: property.Patch{CustomerID: &to}},
			{Action: provider.Deleted, CustomerID: to},
		} {
			w.Organization, w.ID = d.organization, r.ID
			if _, err := d.Write(context.Background(), w); err != nil {
				return err
			}
		}
		patch.CustomerID = &to
		_, err := d.Import(context.Background(), d.organization, []provider.Import{{ID: r.ID, Patch: patch}}, nil)
		return err
	}, same},
	{"list a customer", func(d *database) error { return d.list(d.record().CustomerID, nil) }, same},
	{"list a large customer", func(d *database) error { return d.list(d.crowd, nil) }, same},
	{"list a large customer, from the middle", func(d *database) error { return d.list(d.crowd, d.middle) }, same},
	{"list a large customer by a rare type", func(d *database) error { return d.list(d.crowd, nil, pharmacy) }, same},
	{"list a large customer by a common type", func(d *database) error { return d.list(d.crowd, nil, hospital) }, same},
	{"list a large customer's inactive", func(d *database) error { return d.list(d.crowd, nil, inactive) }, same},
	{"list a large customer's active", func(d *database) error { return d.list(d.crowd, d.middle, active) }, same},
	{"list a large customer by type and activity", func(d *database) error { return d.list(d.crowd, nil, hospital, inactive) }, same},
	{"list a large customer by what nobody has", func(d *database) error { return d.list(d.crowd, nil, pharmacy, inactive) }, same},
	{"list a large customer that was emptied", func(d *database) error { return d.list(d.emptied, nil) }, withGarbage},
	{"list its inactive", func(d *database) error { return d.list(d.emptied, nil, inactive) }, withGarbage},
	{"list a customer after many moves", func(d *database) error { return d.list(d.records[0].CustomerID, nil) }, same},
	{"move a record that was moved often", func(d *database) error { return d.move(d.records[rand.IntN(10)].CustomerID) }, same},
	{"a history, the latest", func(d *database) error { return d.history(0) }, same},
	{"a history, the middle", func(d *database) error { return d.history(d.events/2 + rand.Int64N(100)) }, same},
	{"a history, the oldest", func(d *database) error { return d.history(20) }, same},
	{"look up a key", func(d *database) error {
		_, err := d.KeyByHash(context.Background(), d.hashes[rand.IntN(len(d.hashes))])
		return err
	}, same},
	{"look up new keys", func(d *database) error {
		_, _, err := d.KeyHashes(context.Background(), time.Now().Add(time.Hour))
		return err
	}, same},
	{"note the use of 20 keys", func(d *database) error {
		uses := map[string]time.Time{}
		for range 20 {
			uses[d.keys[rand.IntN(len(d.keys))].ID] = time.Now()
		}
		return d.RecordKeyUses(context.Background(), uses)
	}, same},
	{"import 100 records", func(d *database) error {
		d.create(d.organization, 100, 2, nil)
		return nil
	}, same},
	{"activity, the latest", func(d *database) error { return d.activity(provider.ActivityQuery{}) }, same},
	{"activity of an organization", func(d *database) error { return d.activity(provider.ActivityQuery{Organization: d.organization}) }, same},
	{"activity until an hour ago", func(d *database) error { return d.activity(provider.ActivityQuery{Until: time.Now().Add(-time.Hour)}) }, same},
	{"owners of an ID", func(d *database) error {
		_, err := d.Owners(context.Background(), d.record().ID)
		return err
	}, withOwners},
	{"a probe", func(d *database) error { return d.Ping(context.Background()) }, same},
}

var (
	hospital = property.Filter{Property: property.ProviderType, Value: property.Text("Hospital")}
	pharmacy = property.Filter{Property: property.ProviderType, Value: property.Text("Pharmacy")}
	active   = property.Filter{Property: property.IsActive, Value: property.Boolean(true)}
	inactive = property.Filter{Property: property.IsActive, Value: property.Boolean(false)}
)

func (d *database) list(customer uuid.UUID, after *provider.Position, filters ...property.Filter) error {
	_, err := d.List(context.Background(), provider.List{Organization: d.organization, CustomerID: customer, After: after, Limit: 20, Filters: filters})
	return err
}

func (d *database) history(before int64) error {
	_, err := d.History(context.Background(), d.organization, d.busy.CustomerID, d.busy.ID, before, 20)
	return err
}

func (d *database) activity(q provider.ActivityQuery) error {
	q.Limit = 20
	_, err := d.Activity(context.Background(), q)
	return err
}

// scan reads all that there is of something, and calls f for each.
type scan struct {
	name string
	run  func(ctx context.Context, d *database, f func()) error
}

var scans = []scan{
	{"export", func(ctx context.Context, d *database, f func()) error {
		return provider.Export(ctx, d, d.organization, func(uuid.UUID, *provider.Provider) error { f(); return nil })
	}},
	{"history of a record", func(ctx context.Context, d *database, f func()) error {
		return provider.HistoryByID(ctx, d, d.busy.ID, func(*provider.OrganizationEvent) error { f(); return nil })
	}},
	{"list of keys", func(ctx context.Context, d *database, f func()) error {
		var last apikey.Key
		for {
			keys, err := d.ListKeys(ctx, 0, last, 500)
			if err != nil || len(keys) == 0 {
				return err
			}
			for _, last = range keys {
				f()
			}
		}
	}},
}
