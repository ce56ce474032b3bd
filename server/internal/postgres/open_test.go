package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

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
	if n := queryInt(t, connect(t, dsn), "SELECT count(*) FROM carecycle_schema_versions WHERE version_id = 1"); n != 1 {
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
	newest, err := goose.NumericComponent(migrations[len(migrations)-1])
	if err != nil {
		t.Fatal(err)
	}
	execute(t, connect(t, newer), "INSERT INTO carecycle_schema_versions (version_id, is_applied) VALUES (7777, true)")
	empty := pgtest.New(t)
	reader := "reader_of_" + database(t, empty) // a role belongs to the server, which other runs of this test share
	execute(t, connect(t, empty), "CREATE ROLE "+reader+" LOGIN; REVOKE CREATE ON SCHEMA public FROM public")
	stranger, auditor := "stranger_of_"+database(t, migrated), "auditor_of_"+database(t, migrated)
	execute(t, connect(t, migrated), "CREATE ROLE "+stranger+" LOGIN; CREATE ROLE "+auditor+" LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+auditor)
	nowhere := t.TempDir() // for a socket; a port of this machine may be another program's
	readOnly := pgtest.New(t)
	execute(t, connect(t, readOnly), "ALTER DATABASE "+database(t, readOnly)+" SET default_transaction_read_only = on")

	for _, c := range []struct{ name, dsn, want string }{
		{"no server", "postgres://user:secret@/db?host=" + nowhere, "open database " + nowhere + ":5432/db: no server can be reached there; start it, or fix host, port and sslmode"},
		{"no such host", "postgres://user:secret@nowhere.invalid/db", "no server can be reached there"},
		{"no database", with(t, migrated, func(u *url.URL) { u.Path = "/nowhere" }), "there is no database of that name"},
		{"no user", with(t, migrated, func(u *url.URL) { u.User = url.UserPassword("nobody", "secret") }), "the server refuses this user or password"},
		{"no right to make tables", with(t, empty, func(u *url.URL) { u.User = url.UserPassword(reader, "secret") }), "this user lacks a privilege on the schema or its tables; grant it, or run migrate as their owner"},
		{"no right to read tables", with(t, migrated, func(u *url.URL) { u.User = url.User(stranger) }), "this user lacks privileges; as the owner of the tables, run GRANT SELECT, INSERT, UPDATE ON api_keys TO " + stranger + "; GRANT"},
		{"no right to write", with(t, migrated, func(u *url.URL) { u.User = url.User(auditor) }), "this user lacks privileges; as the owner of the tables, run GRANT SELECT, INSERT, UPDATE ON api_keys TO " + auditor},
		{"a newer schema", newer, fmt.Sprintf("its schema, version 7777, was made by a newer version of this program, which knows up to %d; install the newer program", newest)},
		{"another encoding", latin1(t), "its encoding is LATIN1, which cannot store every text; create a database with createdb --encoding=UTF8"},
		{"read-only", readOnly, "it is read-only; name the primary server"},
		{"no URL", "postgres://user:secret@host:port/db", "the URL cannot be read"},
		{"an at sign in the password", "postgres://user:12@secret@host/db", "the URL cannot be read"},
		{"a slash in the password", "postgres://user:12/secret@host/db", "the URL cannot be read"},
		{"a question mark in the password", "postgres://user:12?secret@host/db", "the URL cannot be read"},
		{"a hash in the password", "postgres://user:12#secret@host/db", "the URL cannot be read"},
		{"a percent sign in the password", "postgres://user:12%secret@host/db", "the URL cannot be read"},
		{"a space in the password", "postgres://user:12 secret@host/db?sslmode=wrong", "the URL cannot be read"},
		{"a wrong sslmode", "postgres://user:secret@host/db?sslmode=secret", "the parameter sslmode of the URL must be disable, allow, prefer, require, verify-ca or verify-full"},
		{"a missing sslrootcert", "postgres://user:secret@host/db?sslmode=verify-full&sslrootcert=/secret", "the parameter sslrootcert of the URL must be a file with"},
		{"sslcert without sslkey", "postgres://user:secret@host/db?sslcert=/secret", "the parameter sslcert of the URL must be a file with a certificate; it comes with sslkey"},
		{"no connections", "postgres://user:secret@host/db?pool_max_conns=0", "the parameter pool_max_conns of the URL must be a number from 1"},
		{"a wrong target_session_attrs", "postgres://user:secret@host/db?target_session_attrs=secret", "the parameter target_session_attrs of the URL must be any, read-write"},
		{"a wrong connect_timeout", "postgres://user:secret@host/db?sslmode=disable&connect_timeout=secret", "the parameter connect_timeout of the URL must be a number of seconds"},
		{"a wrong lifetime", "postgres://user:secret@host/db?pool_max_conn_lifetime=secret", "the parameter pool_max_conn_lifetime of the URL has no valid value"},
		{"a wrong port", "postgres://user:secret@host:70000/db", "a port of the URL must be a number from 1 to 65535"},
		{"a wrong port of a second host", "postgres://user:secret@host:5432,other:0/db", "a port of the URL must be a number from 1 to 65535"},
		{"a setting that the server does not know", with(t, migrated, func(u *url.URL) { u.RawQuery += "&sslmod=secret" }), "the server does not know a setting; check the parameters of the URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			away := strings.HasPrefix(c.want, "no server") || strings.HasPrefix(c.want, "open database "+nowhere)
			s, err := postgres.Open(t.Context(), c.dsn, postgres.Options{Patient: !away})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(fmt.Sprintf("%+v", err), "secret") {
				t.Errorf("error %v\nwant one that says %s, and nothing secret", err, c.want)
			}
		})
	}
}

