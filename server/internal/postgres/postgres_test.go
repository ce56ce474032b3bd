package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		return open(t, pgtest.New(t), postgres.Options{Now: now})
	})
}

// TestReplicas runs the contract on two stores of one database, of which each takes every other call.
func TestReplicas(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		dsn := pgtest.New(t)
		r := &replicas{t: t, dsn: dsn}
		for range 2 {
			r.stores = append(r.stores, open(t, dsn, postgres.Options{Now: now}))
		}
		return r
	})
}

type replicas struct {
	t      *testing.T
	dsn    string
	stores []*postgres.Store
	calls  atomic.Uint64
}

func (r *replicas) next() *postgres.Store { return r.stores[r.calls.Add(1)%uint64(len(r.stores))] }

func (r *replicas) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	return r.next().Write(ctx, w)
}
func (r *replicas) Get(ctx context.Context, organization int64, customer, id uuid.UUID) (provider.Provider, error) {
	return r.next().Get(ctx, organization, customer, id)
}
func (r *replicas) List(ctx context.Context, l provider.List) ([]provider.Provider, error) {
	return r.next().List(ctx, l)
}
func (r *replicas) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	return r.next().History(ctx, organization, customer, id, before, limit)
}
func (r *replicas) Import(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) error {
	return r.next().Import(ctx, organization, imports, customers)
}
func (r *replicas) Export(ctx context.Context, organization string, f func(uuid.UUID, *provider.Provider) error) error {
	return r.next().Export(ctx, organization, f)
}
func (r *replicas) HistoryByID(ctx context.Context, id uuid.UUID) ([]provider.Event, error) {
	return r.next().HistoryByID(ctx, id)
}
func (r *replicas) EnsureOrganization(ctx context.Context, name string) (int64, error) {
	return r.next().EnsureOrganization(ctx, name)
}
func (r *replicas) CreateKey(ctx context.Context, key apikey.Key, hash apikey.Hash) error {
	return r.next().CreateKey(ctx, key, hash)
}
func (r *replicas) KeyByHash(ctx context.Context, hash apikey.Hash) (apikey.Key, error) {
	return r.next().KeyByHash(ctx, hash)
}
func (r *replicas) KeyByID(ctx context.Context, id string) (apikey.Key, error) {
	return r.next().KeyByID(ctx, id)
}
func (r *replicas) ListKeys(ctx context.Context) ([]apikey.Key, error) { return r.next().ListKeys(ctx) }
func (r *replicas) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return r.next().RevokeKey(ctx, id, at)
}
func (r *replicas) RecordKeyUse(ctx context.Context, id string, at time.Time) error {
	return r.next().RecordKeyUse(ctx, id, at)
}
func (r *replicas) Ping(ctx context.Context) error { return r.next().Ping(ctx) }

