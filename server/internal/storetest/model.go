package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// testModel runs random sequences of calls against a store and a model of one, which has nothing in common with it but
// the contract, and compares every response, record and history.
func testModel(t *testing.T, s *suite) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{records: map[place]*provider.Provider{}, events: map[place][]provider.Event{}, customers: map[place]bool{}, created: map[keyOf]provider.Provider{}}
		for range 2 {
			number, _, err := s.EnsureOrganization(t.Context(), "organization "+uuid.NewString())
			if err != nil {
				r.Fatal(err)
			}
			m.organizations = append(m.organizations, number)
		}
		slices.Sort(m.organizations)
		for range 3 { // few, so that calls meet
			m.ids, m.customerIDs = append(m.ids, uuid.New()), append(m.customerIDs, uuid.New())
		}
		start := s.clock.Now()
		defer s.clock.Set(start)
		r.Repeat(map[string]func(*rapid.T){
			"clock": func(r *rapid.T) {
				s.clock.Move(time.Duration(rapid.IntRange(-2000, 5000).Draw(r, "ms")) * time.Millisecond)
			},
			"import": func(r *rapid.T) {
				organization := rapid.SampledFrom(m.organizations).Draw(r, "organization")
				var imports []provider.Import
				for range rapid.IntRange(1, 3).Draw(r, "records") {
					id := rapid.SampledFrom(m.ids).Draw(r, "id")
					patch := drawPatch(r, m, true)
					patch.CustomerID = new(rapid.SampledFrom(m.customerIDs).Draw(r, "customer"))
					imports = append(imports, provider.Import{ID: id, Patch: patch})
					m.imports(place{organization, id}, patch, s.clock.Now())
				}
				if _, err := s.Import(t.Context(), organization, imports, nil); err != nil {
					r.Fatalf("import: %v", err)
				}
			},
			"create": func(r *rapid.T) {
				w := provider.Write{
					Action:       provider.Created,
					Organization: rapid.SampledFrom(m.organizations).Draw(r, "organization"),
					CustomerID:   rapid.SampledFrom(m.customerIDs).Draw(r, "customer"),
					ID:           uuid.New(),
					By:           by,
				}
				w.Patch = drawPatch(r, m, true)
				w.Patch.CustomerID = nil
				m.write(t, r, s, w)
			},
			"create once": func(r *rapid.T) {
				w := provider.Write{
					Action:       provider.Created,
					Organization: rapid.SampledFrom(m.organizations).Draw(r, "organization"),
					CustomerID:   rapid.SampledFrom(m.customerIDs).Draw(r, "customer"),
					ID:           uuid.New(),
					Patch:        property.Patch{Values: property.Values{property.City: property.Text(rapid.SampledFrom([]string{"a", "b"}).Draw(r, "city"))}},
					By:           by,
				}
				complete(&w.Patch)
				key := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "key")
				w.Idempotency = provider.NewIdempotency(key, w.CustomerID, &w.Patch)
				m.writeOnce(t, r, s, w, key)
			},
			"day": func(*rapid.T) { s.clock.Move(provider.KeyLifetime - time.Second) },
			"update": func(r *rapid.T) {
				w := drawWrite(r, m, provider.Updated)
				w.Patch = drawPatch(r, m, false)
				m.write(t, r, s, w)
			},
			"delete": func(r *rapid.T) {
				m.write(t, r, s, drawWrite(r, m, provider.Deleted))
			},
			"get": func(r *rapid.T) {
				w := drawWrite(r, m, "")
				want, wantCode := m.find(w)
				got, err := s.Get(t.Context(), w.Organization, w.CustomerID, w.ID)
				if CodeOrText(err) != wantCode {
					r.Fatalf("get: error %v, want %q", err, wantCode)
				}
				if err == nil {
					equal(r, "record", got, *want)
				}
			},
			"list": func(r *rapid.T) {
				times := []time.Time{s.clock.Now(), start}
				for _, record := range m.records {
					times = append(times, record.CreatedAt)
				}
				slices.SortFunc(times, time.Time.Compare)
				l := drawList(r, m.ids, times)
				l.Organization = rapid.SampledFrom(m.organizations).Draw(r, "organization")
				l.CustomerID = rapid.SampledFrom(m.customerIDs).Draw(r, "customer")
				want, wantCode := m.list(l)
				got, err := s.List(t.Context(), l)
				if CodeOrText(err) != wantCode {
					r.Fatalf("list: error %v, want %q", err, wantCode)
				}
				equal(r, "list", got, want)
			},
			"events": func(r *rapid.T) {
				w := drawWrite(r, m, "")
				before, limit := rapid.Int64Range(0, 6).Draw(r, "before"), rapid.IntRange(1, 4).Draw(r, "limit")
				_, wantCode := m.find(w)
				got, err := s.History(t.Context(), w.Organization, w.CustomerID, w.ID, before, limit)
				if CodeOrText(err) != wantCode {
					r.Fatalf("events: error %v, want %q", err, wantCode)
				}
				var want []provider.Event
				for _, event := range slices.Backward(m.events[place{w.Organization, w.ID}]) {
					if err == nil && len(want) < limit && (before == 0 || event.Version < before) {
						want = append(want, event)
					}
				}
				equal(r, "events", got, want)
			},
		})
		m.compare(t, r, s)
	})
}

