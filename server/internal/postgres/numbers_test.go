package postgres_test

import (
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

const countNumbered = "SELECT count(*) FROM provider_events WHERE changes NOT LIKE '{%'"

// While servers may run that do not know numbers, events are like those of such servers. Once Finish says that there are none, stores that are
// open follow.
func TestFinish(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	c := connect(t, dsn)
	execute(t, c, "DELETE FROM property_names; UPDATE provider_events SET action = 'created', changes = '{}'") // as if the version before had created it
	org.Store = open(t, dsn, postgres.Options{})
	var last property.Patch
	change := func(want int) {
		t.Helper()
		last = text(uuid.NewString())
		if _, err := org.update(last); err != nil {
			t.Fatal(err)
		}
		if _, err := org.create(); err != nil {
			t.Fatal(err)
		}
		if got := queryInt(t, c, countNumbered); got != want {
			t.Errorf("%d events have numbers, want %d", got, want)
		}
		if status, err := postgres.ReadStatus(t.Context(), dsn, nil, func(apikey.Key) {}); err != nil || status.Unfinished != (want == 0) {
			t.Errorf("with %d such events: the upgrade is unfinished: %t, %v", want, status.Unfinished, err)
		}
	}
	change(0)
	if _, _, err := org.EnsureOrganization(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	change(0)
	execute(t, c, "INSERT INTO property_names VALUES (1, 'customerId')") // as if Finish had just begun
	change(0)
	open(t, dsn, postgres.Options{Finish: true})
	change(2)
	events, err := org.events()
	if err != nil || len(events) != 5 || events[0].Action != provider.Updated || events[0].Changes[0].To != last.Values[property.Notes] {
		t.Errorf("got %v, %v", events, err)
	}
}

// A newer server has numbered a property that this one does not know, after this one was started.
func TestNumberOfANewerServer(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	c := connect(t, dsn)
	execute(t, c, `INSERT INTO property_names SELECT max(number) + 1, 'newer' FROM property_names;
		UPDATE provider_events SET changes = '[' || (SELECT max(number) FROM property_names) || ',["a","b"]]'`)
	want := provider.Change{Field: "newer", From: property.Text("a"), To: property.Text("b")}
	for name, read := range map[string]func() ([]provider.Event, error){
		"a page": org.events,
		"all": func() ([]provider.Event, error) {
			return open(t, dsn, postgres.Options{}).Events(t.Context(), org.organization, org.record.ID, 9, 9)
		},
	} {
		if events, err := read(); err != nil || len(events) != 1 || len(events[0].Changes) != 1 || events[0].Changes[0] != want {
			t.Errorf("%s: got %v, %v", name, events, err)
		}
	}
	execute(t, c, "UPDATE provider_events SET changes = '[4711,true]'")
	if _, err := org.events(); provider.CodeOf(err) != provider.CodeInternal {
		t.Errorf("a number that nobody has given: %v", err)
	}
}