// Close closes both and sees to it that their transactions never waited for each other in a circle.
func (r *replicas) Close() error {
	var err error
	for _, s := range r.stores {
		err = errors.Join(err, s.Close())
	}
	c := connect(r.t, r.dsn)
	await.State(r.t, "the stores have left", func() bool {
		return queryInt(r.t, c, "SELECT count(*) "+others) == 0
	})
	if n := queryInt(r.t, c, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		r.t.Errorf("%d deadlocks, want none", n)
	}
	return err
}

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := queryInt(t, connect(t, dsn), "SELECT count(*) FROM goose_db_version WHERE version_id = 1"); n != 1 {
		t.Errorf("the first migration was made %d times", n)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	migrated := pgtest.New(t)
	open(t, migrated, postgres.Options{}).Close()
	newer := pgtest.New(t)
	open(t, newer, postgres.Options{}).Close()
	migrations, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	execute(t, connect(t, newer), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (7777, true)")
	empty := pgtest.New(t)
	reader := "reader_of_" + database(t, empty) // a role belongs to the server, which other runs of this test share
	execute(t, connect(t, empty), "CREATE ROLE "+reader+" LOGIN; REVOKE CREATE ON SCHEMA public FROM public")
	nowhere := t.TempDir() // for a socket; a port of this machine may be another program's
	readOnly := pgtest.New(t)
	execute(t, connect(t, readOnly), "ALTER DATABASE "+database(t, readOnly)+" SET default_transaction_read_only = on")

	for _, c := range []struct{ name, dsn, want string }{
		{"no server", "postgres://user:secret@/db?host=" + nowhere, "open database " + nowhere + ":5432/db: no server can be reached there; start it, or fix host, port and sslmode"},
		{"no such host", "postgres://user:secret@nowhere.invalid/db", "no server can be reached there"},
		{"no database", with(t, migrated, func(u *url.URL) { u.Path = "/nowhere" }), "there is no database of that name"},
		{"no user", with(t, migrated, func(u *url.URL) { u.User = url.UserPassword("nobody", "secret") }), "the server refuses this user or password"},
		{"no right to make tables", with(t, empty, func(u *url.URL) { u.User = url.UserPassword(reader, "secret") }), "this user may not make tables"},
		{"a newer schema", newer, fmt.Sprintf("its schema, version 7777, was made by a newer version of this program, which knows up to %d; install the newer program", len(migrations))},
		{"read-only", readOnly, "it is read-only; name the primary server"},
		{"no URL", "postgres://user:secret@host:port/db", "the URL cannot be read"},
		{"an at sign in the password", "postgres://user:12@secret@host/db", "the URL cannot be read"},
		{"a slash in the password", "postgres://user:12/secret@host/db", "the URL cannot be read"},
		{"a question mark in the password", "postgres://user:12?secret@host/db", "the URL cannot be read"},
		{"a hash in the password", "postgres://user:12#secret@host/db", "the URL cannot be read"},
		{"a percent sign in the password", "postgres://user:12%secret@host/db", "the URL cannot be read"},
		{"a space in the password", "postgres://user:12 secret@host/db?sslmode=wrong", "the URL cannot be read"},
		{"a wrong setting", "postgres://user:secret@host/db?sslmode=secret", "the URL cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := postgres.Open(t.Context(), c.dsn, postgres.Options{})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(fmt.Sprintf("%+v", err), "secret") {
				t.Errorf("error %v\nwant one that says %s, and nothing secret", err, c.want)
			}
		})
	}
}

// TestCollisions raises from a trigger what another transaction's lock or write can cause.
func TestCollisions(t *testing.T) {
	for _, c := range []struct {
		state    string
		raised   int // times
		want     provider.Code
		attempts int
	}{
		{"40001", 3, "", 4},
		{"40P01", 3, "", 4},
		{"40001", 1000, provider.CodeUnavailable, 8},
		{"40P01", 1000, provider.CodeUnavailable, 8},
		{"23514", 1, provider.CodeInternal, 1},
		{"53100", 1, provider.CodeUnavailable, 1},
		{"57014", 1, provider.CodeUnavailable, 1},
	} {
		t.Run(fmt.Sprint(c.state, " ", c.raised, " times"), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.New(t)
			x := newFixture(t, dsn, postgres.Options{})
			execute(t, connect(t, dsn), `CREATE SEQUENCE raised; CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('raised') <= `+fmt.Sprint(c.raised)+` THEN
					RAISE EXCEPTION 'a message with %', NEW.notes USING ERRCODE = '`+c.state+`', DETAIL = NEW.notes, HINT = NEW.notes;
				END IF;
				RETURN NEW;
			END $$; CREATE TRIGGER raise BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION raise()`)
			record, err := x.update(text("secret"))
			if storetest.CodeOrText(err) != c.want {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if n := queryInt(t, connect(t, dsn), "SELECT last_value FROM raised"); n != c.attempts { // a sequence counts what is undone, too
				t.Errorf("%d attempts, want %d", n, c.attempts)
			}
			if err == nil {
				if record.Version != 2 {
					t.Errorf("version %d, want 2", record.Version)
				}
				return
			}
			var domain *provider.Error
			if errors.As(err, &domain); domain.Code == provider.CodeUnavailable && domain.RetryAfter == 0 {
				t.Errorf("error %v, want one with RetryAfter", err)
			}
			if shown := fmt.Sprintf("%v %+v %#v", err, err, domain.Cause); strings.Contains(shown, "secret") || !strings.Contains(shown, c.state) {
				t.Errorf("error %s, want the code and nothing else of it", shown)
			}
			execute(t, connect(t, dsn), "DROP TRIGGER raise ON providers")
			if record, err := x.update(text("then")); err != nil || record.Version != 2 {
				t.Errorf("afterwards: version %d, error %v", record.Version, err)
			}
		})
	}
}

