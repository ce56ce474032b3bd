package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testImport(t *testing.T, s *suite) {
	t.Run("it makes records, and customers that are not known", func(t *testing.T) {
		org := s.tenant(t)
		now := s.clock.Move(time.Second)
		customer := uuid.New()
		var imports []provider.Import
		for _, kind := range property.Table[property.ProviderType].Enum {
			patch := patchOfAll(true)
			patch.CustomerID, patch.Values[property.ProviderType] = &customer, property.Text(kind)
			imports = append(imports, provider.Import{ID: uuid.New(), Patch: patch})
		}
		org.imports(imports...)
		for _, one := range imports {
			want := provider.Provider{ID: one.ID, CustomerID: customer, Version: 1, CreatedAt: now, UpdatedAt: now, Values: property.Nulls()}
			want, changes := want.With(&one.Patch)
			changes = append([]provider.Change{{Field: "customerId", From: property.Null, To: property.Text(customer.String())}}, changes...)
			record := org.find(customer, one.ID)
			equal(t, "record", record, want)
			equal(t, "history", org.history(one.ID), []provider.Event{{ProviderID: one.ID, Version: 1, At: now, Action: provider.Created, Changes: changes}})
		}
		record := org.create(property.Patch{})
		org.update(record, property.Patch{CustomerID: new(customer)}) // it is a customer as any other
	})

	t.Run("it changes a record that is known", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(patchOfAll(true))
		want := record
		want.Version, want.UpdatedAt = 2, s.clock.Move(time.Second)
		patch := property.Patch{CustomerID: new(uuid.New()), Values: property.Values{property.ProviderType: property.Text("Pharmacy"), property.City: property.Null}}
		want, changes := want.With(&patch)
		org.imports(provider.Import{ID: record.ID, Patch: patch})
		equal(t, "record", org.find(want.CustomerID, want.ID), want)
		equal(t, "event", org.history(record.ID)[1], provider.Event{ProviderID: record.ID, Version: 2, At: want.UpdatedAt, Action: provider.Updated, Changes: changes})
		org.rejects(org.updateOf(record, property.Patch{}), provider.CodeNotFound) // it has moved
	})

	t.Run("it counts what it creates, changes and leaves as it was", func(t *testing.T) {
		org := s.tenant(t)
		known, other := org.create(set(property.City, "a")), org.create(property.Patch{})
		keep := org.importOf(other.ID, set(property.City, "b"))
		keep.KeepExisting = true
		fresh := uuid.New()
		count, err := org.Import(t.Context(), org.number, []provider.Import{
			org.importOf(known.ID, set(property.City, "b")), keep, org.importOf(fresh, set(property.City, "a")),
			org.importOf(fresh, set(property.City, "a")), org.importOf(fresh, set(property.City, "b")),
		}, nil)
		if want := (provider.ImportCount{Created: 1, Changed: 2, Unchanged: 2}); err != nil || count != want {
			t.Errorf("got %+v, %v, want %+v", count, err, want)
		}
	})

	t.Run("again, it writes nothing", func(t *testing.T) {
		org := s.tenant(t)
		imports := []provider.Import{org.importOf(uuid.New(), patchOfAll(true)), org.importOf(uuid.New(), property.Patch{})}
		org.imports(imports...)
		s.clock.Move(time.Second)
		first, second := org.find(org.customer, imports[0].ID), org.find(org.customer, imports[1].ID)
		org.imports(imports...)
		org.unchanged(first)
		org.unchanged(second)
	})

	t.Run("a record that comes several times changes in that order", func(t *testing.T) {
		org := s.tenant(t)
		id := uuid.New()
		org.imports(org.importOf(id, set(property.City, "a")), org.importOf(id, set(property.City, "b")),
			org.importOf(uuid.New(), property.Patch{}), org.importOf(id, set(property.City, "b")), org.importOf(id, property.Patch{CustomerID: new(uuid.New()), Values: property.Values{property.City: property.Text("c")}}))
		events := org.history(id)
		var cities []string
		for _, event := range events {
			city, _ := event.Changes[len(event.Changes)-1].To.Text()
			cities = append(cities, city)
		}
		equal(t, "cities", cities, []string{"a", "b", "c"})
	})

	t.Run("another organization's record stays out of it", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		record := org.create(patchOfAll(true))
		others := other.createWithID(record.ID, patchOfAll(false))
		equal(t, "version", others.Version, int64(1))
		equal(t, "the other's record", org.find(record.CustomerID, record.ID), record)
	})

	t.Run("a thousand at once", func(t *testing.T) {
		org := s.tenant(t)
		imports := make([]provider.Import, 1000)
		for i := range imports {
			imports[i] = org.importOf(uuid.New(), patchOfAll(i%2 == 0))
		}
		org.imports(imports...)
		for _, i := range []int{0, 1, 998, 999} {
			want, _ := org.find(org.customer, imports[i].ID).With(&imports[i].Patch)
			org.unchanged(want)
		}
	})

	t.Run("none, if one cannot be", func(t *testing.T) {
		id := uuid.New()
		nowhere := int64(1 << 40)
		_, err := s.Import(t.Context(), nowhere, []provider.Import{{ID: id, Patch: property.Patch{CustomerID: new(id), Values: property.Values{property.ProviderType: property.Text("Hospital"), property.Notes: property.Text("secret")}}}}, nil)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), id.String()) {
			t.Errorf("an import into an organization that does not exist: error %v, want one without values", err)
		}
		org := s.tenant(t)
		equal(t, "events", len(org.history(id)), 0)
	})

	t.Run("it makes customers known who have no records", func(t *testing.T) {
		org, other := s.tenant(t), s.tenant(t)
		known, one, another := org.customer, uuid.New(), uuid.New()
		imports := []provider.Import{org.importOf(uuid.New(), property.Patch{CustomerID: new(one)})}
		for range 2 { // again, it is the same
			if _, err := s.Import(t.Context(), org.number, imports, []uuid.UUID{another, known, one, another}); err != nil {
				t.Fatal(err)
			}
		}
		org.write(org.createOf(another, property.Patch{}))
		if _, err := s.Write(t.Context(), other.createOf(another, property.Patch{})); err != provider.ErrNoCustomer {
			t.Errorf("under another organization's customer: error %v, want %v", err, provider.ErrNoCustomer)
		}
	})

	t.Run("no customers, if the organization does not exist", func(t *testing.T) {
		if _, err := s.Import(t.Context(), 1<<40, nil, []uuid.UUID{uuid.New()}); err == nil {
			t.Error("no error")
		}
	})

	t.Run("of none", func(t *testing.T) {
		org := s.tenant(t)
		org.imports()
	})
}

func (org *tenant) imports(imports ...provider.Import) {
	org.t.Helper()
	if _, err := org.Import(org.t.Context(), org.number, imports, nil); err != nil {
		org.t.Fatalf("import: %v", err)
	}
}
