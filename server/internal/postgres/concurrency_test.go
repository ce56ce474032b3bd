package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

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
			dsn := postgrestest.New(t)
			org := newFixture(t, dsn, postgres.Options{})
			execute(t, connect(t, dsn), `CREATE SEQUENCE raised; CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('raised') <= `+fmt.Sprint(c.raised)+` THEN
					RAISE EXCEPTION 'a message with %', NEW.notes USING ERRCODE = '`+c.state+`', DETAIL = NEW.notes, HINT = NEW.notes;
				END IF;
				RETURN NEW;
			END $$; CREATE TRIGGER raise BEFORE UPDATE ON providers FOR EACH ROW EXECUTE FUNCTION raise()`)
			record, err := org.update(text("secret"))
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
			if record, err := org.update(text("then")); err != nil || record.Version != 2 {
				t.Errorf("afterwards: version %d, error %v", record.Version, err)
			}
		})
	}
}

// TestABadCallFailsAlone puts a call that the database refuses among good ones.
func TestABadCallFailsAlone(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	var sizes []int // of the batches
	observe := func(r batch.Run) { sizes = append(sizes, r.Size) }
	org := newFixture(t, dsn, postgres.Options{InFlight: 1, Batch: writes.Options{Options: batch.Options{Observe: observe, MaxWait: time.Hour}}})
	calls := make([]func(context.Context), 20)
	for i := range calls {
		other := org.another()
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
	together(t, dsn, org, calls)
	org.Close() // returns after the last size was reported
	if want := []int{1, len(calls)}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %d calls, want %d", sizes, want)
	}
}

