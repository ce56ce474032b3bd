package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/transfer"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// store remembers what is imported, and fails or cancels the import when it is full.
type store struct {
	provider.Store
	capacity int
	full     func() error

	mu      sync.Mutex
	records []provider.Import
}

func (s *store) Import(_ context.Context, _ int64, records []provider.Import, _ []uuid.UUID) (count provider.ImportCount, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records)+len(records) > s.capacity {
		if err := s.full(); err != nil {
			return count, err
		}
	}
	s.records = append(s.records, records...)
	return provider.ImportCount{Created: len(records)}, nil
}

// TestImport imports 10,000 lines, of which one in ten is a customer and one in ten is invalid.
func TestImport(t *testing.T) {
	t.Parallel()
	errFull, broken := errors.New("full"), errors.New("broken")
	storing, cancelStoring := context.WithCancel(t.Context())
	defer cancelStoring()
	stored, cancelStored := context.WithCancel(t.Context())
	defer cancelStored()
	for _, tt := range []struct {
		name     string
		ctx      context.Context
		capacity int
		full     func() error
		end      error // of the file
		want     error
	}{
		{"all", t.Context(), 10_000, nil, io.EOF, nil},
		{"a store that fails", t.Context(), 5000, func() error { return errFull }, io.EOF, errFull},
		{"a store that fails at once", t.Context(), 0, func() error { return errFull }, io.EOF, errFull},
		{"a file that cannot be read to its end", t.Context(), 10_000, nil, broken, broken},
		{"canceled", storing, 5000, func() error { cancelStoring(); return storing.Err() }, io.EOF, context.Canceled},
		{"canceled as a chunk was stored", stored, 5000, func() error { cancelStored(); return nil }, io.EOF, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &store{capacity: tt.capacity, full: tt.full}
			i := importer(t, s)
			var reported []int
			i.Invalid = func(line int, _ string) { reported = append(reported, line) }
			result, err := i.Import(tt.ctx, failing{strings.NewReader(lines(10_000)), tt.end})
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if result.Records.Records() != len(s.records) || result.Invalid != len(reported) {
				t.Errorf("got %+v; %d records are stored, %d lines were reported", result, len(s.records), len(reported))
			}
			if tt.want == nil && result != (transfer.Result{Records: provider.ImportCount{Created: 8000}, Customers: 1000, Invalid: 1000}) {
				t.Errorf("got %+v", result)
			}
			if !slices.IsSorted(reported) {
				t.Errorf("the invalid lines are reported out of order: %d", reported)
			}
		})
	}
}

// TestImportOfAChangedFile imports a file that is written to between its two readings.
func TestImportOfAChangedFile(t *testing.T) {
	t.Parallel()
	const line = `{"customerId": "00000000-0000-4000-8000-000000000001", "providerType": "Hospital"}`
	for name, later := range map[string]string{
		"shorter":          line[:len(line)-1],
		"empty":            "",
		"invalid":          strings.Replace(line, "Hospital", "Hospice!", 1),
		"another record":   strings.Replace(line, "Hospital", "Pharmacy", 1),
		"another customer": strings.Replace(line, "0001", "0002", 1),
		"a customer alone": line[:strings.Index(line, ",")] + strings.Repeat(" ", len(line)-strings.Index(line, ",")-1) + "}",
	} {
		s := &store{capacity: 1}
		result, err := importer(t, s).Import(t.Context(), &changing{later: strings.NewReader(later), Reader: strings.NewReader(line)})
		if err == nil || result != (transfer.Result{}) || len(s.records) > 0 {
			t.Errorf("%s: got %+v, %v; %d records are stored", name, result, err, len(s.records))
		}
	}
}

// changing is a file that changes when it was read to its end.
type changing struct {
	*strings.Reader
	later *strings.Reader
}

func (c *changing) ReadAt(b []byte, offset int64) (int, error) {
	n, err := c.Reader.ReadAt(b, offset)
	if err == io.EOF && c.later != nil {
		c.Reader, c.later = c.later, nil
	}
	return n, err
}

// TestImportOverlaps has a store whose first transaction waits for the second.
func TestImportOverlaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testImportOverlaps)
}

func testImportOverlaps(t *testing.T) {
	var begun atomic.Int32
	second := make(chan bool)
	s := stub(func(records []provider.Import) error {
		if len(records) == 0 {
			return nil
		}
		if begun.Add(1) == 2 {
			close(second)
		}
		select {
		case <-second:
			return nil
		case <-time.After(time.Second): // all of the import waits
			return errors.New("the second transaction waits for the first")
		}
	})
	if result, err := importer(t, s).Import(t.Context(), strings.NewReader(lines(8000))); err != nil || result.Records.Created != 6400 {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestImportKeepsTheOrderOfARecord imports lines of which each part changes records of those before it.
func TestImportKeepsTheOrderOfARecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testImportKeepsTheOrderOfARecord)
}

func testImportKeepsTheOrderOfARecord(t *testing.T) {
	var (
		mu       sync.Mutex
		inFlight = map[uuid.UUID]bool{}
		last     = map[uuid.UUID]string{}
	)
	s := stub(func(records []provider.Import) error {
		if len(records) == 0 { // customers alone
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for _, record := range records {
			if inFlight[record.ID] {
				return errors.New("two transactions with one record are in flight")
			}
		}
		for _, record := range records {
			inFlight[record.ID] = true
		}
		mu.Unlock()
		time.Sleep(time.Second) // until all of the import waits: the next one has begun, if it does not wait for this one
		mu.Lock()
		for _, record := range records {
			last[record.ID], _ = record.Patch.Values[property.Notes].Text()
			delete(inFlight, record.ID)
		}
		return nil
	})
	var text strings.Builder
	want := map[uuid.UUID]string{}
	for n := range 20_000 {
		id := customer(n)
		if n%100 == 0 {
			id = customer(n / 100 % 7) // each of these comes several times in a part
		}
		want[id] = fmt.Sprint(n)
		fmt.Fprintf(&text, `{"id": "%s", "customerId": "%s", "providerType": "Hospital", "notes": "%d"}`+"\n", id, id, n)
	}
	if _, err := importer(t, s).Import(t.Context(), strings.NewReader(text.String())); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(last, want) {
		t.Error("a later line about a record did not have the last word")
	}
}

// stubStore is a store that only imports records.
type stubStore struct {
	provider.Store
	records func([]provider.Import) error
}

func stub(records func([]provider.Import) error) stubStore { return stubStore{records: records} }

func (s stubStore) Import(_ context.Context, _ int64, records []provider.Import, _ []uuid.UUID) (provider.ImportCount, error) {
	return provider.ImportCount{Created: len(records)}, s.records(records)
}

// BenchmarkImport reads and checks lines; it stores nothing.
func BenchmarkImport(b *testing.B) {
	text := strings.Repeat(storetest.Body(`"id":"00000000-0000-4000-8000-000000000000",`)+"\n", 1000)
	i := importer(b, &store{})
	for b.Loop() {
		if _, err := i.Check(b.Context(), strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func importer(t testing.TB, s provider.Store) *transfer.Importer {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	i, err := transfer.NewImporter(doc)
	if err != nil {
		t.Fatal(err)
	}
	i.Store = s
	return i
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

// failing is a file whose end is an error.
type failing struct {
	*strings.Reader
	end error
}

func (f failing) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.Reader.ReadAt(b, offset)
	if err == io.EOF {
		err = f.end
	}
	return n, err
}
