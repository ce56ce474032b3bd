package storetest

import (
	"bytes"
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