// together has calls share a batch: they arrive while the one before it waits for a lock on the table.
func together(t *testing.T, dsn string, org *fixture, calls []func(context.Context)) {
	t.Helper()
	holder := connect(t, dsn)
	execute(t, holder, "BEGIN; LOCK TABLE providers IN EXCLUSIVE MODE")
	var all, queued sync.WaitGroup
	all.Go(func() {
		if _, err := org.update(text("first")); err != nil {
			t.Error(err)
		}
	})
	watcher := connect(t, dsn)
	await.State(t, "an update waits for the lock", func() bool {
		return queryInt(t, watcher, sessionsWaiting) > 0
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

// A caller waits for a connection if all are in use, but not forever.
func TestNoFreeConnectionIsBusy(t *testing.T) {
	t.Parallel()
	direct := postgrestest.New(t)
	org := newFixture(t, with(t, direct, func(u *url.URL) { u.RawQuery += "&pool_max_conns=1" }), postgres.Options{})
	holder := connect(t, direct)
	execute(t, holder, `CREATE TABLE gate (); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN WHILE NOT EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$;
		CREATE TRIGGER wait BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION wait()`)
	imported := make(chan error)
	go func() { // has the only connection
		_, err := org.Import(context.Background(), org.organization, nil, []uuid.UUID{uuid.New()})
		imported <- err
	}()
	await.State(t, "the import is in the trigger", func() bool { return queryInt(t, holder, "SELECT count(*) "+others+" AND wait_event = 'PgSleep'") == 1 })
	_, err := org.update(text("a"))
	wantBusy(t, err, "no connection became free in time")
	execute(t, holder, "INSERT INTO gate DEFAULT VALUES")
	<-imported // an error on a busy machine, where it can take longer than a statement may
	if _, err := org.update(text("a")); err != nil {
		t.Error(err)
	}
}

func TestALockedRecordIsBusy(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	holder := connect(t, dsn)
	execute(t, holder, "BEGIN; SELECT 1 FROM providers FOR UPDATE")
	_, err := org.update(text("a"))
	wantBusy(t, err, "55P03") // lock_timeout, the shortest one
	execute(t, holder, "COMMIT")
	if _, err := org.update(text("a")); err != nil {
		t.Error(err)
	}
}

// Another session's lock delays nobody but the writes that need the row.
func TestALockDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{InFlight: 1})
	locked, other := org.another(), org.another()
	locked.record.CustomerID = uuid.New()
	locked.ensure()
	customer := locked.record.CustomerID
	holder, observer := connect(t, dsn), connect(t, dsn)
	for name, c := range map[string]struct {
		lock    string
		waiting func() error
	}{
		"a record": {"SELECT 1 FROM providers WHERE id = '" + locked.record.ID.String() + "' FOR UPDATE", func() error {
			_, err := locked.update(text(uuid.NewString()))
			return err
		}},
		"a customer of a new record": {"SELECT 1 FROM customers WHERE id = '" + customer.String() + "' FOR UPDATE", func() error {
			_, err := locked.create()
			return err
		}},
		"a customer to move to": {"SELECT 1 FROM customers WHERE id = '" + customer.String() + "' FOR UPDATE", func() error {
			_, err := org.another().update(property.Patch{CustomerID: &customer})
			return err
		}},
	} {
		execute(t, holder, "BEGIN; "+c.lock)
		waited := make(chan error)
		go func() { waited <- c.waiting() }()
		await.State(t, "the write waits for the lock", func() bool {
			return queryInt(t, observer, sessionsWaiting) == 1
		})
		for range 10 {
			if _, err := other.update(text(uuid.NewString())); err != nil {
				t.Errorf("%s is locked: an update of another record: %v", name, err)
			}
		}
		if n := queryInt(t, observer, sessionsWaiting); n > 1 {
			t.Errorf("%s is locked: %d sessions wait after the updates of another record, want the one that did", name, n)
		}
		execute(t, holder, "COMMIT")
		if err := <-waited; err != nil {
			t.Errorf("%s was locked: %v", name, err)
		}
	}
}

// A row that stays locked delays no write to another one, however many are locked for a moment.
func TestALongLockDelaysNoShortOnes(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	long, short := org.another(), make([]*fixture, 12)
	for i := range short {
		short[i] = org.another()
	}
	holders, observer := [2]*pgx.Conn{connect(t, dsn), connect(t, dsn)}, connect(t, dsn)
	round := func() bool {
		execute(t, holders[0], "BEGIN; SELECT 1 FROM providers WHERE id = '"+long.record.ID.String()+"' FOR UPDATE")
		execute(t, holders[1], "BEGIN; SELECT 1 FROM providers WHERE id <> '"+long.record.ID.String()+"' FOR UPDATE")
		blocked := make(chan error, 1)
		go func() {
			_, err := long.update(text(uuid.NewString()))
			blocked <- err
		}()
		await.State(t, "the first write waits for the lock", func() bool { return queryInt(t, observer, sessionsWaiting) > 0 })
		done := make(chan error)
		var queued sync.WaitGroup
		queued.Add(2 * len(short)) // each is queued again after it has found its row locked
		for _, one := range short {
			go func() {
				_, err := one.Write(&announcing{t.Context(), queued.Done}, one.updateOf(text(uuid.NewString())))
				done <- err
			}()
		}
		queued.Wait()
		execute(t, holders[1], "COMMIT")
		ok := true
		for range short {
			if err := <-done; err != nil {
				t.Logf("a write to a row that was locked for a moment: %v", err)
				ok = false
			}
		}
		ok = ok && len(blocked) == 0
		execute(t, holders[0], "COMMIT")
		<-blocked
		return ok
	}
	for range 5 { // on a busy machine, a round can take longer than a write waits for its row
		if round() {
			return
		}
	}
	t.Error("the writes to rows that were locked for a moment did not end before that to the row which stayed locked")
}

// A change is made after its record was locked, whoever had locked it.
func TestTimeIsThatOfTheLock(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	holder, observer := connect(t, dsn), connect(t, dsn)
	execute(t, holder, "BEGIN; SELECT 1 FROM providers FOR UPDATE")
	var released time.Time // or a little before
	updated := make(chan time.Time)
	go func() {
		record, err := org.update(text("a"))
		if err != nil {
			t.Error(err)
		}
		updated <- record.UpdatedAt
	}()
	await.State(t, "the write waits for the lock", func() bool { return queryInt(t, observer, sessionsWaiting) == 1 })
	if err := holder.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&released); err != nil {
		t.Fatal(err)
	}
	execute(t, holder, "ROLLBACK") // the row is as it was
	if at := <-updated; at.Before(released.Truncate(time.Millisecond)) {
		t.Errorf("updated at %v, before the lock was released at %v", at, released)
	}
}

