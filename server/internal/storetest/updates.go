package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testUpdate(t *testing.T, s *suite) {
	t.Run("a record is returned as it stands", func(t *testing.T) {
		x := s.tenant(t)
		id, now := uuid.New(), s.clock.now()
		got := x.makeWithID(id, property.Patch{Values: property.Values{property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false)}})
		equal(t, "record", got, provider.Provider{
			ID: id, CustomerID: x.customer, Version: 1, CreatedAt: now, UpdatedAt: now,
			Values: valuesOf(property.Values{
				property.ProviderType: property.Text("Specialist"), property.Phone: property.Text("+1 555 0100"), property.IsActive: property.Boolean(false),
			}),
		})
	})

	for id, p := range property.Table {
		t.Run(p.Name+" is set, replaced, cleared and left", func(t *testing.T) {
			x := s.tenant(t)
			record := x.make(patchOfAll(true))
			one, other := samples(id)
			values := []property.Value{other, one}
			if p.Nullable {
				values = append(values, property.Null, one)
			}
			for _, to := range values {
				from := record.Values[id]
				want := record
				want.Version++
				want.UpdatedAt = s.clock.move(time.Second)
				want.Values[id] = to

				var patch property.Patch
				patch.Values[id] = to
				record = x.update(record, patch)
				equal(t, "record", record, want)
				equal(t, "record read again", x.find(record.CustomerID, record.ID), want)
				events := x.history(record.ID)
				equal(t, "changes", events[len(events)-1].Changes, []provider.Change{{Field: p.Name, From: from, To: to}})
			}
		})
		if p.Enum == nil {
			continue
		}
		t.Run(p.Name+" has each of its values", func(t *testing.T) {
			x := s.tenant(t)
			record := x.make(patchOfNulls())
			for _, to := range p.Enum {
				record = x.update(record, set(property.ID(id), to))
				equal(t, "value", x.find(record.CustomerID, record.ID).Values[id], property.Text(to))
			}
		})
	}

	t.Run("everything changes at once", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		for _, patch := range []property.Patch{patchOfAll(false), patchOfNulls(), patchOfAll(true)} {
			want := record
			want.Version++
			want, _ = want.With(&patch)
			record = x.update(record, patch)
			equal(t, "record", record, want)
			equal(t, "record read anew", x.find(record.CustomerID, record.ID), want)
		}
	})

	for _, c := range []struct {
		name  string
		patch property.Patch
	}{
		{"of nothing", property.Patch{}},
		{"to the values it has", patchOfAll(true)},
	} {
		t.Run("a change "+c.name+" writes nothing", func(t *testing.T) {
			x := s.tenant(t)
			record := x.make(patchOfAll(true))
			s.clock.move(time.Second)
			patch := c.patch
			patch.CustomerID, patch.Values[property.ProviderType] = &record.CustomerID, record.Values[property.ProviderType]
			equal(t, "record", x.update(record, patch), record)
			equal(t, "record, with If-Match", x.update(record, patch, 1), record)
			x.unchanged(record)
		})
	}

	t.Run("a change of nulls to null writes nothing", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		s.clock.move(time.Second)
		equal(t, "record", x.update(record, patchOfNulls()), record)
		x.unchanged(record)
	})

	t.Run("what does not change is not in the history", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		patch := patchOfAll(true)
		patch.Values[property.City] = property.Text("Springfield")
		x.update(record, patch)
		equal(t, "changes", x.history(record.ID)[1].Changes, []provider.Change{{Field: "city", From: property.Text("one city"), To: property.Text("Springfield")}})
	})

	t.Run("an unknown record is not found", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		elsewhere := x.customerElsewhere()
		unknownID, wrongCustomer, unknownCustomer, unknownOrganization := record, record, record, x.updateOf(record, patchOfAll(true))
		unknownID.ID, wrongCustomer.CustomerID, unknownCustomer.CustomerID = uuid.New(), elsewhere, uuid.New()
		unknownOrganization.Organization = 1 << 40
		for name, u := range map[string]provider.Write{
			"unknown id":           x.updateOf(unknownID, patchOfAll(true)),
			"another's customer":   x.updateOf(wrongCustomer, patchOfAll(true)),
			"unknown customer":     x.updateOf(unknownCustomer, patchOfAll(true)),
			"unknown organization": unknownOrganization,
		} {
			if _, err := s.Write(t.Context(), u); CodeOrText(err) != provider.CodeNotFound {
				t.Errorf("%s: error %v, want not found", name, err)
			}
			if _, err := s.Get(t.Context(), u.Organization, u.CustomerID, u.ID); err != provider.ErrNotFound {
				t.Errorf("get, %s: error %v, want %v", name, err, provider.ErrNotFound)
			}
		}
		x.unchanged(record)
	})
}

