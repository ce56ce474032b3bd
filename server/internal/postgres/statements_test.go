package postgres_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

const countWritten = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'providers'"

func TestRoundTrips(t *testing.T) {
	p := newProxy(t, postgrestest.New(t))
	org := newFixture(t, p.dsn, postgres.Options{InFlight: 1})
	for range 2 { // the second prepares the statements of a repeated creation
		if _, err := org.once("a key"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		call func() error
		want int64
	}{
		{"a change", func() error { _, err := org.update(text(uuid.NewString())); return err }, 2},
		{"a new record", func() error { _, err := org.create(); return err }, 2},
		{"a new record with an idempotency key", func() error { _, err := org.once(uuid.NewString()); return err }, 2},
		{"the same again", func() error { _, err := org.once("a key"); return err }, 3},
		{"Get", func() error { _, err := org.get(); return err }, 1},
		{"List", func() error { _, err := org.list(); return err }, 1},
		{"History", func() error { _, err := org.events(); return err }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := range 3 {
				before := p.roundTrips.Load()
				if err := c.call(); err != nil {
					t.Fatal(err)
				}
				if got := p.roundTrips.Load() - before; n > 0 && got != c.want { // the first prepares the statements
					t.Errorf("%d round trips, want %d", got, c.want)
				}
			}
		})
	}
}

// TestCommitsWaitForTheDisk looks at the setting from inside of an update, in a database that has it off.
func TestCommitsWaitForTheDisk(t *testing.T) {
	dsn := postgrestest.New(t)
	execute(t, connect(t, dsn), "ALTER DATABASE "+database(t, dsn)+" SET synchronous_commit = off")
	for name, dsn := range map[string]string{
		"set for the database": dsn,
		"asked for in the URL": with(t, dsn, func(u *url.URL) { u.RawQuery += "&synchronous_commit=off" }),
	} {
		t.Run(name, func(t *testing.T) {
			org := newFixture(t, dsn, postgres.Options{})
			execute(t, connect(t, dsn), `CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				NEW.city = current_setting('synchronous_commit');
				RETURN NEW;
			END $$; CREATE OR REPLACE TRIGGER look BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION look()`)
			if _, err := org.update(text("a")); err != nil {
				t.Fatal(err)
			}
			if record, err := org.update(property.Patch{}); err != nil || record.Values[property.City] != property.Text("on") {
				t.Errorf("synchronous_commit was %v, error %v; want on", record.Values[property.City], err)
			}
		})
	}
}

// TestPlansHoldWhenTablesGrow has statements planned while there are two records and counts the rows that they read when
// there are many.
func TestPlansHoldWhenTablesGrow(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, with(t, dsn, func(u *url.URL) { u.RawQuery += "&pool_max_conns=1" }), postgres.Options{InFlight: 1})
	elsewhere := org.another()
	admin := connect(t, dsn)
	execute(t, admin, "VACUUM ANALYZE") // now it is known how small the tables are
	written := 2                        // rows
	read := func() int {
		await.State(t, "the session has reported its statistics", func() bool { // with a statement, at most once a second
			if err := org.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			return queryInt(t, admin, countWritten) == written
		})
		return queryInt(t, admin, "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes") + queryInt(t, admin, "SELECT sum(seq_tup_read) FROM pg_stat_user_tables")
	}
	calls := func() {
		t.Helper()
		_, updated := elsewhere.update(text(uuid.NewString()))
		_, created := elsewhere.create()
		_, got := elsewhere.get()
		_, listed := elsewhere.list()
		_, told := elsewhere.events()
		_, history := storetest.HistoryByID(t.Context(), elsewhere, elsewhere.record.ID)
		if err := errors.Join(updated, created, got, listed, told, history); err != nil {
			t.Fatal(err)
		}
		written += 2
	}
	for range 7 {
		calls()
	}
	const many, rounds = 4000, 10
	org.fill(many)
	written += many
	before := read()
	for range rounds {
		calls()
	}
	if n := read() - before; n < rounds || n > 100*rounds {
		t.Errorf("%d rounds of calls read %d rows of %d", rounds, n, many)
	}
}

// TestAChangeLeavesIndexesAlone sees to it that PostgreSQL can keep a record's new row next to its old one.
func TestAChangeLeavesIndexesAlone(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	const changes = 10 // fit in a page
	for range changes {
		if _, err := org.update(text(uuid.NewString())); err != nil {
			t.Fatal(err)
		}
	}
	org.Close() // tells
	c := connect(t, dsn)
	await.State(t, "the changes are counted", func() bool {
		return queryInt(t, c, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'providers'") == changes
	})
	if n := queryInt(t, c, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'providers'"); n != changes {
		t.Errorf("%d of %d changes left the indexes alone, want all", n, changes)
	}
}
