package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TestArchive moves a history to a file, and finds all of it in either place.
func TestArchive(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	for _, city := range []string{"one", "two"} {
		if got := a.send(request{Path: r.path(), Body: `{"city":"` + city + `"}`}); got.Status != http.StatusOK {
			t.Fatal(got)
		}
	}
	before := a.mustRun("", "history", r.id, "--json")
	file := filepath.Join(t.TempDir(), "archive")
	tomorrow, today := time.Now().Add(25*time.Hour).UTC().Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly)
	for _, c := range []struct{ day, want string }{
		{tomorrow, "in the future"}, {"2026", "write it as 2026-01-31"}, {"2020-01-01", "no event before 2020-01-01"},
	} {
		if _, stderr, _ := a.run("", "history", "archive", "--before", c.day, file); !strings.Contains(stderr, c.want) {
			t.Errorf("--before %s: %s, want %s", c.day, stderr, c.want)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file without events: %v", err)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := a.run("", "history", "archive", "--before", today, file); code == 0 || !strings.Contains(stderr, "exists") {
		t.Errorf("a file that exists: %s", stderr)
	}
	if after := a.mustRun("", "history", r.id, "--json"); after != before {
		t.Errorf("the history was\n%s\nand is\n%s", before, after)
	}
}

// TestPurge looks for a purged record's values in the files of the database.
func TestPurge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.account("acme")
	const canary = "canarybird"
	long := strings.Repeat(canary, 100) // more than a page, with the others
	r := a.newRecord()
	for _, body := range []string{`{"notes":"` + long + `","city":"` + canary + `"}`, `{"notes":"short ` + canary + `"}`, `{"notes":"` + long + `"}`} {
		if got := a.send(request{Path: r.path(), Body: body}); got.Status != http.StatusOK {
			t.Fatal(got)
		}
	}
	if _, stderr, code := a.run("", "purge", r.id); code == 0 || !strings.Contains(stderr, "is not deleted") {
		t.Errorf("before it is deleted: %s", stderr)
	}
	if got := a.send(request{Method: http.MethodDelete, Path: r.path()}); got.Status != http.StatusOK {
		t.Fatal(got)
	}
	if history := a.mustRun("", "history", r.id); !strings.Contains(history, canary) {
		t.Fatalf("the history has no value:\n%s", history)
	}
	if _, stderr, code := a.run("", "purge", r.id, "--organization", "other"); code == 0 || !strings.Contains(stderr, "other") {
		t.Errorf("another organization: %s", stderr)
	}
	a.mustRun("", "purge", r.id)
	history := a.mustRun("", "history", r.id)
	if strings.Contains(history, canary) || strings.Count(history, "\n") != 2 || !strings.Contains(history, "deleted") {
		t.Errorf("after it: %s", history)
	}
	a.mustRun("", "backup", s.database+".backup") // also of pages that are free
	s.stop()                                      // the log is copied and removed
	files, err := filepath.Glob(s.database + "*")
	if err != nil || len(files) != 3 { // and what is known of the last backup
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), canary) {
			t.Errorf("%s still has a value, or cannot be read: %v", filepath.Base(file), err)
		}
	}
}

// holdsInFiles fails if one of the files of a server's SQLite database holds a text, after what the documentation has an operator do if
// nothing at all may be left: SQLite may have left copies of rows that it has moved.
func (s *server) holdsInFiles(t *testing.T, text string) {
	database := s.database
	t.Helper()
	s.stop()
	query(t, database, "VACUUM")
	files, err := filepath.Glob(database + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte(text)) {
			t.Errorf("%s still has a value, or cannot be read: %v", filepath.Base(file), err)
		}
	}
}

// erasable is a customer with a record that is not deleted, and one that is, both with values that contain the canary.
func (a account) erasable() (living, deleted record) {
	a.t.Helper()
	living = a.newRecord()
	deleted = record{living.customer, uuid.NewString()}
	a.importLines(a.organization, asJSON(deleted.properties(nil)))
	for _, r := range []record{living, deleted} {
		for _, body := range []string{`{"notes":"` + strings.Repeat(canary, 100) + `","city":"` + canary + `"}`, `{"city":"` + canary + ` 2"}`, `{"npi":"` + canary + `"}`} {
			if got := a.send(request{Path: r.path(), Body: body}); got.Status != http.StatusOK {
				a.t.Fatal(got)
			}
		}
	}
	a.send(request{Method: http.MethodDelete, Path: deleted.path()})
	return living, deleted
}