// A server that serves as another user than the owner of the tables needs the privileges that the documentation lists, which are those
// that the error names.
func TestTwoRoles(t *testing.T) {
	t.Parallel()
	for name, granted := range map[string]func(err error) string{
		"documented": func(error) string { return documented(t, "```sql\n") },
		"named by the error": func(err error) string {
			_, grants, _ := strings.Cut(err.Error(), "run ")
			return grants
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.New(t)
			open(t, dsn, postgres.Options{}).Close()
			role := "app_of_" + database(t, dsn)
			c := connect(t, dsn)
			execute(t, c, "CREATE ROLE "+role+" LOGIN")
			serving := with(t, dsn, func(u *url.URL) { u.User = url.User(role) })
			_, err := postgres.Open(t.Context(), serving, postgres.Options{})
			if err == nil {
				t.Fatal("it opens without privileges")
			}
			execute(t, c, strings.ReplaceAll(granted(err), " TO app;", " TO "+role+";"))
			org := newFixture(t, serving, postgres.Options{})
			w := org.updateOf(property.Patch{})
			w.Action = provider.Deleted
			_, created := org.create()
			_, once := org.once("a key")
			_, updated := org.update(text("a"))
			_, deleted := org.Write(t.Context(), w)
			_, key, keyErr := apikey.Create(t.Context(), org, apikey.Key{Organization: org.organization}, 0)
			if err := errors.Join(created, once, updated, deleted, keyErr, useDashboard(t.Context(), org), org.RecordKeyUses(t.Context(), map[string]time.Time{key.ID: time.Now()}), org.RevokeKey(t.Context(), key.ID, 0), org.Ping(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// useDashboard does what a user of the dashboard can do to each of its tables.
func useDashboard(ctx context.Context, org *fixture) error {
	role := account.Membership{Organization: org.organization, Role: account.Owner}
	token, u, err := account.Invite(ctx, org, account.User{Email: "ada@example.com", Memberships: []account.Membership{role}})
	if err != nil {
		return err
	}
	_, link := org.UseLink(ctx, account.HashOf(token), "hash")
	invitation := account.HashOf("invitation")
	session := account.Session{Key: "key", UserID: u.ID, Data: []byte("data"), ExpiresAt: time.Now().Add(time.Hour)}
	row := usage.Row{Organization: org.organization, At: time.Now().Truncate(time.Minute), Key: "key_x", Operation: "operation", Counts: usage.Counts{Requests: 1}}
	_, removed := org.RemoveUsage(ctx, usage.Resolutions()[0], time.Now().Add(time.Hour), 10)
	return errors.Join(link, org.RenameOrganization(ctx, org.organization, "renamed"), org.SuspendOrganization(ctx, org.organization, false),
		org.SetRole(ctx, u.ID, org.organization, account.Viewer), org.SetRole(ctx, u.ID, org.organization, ""),
		org.SaveInvitation(ctx, invitation, account.Invitation{Organization: org.organization, Email: "bob@example.com", Role: account.Viewer}, time.Hour),
		org.AcceptInvitation(ctx, invitation, account.User{ID: "usr_bob", Email: "bob@example.com"}),
		org.RemoveInvitation(ctx, org.organization, "eve@example.com"),
		org.CreateSession(ctx, session), org.UpdateSession(ctx, session), org.RemoveSession(ctx, u.ID, session.Key),
		org.SetSubject(ctx, u.ID, "", "https://issuer.example 1"), org.SetTOTP(ctx, u.ID, account.TOTP{Secret: "secret"}, 1, []account.Hash{account.HashOf("code")}, ""), org.UseStep(ctx, u.ID, 2),
		org.UseRecoveryCode(ctx, u.ID, account.HashOf("code")), org.RemoveTOTP(ctx, u.ID, ""),
		org.SuspendOrganization(ctx, org.organization, false),
		org.AddUsage(ctx, []usage.Row{row}), org.AddUsage(ctx, []usage.Row{row}), removed)
}

// documented returns the text of the documentation for operators between start and the end of its block.
func documented(t *testing.T, start string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), start)
	block, _, ended := strings.Cut(block, "```")
	if !found || !ended {
		t.Fatalf("docs/operations.md has no block after %q", start)
	}
	return block
}

// With the documented settings, PostgreSQL's own log holds no value of a record whose change fails. Without them it does.
func TestServerLog(t *testing.T) {
	t.Parallel()
	var settings []string
	for line := range strings.Lines("log_statement" + documented(t, "```\nlog_statement")) {
		line, _, _ = strings.Cut(line, "#")
		settings = append(settings, strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
	}
	for name, c := range map[string]struct {
		settings []string
		leaks    bool
	}{"documented": {settings, false}, "as installed": {nil, true}} {
		server := pgtest.Start(t, pgserver.Options{Settings: c.settings})
		dsn := server.Database(t)
		org := newFixture(t, dsn, postgres.Options{})
		execute(t, connect(t, dsn), "ALTER TABLE providers ADD CHECK (notes <> 'canary')")
		if _, err := org.update(text("canary")); err == nil {
			t.Fatal("the change is saved")
		}
		if log := server.Log(t); strings.Contains(log, "canary") != c.leaks || !strings.Contains(log, "ERROR:") {
			t.Errorf("%s: the log holds the value: %v, want %v\n%s", name, !c.leaks, c.leaks, log)
		}
	}
}

// A user with another search path does not get a set of empty tables unseen.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	role := "other_of_" + database(t, dsn)
	c := connect(t, dsn)
	execute(t, c, "CREATE ROLE "+role+" LOGIN SUPERUSER; CREATE SCHEMA "+role+"; ALTER ROLE "+role+" SET search_path = "+role)
	as := func(parameters string) string {
		return with(t, dsn, func(u *url.URL) { u.User = url.User(role); u.RawQuery += parameters })
	}
	s, err := postgres.Open(t.Context(), as(""), postgres.Options{})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "its tables are in the schema public, which this user's search_path does not find; add search_path=public") {
		t.Errorf("error %v, want one that names both schemas", err)
	}
	same := &fixture{Store: open(t, as("&search_path=public"), postgres.Options{}), t: t, organization: org.organization, record: org.record}
	if _, err := same.get(); err != nil {
		t.Errorf("with the search path of the tables: %v", err)
	}
	other := &fixture{Store: open(t, as("&search_path="+role), postgres.Options{}), t: t, organization: org.organization, record: org.record}
	if _, err := other.get(); provider.CodeOf(err) != provider.CodeNotFound {
		t.Errorf("with tables of its own: %v", err)
	}
}

// A standby can be read, and is no place to serve from.
func TestStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	dsn := server.Database(t)
	org := newFixture(t, dsn, postgres.Options{})
	server.Demote(t)
	if err := org.Ping(t.Context()); storetest.CodeOrText(err) != provider.CodeUnavailable || !strings.Contains(err.Error(), "it is read-only; name the primary server") {
		t.Errorf("ping: %v", err)
	}
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "it is read-only; name the primary server") {
		t.Errorf("open: %v", err)
	}
}

