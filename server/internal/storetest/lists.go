package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// list lists records of the organization, under its customer unless the question names another.
func (org *tenant) list(l provider.List) []provider.Provider {
	org.t.Helper()
	l.Organization = org.number
	if l.CustomerID == uuid.Nil {
		l.CustomerID = org.customer
	}
	records, err := org.List(org.t.Context(), l)
	if err != nil {
		org.t.Fatalf("list: %v", err)
	}
	return records
}

// newestFirst sorts records as a list has them.
func newestFirst(records []provider.Provider) []provider.Provider {
	slices.SortFunc(records, func(a, b provider.Provider) int { return compare(positionOf(&b), positionOf(&a)) })
	return records
}

func positionOf(r *provider.Provider) provider.Position {
	return provider.Position{CreatedAt: r.CreatedAt, ID: r.ID}
}

// compare says which of two positions is older.
func compare(a, b provider.Position) int {
	if order := a.CreatedAt.Compare(b.CreatedAt); order != 0 {
		return order
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// response returns what a list of these records is expected to return, the newest first.
func response(records []provider.Provider, l provider.List) []provider.Provider {
	var response []provider.Provider
	for _, r := range records {
		switch {
		case len(response) == l.Limit:
		case slices.ContainsFunc(l.Filters, func(f property.Filter) bool { return r.Values[f.Property] != f.Value }):
		case l.After != nil && compare(positionOf(&r), *l.After) >= 0:
		default:
			response = append(response, r)
		}
	}
	return response
}

// drawList draws a question for records with some values, created at some of these times.
func drawList(r *rapid.T, ids []uuid.UUID, times []time.Time) provider.List {
	l := provider.List{Limit: rapid.IntRange(1, 8).Draw(r, "limit")}
	for id := range property.Table {
		if one, other := samples(id); rapid.IntRange(0, len(property.Table)/2).Draw(r, "filtered") == 0 {
			l.Filters = append(l.Filters, property.Filter{Property: property.ID(id), Value: rapid.SampledFrom([]property.Value{one, other}).Draw(r, "value")})
		}
	}
	if rapid.Bool().Draw(r, "after") {
		l.After = &provider.Position{CreatedAt: rapid.SampledFrom(times).Draw(r, "time"), ID: rapid.SampledFrom(ids).Draw(r, "id")}
	}
	return l
}

func testList(t *testing.T, s *suite) {
	t.Run("the newest come first, whatever the filter and the pages", func(t *testing.T) {
		org := s.tenant(t)
		var all []provider.Provider
		var ids []uuid.UUID
		var times []time.Time
		for _, step := range []time.Duration{0, time.Millisecond, -time.Hour, 2 * time.Hour, -time.Second} { // the clock may be turned back
			times = append(times, s.clock.Move(step))
			for n := range 6 { // of the same time
				patch := patchOfAll(true)
				for id, p := range property.Table {
					one, other := samples(id)
					patch.Values[id] = []property.Value{one, other}[(n+id)%2]
					if p.Nullable && (n+id)%3 == 0 {
						patch.Values[id] = property.Null
					}
				}
				all = append(all, org.create(patch))
				ids = append(ids, all[len(all)-1].ID)
			}
		}
		all = newestFirst(all)
		ids = append(ids, uuid.Nil, uuid.Max)
		times = append(times, time.UnixMilli(0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC))
		equal(t, "all", org.list(provider.List{Limit: 100}), all)
		rapid.Check(t, func(r *rapid.T) {
			l := drawList(r, ids, times)
			var got []provider.Provider
			whole := l
			whole.Limit = len(all)
			for {
				page := org.list(l)
				equal(r, "page", page, response(all, l))
				if got = append(got, page...); len(page) < l.Limit {
					break
				}
				last := positionOf(&page[len(page)-1])
				l.After, l.Limit = &last, rapid.IntRange(1, 8).Draw(r, "limit")
			}
			equal(r, "pages", got, response(all, whole))
		})
	})

	t.Run("a record that is made, changed, moved or deleted shows at once", func(t *testing.T) {
		org := s.tenant(t)
		elsewhere := org.customerElsewhere()
		shows := func(want ...provider.Provider) {
			t.Helper()
			equal(t, "list", org.list(provider.List{Limit: 10}), want)
		}
		shows()
		first := org.write(org.createOf(org.customer, property.Patch{}))
		shows(first)
		s.clock.Move(time.Second)
		second := org.write(org.createOf(org.customer, patchOfAll(true)))
		shows(second, first)
		s.clock.Move(time.Second)
		first = org.update(first, property.Patch{Values: property.Values{property.City: property.Text("a"), property.IsActive: property.Boolean(false)}})
		shows(second, first)
		equal(t, "filtered", org.list(provider.List{Filters: []property.Filter{{Property: property.IsActive, Value: property.Boolean(false)}}, Limit: 10}), []provider.Provider{first})
		second = org.update(second, property.Patch{CustomerID: new(elsewhere)})
		shows(first)
		equal(t, "elsewhere", org.list(provider.List{CustomerID: elsewhere, Limit: 10}), []provider.Provider{second})
		second = org.update(second, property.Patch{CustomerID: new(org.customer)})
		shows(second, first)
		org.write(org.deleteOf(second))
		shows(first)
		org.write(org.deleteOf(first))
		shows()
	})

	t.Run("of a customer whom the organization does not have, there is none", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		other.create(property.Patch{})
		for name, l := range map[string]provider.List{
			"unknown":                {Organization: org.number, CustomerID: uuid.New(), Limit: 1},
			"another organization's": {Organization: org.number, CustomerID: other.customer, Limit: 1},
			"unknown organization":   {Organization: 1 << 40, CustomerID: org.customer, Limit: 1},
		} {
			if records, err := s.List(t.Context(), l); err != provider.ErrNoCustomer || len(records) > 0 {
				t.Errorf("%s: %d records and error %v, want %v", name, len(records), err, provider.ErrNoCustomer)
			}
		}
	})

	t.Run("the same customer in two organizations has two lists", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		patch := property.Patch{CustomerID: new(uuid.New())}
		record, others := org.create(patch), other.create(patch)
		equal(t, "list", org.list(provider.List{CustomerID: *patch.CustomerID, Limit: 10}), []provider.Provider{record})
		equal(t, "the other's list", other.list(provider.List{CustomerID: *patch.CustomerID, Limit: 10}), []provider.Provider{others})
	})
}