// TestPurgeCustomer purges a customer while the server runs, and looks for the values in what it responds, and in its files.
func TestPurgeCustomer(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "test.db"), "PostgreSQL": postgrestest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, database)
			a := s.account("acme")
			living, deleted := a.erasable()
			unknown := a.send(request{Method: http.MethodGet, Path: pathOf(uuid.NewString(), living.id)})
			purge := []string{"purge", "customer", living.customer, "--organization", "acme", "--reason", "ticket 4711"}
			for _, c := range []struct {
				flags []string
				code  int
				want  string
			}{
				{[]string{"--yes"}, 1, `carecycle-server: purge: the customer ` + living.customer + ` of the organization "acme" has 1 provider that is not deleted; delete them with the API, or add --include-existing`},
				{[]string{"--dry-run"}, 0, `the customer ` + living.customer + ` of the organization "acme": 2 providers (1 of them deleted) with up to 9 events` + "\nnothing was removed"},
				{[]string{"--include-existing"}, 2, "there is no terminal to ask for confirmation on; check this with --dry-run, and then add --yes"},
			} {
				_, stderr, code := a.run("", append(purge, c.flags...)...)
				if code != c.code || !strings.Contains(stderr, c.want) {
					t.Errorf("%s: exit code %d, %s; want %d, %s", c.flags, code, stderr, c.code, c.want)
				}
			}
			if got := a.send(request{Method: http.MethodGet, Path: living.path()}); !strings.Contains(got.Body, canary) {
				t.Errorf("before it: %d %s", got.Status, got.Body)
			}
			for range 2 {
				if _, stderr, code := a.run("", append(purge, "--include-existing", "--yes")...); code != 0 || !strings.Contains(stderr, "purged the customer ") {
					t.Fatalf("exit code %d, %s", code, stderr)
				}
			}
			for _, r := range []record{living, deleted} {
				for _, request := range []request{{Method: http.MethodGet, Path: r.path()}, {Path: r.path(), Body: `{}`}, {Method: http.MethodDelete, Path: r.path()}} {
					if got := a.send(request); got.Status != unknown.Status || got.Body != unknown.Body {
						t.Errorf("%s: %d %s, want as for an unknown record: %s", request.Method, got.Status, got.Body, unknown.Body)
					}
				}
				if history := a.mustRun("", "history", r.id); strings.Contains(history, canary) || strings.Count(history, "\n") != 2 {
					t.Errorf("the history: %s", history)
				}
			}
			if got := a.send(request{Method: http.MethodGet, Path: "/v2/customers/" + living.customer + "/providers"}); got.Status != http.StatusNotFound {
				t.Errorf("the list: %d %s", got.Status, got.Body)
			}
			expectNoProblem(t, database)
			if name == "SQLite" {
				s.holdsInFiles(t, canary)
				return
			}
			holdsInTables(t, database, canary)
		})
	}
}

// holdsInTables fails if a row of a PostgreSQL database holds a text.
func holdsInTables(t *testing.T, database, text string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, table := range []string{"organizations", "api_keys", "customers", "providers", "provider_events", "idempotency_keys"} {
		n := 0
		if err := c.QueryRow(t.Context(), "SELECT count(*) FROM "+table+" WHERE "+table+"::text LIKE '%'||$1||'%'", text).Scan(&n); err != nil || n > 0 {
			t.Errorf("%d rows of %s hold a value, %v", n, table, err)
		}
	}
}

// TestPurgeOrganization purges an organization with a key that is in use.
func TestPurgeOrganization(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other := s.account("other")
	r := other.newRecord()
	a := s.account(canary + " acme")
	a.erasable()
	purge := []string{"purge", "organization", a.organization, "--reason", "ticket 4711"}
	if _, stderr, code := s.run("", append(purge, "--yes")...); code != 1 || !strings.Contains(stderr, "has 1 key that can be used; revoke them, or add --revoke-keys") {
		t.Errorf("with a key: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := s.run("", append(purge, "--dry-run")...); code != 0 || !strings.Contains(stderr, "with 1 customer and 1 key that can be used: 2 providers (1 of them deleted) with up to 9 events\n") {
		t.Errorf("dry run: exit code %d, %s", code, stderr)
	}
	s.mustRun("", append(purge, "--revoke-keys", "--yes")...)
	if list := s.mustRun("", "organizations", "list") + s.mustRun("", "keys", "list"); strings.Contains(list, canary) {
		t.Errorf("it is listed: %s", list)
	}
	if _, stderr, code := s.run("", append(purge, "--yes")...); code != 1 || !strings.Contains(stderr, "there is no organization") {
		t.Errorf("again: exit code %d, %s", code, stderr)
	}
	if got := other.send(request{Method: http.MethodGet, Path: r.path()}); got.Status != http.StatusOK {
		t.Errorf("the other's record: %d %s", got.Status, got.Body)
	}
	expectNoProblem(t, s.database)
	s.holdsInFiles(t, canary)
}

// TestPurgeKilled kills a purge, and runs it again.
func TestPurgeKilled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.account("acme")
	first := a.newRecord()
	var lines []string
	for range 3000 {
		lines = append(lines, asJSON(record{first.customer, uuid.NewString()}.properties(changes{"city": canary})))
	}
	a.importLines("acme", lines...)
	args := []string{"purge", "customer", first.customer, "--organization", "acme", "--reason", "x", "--include-existing", "--yes", "--database", s.database}
	p := program(t.TempDir(), args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	await.State(t, "some are purged", func() bool {
		return a.send(request{Method: http.MethodGet, Path: first.path()}).Status == http.StatusNotFound
	})
	p.Process.Kill()
	p.Wait()
	expectNoProblem(t, s.database)
	s.mustRun("", args[:len(args)-2]...)
	expectNoProblem(t, s.database)
	if _, stderr, _ := s.run("", append(args[:len(args)-4:len(args)-4], "--dry-run")...); !strings.Contains(stderr, ": 0 providers (0 of them deleted)") {
		t.Errorf("afterwards there are %s", stderr)
	}
	s.holdsInFiles(t, canary)
}