// What waits for a connection is counted with those that are in use.
func TestConnectionsInUse(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, with(t, dsn, func(u *url.URL) { u.RawQuery += "&pool_max_conns=1" }), postgres.Options{})
	holder := connect(t, dsn)
	execute(t, holder, "BEGIN; LOCK TABLE providers")
	const readers = 3
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			if _, err := org.get(); err != nil {
				t.Error(err)
			}
		})
	}
	await.State(t, "all readers are counted", func() bool { return org.Stats().Connections == readers && org.Stats().MaxConnections == 1 })
	execute(t, holder, "COMMIT")
	all.Wait()
	if n := org.Stats().Connections; n != 0 {
		t.Errorf("%d connections are in use afterwards", n)
	}
}

// A server whose disk takes no more is not ready.
func TestPingWrites(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	execute(t, connect(t, dsn), `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'no space left' USING ERRCODE = '53100';
	END $$; CREATE TRIGGER fail BEFORE INSERT ON write_probes FOR EACH ROW EXECUTE FUNCTION fail()`)
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "the server's disk is full") {
		t.Errorf("ping: %v", err)
	}
}

// TestRotatedPassword changes the password that a running server has, and then the file that it was read from.
func TestRotatedPassword(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("/tmp", "password-") // which the server can read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(directory, 0o755)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hba := write("pg_hba.conf", "local all postgres trust\nlocal all all scram-sha-256\n")
	dsn := pgtest.Start(t, pgserver.Options{Settings: []string{"hba_file=" + hba}}).Database(t)
	c := connect(t, dsn)
	execute(t, c, "CREATE ROLE app LOGIN PASSWORD 'one'; GRANT CREATE ON SCHEMA public TO app")
	passwords := write("passwords", "*:*:*:app:one\n")
	s := open(t, with(t, dsn, func(u *url.URL) {
		u.User = url.User("app")
		u.RawQuery += "&passfile=" + url.QueryEscape(passwords)
	}), postgres.Options{})
	execute(t, c, "ALTER ROLE app PASSWORD 'two'")
	terminateOthers(t, c)
	if err := s.Ping(t.Context()); storetest.CodeOrText(err) != provider.CodeUnavailable || !strings.Contains(err.Error(), "the server refuses this user or password") {
		t.Errorf("with the old password: %v", err)
	}
	write("passwords", "*:*:*:app:two\n")
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with the new one in the file: %v", err)
	}

	// The same for a URL that has the password, and is in a file.
	var password atomic.Value
	password.Store("two")
	withPassword := func() (string, error) {
		return with(t, dsn, func(u *url.URL) { u.User = url.UserPassword("app", password.Load().(string)) }), nil
	}
	first, _ := withPassword()
	s = open(t, first, postgres.Options{Latest: withPassword})
	execute(t, c, "ALTER ROLE app PASSWORD 'three'")
	terminateOthers(t, c)
	password.Store("three")
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with a URL that has changed: %v", err)
	}
}