// drawWrite draws a write to a record, mostly to one that is there.
func drawWrite(r *rapid.T, m *model, action provider.Action) provider.Write {
	w := provider.Write{
		Action:       action,
		Organization: rapid.SampledFrom(m.organizations).Draw(r, "organization"),
		CustomerID:   rapid.SampledFrom(m.customerIDs).Draw(r, "customer"),
		ID:           rapid.SampledFrom(m.ids).Draw(r, "id"),
		IfMatch:      rapid.SampledFrom([][]int64{nil, nil, nil, {1}, {2, 3}, {}}).Draw(r, "If-Match"),
		By:           by,
	}
	if rapid.IntRange(0, 3).Draw(r, "path") > 0 {
		if record := m.records[place{w.Organization, w.ID}]; record != nil {
			w.CustomerID = record.CustomerID
		}
	}
	return w
}

// model is a store in memory, for one caller.
type model struct {
	organizations []int64
	ids           []uuid.UUID
	customerIDs   []uuid.UUID

	records   map[place]*provider.Provider
	events    map[place][]provider.Event
	customers map[place]bool
	created   map[keyOf]provider.Provider // with idempotency keys, as they were created
	latest    time.Time                   // of the clock, at a creation with a key
}

// keyOf is an idempotency key of an organization.
type keyOf struct {
	organization int64
	key          string
}

// place is where an organization keeps something.
type place struct {
	organization int64
	id           uuid.UUID
}

func (m *model) imports(at place, patch property.Patch, now time.Time) {
	m.customers[place{at.organization, *patch.CustomerID}] = true
	if record := m.records[at]; record != nil && !record.Deleted {
		m.change(at, *record, provider.Updated, patch, provider.Actor{}, now)
		return
	}
	m.create(at, patch, provider.Actor{}, now)
}

// create makes a record, the next version of a deleted one.
func (m *model) create(at place, patch property.Patch, by provider.Actor, now time.Time) {
	record := provider.Provider{ID: at.id, CreatedAt: now, Values: property.Nulls()}
	if deleted := m.records[at]; deleted != nil {
		record.Version, record.UpdatedAt = deleted.Version, deleted.UpdatedAt
		if deleted.UpdatedAt.After(now) {
			record.CreatedAt = deleted.UpdatedAt
		}
	}
	m.change(at, record, provider.Created, patch, by, now)
}

// find returns the record that a write is for.
func (m *model) find(w provider.Write) (*provider.Provider, provider.Code) {
	record := m.records[place{w.Organization, w.ID}]
	if record == nil || record.Deleted || record.CustomerID != w.CustomerID {
		return nil, provider.CodeNotFound
	}
	return record, ""
}

func (m *model) list(l provider.List) ([]provider.Provider, provider.Code) {
	if !m.customers[place{l.Organization, l.CustomerID}] {
		return nil, provider.CodeNoCustomer
	}
	var records []provider.Provider
	for at, record := range m.records {
		if at.organization == l.Organization && record.CustomerID == l.CustomerID && !record.Deleted {
			records = append(records, *record)
		}
	}
	return response(newestFirst(records), l), ""
}

// write sends a write in the model and in the store, and compares the results.
func (m *model) write(t *testing.T, r *rapid.T, s *suite, w provider.Write) {
	wantCode := m.apply(w, s.clock.Now())
	got, err := s.Write(t.Context(), w)
	if CodeOrText(err) != wantCode {
		r.Fatalf("%s: error %v, want %q", w.Action, err, wantCode)
	}
	if err != nil {
		return
	}
	want := *m.records[place{w.Organization, w.ID}]
	equal(r, "version", got.Version, want.Version)
	if w.Action != provider.Deleted {
		equal(r, "record", got, want)
	}
}

// writeOnce is write for a creation with an idempotency key.
func (m *model) writeOnce(t *testing.T, r *rapid.T, s *suite, w provider.Write, key string) {
	k := keyOf{w.Organization, key}
	created, known := m.created[k]
	now := s.clock.Now()
	if now.After(m.latest) {
		m.latest = now
	}
	expired := now.Sub(created.CreatedAt) >= provider.KeyLifetime
	if known && !expired && m.latest.Sub(created.CreatedAt) >= provider.KeyLifetime {
		return // the clock has gone back: the store may have forgotten the key
	}
	if !known || expired {
		m.write(t, r, s, w)
		if record := m.records[place{w.Organization, w.ID}]; record != nil {
			m.created[k] = *record
		}
		return
	}
	got, err := s.Write(t.Context(), w)
	if created.CustomerID != w.CustomerID || created.Values != valuesOf(w.Patch.Values) {
		if err != provider.ErrIdempotencyKeyReused {
			r.Fatalf("create with a key that was used for another record: error %v", err)
		}
		return
	}
	if err != nil {
		r.Fatalf("create again: %v", err)
	}
	equal(r, "the record that was created", got, created)
}

