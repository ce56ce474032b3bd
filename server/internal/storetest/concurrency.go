package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testConcurrency(t *testing.T, s *suite) {
	t.Run("no change of a record is lost", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		const callers, each = 16, 10
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for n := range each {
					if _, err := s.Write(t.Context(), x.updateOf(record, set(property.Notes, fmt.Sprint(caller, " ", n)))); err != nil {
						t.Errorf("update: %v", err)
					}
				}
			})
		}
		all.Wait()
		events := x.chain(record.ID)
		equal(t, "events", len(events), 1+callers*each)
		seen := map[property.Value]bool{}
		for _, event := range events[1:] {
			seen[event.Changes[0].To] = true
		}
		equal(t, "different values in the history", len(seen), callers*each)
		last := x.find(record.CustomerID, record.ID)
		equal(t, "notes", last.Values[property.Notes], events[len(events)-1].Changes[0].To)
		equal(t, "version", last.Version, int64(len(events)))
	})

	t.Run("changes to different properties all hold", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		var all sync.WaitGroup
		full := patchOfAll(false)
		for id := range full.Values {
			all.Go(func() {
				var patch property.Patch
				patch.Values[id] = full.Values[id]
				if _, err := s.Write(t.Context(), x.updateOf(record, patch)); err != nil {
					t.Errorf("update: %v", err)
				}
			})
		}
		all.Wait()
		want, _ := record.With(&full)
		want.Version += int64(len(property.Table))
		equal(t, "record", x.find(record.CustomerID, record.ID), want)
		x.chain(record.ID)
	})

	t.Run("of those who name a version, one wins", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		const callers, rounds = 8, 12
		for range rounds {
			won := make(chan provider.Provider, callers)
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					next, err := s.Write(t.Context(), x.updateOf(record, set(property.Notes, uuid.NewString()), record.Version))
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
		x.chain(record.ID)
		x.unchanged(record)
	})

	t.Run("of those who delete a record, one does", func(t *testing.T) {
		x := s.tenant(t)
		const callers, rounds = 8, 6
		for range rounds {
			record := x.make(patchOfAll(true))
			done := make(chan provider.Provider, callers)
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					next, err := s.Write(t.Context(), x.deleteOf(record))
					if err == nil {
						done <- next
					} else if err != provider.ErrNotFound {
						t.Errorf("delete: %v", err)
					}
				})
			}
			all.Wait()
			equal(t, "deletions", len(done), 1)
			equal(t, "events", len(x.chain(record.ID)), 2)
			x.notFound(record.CustomerID, record.ID)
		}
	})

	t.Run("a change comes before a deletion, or finds nothing", func(t *testing.T) {
		x := s.tenant(t)
		const callers, rounds = 8, 6
		for range rounds {
			record := x.make(patchOfAll(true))
			changed := make(chan provider.Provider, callers)
			var all sync.WaitGroup
			for n := range callers {
				all.Go(func() {
					next, err := s.Write(t.Context(), x.updateOf(record, set(property.Notes, fmt.Sprint(n))))
					if err == nil {
						changed <- next
					} else if err != provider.ErrNotFound {
						t.Errorf("update: %v", err)
					}
				})
			}
			all.Go(func() {
				if _, err := s.Write(t.Context(), x.deleteOf(record)); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
			all.Wait()
			events := x.chain(record.ID)
			equal(t, "events", len(events), 1+len(changed)+1)
			equal(t, "last", events[len(events)-1].Action, provider.Deleted)
			x.notFound(record.CustomerID, record.ID)
		}
	})

	t.Run("of those who name a version, to change or to delete it, one wins", func(t *testing.T) {
		x := s.tenant(t)
		const callers, rounds = 8, 6
		for range rounds {
			record := x.make(patchOfAll(true))
			won := make(chan provider.Provider, callers)
			var all sync.WaitGroup
			for n := range callers {
				all.Go(func() {
					w := x.updateOf(record, set(property.Notes, fmt.Sprint(n)), 1)
					if n%2 == 0 {
						w = x.deleteOf(record, 1)
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
			equal(t, "events", len(x.chain(record.ID)), 2)
		}
	})

	t.Run("many make records, and each is there", func(t *testing.T) {
		x := s.tenant(t)
		const callers, each = 16, 5
		made := make(chan provider.Provider, callers*each)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for n := range each {
					next, err := s.Write(t.Context(), x.createOf(x.customer, set(property.Notes, fmt.Sprint(n))))
					if err != nil {
						t.Errorf("create: %v", err)
						continue
					}
					equal(t, "record read at once", x.find(x.customer, next.ID), next)
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
		equal(t, "list", x.list(provider.List{Limit: 1000}), newestFirst(want))
	})

	t.Run("each of many calls has its own answer", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		elsewhere := x.customerElsewhere()
		type call struct {
			update provider.Write
			want   provider.Code
			record provider.Provider // as it is to be, if the call succeeds
		}
		var calls []call
		for n := range 40 {
			good, moving, bad, others := x.make(patchOfAll(true)), x.make(patchOfAll(true)), x.make(patchOfAll(true)), other.make(patchOfAll(true))
			city := set(property.City, fmt.Sprint("city ", n))
			move := property.Patch{CustomerID: new(elsewhere), Values: property.Values{property.City: city.Values[property.City]}}
			next, moved := good, moving
			next.Version, moved.Version = 2, 2
			next, _ = next.With(&city)
			moved, _ = moved.With(&move)
			unknown := bad
			unknown.ID = uuid.New()
			calls = append(calls,
				call{x.updateOf(good, city, 1), "", next},
				call{x.updateOf(moving, move), "", moved},
				call{x.updateOf(bad, property.Patch{}), "", bad},
				call{x.updateOf(bad, patchOfAll(false), 2), provider.CodePreconditionFailed, bad},
				call{x.updateOf(bad, property.Patch{CustomerID: new(uuid.New()), Values: property.Values{property.City: city.Values[property.City]}}), provider.CodeUnknownCustomer, bad},
				call{x.updateOf(bad, property.Patch{CustomerID: new(other.customer), Values: property.Values{property.City: city.Values[property.City]}}), provider.CodeUnknownCustomer, bad},
				call{x.updateOf(unknown, city), provider.CodeNotFound, bad},
				call{x.updateOf(others, city), provider.CodeNotFound, bad},
				call{other.updateOf(bad, city), provider.CodeNotFound, bad},
				call{x.createOf(uuid.New(), city), provider.CodeNoCustomer, bad},
				call{x.createOf(other.customer, city), provider.CodeNoCustomer, bad},
				call{x.deleteOf(bad, 2), provider.CodePreconditionFailed, bad},
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
			x.unchanged(c.record)
		}
	})

	t.Run("many change many, in any order", func(t *testing.T) {
		type choice struct {
			tenant    *tenant
			id        uuid.UUID
			customers [2]uuid.UUID // between which the record moves
		}
		var choices []choice
		for range 3 {
			x := s.tenant(t)
			customers := [2]uuid.UUID{x.customer, x.customerElsewhere()}
			for range 4 {
				choices = append(choices, choice{x, x.make(property.Patch{}).ID, customers})
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
	})

	for name, customerOf := range map[string]func(importer, record uuid.UUID) uuid.UUID{
		"imports of the same new records, each with a new customer of its own": func(importer, _ uuid.UUID) uuid.UUID { return importer },
		"imports of the same new records, with the same new customers":         func(_, record uuid.UUID) uuid.UUID { return record },
	} {
		t.Run(name, func(t *testing.T) {
			x := s.tenant(t)
			const importers, rounds = 6, 6
			for range rounds {
				var ids [8]uuid.UUID
				for i := range ids {
					ids[i] = uuid.New()
				}
				start := make(chan struct{})
				var all sync.WaitGroup
				for range importers {
					importer := uuid.New()
					all.Go(func() {
						var imports []provider.Import
						for _, i := range rand.Perm(len(ids)) {
							imports = append(imports, x.importOf(ids[i], property.Patch{CustomerID: new(customerOf(importer, ids[i])), Values: property.Values{property.Notes: property.Text(importer.String())}}))
						}
						<-start
						if err := s.Import(t.Context(), x.number, imports, nil); err != nil {
							t.Errorf("import: %v", err)
						}
					})
				}
				close(start)
				all.Wait()
				for _, id := range ids {
					equal(t, "events", len(x.chain(id)), importers)
				}
			}
		})
	}

	t.Run("imports and updates of the same records", func(t *testing.T) {
		x := s.tenant(t)
		var records []provider.Provider
		for range 8 {
			records = append(records, x.make(property.Patch{}))
		}
		const rounds = 10
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				for round := range rounds {
					var imports []provider.Import
					for _, i := range rand.Perm(len(records)) {
						imports = append(imports, x.importOf(records[i].ID, set(property.City, fmt.Sprint(n, " ", round))))
					}
					if err := s.Import(t.Context(), x.number, imports, nil); err != nil {
						t.Errorf("import: %v", err)
					}
				}
			})
		}
		for _, record := range records {
			all.Go(func() {
				for round := range rounds {
					if _, err := s.Write(t.Context(), x.updateOf(record, set(property.Notes, fmt.Sprint(round)))); err != nil {
						t.Errorf("update: %v", err)
					}
				}
			})
		}
		all.Wait()
		for _, record := range records {
			equal(t, "events", len(x.chain(record.ID)), 1+4*rounds+rounds)
		}
	})
}

// chain returns the history of a record that one organization has, after making sure that nothing is missing from it:
// its versions have no gaps, and each change begins where the one before it ended.
func (x *tenant) chain(id uuid.UUID) []provider.Event {
	x.t.Helper()
	events := x.history(id)
	state := map[string]property.Value{}
	for i, event := range events {
		equal(x.t, "version", event.Version, int64(i+1))
		for _, change := range event.Changes {
			was, known := state[change.Field]
			if !known {
				was = property.Null
			}
			equal(x.t, fmt.Sprintf("%s before version %d", change.Field, event.Version), change.From, was)
			state[change.Field] = change.To
		}
	}
	return events
}

func testCancel(t *testing.T, s *suite) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, call := range map[string]func(*tenant, provider.Provider) error{
		"Write": func(x *tenant, r provider.Provider) error {
			_, err := s.Write(gone, x.updateOf(r, patchOfAll(false)))
			return err
		},
		"Import": func(x *tenant, r provider.Provider) error {
			return s.Import(gone, x.number, []provider.Import{x.importOf(r.ID, patchOfAll(false))}, nil)
		},
	} {
		t.Run(name+" by a caller who left before it began changes nothing", func(t *testing.T) {
			x := s.tenant(t)
			record := x.make(patchOfAll(true))
			if err := call(x, record); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
			x.unchanged(record)
		})
	}

	for name, call := range map[string]func(*tenant, provider.Provider) error{
		"Get": func(x *tenant, r provider.Provider) error {
			_, err := s.Get(gone, x.number, r.CustomerID, r.ID)
			return err
		},
		"List": func(x *tenant, r provider.Provider) error {
			_, err := s.List(gone, provider.List{Organization: x.number, CustomerID: r.CustomerID, Limit: 1})
			return err
		},
		"History": func(x *tenant, r provider.Provider) error {
			_, err := s.History(gone, x.number, r.CustomerID, r.ID, 0, 1)
			return err
		},
		"Export": func(x *tenant, r provider.Provider) error {
			return s.Export(gone, x.name, func(uuid.UUID, *provider.Provider) error { return nil })
		},
	} {
		t.Run(name+" for a caller who left ends", func(t *testing.T) {
			x := s.tenant(t)
			if err := call(x, x.make(property.Patch{})); CodeOrText(err) != provider.CodeUnavailable && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want one that says that it ended", err)
			}
		})
	}

	t.Run("a caller who leaves does not disturb the others", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		const callers = 32
		var left atomic.Int32
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				ctx := t.Context()
				switch {
				case n%4 == 0: // leaves as soon as the store has the call
					ctx = newImpatient(ctx)
				case n%2 == 0: // leaves at any time, if the call takes that long
					short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					defer cancel()
					ctx = short
				}
				_, err := s.Write(ctx, x.updateOf(record, set(property.Notes, fmt.Sprint(n))))
				switch {
				case n%4 == 0 && errors.Is(err, context.Canceled):
					left.Add(1)
				case err != nil && (n%4 != 2 || !errors.Is(err, context.DeadlineExceeded)):
					t.Errorf("update: %v", err)
				}
			})
		}
		all.Wait()
		if left.Load() == 0 {
			t.Error("no caller left, so nothing was tested")
		}
		said := map[property.Value]bool{}
		for _, event := range x.chain(record.ID)[1:] {
			said[event.Changes[0].To] = true
		}
		for n := 1; n < callers; n += 2 {
			if !said[property.Text(fmt.Sprint(n))] {
				t.Errorf("the change of caller %d, who stayed, is not in the history", n)
			}
		}
	})
}

