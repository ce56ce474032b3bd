package ndjson_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/ndjson"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// store remembers what is imported, and fails or calls off the import when it is full.
type store struct {
	provider.Store
	records   []provider.Import
	customers []uuid.UUID
	capacity  int
	full      func() error
}

func (s *store) Import(_ context.Context, _ int64, records []provider.Import, customers []uuid.UUID) error {
	if len(s.records)+len(s.customers)+len(records)+len(customers) > s.capacity {
		if err := s.full(); err != nil {
			return err
		}
	}
	s.records, s.customers = append(s.records, records...), append(s.customers, customers...)
	return nil
}

// TestImport imports 10,000 lines, of which one in ten is a customer and one in ten is invalid.
func TestImport(t *testing.T) {
	t.Parallel()
	fault, broken := errors.New("full"), errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, fact := range []struct {
		name     string
		ctx      context.Context
		capacity int
		full     func() error
		end      error // of the file
		want     error
	}{
		{"all", t.Context(), 10_000, nil, io.EOF, nil},
		{"a store that fails", t.Context(), 5000, func() error { return fault }, io.EOF, fault},
		{"a store that fails at once", t.Context(), 0, func() error { return fault }, io.EOF, fault},
		{"a file that cannot be read to its end", t.Context(), 10_000, nil, broken, broken},
		{"called off", ctx, 5000, func() error { cancel(); return ctx.Err() }, io.EOF, context.Canceled},
		{"called off as a part was stored", ctx, 5000, func() error { cancel(); return nil }, io.EOF, context.Canceled},
	} {
		t.Run(fact.name, func(t *testing.T) {
			s := &store{capacity: fact.capacity, full: fact.full}
			i := importer(t, s)
			var told []int
			i.Invalid = func(line int, _ string) { told = append(told, line) }
			result, err := i.Import(fact.ctx, io.MultiReader(strings.NewReader(lines(10_000)), failing{fact.end}))
			if !errors.Is(err, fact.want) {
				t.Errorf("error %v, want %v", err, fact.want)
			}
			if want := (ndjson.Result{Imported: len(s.records), Customers: len(s.customers), Invalid: len(told)}); result != want {
				t.Errorf("got %+v, want %+v", result, want)
			}
			if fact.want == nil && result != (ndjson.Result{Imported: 8000, Customers: 1000, Invalid: 1000}) {
				t.Errorf("got %+v", result)
			}
			for n, record := range s.records {
				if want := customer(n/8*10 + n%8); record.Patch.CustomerID.Value != want {
					t.Fatalf("record %d is of customer %s, want %s: the order is lost", n, record.Patch.CustomerID.Value, want)
				}
			}
			if !slices.IsSorted(told) {
				t.Errorf("the invalid lines are told out of order: %d", told)
			}
		})
	}
}

// BenchmarkImport reads and checks lines; it stores nothing.
func BenchmarkImport(b *testing.B) {
	text := strings.Repeat(`{"customerId": "00000000-0000-4000-8000-000000000000", "id": "00000000-0000-4000-8000-000000000000", "providerType": "Primary Care", "specialty": "Internal medicine", "providerName": "Dr. Ada Example", "practiceName": "Example Family Practice", "npi": "1234100000", "phone": "+1 555 100000", "fax": "+1 556 100000", "email": "office@example.org", "address": "1 Main Street", "address2": "Suite 200", "city": "Springfield", "state": "IL", "postalCode": "62701", "isPrimaryProvider": true, "isActive": true, "notes": "Prefers to be called in the morning."}`+"\n", 1000)
	i := importer(b, &store{})
	for b.Loop() {
		if _, err := i.Check(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func importer(t testing.TB, s provider.Store) *ndjson.Importer {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	properties, record, err := validate.ImportLine(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &ndjson.Importer{Properties: properties, Record: record, Store: s, Invalid: func(int, string) {}}
}

func lines(n int) string {
	var text strings.Builder
	for i := range n {
		switch i % 10 {
		case 8:
			fmt.Fprintf(&text, `{"customerId": "%s"}`, customer(i))
		case 9:
			text.WriteString("{}")
		default:
			fmt.Fprintf(&text, `{"customerId": "%s", "providerType": "Hospital"}`, customer(i))
		}
		text.WriteString("\n")
	}
	return text.String()
}

func customer(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