// Lists that wait leave connections to other reads.
func TestListsLeaveConnections(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	secret, key, err := apikey.Create(t.Context(), org, apikey.Key{Organization: org.organization}, 0)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := apikey.HashOf(secret)
	holder, observer := connect(t, dsn), connect(t, dsn)
	execute(t, holder, "BEGIN; LOCK TABLE customers, usage, provider_events IN ACCESS EXCLUSIVE MODE") // which these read, and a record does not
	lists := map[string]func() error{
		"a list": func() error { _, err := org.list(); return err },
		"a history": func() error {
			_, err := org.History(t.Context(), org.organization, org.record.CustomerID, org.record.ID, 0, 1)
			return err
		},
		"an export": func() error { _, err := org.ListAll(t.Context(), org.organization, nil, 1); return err },
		"activity":  func() error { _, err := org.Activity(t.Context(), provider.ActivityQuery{Limit: 1}); return err },
		"usage": func() error {
			return org.Usage(t.Context(), org.organization, usage.Hour, time.Now(), func(usage.Row) {})
		},
	}
	const each = 5
	var all sync.WaitGroup
	for name, list := range lists {
		for range each {
			all.Go(func() {
				if err := list(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	await.State(t, "lists wait for the lock", func() bool { return queryInt(t, observer, sessionsWaiting) > 0 })
	for range 10 {
		if _, err := org.get(); err != nil {
			t.Errorf("a record: %v", err)
		}
		if found, err := org.KeyByHash(t.Context(), hash); err != nil || found.ID != key.ID {
			t.Errorf("a key: %v", err)
		}
	}
	if n := queryInt(t, observer, sessionsWaiting); n < 1 || n > 3 {
		t.Errorf("%d of %d lists use a connection, want at most 3", n, each*len(lists))
	}
	execute(t, holder, "COMMIT")
	all.Wait()
}

// An import that waits for a deletion of one of its records sees that it was deleted, and does not have to try again.
func TestAnImportWaitsForADeletion(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	holder, observer := connect(t, dsn), connect(t, dsn)
	const gate = "pg_advisory_xact_lock(1)" // which the deletion passes last
	execute(t, holder, `CREATE SEQUENCE inserted; CREATE FUNCTION count_insert() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM nextval('inserted'), `+gate+`; RETURN NEW; END $$;
		CREATE TRIGGER count_insert BEFORE INSERT ON provider_events FOR EACH ROW EXECUTE FUNCTION count_insert()`)
	execute(t, holder, "BEGIN; SELECT "+gate)
	waiting := func(n int) {
		await.State(t, fmt.Sprint(n, " transactions wait"), func() bool { return queryInt(t, observer, sessionsWaiting) == n })
	}
	var both sync.WaitGroup
	both.Go(func() {
		w := provider.Write{Action: provider.Deleted, Organization: org.organization, CustomerID: org.record.CustomerID, ID: org.record.ID}
		if _, err := org.Write(context.Background(), w); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
	waiting(1)
	both.Go(func() {
		if _, err := org.Import(context.Background(), org.organization, []provider.Import{org.importOf(org.record.ID)}, nil); err != nil {
			t.Errorf("import: %v", err)
		}
	})
	waiting(2)
	execute(t, holder, "COMMIT")
	both.Wait()
	if record, err := org.get(); err != nil || record.Version != 3 {
		t.Errorf("version %d, %v; want the third, after the deletion", record.Version, err)
	}
	if n := queryInt(t, observer, "SELECT last_value FROM inserted"); n != 2 { // a sequence counts what is undone, too
		t.Errorf("%d events were inserted, want 2: one of them had to be tried again", n)
	}
}

// sessionsWaiting counts those that wait for a lock.
const sessionsWaiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

// wantBusy expects an error of code Unavailable with that in its cause.
func wantBusy(t *testing.T, err error, cause string) {
	t.Helper()
	var domain *provider.Error
	if !errors.As(err, &domain) || domain.Code != provider.CodeUnavailable || !strings.Contains(domain.Cause.Error(), cause) {
		t.Errorf("error %v, want one of code %s, because of %s", err, provider.CodeUnavailable, cause)
	}
}

// TestNoChangeWaitsForNoDisk has a database whose commits wait for a standby, as they do for the disk, and there is none.
func TestNoChangeWaitsForNoDisk(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Start(t, pgserver.Options{}).Database(t)
	org := newFixture(t, dsn, postgres.Options{})
	other, direct := org.another(), connect(t, dsn)
	other.Store = open(t, dsn, postgres.Options{}) // the transactions of a store take turns
	reload := func(change string) {
		execute(t, direct, "ALTER SYSTEM "+change)
		execute(t, direct, "SELECT pg_reload_conf()")
	}
	var (
		changes sync.WaitGroup
		done    atomic.Bool
	)
	changes.Go(func() {
		for n := 0; !done.Load(); n++ { // the first ones do not wait yet
			if _, err := other.update(text(fmt.Sprint(n))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer changes.Wait()
	defer reload("RESET synchronous_standby_names")
	defer done.Store(true)
	reload("SET synchronous_standby_names = 'none'")
	await.State(t, "a commit waits", func() bool { return queryInt(t, direct, "SELECT count(*) "+others+" AND wait_event = 'SyncRep'") > 0 })
	if record, err := org.update(property.Patch{}); err != nil || record.Version != 1 {
		t.Errorf("a change of nothing: version %d, error %v", record.Version, err)
	}
}
