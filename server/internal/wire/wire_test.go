package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/getkin/kin-openapi/openapi3"
	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// TestContractReachesTheDomain fails for a property that the contract has and that is lost on its way through the domain:
// out of a change, into a record, and out of that again.
func TestContractReachesTheDomain(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	schemas := doc.Components.Schemas
	for name, property := range schemas["ProviderUpdate"].Value.Properties {
		value := sample(property.Value)
		record, changes := apply(t, map[string]any{name: value}, provider.Provider{})
		if got := show(t, record)[name]; got != value {
			t.Errorf("%s: set to %v, the record shows %v", name, value, got)
		}
		if len(changes) != 1 || changes[0].Field != name || changes[0].From != nil && name != "customerId" {
			t.Errorf("%s: the history shows %+v", name, changes)
		}
		if !property.Value.Nullable {
			continue
		}
		record, changes = apply(t, map[string]any{name: nil}, record)
		if got, there := show(t, record)[name]; !there || got != nil {
			t.Errorf("%s: cleared, the record shows %v", name, got)
		}
		if len(changes) != 1 || changes[0].To != nil {
			t.Errorf("%s: cleared, the history shows %+v", name, changes)
		}
	}
	for name, property := range schemas["ProviderCreate"].Value.Properties {
		value := sample(property.Value)
		text, err := json.Marshal(map[string]any{"providerType": "Hospital", name: value})
		if err != nil {
			t.Fatal(err)
		}
		var creation gen.ProviderCreate
		if err := strict.Unmarshal(text, &creation); err != nil {
			t.Fatal(err)
		}
		patch := wire.Creation(&creation)
		record, _ := patch.Apply(provider.Provider{})
		if got := show(t, record)[name]; got != value {
			t.Errorf("%s: made with %v, the record shows %v", name, value, got)
		}
	}
	got := slices.Sorted(maps.Keys(show(t, provider.Provider{})))
	want := slices.Sorted(maps.Keys(schemas["Provider"].Value.Properties))
	if !slices.Equal(got, want) {
		t.Errorf("a record shows %v, the contract %v", got, want)
	}
}

func sample(schema *openapi3.Schema) any {
	switch {
	case schema.Type.Is("boolean"):
		return true
	case schema.Format == "uuid":
		return "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	case schema.Enum != nil:
		return schema.Enum[0]
	}
	return "text"
}

func apply(t *testing.T, body map[string]any, r provider.Provider) (provider.Provider, []provider.Change) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var update gen.ProviderUpdate
	if err := strict.Unmarshal(text, &update); err != nil {
		t.Fatal(err)
	}
	patch := wire.Patch(&update)
	return patch.Apply(r)
}

func show(t *testing.T, r provider.Provider) map[string]any {
	t.Helper()
	text, err := json.Marshal(wire.Provider(&r))
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	return shown
}

// TestAppendProvider holds what is written by hand against the generated type.
func TestAppendProvider(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		at := func(name string) time.Time { return time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(r, name)).UTC() }
		id := func(name string) uuid.UUID { return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, name)) }
		text := rapid.Ptr(rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "") }), true)
		record := provider.Provider{
			ID: id("id"), CustomerID: id("customer"), CreatedAt: at("created"), UpdatedAt: at("updated"),
			Type: rapid.SampledFrom([]provider.Type{provider.PrimaryCare, provider.Specialist, provider.Hospital, provider.Pharmacy}).Draw(r, "type"),
		}
		for _, property := range []**string{
			&record.Specialty, &record.ProviderName, &record.PracticeName, &record.NPI, &record.Phone, &record.Fax, &record.Email,
			&record.Address, &record.Address2, &record.City, &record.State, &record.PostalCode, &record.Notes,
		} {
			*property = text.Draw(r, "text")
		}
		record.IsPrimaryProvider, record.IsActive = rapid.Ptr(rapid.Bool(), true).Draw(r, "primary"), rapid.Ptr(rapid.Bool(), true).Draw(r, "active")
		want, err := strict.Marshal(wire.Provider(&record))
		if err != nil {
			r.Fatal(err)
		}
		got, err := wire.AppendProvider(nil, &record)
		if err != nil {
			r.Fatal(err)
		}
		sorted := jsontext.Value(bytes.Clone(got)) // the generated type has the properties in the order of the alphabet
		if err := errors.Join(sorted.Canonicalize(), (*jsontext.Value)(&want).Canonicalize()); err != nil || string(sorted) != string(want) {
			r.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	})
}

// TestCursor: a position is the same after it has been a cursor, and any text of a cursor's form is some position.
func TestCursor(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(r, "records")
		var records []provider.Provider
		for range n {
			at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(r, "at")).UTC()
			records = append(records, provider.Provider{ID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "id")), CreatedAt: at})
		}
		page := wire.ProviderList(records, max(1, n-1+rapid.IntRange(0, 1).Draw(r, "room")))
		if len(page.Data) == n {
			if page.NextCursor != nil {
				r.Errorf("the last page has a cursor")
			}
			return
		}
		last := records[n-2]
		if got := wire.Position(*page.NextCursor); !got.CreatedAt.Equal(last.CreatedAt) || got.ID != last.ID {
			r.Errorf("got %v, want that of %v", got, last)
		}
		wire.Position(rapid.StringMatching("[A-Za-z0-9_-]{32}").Draw(r, "made up"))
	})
}

// BenchmarkBody takes the body of a change into the domain and applies it, and writes the record that it makes.
func BenchmarkBody(b *testing.B) {
	body := []byte(`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","specialty":"Internal medicine",
"providerName":"Dr. Ada Example","practiceName":"Example Family Practice","npi":"1234567893","phone":"+1 555 0100","fax":"+1 555 0101",
"email":"office@example.org","address":"1 Main Street","address2":"Suite 200","city":"Springfield","state":"IL","postalCode":"62701",
"isPrimaryProvider":true,"isActive":true,"notes":"Prefers to be called in the morning."}`)
	var record provider.Provider
	var update gen.ProviderUpdate
	if err := strict.Unmarshal(body, &update); err != nil {
		b.Fatal(err)
	}
	b.Run("applied", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			patch := wire.Patch(&update)
			record, _ = patch.Apply(provider.Provider{})
		}
	})
	b.Run("written", func(b *testing.B) {
		b.ReportAllocs()
		var text []byte
		for b.Loop() {
			var err error
			if text, err = wire.AppendProvider(text[:0], &record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
