package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testConcurrency(t *testing.T, s *suite) {
	t.Run("no update of a record is lost", func(t *testing.T) { testNoUpdateIsLost(t, s) })
	t.Run("updates of different properties are all kept", func(t *testing.T) { testDifferentProperties(t, s) })
	t.Run("one update of a version wins", func(t *testing.T) { testOneUpdateOfAVersionWins(t, s) })
	t.Run("one deletion of a record wins", func(t *testing.T) { testOneDeletionWins(t, s) })
	t.Run("an update comes before a deletion, or finds nothing", func(t *testing.T) { testUpdateOrDeletion(t, s) })
	t.Run("one update or deletion of a version wins", func(t *testing.T) { testOneWriteOfAVersionWins(t, s) })
	t.Run("concurrent creations are all there", func(t *testing.T) { testConcurrentCreations(t, s) })
	t.Run("each of many calls has its own result", func(t *testing.T) { testEachCallHasItsResult(t, s) })
	t.Run("many callers change many records, in any order", func(t *testing.T) { testAnyOrder(t, s) })
	t.Run("imports and updates of the same records", func(t *testing.T) { testImportsAndUpdates(t, s) })
	testConcurrentImports(t, s)
}

func testNoUpdateIsLost(t *testing.T, s *suite) {
	org := s.tenant(t)
	record := org.create(property.Patch{})
	const callers, each = 16, 10
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := range each {
				if _, err := s.Write(t.Context(), org.updateOf(record, set(property.Notes, fmt.Sprint(caller, " ", n)))); err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	all.Wait()
	events := org.chain(record.ID)
	equal(t, "events", len(events), 1+callers*each)
	seen := map[property.Value]bool{}
	for _, event := range events[1:] {
		seen[event.Changes[0].To] = true
	}
	equal(t, "different values in the history", len(seen), callers*each)
	last := org.find(record.CustomerID, record.ID)
	equal(t, "notes", last.Values[property.Notes], events[len(events)-1].Changes[0].To)
	equal(t, "version", last.Version, int64(len(events)))
}

func testDifferentProperties(t *testing.T, s *suite) {
	org := s.tenant(t)
	record := org.create(property.Patch{})
	var all sync.WaitGroup
	full := patchOfAll(false)
	for id := range full.Values {
		all.Go(func() {
			var patch property.Patch
			patch.Values[id] = full.Values[id]
			if _, err := s.Write(t.Context(), org.updateOf(record, patch)); err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	all.Wait()
	want, _ := record.With(&full)
	want.Version += int64(len(property.Table))
	equal(t, "record", org.find(record.CustomerID, record.ID), want)
	org.chain(record.ID)
}

func testOneUpdateOfAVersionWins(t *testing.T, s *suite) {
	org := s.tenant(t)
	record := org.create(property.Patch{})
	const callers, rounds = 8, 12
	for range rounds {
		won := make(chan provider.Provider, callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				next, err := s.Write(t.Context(), org.updateOf(record, set(property.Notes, uuid.NewString()), record.Version))
				switch CodeOrText(err) {
				case "":
					won <- next
				case provider.CodePreconditionFailed:
				default:
					t.Errorf("update: %v", err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of %d changes of version %d were made, want 1", len(won), callers, record.Version)
		}
		next := <-won
		equal(t, "version", next.Version, record.Version+1)
		record = next
	}
	org.chain(record.ID)
	org.unchanged(record)
}

func testOneDeletionWins(t *testing.T, s *suite) {
	org := s.tenant(t)
	const callers, rounds = 8, 6
	for range rounds {
		record := org.create(patchOfAll(true))
		done := make(chan provider.Provider, callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				next, err := s.Write(t.Context(), org.deleteOf(record))
				if err == nil {
					done <- next
				} else if err != provider.ErrNotFound {
					t.Errorf("delete: %v", err)
				}
			})
		}
		all.Wait()
		equal(t, "deletions", len(done), 1)
		equal(t, "events", len(org.chain(record.ID)), 2)
		org.notFound(record.CustomerID, record.ID)
	}
}

func testUpdateOrDeletion(t *testing.T, s *suite) {
	org := s.tenant(t)
	const callers, rounds = 8, 6
	for range rounds {
		record := org.create(patchOfAll(true))
		changed := make(chan provider.Provider, callers)
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				next, err := s.Write(t.Context(), org.updateOf(record, set(property.Notes, fmt.Sprint(n))))
				if err == nil {
					changed <- next
				} else if err != provider.ErrNotFound {
					t.Errorf("update: %v", err)
				}
			})
		}
		all.Go(func() {
			if _, err := s.Write(t.Context(), org.deleteOf(record)); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		all.Wait()
		events := org.chain(record.ID)
		equal(t, "events", len(events), 1+len(changed)+1)
		equal(t, "last", events[len(events)-1].Action, provider.Deleted)
		org.notFound(record.CustomerID, record.ID)
	}
}

func testOneWriteOfAVersionWins(t *testing.T, s *suite) {
	org := s.tenant(t)
	const callers, rounds = 8, 6
	for range rounds {
		record := org.create(patchOfAll(true))
		won := make(chan provider.Provider, callers)
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				w := org.updateOf(record, set(property.Notes, fmt.Sprint(n)), 1)
				if n%2 == 0 {
					w = org.deleteOf(record, 1)
				}
				next, err := s.Write(t.Context(), w)
				switch CodeOrText(err) {
				case "":
					won <- next
				case provider.CodePreconditionFailed, provider.CodeNotFound:
				default:
					t.Errorf("%s: %v", w.Action, err)
				}
			})
		}
		all.Wait()
		equal(t, "writes", len(won), 1)
		equal(t, "events", len(org.chain(record.ID)), 2)
	}
}

