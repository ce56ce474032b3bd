package sqlite

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Downgrade are statements that give a database the schema of version 2.
const Downgrade = `
	CREATE TABLE old_events (row INTEGER PRIMARY KEY, previous INTEGER, version INTEGER NOT NULL, at INTEGER NOT NULL, action TEXT NOT NULL,
		key_id TEXT NOT NULL, request_id TEXT NOT NULL, changes TEXT NOT NULL) STRICT;
	INSERT INTO old_events SELECT row, previous, version, at, action, key_id, request_id, changes FROM provider_events;
	DROP TABLE provider_events;
	ALTER TABLE old_events RENAME TO provider_events;
	DROP TABLE provider_event_times;
	DROP TABLE purged_organizations;
	DROP TABLE usage;
	DROP TABLE invitations;
	DROP TABLE sessions;
	DROP TABLE memberships;
	DROP TABLE recovery_codes;
	DROP TABLE users;
	DROP TABLE idempotency_keys;
	DROP INDEX api_keys_by_organization;
	ALTER TABLE api_keys DROP COLUMN successor;
	ALTER TABLE organizations DROP COLUMN suspended;
	DROP TABLE purged_customers;
	DROP TABLE property_names;
	DROP INDEX providers_by_filter;
	DROP INDEX providers_deleted;
	DELETE FROM ` + schema.VersionTable + ` WHERE version_id >= 3;`

// A history that is older than the migration which names some of its events has the same pages after it.
func TestMigrateLongHistory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	organization, _, err := s.EnsureOrganization(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	one := provider.Import{ID: id, Patch: storetest.PatchOf(0)}
	one.Patch.CustomerID = &id
	if _, err := s.Import(t.Context(), organization, []provider.Import{one}, nil); err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		w := provider.Write{Action: provider.Updated, Organization: organization, CustomerID: id, ID: id,
			Patch: property.Patch{Values: property.Values{property.City: property.Text(string(rune('a' + n)))}}}
		if _, err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	before := pagesOf(t, s, organization, id)
	named := countNamed(t, s)
	s.Close()

	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.ExecuteScript(c, Downgrade, nil)
	c.Close()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := countNamed(t, s); got != named || named != 201 {
		t.Errorf("%d events name the record after the migration, %d before; want 201", got, named)
	}
	for i, page := range pagesOf(t, s, organization, id) {
		if len(page) != len(before[i]) || page[0].Version != before[i][0].Version {
			t.Errorf("page %d has changed", i)
		}
	}
}

func pagesOf(t *testing.T, s *Store, organization int64, id uuid.UUID) (pages [][]provider.Event) {
	t.Helper()
	for before := int64(math.MaxInt64); before > 1; {
		page, err := s.History(context.Background(), organization, id, id, before, 10)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d events before %d, %v", len(page), before, err)
		}
		pages = append(pages, page)
		before = page[len(page)-1].Version
	}
	return pages
}

func countNamed(t *testing.T, s *Store) (n int) {
	t.Helper()
	err := s.read(t.Context(), func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, "SELECT count(*) FROM provider_events WHERE record = (SELECT row FROM providers)",
			&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { n = s.ColumnInt(0); return nil }})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