// TestMigrationLock opens a database that another process migrates: it says so, and goes on when that is done.
func TestMigrationLock(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	holder := connect(t, dsn)
	execute(t, holder, fmt.Sprintf("SELECT pg_advisory_lock(%d)", lock.DefaultLockID))
	reasons := make(chan string, 100)
	opened := make(chan error)
	go func() {
		s, err := postgres.Open(t.Context(), dsn, postgres.Options{Waiting: func(reason string) { reasons <- reason }})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	for waits := false; !waits; {
		select {
		case reason := <-reasons: // others are possible before, on a busy machine
			waits = reason == "another process that migrates the database"
		case err := <-opened:
			t.Fatalf("error %v while another process migrates the database", err)
		}
	}
	execute(t, holder, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", lock.DefaultLockID))
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// A column is changed while connections have statements that were planned before. No call fails.
func TestChangedColumn(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	org := newFixture(t, dsn, postgres.Options{InFlight: 4})
	all := []*fixture{org}
	for range 20 {
		all = append(all, org.another())
	}
	calls := func(n int) {
		var many sync.WaitGroup
		for _, one := range all {
			many.Go(func() {
				_, updated := one.update(text(fmt.Sprint(n)))
				_, got := one.get()
				_, listed := one.list()
				if err := errors.Join(updated, got, listed); err != nil {
					t.Error(err)
				}
			})
		}
		many.Wait()
	}
	calls(0)
	for n, kind := range []string{"varchar(500)", "text"} {
		execute(t, connect(t, dsn), "ALTER TABLE providers ALTER COLUMN notes TYPE "+kind)
		calls(n + 1)
	}
}

// latin1 creates a database whose encoding has no ř.
func latin1(t *testing.T) string {
	t.Helper()
	utf8 := pgtest.New(t)
	name := database(t, utf8) + "_latin1"
	c := connect(t, utf8)
	execute(t, c, "CREATE DATABASE "+name+" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { connect(t, utf8).Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	return with(t, utf8, func(u *url.URL) { u.Path = "/" + name })
}

// The table of versions of another program in the same schema is left alone, and not mistaken for this program's.
func TestForeignVersions(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	c := connect(t, dsn)
	execute(t, c, "CREATE TABLE goose_db_version (id int, version_id bigint, is_applied boolean, tstamp timestamp); INSERT INTO goose_db_version VALUES (1, 7777, true, now())")
	open(t, dsn, postgres.Options{}).Close()
	open(t, dsn, postgres.Options{}).Close()
	if n := queryInt(t, c, "SELECT count(*) FROM goose_db_version WHERE version_id = 7777"); n != 1 {
		t.Errorf("the foreign table has %d rows, want 1", n)
	}
}

// A database of an earlier version of this program, which used goose's name for the table, keeps its version.
func TestRenamedVersions(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	open(t, dsn, postgres.Options{}).Close()
	c := connect(t, dsn)
	execute(t, c, "ALTER TABLE carecycle_schema_versions RENAME TO goose_db_version")
	open(t, dsn, postgres.Options{}).Close()
	if n := queryInt(t, c, "SELECT count(*) FROM carecycle_schema_versions WHERE version_id = 1"); n != 1 {
		t.Errorf("the first migration is recorded %d times, want once", n)
	}
}

// A column of another version of the contract, older or newer, keeps its values while a record lives and loses them with it.
func TestUnknownColumn(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	organization, _, err := s.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	customers := []uuid.UUID{uuid.New(), uuid.New()}
	imports := []provider.Import{{ID: uuid.New(), Patch: storetest.PatchOf(0)}, {ID: uuid.New(), Patch: storetest.PatchOf(1)}}
	for i := range imports {
		imports[i].Patch.CustomerID = &customers[0]
	}
	if _, err := s.Import(t.Context(), organization, imports, customers); err != nil {
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
