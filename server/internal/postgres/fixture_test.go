package postgres_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// others are the other connections to the database.
const others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

// fixture is a store with one record.
type fixture struct {
	*postgres.Store
	t            testing.TB
	organization int64
	record       provider.Provider // its IDs
}

func newFixture(t testing.TB, dsn string, o postgres.Options) *fixture {
	t.Helper()
	x := &fixture{Store: open(t, dsn, o), t: t}
	var err error
	if x.organization, err = x.EnsureOrganization(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	return x.another()
}

// another returns the store with another record.
func (x *fixture) another() *fixture {
	x.t.Helper()
	another := *x
	another.record = provider.Provider{ID: uuid.New(), CustomerID: uuid.New()}
	another.make()
	return &another
}

func (x *fixture) make() {
	x.t.Helper()
	if err := x.Import(x.t.Context(), x.organization, []provider.Import{x.importOf(x.record.ID)}, nil); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) importOf(id uuid.UUID) provider.Import {
	patch := storetest.PatchOf(0)
	patch.CustomerID = &x.record.CustomerID
	return provider.Import{ID: id, Patch: patch}
}

func (x *fixture) update(patch property.Patch) (provider.Provider, error) {
	return x.Write(context.Background(), x.updateOf(patch))
}

func (x *fixture) updateOf(patch property.Patch) provider.Write {
	return provider.Write{Action: provider.Updated, Organization: x.organization, CustomerID: x.record.CustomerID, ID: x.record.ID, Patch: patch}
}

func (x *fixture) create() (provider.Provider, error) {
	one := x.importOf(uuid.New())
	return x.Write(context.Background(), provider.Write{Action: provider.Created, Organization: x.organization, CustomerID: x.record.CustomerID, ID: one.ID, Patch: one.Patch})
}

func (x *fixture) get() (provider.Provider, error) {
	return x.Get(context.Background(), x.organization, x.record.CustomerID, x.record.ID)
}

func (x *fixture) list() ([]provider.Provider, error) {
	return x.List(context.Background(), provider.List{Organization: x.organization, CustomerID: x.record.CustomerID, Limit: 20})
}

func (x *fixture) events() ([]provider.Event, error) {
	return x.History(context.Background(), x.organization, x.record.CustomerID, x.record.ID, 0, 20)
}

// fill makes n more records for the fixture's customer.
func (x *fixture) fill(n int) {
	x.t.Helper()
	imports := make([]provider.Import, n)
	for i := range imports {
		imports[i] = x.importOf(uuid.New())
		imports[i].Patch.Values[property.Notes] = property.Text(strings.Repeat("notes ", 100))
	}
	if err := x.Import(x.t.Context(), x.organization, imports, nil); err != nil {
		x.t.Fatal(err)
	}
}

func text(s string) property.Patch {
	return property.Patch{Values: property.Values{property.Notes: property.Text(s)}}
}

func open(t testing.TB, dsn string, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// connect returns a connection of the test's own.
func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func execute(t testing.TB, c *pgx.Conn, statements string) {
	t.Helper()
	if _, err := c.PgConn().Exec(context.Background(), statements).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

func queryInt(t testing.TB, c *pgx.Conn, query string) (n int) {
	t.Helper()
	if err := c.QueryRow(context.Background(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// terminateOthers ends all other connections to the database, and returns when the server has none of them.
func terminateOthers(t testing.TB, c *pgx.Conn) {
	t.Helper()
	execute(t, c, "SELECT pg_terminate_backend(pid) "+others)
	await.State(t, "the connections have ended", func() bool { return queryInt(t, c, "SELECT count(*) "+others) == 0 })
}

func mustParse(t testing.TB, dsn string) *url.URL {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// with returns a changed URL.
func with(t testing.TB, dsn string, change func(*url.URL)) string {
	t.Helper()
	u := mustParse(t, dsn)
	change(u)
	return u.String()
}

func database(t testing.TB, dsn string) string {
	t.Helper()
	return strings.TrimPrefix(mustParse(t, dsn).Path, "/")
}