func testMove(t *testing.T, s *suite) {
	t.Run("a record moves to another customer", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(patchOfAll(true))
		elsewhere := x.customerElsewhere()
		want := record
		want.CustomerID, want.Values[property.City], want.Version, want.UpdatedAt = elsewhere, property.Null, 2, s.clock.move(time.Second)

		moved := x.update(record, property.Patch{CustomerID: new(elsewhere), Values: property.Values{property.City: property.Null}})
		equal(t, "record", moved, want)
		equal(t, "record under its new path", x.find(elsewhere, record.ID), want)
		x.notFound(record.CustomerID, record.ID)
		equal(t, "changes", x.history(record.ID)[1].Changes, []provider.Change{
			{Field: "customerId", From: property.Text(record.CustomerID.String()), To: property.Text(elsewhere.String())},
			{Field: "city", From: property.Text("one city"), To: property.Null},
		})

		back := x.update(moved, property.Patch{CustomerID: new(record.CustomerID)})
		equal(t, "customer", back.CustomerID, record.CustomerID)
		x.refuse(x.updateOf(moved, property.Patch{}), provider.CodeNotFound)
		x.unchanged(back)
	})

	t.Run("not to an unknown customer, nor to another organization's", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		record := x.make(patchOfAll(true))
		s.clock.move(time.Second)
		for name, customer := range map[string]uuid.UUID{"unknown": uuid.New(), "another organization's": other.customer, "nil": uuid.Nil} {
			patch := patchOfAll(false)
			patch.CustomerID = new(customer)
			if _, err := s.Write(t.Context(), x.updateOf(record, patch)); err != provider.ErrUnknownCustomer {
				t.Errorf("%s: error %v, want the one of every unknown customer", name, err)
			}
		}
		x.unchanged(record)
	})

	t.Run("a record that is not found has no say about customers", func(t *testing.T) {
		x := s.tenant(t)
		stranger := provider.Provider{ID: uuid.New(), CustomerID: x.customer}
		for _, customer := range []uuid.UUID{uuid.New(), x.customerElsewhere()} {
			x.refuse(x.updateOf(stranger, property.Patch{CustomerID: new(customer)}), provider.CodeNotFound)
		}
	})
}

func testIfMatch(t *testing.T, s *suite) {
	for _, c := range []struct {
		name    string
		ifMatch []int64
		unknown bool          // the record, which is at version 3 otherwise
		want    provider.Code // of a change of nothing, and of a change
	}{
		{name: "none is given", ifMatch: nil},
		{name: "the version", ifMatch: []int64{3}},
		{name: "several, one of them the version", ifMatch: []int64{1, 3, 7}},
		{name: "an older version", ifMatch: []int64{2}, want: provider.CodePreconditionFailed},
		{name: "a version to come", ifMatch: []int64{4}, want: provider.CodePreconditionFailed},
		{name: "several, none of them the version", ifMatch: []int64{1, 2, 4}, want: provider.CodePreconditionFailed},
		{name: "an empty list matches none", ifMatch: []int64{}, want: provider.CodePreconditionFailed},
		{name: "what is not found has no version", ifMatch: []int64{1}, unknown: true, want: provider.CodeNotFound},
		{name: "what is not found has no version, not even of none", ifMatch: []int64{}, unknown: true, want: provider.CodeNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := s.tenant(t)
			record := x.make(property.Patch{})
			for _, city := range []string{"two", "three"} {
				record = x.update(record, set(property.City, city))
			}
			asked := record
			if c.unknown {
				asked.ID = uuid.New()
			}
			for _, patch := range []property.Patch{{}, set(property.City, "four")} {
				u := x.updateOf(asked, patch)
				u.IfMatch = c.ifMatch
				got, err := s.Write(t.Context(), u)
				if CodeOrText(err) != c.want {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				if err == nil {
					record = got
				}
			}
			if c.want == "" {
				equal(t, "version", record.Version, int64(4))
				record = x.remade(record, 3)
				asked = record
			}
			x.unchanged(record)

			w := x.deleteOf(asked)
			w.IfMatch = c.ifMatch
			got, err := s.Write(t.Context(), w)
			if CodeOrText(err) != c.want {
				t.Fatalf("delete: error %v, want %q", err, c.want)
			}
			if err == nil {
				equal(t, "version", got.Version, int64(4))
				x.notFound(record.CustomerID, record.ID)
			} else {
				x.unchanged(record)
			}
		})
	}
}