func testConcurrentCreations(t *testing.T, s *suite) {
	org := s.tenant(t)
	const callers, each = 16, 5
	made := make(chan provider.Provider, callers*each)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for n := range each {
				next, err := s.Write(t.Context(), org.createOf(org.customer, set(property.Notes, fmt.Sprint(n))))
				if err != nil {
					t.Errorf("create: %v", err)
					continue
				}
				equal(t, "record read at once", org.find(org.customer, next.ID), next)
				made <- next
			}
		})
	}
	all.Wait()
	close(made)
	var want []provider.Provider
	for record := range made {
		want = append(want, record)
	}
	equal(t, "list", org.list(provider.List{Limit: 1000}), newestFirst(want))
}

func testEachCallHasItsResult(t *testing.T, s *suite) {
	org, other := s.tenant(t), s.tenant(t)
	elsewhere := org.customerElsewhere()
	type call struct {
		update provider.Write
		want   provider.Code
		record provider.Provider // as it is to be, if the call succeeds
	}
	var calls []call
	for n := range 40 {
		good, moving, bad, others := org.create(patchOfAll(true)), org.create(patchOfAll(true)), org.create(patchOfAll(true)), other.create(patchOfAll(true))
		city := set(property.City, fmt.Sprint("city ", n))
		move := property.Patch{CustomerID: new(elsewhere), Values: property.Values{property.City: city.Values[property.City]}}
		next, moved := good, moving
		next.Version, moved.Version = 2, 2
		next, _ = next.With(&city)
		moved, _ = moved.With(&move)
		unknown := bad
		unknown.ID = uuid.New()
		calls = append(calls,
			call{org.updateOf(good, city, 1), "", next},
			call{org.updateOf(moving, move), "", moved},
			call{org.updateOf(bad, property.Patch{}), "", bad},
			call{org.updateOf(bad, patchOfAll(false), 2), provider.CodePreconditionFailed, bad},
			call{org.updateOf(bad, property.Patch{CustomerID: new(uuid.New()), Values: property.Values{property.City: city.Values[property.City]}}), provider.CodeUnknownCustomer, bad},
			call{org.updateOf(bad, property.Patch{CustomerID: new(other.customer), Values: property.Values{property.City: city.Values[property.City]}}), provider.CodeUnknownCustomer, bad},
			call{org.updateOf(unknown, city), provider.CodeNotFound, bad},
			call{org.updateOf(others, city), provider.CodeNotFound, bad},
			call{other.updateOf(bad, city), provider.CodeNotFound, bad},
			call{org.createOf(uuid.New(), city), provider.CodeNoCustomer, bad},
			call{org.createOf(other.customer, city), provider.CodeNoCustomer, bad},
			call{org.deleteOf(bad, 2), provider.CodePreconditionFailed, bad},
			call{other.deleteOf(bad), provider.CodeNotFound, bad},
		)
	}
	rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	var all sync.WaitGroup
	for _, c := range calls {
		all.Go(func() {
			got, err := s.Write(t.Context(), c.update)
			if CodeOrText(err) != c.want {
				t.Errorf("error %v, want %q", err, c.want)
			} else if err == nil {
				equal(t, "record", got, c.record)
			}
		})
	}
	all.Wait()
	for _, c := range calls {
		org.unchanged(c.record)
	}
}

func testAnyOrder(t *testing.T, s *suite) {
	type choice struct {
		tenant    *tenant
		id        uuid.UUID
		customers [2]uuid.UUID // between which the record moves
	}
	var choices []choice
	for range 3 {
		org := s.tenant(t)
		customers := [2]uuid.UUID{org.customer, org.customerElsewhere()}
		for range 4 {
			choices = append(choices, choice{org, org.create(property.Patch{}).ID, customers})
		}
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 12 {
				c := choices[rand.IntN(len(choices))]
				asked := provider.Provider{ID: c.id, CustomerID: c.customers[rand.IntN(2)]}
				patch := property.Patch{CustomerID: new(c.customers[rand.IntN(2)]), Values: property.Values{property.Notes: property.Text(uuid.NewString())}}
				_, err := s.Write(t.Context(), c.tenant.updateOf(asked, patch))
				if code := CodeOrText(err); code != "" && code != provider.CodeNotFound {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, c := range choices {
		c.tenant.chain(c.id)
	}
}

// chain returns the history of a record that one organization has, after making sure that nothing is missing from it:
// its versions have no gaps, and each change begins where the one before it ended.
func (org *tenant) chain(id uuid.UUID) []provider.Event {
	org.t.Helper()
	events := org.history(id)
	state := map[string]property.Value{}
	for i, event := range events {
		equal(org.t, "version", event.Version, int64(i+1))
		for _, change := range event.Changes {
			was, known := state[change.Field]
			if !known {
				was = property.Null
			}
			equal(org.t, fmt.Sprintf("%s before version %d", change.Field, event.Version), change.From, was)
			state[change.Field] = change.To
		}
	}
	return events
}