func (m *model) apply(w provider.Write, now time.Time) provider.Code {
	at := place{w.Organization, w.ID}
	if w.Action == provider.Created {
		if !m.customers[place{w.Organization, w.CustomerID}] {
			return provider.CodeNoCustomer
		}
		m.ids = append(m.ids, w.ID)
		w.Patch.CustomerID = &w.CustomerID
		m.create(at, w.Patch, w.By, now)
		return ""
	}
	record, code := m.find(w)
	if code != "" {
		return code
	}
	if w.IfMatch != nil && !slices.Contains(w.IfMatch, record.Version) {
		return provider.CodePreconditionFailed
	}
	if w.Action == provider.Deleted {
		m.delete(at, *record, w.By, now)
		return ""
	}
	if to := w.Patch.CustomerID; to != nil && *to != record.CustomerID && !m.customers[place{w.Organization, *to}] {
		return provider.CodeUnknownCustomer
	}
	m.change(at, *record, provider.Updated, w.Patch, w.By, now)
	return ""
}

func (m *model) change(at place, record provider.Provider, action provider.Action, patch property.Patch, by provider.Actor, now time.Time) {
	var changes []provider.Change
	if to := patch.CustomerID; to != nil && (action == provider.Created || *to != record.CustomerID) {
		change := provider.Change{Field: "customerId", From: property.Null, To: property.Text(to.String())}
		if action == provider.Updated {
			change.From = property.Text(record.CustomerID.String())
		}
		changes = append(changes, change)
		record.CustomerID = *to
	}
	for id, p := range property.Table {
		to := patch.Values[id]
		if from := record.Values[id]; !to.IsAbsent() && to != from {
			changes = append(changes, provider.Change{Field: p.Name, From: from, To: to})
			record.Values[id] = to
		}
	}
	if len(changes) > 0 {
		m.keep(at, record, action, changes, by, now)
	}
}

func (m *model) delete(at place, record provider.Provider, by provider.Actor, now time.Time) {
	changes := []provider.Change{{Field: "customerId", From: property.Text(record.CustomerID.String()), To: property.Null}}
	for id, p := range property.Table {
		if was := record.Values[id]; !was.IsNull() {
			changes = append(changes, provider.Change{Field: p.Name, From: was, To: property.Null})
		}
	}
	record.Deleted = true
	m.keep(at, record, provider.Deleted, changes, by, now)
}

// keep keeps the next version of a record, and its event.
func (m *model) keep(at place, record provider.Provider, action provider.Action, changes []provider.Change, by provider.Actor, now time.Time) {
	record.Version++
	if now.After(record.UpdatedAt) {
		record.UpdatedAt = now
	}
	m.records[at] = &record
	m.events[at] = append(m.events[at], provider.Event{ProviderID: at.id, Version: record.Version, At: record.UpdatedAt, Action: action, By: by, Changes: changes})
}

// compare holds all records and histories of the store against the model's.
func (m *model) compare(t *testing.T, r *rapid.T, s *suite) {
	for _, id := range m.ids {
		var want []provider.Event
		for _, organization := range m.organizations {
			at := place{organization, id}
			want = append(want, m.events[at]...)
			record := m.records[at]
			if record == nil {
				continue
			}
			got, err := s.Get(t.Context(), organization, record.CustomerID, id)
			if record.Deleted {
				equal(r, "error of a deleted record", CodeOrText(err), provider.CodeNotFound)
				continue
			}
			if err != nil {
				r.Fatalf("get: %v", err)
			}
			equal(r, "record", got, *record)
		}
		slices.SortStableFunc(want, func(a, b provider.Event) int { return a.At.Compare(b.At) })
		found, err := HistoryByID(t.Context(), s, id)
		if err != nil {
			r.Fatalf("history: %v", err)
		}
		var got []provider.Event
		for _, event := range found {
			got = append(got, event.Event)
		}
		equal(r, "history", got, want)
	}
}

// drawPatch draws a change of a few properties, for each a value out of a few, so that some do not change. A whole one
// sets all that cannot be null.
func drawPatch(r *rapid.T, m *model, whole bool) property.Patch {
	var patch property.Patch
	for range rapid.IntRange(0, 4).Draw(r, "properties") {
		id := rapid.IntRange(0, len(property.Table)).Draw(r, "property")
		if id == len(property.Table) {
			patch.CustomerID = new(rapid.SampledFrom(m.customerIDs).Draw(r, "to customer"))
			continue
		}
		p := &property.Table[id]
		one, other := samples(id)
		choices := []property.Value{one, other}
		if p.Nullable {
			choices = append(choices, property.Null)
		}
		if p.MaxLength > 0 {
			choices = append(choices, property.Text(""), property.Text("b 😀"))
		}
		patch.Values[id] = rapid.SampledFrom(choices).Draw(r, p.Name)
	}
	if whole {
		complete(&patch)
	}
	return patch
}