// remade makes a record with the values of another and brings it to a version.
func (x *tenant) remade(r provider.Provider, version int64) provider.Provider {
	x.t.Helper()
	next := x.make(property.Patch{CustomerID: &r.CustomerID, Values: r.Values})
	for next.Version < version {
		next = x.update(next, set(property.City, fmt.Sprint(next.Version)))
	}
	return next
}

func testHistoryByID(t *testing.T, s *suite) {
	t.Run("it tells who changed what, when, from what to what", func(t *testing.T) {
		x := s.tenant(t)
		made := s.clock.move(time.Second)
		record := x.make(property.Patch{Values: property.Values{property.ProviderType: property.Text("Hospital"), property.City: property.Text("Springfield"), property.IsActive: property.Boolean(true)}})
		changed := s.clock.move(time.Second)
		u := x.updateOf(record, property.Patch{Values: property.Values{property.ProviderType: property.Text("Pharmacy"), property.City: property.Null, property.IsActive: property.Boolean(false), property.Notes: property.Text("")}})
		u.By = provider.Actor{KeyID: "key_abc", RequestID: "request 1"}
		if _, err := s.Write(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		equal(t, "history", x.history(record.ID), []provider.Event{
			{ProviderID: record.ID, Version: 1, At: made, Action: provider.Created, Changes: []provider.Change{
				{Field: "customerId", From: property.Null, To: property.Text(x.customer.String())},
				{Field: "providerType", From: property.Null, To: property.Text("Hospital")},
				{Field: "city", From: property.Null, To: property.Text("Springfield")},
				{Field: "isActive", From: property.Null, To: property.Boolean(true)},
			}},
			{ProviderID: record.ID, Version: 2, At: changed, Action: provider.Updated, By: u.By, Changes: []provider.Change{
				{Field: "providerType", From: property.Text("Hospital"), To: property.Text("Pharmacy")},
				{Field: "city", From: property.Text("Springfield"), To: property.Null},
				{Field: "isActive", From: property.Boolean(true), To: property.Boolean(false)},
				{Field: "notes", From: property.Null, To: property.Text("")},
			}},
		})
	})

	t.Run("an unknown record has none", func(t *testing.T) {
		x := s.tenant(t)
		equal(t, "events", len(x.history(uuid.New())), 0)
	})

	t.Run("a refused change has none", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		x.refuse(x.updateOf(record, property.Patch{CustomerID: new(uuid.New())}), provider.CodeUnknownCustomer)
		x.refuse(x.updateOf(record, patchOfAll(true), 9), provider.CodePreconditionFailed)
		equal(t, "events", len(x.history(record.ID)), 1)
	})

	t.Run("the oldest event comes first, also of several organizations", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		id := uuid.New()
		records := []provider.Provider{other.makeWithID(id, property.Patch{}), x.makeWithID(id, property.Patch{})}
		for n := range 12 {
			s.clock.move(time.Second)
			tenant, record := []*tenant{other, x}[n%2], &records[n%2]
			*record = tenant.update(*record, set(property.City, fmt.Sprint(n)))
		}
		var cities []string
		for _, event := range x.history(id)[2:] {
			city, _ := event.Changes[0].To.Text()
			cities = append(cities, city)
		}
		equal(t, "cities in the history", cities, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"})
	})
}

func testTenancy(t *testing.T, s *suite) {
	t.Run("the same IDs in two organizations are two records", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		id, customer := uuid.New(), uuid.New()
		patch := patchOfAll(true)
		patch.CustomerID = new(customer)
		record, others := x.makeWithID(id, patch), other.makeWithID(id, patch)
		record = x.update(record, patchOfAll(false))
		equal(t, "the other's record", other.find(customer, id), others)
		equal(t, "events of both", len(x.history(id)), 3)
		others = other.update(others, patchOfNulls())
		equal(t, "the record", x.find(customer, id), record)
		equal(t, "version", others.Version, int64(2))
	})

	t.Run("another organization's record is not found", func(t *testing.T) {
		x, other := s.tenant(t), s.tenant(t)
		record := x.make(patchOfAll(true))
		other.notFound(record.CustomerID, record.ID)
		other.notFound(other.customer, record.ID)
		x.unchanged(record)
	})
}

