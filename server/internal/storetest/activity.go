package storetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// activity returns what a query selects, in pages of its limit.
func (s *suite) activity(t testing.TB, q provider.ActivityQuery) (all []provider.ActivityEvent) {
	t.Helper()
	for {
		page, err := s.Activity(t.Context(), q)
		if err != nil || len(page.Events) > q.Limit {
			t.Fatalf("%d events of at most %d, %v", len(page.Events), q.Limit, err)
		}
		all = append(all, page.Events...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
}

func testActivity(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	elsewhere := org.customerElsewhere()
	record, others, deleted := org.create(patchOfAll(true)), other.create(patchOfAll(true)), org.create(patchOfAll(true))
	start := s.clock.Move(time.Hour)
	var want []provider.ActivityEvent // the latest first
	note := func(org *tenant, customer uuid.UUID, id uuid.UUID) {
		t.Helper()
		events, err := s.Events(t.Context(), org.number, id, math.MaxInt64, 1)
		if err != nil || len(events) != 1 {
			t.Fatal(len(events), err)
		}
		want = slices.Insert(want, 0, provider.ActivityEvent{OrganizationEvent: provider.OrganizationEvent{Organization: org.name, Event: events[0]}, CustomerID: customer})
		s.clock.Move(time.Second)
	}
	for n := range 3 {
		w := org.updateOf(record, set(property.City, fmt.Sprint(n)))
		w.By.KeyID = fmt.Sprint("key_", n%2)
		record = org.write(w)
		note(org, elsewhere, record.ID) // where it goes later
		others = other.update(others, set(property.City, fmt.Sprint(n)))
		note(other, others.CustomerID, others.ID)
	}
	middle := s.clock.Now()
	org.write(org.deleteOf(deleted))
	note(org, deleted.CustomerID, deleted.ID)
	record = org.update(record, property.Patch{CustomerID: &elsewhere})
	note(org, elsewhere, record.ID)
	end := s.clock.Now()

	for name, q := range map[string]provider.ActivityQuery{
		"all":             {},
		"an organization": {Organization: org.number},
		"a key":           {KeyID: "key_0"},
		"no key":          {KeyID: "key_none"},
		"a customer":      {CustomerID: &elsewhere},
		"a deleted one's": {CustomerID: &deleted.CustomerID, Organization: org.number},
		"since":           {Since: middle},
		"until":           {Until: middle},
		"everything":      {Organization: org.number, CustomerID: &elsewhere, KeyID: "key_1", Since: start.Add(time.Second), Until: middle},
		"nothing":         {Organization: org.number, Until: start},
		"an empty range":  {Since: end.Add(time.Hour), Until: end.Add(2 * time.Hour)},
	} {
		selected := slices.DeleteFunc(slices.Clone(want), func(e provider.ActivityEvent) bool {
			number := map[string]int64{org.name: org.number, other.name: other.number}[e.Organization]
			return !q.Matches(&e.Event) || q.Organization != 0 && q.Organization != number || q.CustomerID != nil && *q.CustomerID != e.CustomerID
		})
		if q.Since.IsZero() { // without what was before
			q.Since = start
		}
		for _, q.Limit = range []int{1, 2, 3, 100} {
			equal(t, fmt.Sprintf("%s, %d at a time", name, q.Limit), s.activity(t, q), selected)
		}
	}
	if _, err := s.Activity(t.Context(), provider.ActivityQuery{Cursor: "x", Limit: 1}); err != provider.ErrInvalidCursor {
		t.Errorf("another cursor: %v", err)
	}
	t.Run("of many events", func(t *testing.T) { testLongActivity(t, s) })
}

// testLongActivity has more events of one time than a store reads at once, and others long before and after.
func testLongActivity(t *testing.T, s *suite) {
	org := s.tenant(t)
	defer s.clock.Set(s.clock.Now())
	want := map[uuid.UUID]bool{}
	var times []time.Time
	for _, n := range []int{1, 3000, 1} {
		times = append(times, s.clock.Move(1000*time.Hour))
		var imports []provider.Import
		for range n {
			id := uuid.New()
			want[id] = true
			imports = append(imports, org.importOf(id, property.Patch{}))
		}
		org.imports(imports...)
	}
	for _, limit := range []int{700, 5000} {
		all := s.activity(t, provider.ActivityQuery{Organization: org.number, Limit: limit})
		got := map[uuid.UUID]bool{}
		for _, event := range all {
			got[event.ProviderID] = true
		}
		equal(t, "records", got, want)
		equal(t, "events", len(all), len(want))
		equal(t, "the latest", all[0].At, times[2])
		equal(t, "the first", all[len(all)-1].At, times[0])
	}
	equal(t, "those before", len(s.activity(t, provider.ActivityQuery{Organization: org.number, Until: times[1], Limit: 10})), 1)
	equal(t, "those after", len(s.activity(t, provider.ActivityQuery{Organization: org.number, Since: times[2], Limit: 10})), 1)
}