// export returns what an export hands over: by customer, their records, the newest first.
func (org *tenant) export() map[uuid.UUID][]provider.Provider {
	org.t.Helper()
	all := map[uuid.UUID][]provider.Provider{}
	err := provider.Export(org.t.Context(), org, org.name, func(customer uuid.UUID, record *provider.Provider) error {
		records, seen := all[customer]
		switch {
		case record != nil:
			equal(org.t, "customer of the record", record.CustomerID, customer)
			records = append(records, *record)
		case seen:
			org.t.Errorf("customer %s came twice, once without a record", customer)
		}
		all[customer] = records
		return nil
	})
	if err != nil {
		org.t.Fatalf("export: %v", err)
	}
	for customer := range all {
		newestFirst(all[customer])
	}
	return all
}

func testExport(t *testing.T, s *suite) {
	t.Run("it is all that there is of an organization, and no more", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		want := map[uuid.UUID][]provider.Provider{org.customer: nil}
		for n := range 5 {
			customer := org.customerElsewhere()
			var records []provider.Provider
			for range n {
				s.clock.Move(time.Duration(n-2) * time.Millisecond)
				records = append(records, org.write(org.createOf(customer, patchOfAll(n%2 == 0))))
				other.createWithID(records[0].ID, property.Patch{CustomerID: new(customer)})
				deleted := org.write(org.createOf(customer, patchOfAll(true)))
				org.write(org.deleteOf(deleted))
			}
			want[customer] = newestFirst(records)
		}
		alone := org.customerElsewhere() // whose only record is deleted
		org.write(org.deleteOf(org.write(org.createOf(alone, property.Patch{}))))
		want[alone] = nil
		equal(t, "export", org.export(), want)
	})

	t.Run("it is read in pieces", func(t *testing.T) {
		org := s.tenant(t)
		for n := range 5 { // org.customer has no record
			customer := org.customerElsewhere()
			for range n * 2 {
				if n != 3 {
					s.clock.Move(time.Millisecond)
				}
				org.write(org.createOf(customer, patchOfAll(n%2 == 0)))
			}
		}
		all, err := s.ListAll(t.Context(), org.number, nil, 100)
		if err != nil || len(all) != 2+20 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		for limit := 1; limit <= len(all)+1; limit++ {
			var got []provider.CustomerRecord
			var after *provider.CustomerRecord
			for {
				piece, err := s.ListAll(t.Context(), org.number, after, limit)
				if err != nil || len(piece) > limit {
					t.Fatalf("%d records of at most %d, %v", len(piece), limit, err)
				}
				if got = append(got, piece...); len(piece) < limit {
					break
				}
				after = &got[len(got)-1]
			}
			equal(t, fmt.Sprint("pieces of ", limit), got, all)
		}
	})

	t.Run("a piece is the state of one moment", func(t *testing.T) {
		org := s.tenant(t)
		customers := []uuid.UUID{org.customer, org.customerElsewhere(), org.customerElsewhere()}
		var records []provider.Provider
		for n := range 30 {
			records = append(records, org.create(property.Patch{CustomerID: new(customers[n%3])}))
		}
		want := org.export()
		got := map[uuid.UUID][]provider.Provider{}
		calls := 0
		err := provider.Export(t.Context(), s, org.name, func(customer uuid.UUID, record *provider.Provider) error {
			if calls++; calls == 1 {
				for n, r := range records {
					moved := org.update(r, property.Patch{CustomerID: new(customers[(n+1)%3]), Values: property.Values{property.Notes: property.Text("moved")}})
					if n%2 == 0 {
						org.write(org.deleteOf(moved))
					}
				}
				org.create(property.Patch{CustomerID: new(uuid.New())})
			}
			got[customer] = append(got[customer], *record)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for customer := range got {
			newestFirst(got[customer])
		}
		equal(t, "export", got, want)
	})

	t.Run("it ends with the caller's error", func(t *testing.T) {
		org := s.tenant(t)
		org.create(property.Patch{})
		org.customerElsewhere()
		full, calls := errors.New("the disk is full"), 0
		err := provider.Export(t.Context(), s, org.name, func(uuid.UUID, *provider.Provider) error { calls++; return full })
		if err != full || calls != 1 {
			t.Errorf("error %v after %d calls, want %v after 1", err, calls, full)
		}
		equal(t, "customers of the next export", len(org.export()), 2)
	})

	t.Run("of an organization without customers, nothing", func(t *testing.T) {
		org := &tenant{suite: s, t: t, name: uuid.NewString()}
		if _, _, err := s.EnsureOrganization(t.Context(), org.name); err != nil {
			t.Fatal(err)
		}
		equal(t, "customers", len(org.export()), 0)
	})

	t.Run("an unknown organization is not found, and not made", func(t *testing.T) {
		for range 2 {
			err := provider.Export(t.Context(), s, "nobody", func(uuid.UUID, *provider.Provider) error { return nil })
			if err != provider.ErrNoOrganization {
				t.Errorf("error %v, want %v", err, provider.ErrNoOrganization)
			}
		}
	})
}