// impatient is a context that ends as soon as something waits for its end: the caller leaves while the store has the call.
type impatient struct {
	context.Context
	leave context.CancelFunc
}

func newImpatient(ctx context.Context) impatient {
	ctx, leave := context.WithCancel(ctx)
	return impatient{ctx, leave}
}

func (i impatient) Done() <-chan struct{} {
	i.leave()
	return i.Context.Done()
}

func testClose(t *testing.T, s *suite) {
	x := s.tenant(t)
	record := x.make(property.Patch{})
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			_, err := s.Write(t.Context(), x.updateOf(record, set(property.Notes, fmt.Sprint(n))))
			if code := CodeOrText(err); code != "" && code != provider.CodeUnavailable {
				t.Errorf("update while the store closes: %v", err)
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	all.Wait()
	x.refuse(x.updateOf(record, property.Patch{}), provider.CodeUnavailable)
	_, getErr := s.Get(t.Context(), x.number, record.CustomerID, record.ID)
	_, listErr := s.List(t.Context(), provider.List{Organization: x.number, CustomerID: record.CustomerID, Limit: 1})
	_, eventsErr := s.History(t.Context(), x.number, record.CustomerID, record.ID, 0, 1)
	exportErr := s.Export(t.Context(), x.name, func(uuid.UUID, *provider.Provider) error { return nil })
	for method, err := range map[string]error{"get": getErr, "list": listErr, "events": eventsErr, "export": exportErr} {
		if CodeOrText(err) != provider.CodeUnavailable {
			t.Errorf("%s from a closed store: error %v, want unavailable", method, err)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("ping of a closed store: no error")
	}
	if _, err := s.KeyByID(t.Context(), "key_unknown"); err == nil || errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("look-up in a closed store: error %v, want one that is not about the key", err)
	}
}