// TestABadCallFailsAlone puts a call that the database refuses among good ones.
func TestABadCallFailsAlone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	var sizes []int // of the batches
	observe := func(size int, _ time.Duration) { sizes = append(sizes, size) }
	x := newFixture(t, dsn, postgres.Options{InFlight: 1, Batch: writes.Options{Options: batch.Options{Observe: observe, MaxWait: time.Hour}}})
	calls := make([]func(context.Context), 20)
	for i := range calls {
		other := x.another()
		calls[i] = func(ctx context.Context) {
			notes := "good"
			if i == 7 {
				notes = "\x00 is no character to PostgreSQL"
			}
			record, err := other.Write(ctx, other.updateOf(text(notes)))
			if i == 7 && (storetest.CodeOrText(err) != provider.CodeInternal || strings.Contains(err.Error(), "character")) {
				t.Errorf("the bad call: error %v, want one of code %s without values", err, provider.CodeInternal)
			} else if i != 7 && (err != nil || record.Version != 2) {
				t.Errorf("a good call: version %d, error %v", record.Version, err)
			}
		}
	}
	together(t, dsn, x, calls)
	x.Close() // returns after the last size was reported
	if want := []int{1, len(calls)}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %d calls, want %d", sizes, want)
	}
}

// together has calls share a batch: they arrive while the one before it waits for a record's lock.
func together(t *testing.T, dsn string, x *fixture, calls []func(context.Context)) {
	t.Helper()
	holder := connect(t, dsn)
	execute(t, holder, "BEGIN; SELECT 1 FROM providers WHERE id = '"+x.record.ID.String()+"' FOR UPDATE")
	var all, queued sync.WaitGroup
	all.Go(func() {
		if _, err := x.update(text("first")); err != nil {
			t.Error(err)
		}
	})
	watcher := connect(t, dsn)
	await.State(t, "an update waits for the lock", func() bool {
		return queryInt(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") > 0
	})
	queued.Add(len(calls))
	for _, call := range calls {
		all.Go(func() { call(&announcing{t.Context(), sync.OnceFunc(queued.Done)}) })
	}
	queued.Wait()
	execute(t, holder, "COMMIT")
	all.Wait()
}

// announcing is a context that reports when something first waits for its end, as a queued call does.
type announcing struct {
	context.Context
	announce func()
}

func (a *announcing) Done() <-chan struct{} {
	a.announce()
	return a.Context.Done()
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	x := newFixture(t, server.Database(t), postgres.Options{})
	secret, key, err := apikey.Create(t.Context(), x, apikey.Key{Organization: x.organization}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := apikey.HashOf(secret)
	for round := range 2 {
		server.Stop(t)
		for name, call := range map[string]func() error{
			"Write":       func() error { _, err := x.update(text("lost")); return err },
			"Import":      func() error { return x.Import(t.Context(), x.organization, nil, nil) },
			"Get":         func() error { _, err := x.get(); return err },
			"List":        func() error { _, err := x.list(); return err },
			"History":     func() error { _, err := x.events(); return err },
			"Export":      func() error { return x.Export(t.Context(), "test", nil) },
			"KeyByHash":   func() error { _, err := x.KeyByHash(t.Context(), hash); return err },
			"TouchKey":    func() error { return x.RecordKeyUse(t.Context(), key.ID, time.Now()) },
			"HistoryByID": func() error { _, err := x.HistoryByID(t.Context(), x.record.ID); return err },
			"Ping":        func() error { return x.Ping(t.Context()) },
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
		record, err := x.update(text(fmt.Sprint("back ", round)))
		if err != nil || record.Version != int64(round+2) {
			t.Errorf("with the server again: version %d, error %v; want %d", record.Version, err, round+2)
		}
		if err := x.Ping(t.Context()); err != nil {
			t.Errorf("ping with the server again: %v", err)
		}
	}
}

// TestLostConnections has the server end every connection, as it does when it is started anew. Nobody notices.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{InFlight: 8})
	all := []*fixture{x}
	for range 30 {
		all = append(all, x.another())
	}
	c := connect(t, dsn)
	for n := range 5 {
		terminateOthers(t, c)
		record, err := x.update(text(fmt.Sprint(n)))
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
		dsn := pgtest.New(t)
		x := newFixture(t, dsn, postgres.Options{})
		execute(t, connect(t, dsn), `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM pg_terminate_backend(pg_backend_pid());
			RETURN NEW;
		END $$; CREATE TRIGGER die BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION die()`)
		unknown(t, x)
		execute(t, connect(t, dsn), "DROP TRIGGER die ON providers")
		if record, err := x.update(text("again")); err != nil || record.Version != 2 {
			t.Errorf("sent again: version %d, error %v; want 2", record.Version, err)
		}
	})

	t.Run("the answer to the commit is lost", func(t *testing.T) {
		p := newProxy(t, pgtest.New(t))
		x := newFixture(t, p.dsn, postgres.Options{})
		p.loseAnswer(2) // to the second round trip, which commits
		unknown(t, x)
		if record, err := x.update(text("lost")); err != nil || record.Version != 2 {
			t.Errorf("sent again: version %d, error %v; want 2, as it was saved the first time", record.Version, err)
		}
	})

	t.Run("the answer before the commit is lost", func(t *testing.T) {
		p := newProxy(t, pgtest.New(t))
		x := newFixture(t, p.dsn, postgres.Options{})
		p.loseAnswer(1)
		if record, err := x.update(text("not lost")); err != nil || record.Version != 2 {
			t.Errorf("version %d, error %v; want 2", record.Version, err)
		}
	})
}

// unknown makes a change of unknown outcome.
func unknown(t *testing.T, x *fixture) {
	t.Helper()
	_, err := x.update(text("lost"))
	var domain *provider.Error
	if !errors.As(err, &domain) || domain.Code != provider.CodeOutcomeUnknown || domain.RetryAfter == 0 {
		t.Fatalf("error %v, want one of code %s with RetryAfter", err, provider.CodeOutcomeUnknown)
	}
}

func TestRoundTrips(t *testing.T) {
	p := newProxy(t, pgtest.New(t))
	x := newFixture(t, p.dsn, postgres.Options{InFlight: 1})
	for _, c := range []struct {
		name string
		call func() error
		want int64
	}{
		{"a change", func() error { _, err := x.update(text(uuid.NewString())); return err }, 2},
		{"a new record", func() error { _, err := x.create(); return err }, 2},
		{"Get", func() error { _, err := x.get(); return err }, 1},
		{"List", func() error { _, err := x.list(); return err }, 1},
		{"History", func() error { _, err := x.events(); return err }, 1},
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

// TestASlowExportIsComplete has a reader that stops until the server waits for it. The reader may take longer than other
// statements and transactions: each row that is read checks the statement's timeout, which is the time that the
// transaction has left.
func TestASlowExportIsComplete(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{})
	x.fill(exported)
	c := connect(t, dsn)
	execute(t, c, `CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('statement_timeout')::interval < '1 hour' THEN
				RAISE EXCEPTION 'the statement times out after %', current_setting('statement_timeout');
			END IF;
			RETURN true;
		END $$; ALTER TABLE providers RENAME TO rows; CREATE VIEW providers AS SELECT * FROM rows WHERE look()`)
	calls := 0
	err := x.Export(t.Context(), "test", func(uuid.UUID, *provider.Provider) error {
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

// exported is how many records are more than fits between the server and a store.
const exported = 4000

// TestABrokenExportIsNotBegunAnew takes the connection from an export. What it has handed over cannot be taken back.
func TestABrokenExportIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{})
	x.fill(exported)
	c := connect(t, dsn)
	seen := map[uuid.UUID]bool{}
	err := x.Export(t.Context(), "test", func(_ uuid.UUID, record *provider.Provider) error {
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
	x := newFixture(t, dsn, postgres.Options{})
	x.fill(exported)
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
			err := x.Export(c.ctx, "test", func(uuid.UUID, *provider.Provider) error { calls++; return c.f() })
			if err != c.want || calls > exported {
				t.Errorf("error %v after %d calls, want %v before the last", err, calls, c.want)
			}
			if _, err := x.get(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestReadOnly takes a server's role from it, as a failover does, while connections to it are open.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	one, other := pgtest.Start(t, pgserver.Options{}), pgtest.Start(t, pgserver.Options{Settings: []string{"autovacuum=off"}})
	oneDSN, otherDSN := one.Database(t), other.Database(t)
	admin, otherAdmin := connect(t, oneDSN), connect(t, otherDSN)
	x := newFixture(t, otherDSN, postgres.Options{}) // the record is on both
	if err := x.Close(); err != nil {
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
	organization, err := s.EnsureOrganization(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if organization != x.organization {
		t.Fatalf("organizations %d and %d, want one number", organization, x.organization)
	}
	y := &fixture{Store: s, t: t, organization: organization, record: x.record}
	y.make()
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

// Whoever finds all connections in use waits for one, and not for ever.
func TestNoFreeConnectionIsBusy(t *testing.T) {
	t.Parallel()
	dsn := with(t, pgtest.New(t), func(u *url.URL) { u.RawQuery += "&pool_max_conns=1" })
	x := newFixture(t, dsn, postgres.Options{})
	err := x.Export(t.Context(), "test", func(uuid.UUID, *provider.Provider) error { // has the only one
		_, err := x.update(text("a"))
		wantBusy(t, err, "no connection became free in time")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := x.update(text("a")); err != nil {
		t.Error(err)
	}
}

func TestALockedRecordIsBusy(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{})
	holder := connect(t, dsn)
	execute(t, holder, "BEGIN; SELECT 1 FROM providers FOR UPDATE")
	_, err := x.update(text("a"))
	wantBusy(t, err, "55P03") // lock_timeout, the shortest one
	execute(t, holder, "COMMIT")
	if _, err := x.update(text("a")); err != nil {
		t.Error(err)
	}
}

// An import that waits for a deletion of one of its records sees that it was deleted, and does not have to try again.
func TestAnImportWaitsForADeletion(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{})
	holder, observer := connect(t, dsn), connect(t, dsn)
	execute(t, holder, `CREATE SEQUENCE inserted; CREATE FUNCTION count_insert() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM nextval('inserted'); RETURN NEW; END $$;
		CREATE TRIGGER count_insert BEFORE INSERT ON provider_events FOR EACH ROW EXECUTE FUNCTION count_insert()`)
	execute(t, holder, "BEGIN; SELECT 1 FROM providers FOR UPDATE")
	waiting := func(n int) {
		await.State(t, fmt.Sprint(n, " transactions wait for the record"), func() bool {
			return queryInt(t, observer, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == n
		})
	}
	var both sync.WaitGroup
	both.Go(func() {
		w := provider.Write{Action: provider.Deleted, Organization: x.organization, CustomerID: x.record.CustomerID, ID: x.record.ID}
		if _, err := x.Write(context.Background(), w); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
	waiting(1)
	both.Go(func() {
		if err := x.Import(context.Background(), x.organization, []provider.Import{x.importOf(x.record.ID)}, nil); err != nil {
			t.Errorf("import: %v", err)
		}
	})
	waiting(2)
	execute(t, holder, "COMMIT")
	both.Wait()
	if record, err := x.get(); err != nil || record.Version != 3 {
		t.Errorf("version %d, %v; want the third, after the deletion", record.Version, err)
	}
	if n := queryInt(t, observer, "SELECT last_value FROM inserted"); n != 2 { // a sequence counts what is undone, too
		t.Errorf("%d events were inserted, want 2: one of them had to be tried again", n)
	}
}

// wantBusy expects an error of code Unavailable with that in its cause.
func wantBusy(t *testing.T, err error, cause string) {
	t.Helper()
	var domain *provider.Error
	if !errors.As(err, &domain) || domain.Code != provider.CodeUnavailable || !strings.Contains(domain.Cause.Error(), cause) {
		t.Errorf("error %v, want one of code %s, because of %s", err, provider.CodeUnavailable, cause)
	}
}

// TestCommitsWaitForTheDisk looks at the setting from inside of an update, in a database that has it off.
func TestCommitsWaitForTheDisk(t *testing.T) {
	dsn := pgtest.New(t)
	execute(t, connect(t, dsn), "ALTER DATABASE "+database(t, dsn)+" SET synchronous_commit = off")
	for name, dsn := range map[string]string{
		"set for the database": dsn,
		"asked for in the URL": with(t, dsn, func(u *url.URL) { u.RawQuery += "&synchronous_commit=off" }),
	} {
		t.Run(name, func(t *testing.T) {
			x := newFixture(t, dsn, postgres.Options{})
			execute(t, connect(t, dsn), `CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				NEW.city = current_setting('synchronous_commit');
				RETURN NEW;
			END $$; CREATE OR REPLACE TRIGGER look BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION look()`)
			if _, err := x.update(text("a")); err != nil {
				t.Fatal(err)
			}
			if record, err := x.update(property.Patch{}); err != nil || record.Values[property.City] != property.Text("on") {
				t.Errorf("synchronous_commit was %v, error %v; want on", record.Values[property.City], err)
			}
		})
	}
}

// TestPlansHoldWhenTablesGrow has statements planned while there are two records and counts the rows that they read when
// there are many.
func TestPlansHoldWhenTablesGrow(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, with(t, dsn, func(u *url.URL) { u.RawQuery += "&pool_max_conns=1" }), postgres.Options{InFlight: 1})
	elsewhere := x.another()
	admin := connect(t, dsn)
	execute(t, admin, "VACUUM ANALYZE") // now it is known how small the tables are
	written := 2                        // rows
	read := func() int {
		await.State(t, "the session has reported its statistics", func() bool { // with a statement, at most once a second
			if err := x.Ping(t.Context()); err != nil {
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
		_, history := elsewhere.HistoryByID(t.Context(), elsewhere.record.ID)
		if err := errors.Join(updated, created, got, listed, told, history); err != nil {
			t.Fatal(err)
		}
		written += 2
	}
	for range 7 {
		calls()
	}
	const many, rounds = 4000, 10
	x.fill(many)
	written += many
	before := read()
	for range rounds {
		calls()
	}
	if n := read() - before; n < rounds || n > 100*rounds {
		t.Errorf("%d rounds of calls read %d rows of %d", rounds, n, many)
	}
}

const countWritten = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'providers'"

// TestAChangeLeavesIndexesAlone sees to it that PostgreSQL can keep a record's new row beside its old one.
func TestAChangeLeavesIndexesAlone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	x := newFixture(t, dsn, postgres.Options{})
	const changes = 10 // fit in a page
	for range changes {
		if _, err := x.update(text(uuid.NewString())); err != nil {
			t.Fatal(err)
		}
	}
	x.Close() // tells
	c := connect(t, dsn)
	await.State(t, "the changes are counted", func() bool {
		return queryInt(t, c, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'providers'") == changes
	})
	if n := queryInt(t, c, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'providers'"); n != changes {
		t.Errorf("%d of %d changes left the indexes alone, want all", n, changes)
	}
}

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

// others are the connections to the database but the one that asks.
const others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

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

// A column of another version of the contract, older or newer, keeps its values while a record lives and loses them with it.
func TestUnknownColumn(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	organization, err := s.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	customers := []uuid.UUID{uuid.New(), uuid.New()}
	imports := []provider.Import{{ID: uuid.New(), Patch: storetest.PatchOf(0)}, {ID: uuid.New(), Patch: storetest.PatchOf(1)}}
	for i := range imports {
		imports[i].Patch.CustomerID = &customers[0]
	}
	if err := s.Import(t.Context(), organization, imports, customers); err != nil {
		t.Fatal(err)
	}
	c := connect(t, dsn)
	execute(t, c, "ALTER TABLE providers ADD COLUMN unheard_of text; UPDATE providers SET unheard_of = 'secret'")
	for i, w := range []provider.Write{{Action: provider.Updated, Patch: property.Patch{CustomerID: &customers[1]}}, {Action: provider.Deleted}} {
		w.Organization, w.CustomerID, w.ID = organization, customers[0], imports[i].ID
		if _, err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if n := queryInt(t, c, "SELECT count(*) FROM providers WHERE deleted AND unheard_of IS NULL OR NOT deleted AND unheard_of = 'secret'"); n != 2 {
		t.Errorf("%d of 2 records are right; want the value of the one that lives, and no other", n)
	}

	// Whatever is added or dropped while the server runs, the next deletion knows.
	execute(t, c, "ALTER TABLE providers DROP COLUMN unheard_of, ADD COLUMN rank text NOT NULL DEFAULT 'none', ADD COLUMN lower text GENERATED ALWAYS AS (lower(city)) STORED; UPDATE providers SET rank = 'secret'")
	w := provider.Write{Action: provider.Deleted, Organization: organization, CustomerID: customers[1], ID: imports[0].ID}
	if _, err := s.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if n := queryInt(t, c, "SELECT count(*) FROM providers WHERE id = '"+imports[0].ID.String()+"' AND rank = 'none' AND lower IS NULL"); n != 1 {
		t.Error("the deleted record keeps a value")
	}

	// A server that could not write does not start.
	execute(t, c, "ALTER TABLE providers DROP COLUMN rank, ADD COLUMN needed text NOT NULL DEFAULT ''")
	if _, err := postgres.Open(t.Context(), dsn, postgres.Options{}); err == nil || !strings.Contains(err.Error(), "no property of the contract has the column needed") {
		t.Errorf("a column without a property that must have a value: %v", err)
	}
}
