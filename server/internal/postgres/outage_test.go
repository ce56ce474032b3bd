package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	org := newFixture(t, server.Database(t), postgres.Options{})
	secret, key, err := apikey.Create(t.Context(), org, apikey.Key{Organization: org.organization}, 0)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := apikey.HashOf(secret)
	for round := range 2 {
		server.Stop(t)
		for name, call := range map[string]func() error{
			"Write":         func() error { _, err := org.update(text("lost")); return err },
			"Import":        func() error { _, err := org.Import(t.Context(), org.organization, nil, nil); return err },
			"Get":           func() error { _, err := org.get(); return err },
			"List":          func() error { _, err := org.list(); return err },
			"History":       func() error { _, err := org.events(); return err },
			"Export":        func() error { return provider.Export(t.Context(), org, org.organization, nil) },
			"KeyByHash":     func() error { _, err := org.KeyByHash(t.Context(), hash); return err },
			"RecordKeyUses": func() error { return org.RecordKeyUses(t.Context(), map[string]time.Time{key.ID: time.Now()}) },
			"Owners":        func() error { _, err := org.Owners(t.Context(), org.record.ID); return err },
			"Events":        func() error { _, err := org.Events(t.Context(), org.organization, org.record.ID, 1, 1); return err },
			"Ping":          func() error { return org.Ping(t.Context()) },
		} {
			err := call()
			var domain *provider.Error
			if !errors.As(err, &domain) || domain.Code != provider.CodeUnavailable || domain.RetryAfter == 0 {
				t.Errorf("%s without a server: error %v, want one of code %s with RetryAfter", name, err, provider.CodeUnavailable)
			} else if strings.HasSuffix(domain.Cause.Error(), " in time") {
				t.Errorf("%s without a server: %v, want an error that no timeout caused", name, domain.Cause)
			}
		}
		server.Start(t)
		record, err := org.update(text(fmt.Sprint("back ", round)))
		if err != nil || record.Version != int64(round+2) {
			t.Errorf("with the server again: version %d, error %v; want %d", record.Version, err, round+2)
		}
		if err := org.Ping(t.Context()); err != nil {
			t.Errorf("ping with the server again: %v", err)
		}
	}
}

// TestLostConnections has the server end every connection, as it does when it is started again. Nobody notices.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{InFlight: 8})
	all := []*fixture{org}
	for range 30 {
		all = append(all, org.another())
	}
	c := connect(t, dsn)
	for n := range 5 {
		terminateOthers(t, c)
		record, err := org.update(text(fmt.Sprint(n)))
		if want := int64(2 * (n + 1)); err != nil || record.Version != want {
			t.Fatalf("version %d, error %v; want %d", record.Version, err, want)
		}
		var many sync.WaitGroup // so that there are many connections
		for _, one := range all {
			many.Go(func() {
				if _, err := one.update(text(fmt.Sprint("and ", n))); err != nil {
					t.Error(err)
				}
			})
		}
		many.Wait()
	}
}

func TestUnknownOutcome(t *testing.T) {
	t.Run("the connection is lost before the commit", func(t *testing.T) {
		dsn := postgrestest.New(t)
		org := newFixture(t, dsn, postgres.Options{})
		execute(t, connect(t, dsn), `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM pg_terminate_backend(pg_backend_pid());
			RETURN NEW;
		END $$; CREATE TRIGGER die BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION die()`)
		unknown(t, org)
		execute(t, connect(t, dsn), "DROP TRIGGER die ON providers")
		if record, err := org.update(text("again")); err != nil || record.Version != 2 {
			t.Errorf("sent again: version %d, error %v; want 2", record.Version, err)
		}
	})

	t.Run("the response to the commit is lost", func(t *testing.T) {
		p := newProxy(t, postgrestest.New(t))
		org := newFixture(t, p.dsn, postgres.Options{})
		if _, err := org.update(text("before")); err != nil { // prepares the statements
			t.Fatal(err)
		}
		p.loseResponse(2) // to the second round trip, which commits
		unknown(t, org)
		if record, err := org.update(text("lost")); err != nil || record.Version != 3 {
			t.Errorf("sent again: version %d, error %v; want 3, as it was saved the first time", record.Version, err)
		}
	})

	t.Run("the response before the commit is lost", func(t *testing.T) {
		p := newProxy(t, postgrestest.New(t))
		org := newFixture(t, p.dsn, postgres.Options{})
		p.loseResponse(1)
		if record, err := org.update(text("not lost")); err != nil || record.Version != 2 {
			t.Errorf("version %d, error %v; want 2", record.Version, err)
		}
	})
}

// unknown makes a change of unknown outcome.
func unknown(t *testing.T, org *fixture) {
	t.Helper()
	_, err := org.update(text("lost"))
	var domain *provider.Error
	if !errors.As(err, &domain) || domain.Code != provider.CodeOutcomeUnknown || domain.RetryAfter == 0 {
		t.Fatalf("error %v, want one of code %s with RetryAfter", err, provider.CodeOutcomeUnknown)
	}
}

// TestReadOnly takes a server's role from it, as a failover does, while connections to it are open.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	one, other := pgtest.Start(t, pgserver.Options{}), pgtest.Start(t, pgserver.Options{Settings: []string{"autovacuum=off"}})
	oneDSN, otherDSN := one.Database(t), other.Database(t)
	admin, otherAdmin := connect(t, oneDSN), connect(t, otherDSN)
	org := newFixture(t, otherDSN, postgres.Options{}) // the record is on both
	if err := org.Close(); err != nil {
		t.Fatal(err)
	}
	role := func(c *pgx.Conn, readOnly string) {
		t.Helper()
		execute(t, c, "ALTER SYSTEM SET default_transaction_read_only = "+readOnly)
		execute(t, c, "SELECT pg_reload_conf()")
		await.State(t, "the server has its role", func() bool {
			var state string
			if err := c.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&state); err != nil {
				t.Fatal(err)
			}
			return state == readOnly
		})
	}
	role(otherAdmin, "on")

	both := with(t, oneDSN, func(u *url.URL) {
		q := u.Query()
		hosts := []string{q.Get("host"), mustParse(t, otherDSN).Query().Get("host")}
		q.Set("host", strings.Join(hosts, ","))
		u.RawQuery = q.Encode()
	})
	s := open(t, both, postgres.Options{})
	organization, _, err := s.EnsureOrganization(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if organization != org.organization {
		t.Fatalf("organizations %d and %d, want one number", organization, org.organization)
	}
	y := &fixture{Store: s, t: t, organization: organization, record: org.record}
	y.ensure()
	for range 4 {
		if _, err := y.update(text(uuid.NewString())); err != nil {
			t.Fatalf("update: %v", err)
		}
	}

	role(admin, "on")
	if _, err := y.update(text("while none can be written to")); storetest.CodeOrText(err) != provider.CodeUnavailable {
		t.Errorf("while no server can be written to: error %v, want one of code %s", err, provider.CodeUnavailable)
	}
	role(otherAdmin, "off")
	if record, err := y.update(text("on the new primary")); err != nil || record.Version != 2 {
		t.Errorf("on the new primary: version %d, error %v; want 2", record.Version, err)
	}
	role(admin, "off")
	role(otherAdmin, "on")
	if record, err := y.update(text("back, without an error between")); err != nil || record.Version != 6 {
		t.Errorf("back on the first: version %d, error %v; want 6", record.Version, err)
	}
}
