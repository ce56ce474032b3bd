package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// testModel runs random sequences of calls against a store and a model of one, which has nothing in common with it but
// the contract, and holds every answer, record and history against each other.
func testModel(t *testing.T, s *suite) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{records: map[place]*provider.Provider{}, events: map[place][]provider.Event{}, customers: map[place]bool{}}
		for range 2 {
			number, err := s.Organization(t.Context(), "organization "+uuid.NewString())
			if err != nil {
				r.Fatal(err)
			}
			m.organizations = append(m.organizations, number)
		}
		slices.Sort(m.organizations)
		for range 3 { // few, so that calls meet
			m.ids, m.customerIDs = append(m.ids, uuid.New()), append(m.customerIDs, uuid.New())
		}
		start := s.clock.now()
		defer s.clock.set(start)
		r.Repeat(map[string]func(*rapid.T){
			"clock": func(r *rapid.T) {
				s.clock.move(time.Duration(rapid.IntRange(-2000, 5000).Draw(r, "ms")) * time.Millisecond)
			},
			"import": func(r *rapid.T) {
				organization := rapid.SampledFrom(m.organizations).Draw(r, "organization")
				var imports []provider.Import
				for range rapid.IntRange(1, 3).Draw(r, "records") {
					id := rapid.SampledFrom(m.ids).Draw(r, "id")
					values := drawPatch(r, m)
					values["customerId"] = rapid.SampledFrom(m.customerIDs).Draw(r, "customer")
					if values["providerType"] == nil {
						values["providerType"] = provider.Pharmacy
					}
					imports = append(imports, provider.Import{ID: id, Patch: patchOf(values)})
					m.imports(place{organization, id}, values, s.clock.now())
				}
				if err := s.Import(t.Context(), organization, imports, nil); err != nil {
					r.Fatalf("import: %v", err)
				}
			},
			"update": func(r *rapid.T) {
				u := provider.Write{Action: provider.Updated,
					Organization: rapid.SampledFrom(m.organizations).Draw(r, "organization"),
					CustomerID:   rapid.SampledFrom(m.customerIDs).Draw(r, "customer"),
					ID:           rapid.SampledFrom(m.ids).Draw(r, "id"),
					IfMatch:      rapid.SampledFrom([][]int64{nil, nil, nil, {1}, {2, 3}, {}}).Draw(r, "If-Match"),
					By:           by,
				}
				if rapid.IntRange(0, 3).Draw(r, "path") > 0 { // mostly the right one, if there is one
					if record := m.records[place{u.Organization, u.ID}]; record != nil {
						u.CustomerID = record.CustomerID
					}
				}
				values := drawPatch(r, m)
				u.Patch = patchOf(values)
				want, wantCode := m.update(u, values, s.clock.now())
				got, err := s.Write(t.Context(), u)
				if codeOf(err) != wantCode {
					r.Fatalf("update: error %v, want %q", err, wantCode)
				}
				if err == nil {
					equal(r, "updated record", got, want)
				}
			},
		})
		m.compare(t, r, s)
	})
}

// model is a store in memory, for one caller.
type model struct {
	organizations []int64
	ids           []uuid.UUID
	customerIDs   []uuid.UUID

	records   map[place]*provider.Provider
	events    map[place][]provider.Event
	customers map[place]bool
}

// place is where an organization keeps something.
type place struct {
	organization int64
	id           uuid.UUID
}

func (m *model) imports(at place, values map[string]any, now time.Time) {
	m.customers[place{at.organization, values["customerId"].(uuid.UUID)}] = true
	record := m.records[at]
	if record == nil {
		record = &provider.Provider{ID: at.id, CreatedAt: now}
	}
	m.change(at, *record, values, provider.Actor{}, now)
}

func (m *model) update(u provider.Write, values map[string]any, now time.Time) (provider.Provider, provider.Code) {
	at := place{u.Organization, u.ID}
	record := m.records[at]
	if record == nil || record.CustomerID != u.CustomerID {
		return provider.Provider{}, provider.NotFound
	}
	if u.IfMatch != nil && !slices.Contains(u.IfMatch, record.Version) {
		return provider.Provider{}, provider.PreconditionFailed
	}
	if to, moves := values["customerId"]; moves && to != record.CustomerID && !m.customers[place{u.Organization, to.(uuid.UUID)}] {
		return provider.Provider{}, provider.UnknownCustomer
	}
	m.change(at, *record, values, u.By, now)
	return *m.records[at], ""
}

func (m *model) change(at place, record provider.Provider, values map[string]any, by provider.Actor, now time.Time) {
	var changes []provider.Change
	if to, named := values["customerId"]; named && to != record.CustomerID {
		change := provider.Change{Field: "customerId", To: to.(uuid.UUID).String()}
		if record.Version > 0 {
			change.From = record.CustomerID.String()
		}
		changes = append(changes, change)
		record.CustomerID = to.(uuid.UUID)
	}
	if to, named := values["providerType"]; named && to != record.Type {
		change := provider.Change{Field: "providerType", To: string(to.(provider.Type))}
		if record.Version > 0 {
			change.From = string(record.Type)
		}
		changes = append(changes, change)
		record.Type = to.(provider.Type)
	}
	for _, p := range properties {
		if to, named := values[p.name]; named && to != p.get(&record) {
			changes = append(changes, provider.Change{Field: p.name, From: p.get(&record), To: to})
			p.put(&record, to)
		}
	}
	if len(changes) == 0 {
		return
	}
	record.Version++
	if now.After(record.UpdatedAt) {
		record.UpdatedAt = now
	}
	action := provider.Updated
	if record.Version == 1 {
		action = provider.Created
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
			if record := m.records[at]; record != nil {
				got, err := s.Write(t.Context(), provider.Write{Action: provider.Updated, Organization: organization, CustomerID: record.CustomerID, ID: id})
				if err != nil {
					r.Fatalf("read: %v", err)
				}
				equal(r, "record", got, *record)
			}
		}
		slices.SortStableFunc(want, func(a, b provider.Event) int { return a.At.Compare(b.At) })
		got, err := s.History(t.Context(), id)
		if err != nil {
			r.Fatalf("history: %v", err)
		}
		equal(r, "history", got, want)
	}
}

// drawPatch draws a change: the properties that it names, and for each a value out of a few, so that some do not change.
func drawPatch(r *rapid.T, m *model) map[string]any {
	values := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(r, "properties") {
		switch n := rapid.IntRange(0, len(properties)+1).Draw(r, "property"); n {
		case len(properties):
			values["customerId"] = rapid.SampledFrom(m.customerIDs).Draw(r, "to customer")
		case len(properties) + 1:
			values["providerType"] = rapid.SampledFrom([]provider.Type{provider.PrimaryCare, provider.Specialist, provider.Hospital}).Draw(r, "type")
		default:
			choices := []any{nil, "", "a", "b 😀"}
			if properties[n].max == 0 {
				choices = []any{nil, true, false}
			}
			values[properties[n].name] = rapid.SampledFrom(choices).Draw(r, properties[n].name)
		}
	}
	return values
}

func patchOf(values map[string]any) provider.Patch {
	var patch provider.Patch
	for name, value := range values {
		switch name {
		case "customerId":
			patch.CustomerID = set(value.(uuid.UUID))
		case "providerType":
			patch.Type = set(value.(provider.Type))
		default:
			i := slices.IndexFunc(properties, func(p property) bool { return p.name == name })
			properties[i].patch(&patch, value)
		}
	}
	return patch
}