func testText(t *testing.T, s *suite) {
	for name, sample := range map[string]string{
		"empty":               "",
		"spaces":              "  \t\r\n ",
		"quotes":              `'";\'' -- \" {} $1 ?1 %s`,
		"markup":              "<a href='x'>&amp;</a>\u2028",
		"4 bytes a character": "😀𝕏",
		"combining":           "e\u0301 \u200d\ufeff",
		"right to left":       "\u202eשלום",
		"controls":            "\x01\x1f\x7f\u0085",
		"last code point":     "\U0010ffff",
		"number and null":     "null",
	} {
		t.Run(name, func(t *testing.T) {
			x := s.tenant(t)
			var patch property.Patch
			for id, p := range property.Table {
				if p.Kind == property.TextKind && p.Enum == nil {
					patch.Values[id] = property.Text(sample)
				}
			}
			want, changes := x.make(property.Patch{}).With(&patch)
			record := x.update(want, patch)
			want.Version++
			equal(t, "record", x.find(record.CustomerID, record.ID), want)
			equal(t, "changes", x.history(record.ID)[1].Changes, changes)
		})
	}

	t.Run("the longest", func(t *testing.T) {
		x := s.tenant(t)
		var patch property.Patch
		for id, p := range property.Table {
			if p.MaxLength > 0 {
				patch.Values[id] = property.Text(strings.Repeat("😀", p.MaxLength))
			}
		}
		want, changes := x.make(property.Patch{}).With(&patch)
		record := x.update(want, patch)
		want.Version++
		equal(t, "record", x.find(record.CustomerID, record.ID), want)
		equal(t, "changes", x.history(record.ID)[1].Changes, changes)
	})

	t.Run("an empty text is not null", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		for n, to := range []property.Value{property.Text(""), property.Null, property.Text("")} {
			record = x.update(record, property.Patch{Values: property.Values{property.Notes: to}})
			equal(t, "notes", x.find(record.CustomerID, record.ID).Values[property.Notes], to)
			equal(t, "version", record.Version, int64(n+2))
		}
	})
}

func testClock(t *testing.T, s *suite) {
	t.Run("updatedAt follows the clock, in whole milliseconds and UTC", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		now := s.clock.move(90*time.Minute + 999_999*time.Nanosecond)
		defer s.clock.move(-999_999 * time.Nanosecond)
		next := x.update(record, set(property.City, "a"))
		equal(t, "updatedAt", next.UpdatedAt, now.Truncate(time.Millisecond))
		equal(t, "createdAt", next.CreatedAt, record.CreatedAt)
		read := x.find(record.CustomerID, record.ID)
		event := x.history(record.ID)[1]
		for what, at := range map[string]time.Time{"createdAt": read.CreatedAt, "updatedAt": read.UpdatedAt, "event": event.At} {
			if at.Location() != time.UTC {
				t.Errorf("%s is in %v, want UTC", what, at.Location())
			}
		}
		equal(t, "event", event.At, next.UpdatedAt)
	})

	t.Run("updatedAt never runs backwards", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		for n, step := range []time.Duration{time.Second, -time.Hour, time.Second, 2 * time.Hour, -time.Millisecond} {
			now := s.clock.move(step)
			next := x.update(record, set(property.City, fmt.Sprint(n)))
			want := record.UpdatedAt
			if now.After(want) {
				want = now
			}
			equal(t, "updatedAt", next.UpdatedAt, want)
			equal(t, "version", next.Version, record.Version+1)
			events := x.history(record.ID)
			equal(t, "event", events[len(events)-1].At, want)
			record = next
		}
	})

	t.Run("nor does an import turn it back", func(t *testing.T) {
		x := s.tenant(t)
		record := x.make(property.Patch{})
		s.clock.move(-time.Hour)
		next := x.makeWithID(record.ID, set(property.City, "a"))
		equal(t, "updatedAt", next.UpdatedAt, record.UpdatedAt)
		equal(t, "createdAt", next.CreatedAt, record.CreatedAt)
		equal(t, "version", next.Version, int64(2))
	})

	for _, at := range []time.Time{time.Date(1970, 1, 1, 0, 0, 0, 1e6, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)} {
		t.Run(fmt.Sprint("a year as ", at.Year()), func(t *testing.T) {
			x := s.tenant(t)
			was := s.clock.set(at)
			defer s.clock.set(was)
			record := x.make(property.Patch{})
			equal(t, "createdAt", x.find(record.CustomerID, record.ID).CreatedAt, at)
		})
	}
}
