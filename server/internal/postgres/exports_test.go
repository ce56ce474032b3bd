package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// exported is how many records are more than fit between the server and a store.
const exported = 4000

// TestASlowExportIsComplete has a reader that stops until the server waits for it. The reader may take longer than other
// statements and transactions: each row that is read checks the statement's timeout, which is the time that the
// transaction has left.
func TestASlowExportIsComplete(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	org.fill(exported)
	c := connect(t, dsn)
	execute(t, c, `CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('statement_timeout')::interval < '1 hour' THEN
				RAISE EXCEPTION 'the statement times out after %', current_setting('statement_timeout');
			END IF;
			RETURN true;
		END $$; ALTER TABLE providers RENAME TO rows; CREATE VIEW providers AS SELECT * FROM rows WHERE look()`)
	calls := 0
	err := org.Export(t.Context(), "test", func(uuid.UUID, *provider.Provider) error {
		if calls++; calls == 1 {
			await.State(t, "the server waits for the reader", func() bool {
				return queryInt(t, c, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND datname = current_database()") == 1
			})
		}
		return nil
	})
	if want := 1 + exported; err != nil || calls != want {
		t.Errorf("%d calls, error %v; want %d", calls, err, want)
	}
}

// TestABrokenExportIsNotBegunAnew takes the connection from an export. What it has handed over cannot be taken back.
func TestABrokenExportIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	org.fill(exported)
	c := connect(t, dsn)
	seen := map[uuid.UUID]bool{}
	err := org.Export(t.Context(), "test", func(_ uuid.UUID, record *provider.Provider) error {
		if len(seen) == 0 {
			terminateOthers(t, c)
		}
		if seen[record.ID] {
			t.Fatal("a record came twice")
		}
		seen[record.ID] = true
		return nil
	})
	if storetest.CodeOrText(err) != provider.CodeUnavailable || len(seen) == 1+exported {
		t.Errorf("%d records, error %v; want fewer than all and one of code %s", len(seen), err, provider.CodeUnavailable)
	}
}

// TestAnExportThatEndsEarly sees to it that nobody reads, or waits for, what is left.
func TestAnExportThatEndsEarly(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	org.fill(exported)
	full := errors.New("the disk is full")
	leaving, leave := context.WithCancel(t.Context())
	for _, c := range []struct {
		name string
		ctx  context.Context
		f    func() error
		want error
	}{
		{"f has an error", t.Context(), func() error { return full }, full},
		{"the caller leaves", leaving, func() error { leave(); return nil }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			err := org.Export(c.ctx, "test", func(uuid.UUID, *provider.Provider) error { calls++; return c.f() })
			if err != c.want || calls > exported {
				t.Errorf("error %v after %d calls, want %v before the last", err, calls, c.want)
			}
			if _, err := org.get(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
