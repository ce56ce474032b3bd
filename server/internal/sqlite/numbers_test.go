package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
)

// TestFormsOfEvents reads events of this version and of earlier ones, in a file whose properties an earlier contract has numbered: it had one
// that is lost, and lacked others.
func TestFormsOfEvents(t *testing.T) {
	t.Parallel()
	s, ids := filled(t, 1, Options{})
	for n, statement := range []string{
		"DELETE FROM property_names",
		"INSERT INTO property_names VALUES (1, 'city'), (2, 'pager'), (3, 'customerId')",
		"UPDATE provider_events SET changes = '[2,\"1\",\"" + ids[0].String() + "\"]'",
		`INSERT INTO provider_events SELECT 2, record, 1, 2, at, 'updated', '', 'r', '[{"field":"pager","from":"1","to":"2"}]' FROM provider_events WHERE row = 1`,
		`INSERT INTO provider_events SELECT 3, record, 2, 3, at, 'updated', '', 'r', '{"pager":["2","3"]}' FROM provider_events WHERE row = 1`,
		`INSERT INTO provider_events SELECT 4, record, 3, 4, at, 'u', '', 'r', '[2,["3"]]' FROM provider_events WHERE row = 1`,
		"UPDATE providers SET version = 4, last_event = 4",
	} {
		if err := execute(s.writer, statement); err != nil {
			t.Fatalf("statement %d: %v", n, err)
		}
	}
	s, err := Open(t.Context(), s.path, Options{}) // reads the numbers
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := provider.Write{Action: provider.Updated, Organization: 1, CustomerID: ids[0], ID: ids[0], Patch: property.Patch{Values: property.Values{
		property.City: property.Text("c"), property.Notes: property.Text("n"),
	}}}
	if _, err := s.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	events, err := s.History(t.Context(), 1, ids[0], ids[0], 0, 5)
	if err != nil || len(events) != 5 {
		t.Fatalf("got %v, %v", events, err)
	}
	slices.Reverse(events)
	for i, want := range []property.Value{property.Text("1"), property.Text("2"), property.Text("3"), property.Null} {
		if got := events[i].Changes[0]; got.Field != "pager" || got.To != want {
			t.Errorf("version %d: got %v, want %v", i+1, got, want)
		}
	}
	if got := events[4].Changes; len(got) != 2 || got[0].Field != "city" || got[1].Field != "notes" || got[1].To != property.Text("n") {
		t.Errorf("version 5: got %v", got)
	}
	if _, err := s.Verify(t.Context(), func(p provider.Problem) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}

// A file whose numbers have a gap would give properties wrong names.
func TestGapInNumbers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(s.writer, "DELETE FROM property_names WHERE number = 3"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s, err := Open(t.Context(), path, Options{}); err == nil {
		s.Close()
		t.Error("it can be opened")
	} else if want := "open database " + path + ": read the table property_names: the number 3 of a property is missing"; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestNumbersOfNewerServer reads events with numbers that another store on the same file has given to properties since this one was opened:
// those of a newer contract.
func TestNumbersOfNewerServer(t *testing.T) {
	t.Parallel()
	older, ids := filled(t, 1, Options{})
	newer, err := Open(t.Context(), older.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer newer.Close()
	const pager = 1000 // more numbers than the contract has properties
	for number := len(provider.ChangedProperties()) + 1; number <= pager; number++ {
		if err := execute(newer.writer, insertNumber, "pager"+strconv.Itoa(number)); err != nil {
			t.Fatal(err)
		}
	}
	if err := execute(newer.writer, `UPDATE provider_events SET changes = '[1000,"1"]'`); err != nil {
		t.Fatal(err)
	}
	events, err := older.History(t.Context(), 1, ids[0], ids[0], 0, 5)
	if err != nil || len(events) != 1 || events[0].Changes[0].Field != "pager1000" {
		t.Errorf("the history is %v, %v", events, err)
	}
	older.numbers.Store(new(wire.Numbers))
	page, err := older.Activity(t.Context(), provider.ActivityQuery{Limit: 5})
	if err != nil || len(page.Events) != 1 || page.Events[0].Changes[0].Field != "pager1000" {
		t.Errorf("the activity is %v, %v", page.Events, err)
	}
	if err := execute(newer.writer, `UPDATE provider_events SET changes = '[1001,"1"]'`); err != nil {
		t.Fatal(err)
	}
	if _, err := older.History(t.Context(), 1, ids[0], ids[0], 0, 5); !errors.Is(err, wire.ErrUnknownNumber) {
		t.Errorf("a number that no property has: %v", err)
	}
}
