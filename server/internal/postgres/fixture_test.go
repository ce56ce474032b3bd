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
	org := &fixture{Store: open(t, dsn, o), t: t}
	var err error
	if org.organization, _, err = org.EnsureOrganization(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	return org.another()
}

// another returns the store with another record.
func (org *fixture) another() *fixture {
	org.t.Helper()
	another := *org
	another.record = provider.Provider{ID: uuid.New(), CustomerID: uuid.New()}
	another.ensure()
	return &another
}

func (org *fixture) ensure() {
	org.t.Helper()
	if _, err := org.Import(org.t.Context(), org.organization, []provider.Import{org.importOf(org.record.ID)}, nil); err != nil {
		org.t.Fatal(err)
	}
}

func (org *fixture) importOf(id uuid.UUID) provider.Import {
	patch := storetest.PatchOf(0)
	patch.CustomerID = &org.record.CustomerID
	return provider.Import{ID: id, Patch: patch}
}

func (org *fixture) update(patch property.Patch) (provider.Provider, error) {
	return org.Write(context.Background(), org.updateOf(patch))
}

func (org *fixture) updateOf(patch property.Patch) provider.Write {
	return provider.Write{Action: provider.Updated, Organization: org.organization, CustomerID: org.record.CustomerID, ID: org.record.ID, Patch: patch}
}

func (org *fixture) create() (provider.Provider, error) {
	one := org.importOf(uuid.New())
	return org.Write(context.Background(), provider.Write{Action: provider.Created, Organization: org.organization, CustomerID: org.record.CustomerID, ID: one.ID, Patch: one.Patch})
}

func (org *fixture) get() (provider.Provider, error) {
	return org.Get(context.Background(), org.organization, org.record.CustomerID, org.record.ID)
}

func (org *fixture) list() ([]provider.Provider, error) {
	return org.List(context.Background(), provider.List{Organization: org.organization, CustomerID: org.record.CustomerID, Limit: 20})
}

func (org *fixture) events() ([]provider.Event, error) {
	return org.History(context.Background(), org.organization, org.record.CustomerID, org.record.ID, 0, 20)
}

// fill makes n more records for the fixture's customer.
func (org *fixture) fill(n int) {
	org.t.Helper()
	imports := make([]provider.Import, n)
	for i := range imports {
		imports[i] = org.importOf(uuid.New())
		imports[i].Patch.Values[property.Notes] = property.Text(strings.Repeat("notes ", 100))
	}
	if _, err := org.Import(org.t.Context(), org.organization, imports, nil); err != nil {
		org.t.Fatal(err)
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
