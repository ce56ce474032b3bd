package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// logLine returns the attributes of the first line of a log that has the text.
func logLine(t *testing.T, s *server, text string) (line map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.log.waitFor(t, text)), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// TestListening looks at what the log says about a server that has started.
func TestListening(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := logLine(t, s, `"listening"`)
	want := map[string]any{"addr": "127.0.0.1:0", "admin-addr": "127.0.0.1:0"}
	if diff := cmp.Diff(want, got["settings"]); diff != "" || got["database"] != s.database || got["schema"] == nil {
		t.Errorf("got %v, settings (-want +got):\n%s", got, diff)
	}

	dsn, err := url.Parse(postgrestest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.User = url.UserPassword(dsn.User.Username(), canary)
	s = serve(t, dsn.String(), "--trusted-proxies", "10.0.0.0/8,192.0.2.0/24", "--access-log", "1/3", "--log-level", "debug", "--shutdown-delay", "0s")
	got = logLine(t, s, `"listening"`)
	for name, value := range map[string]any{"trusted-proxies": "10.0.0.0/8,192.0.2.0/24", "access-log": "1/3", "log-level": "debug"} {
		want[name] = value
	}
	if diff := cmp.Diff(want, got["settings"]); diff != "" || !strings.HasSuffix(got["database"].(string), ":5432"+dsn.Path) {
		t.Errorf("got %v, settings (-want +got):\n%s", got, diff)
	}
	if holdsCanary(s.log.String()) {
		t.Error("the log has the password")
	}
}

// TestAccessLog sends requests to a server that logs one of three successful ones, and changes the level of its log.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir()+"/test.db", "--access-log", "1/3")
	for range 6 {
		s.send(request{Method: http.MethodGet, Path: "/livez"})
		s.send(request{Method: http.MethodGet, Path: "/nowhere"})
	}
	level := func(method, wanted string, status int) string {
		t.Helper()
		r, err := http.NewRequest(method, s.admin+"/log-level", strings.NewReader(url.Values{"level": {wanted}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		if err != nil || got.StatusCode != status {
			t.Errorf("%s %s: %d %s, %v", method, wanted, got.StatusCode, text, err)
		}
		return strings.TrimSpace(string(text))
	}
	level(http.MethodPut, "loud", http.StatusBadRequest)
	if got := level(http.MethodPut, "error", http.StatusOK); got != "error" {
		t.Errorf("the level is %s", got)
	}
	s.send(request{Method: http.MethodGet, Path: "/nowhere"})
	level(http.MethodPut, "warn", http.StatusOK)
	if got := level(http.MethodGet, "", http.StatusOK); got != "warn" {
		t.Errorf("the level is %s", got)
	}
	s.stop()
	got := s.log.String()
	for text, want := range map[string]int{`"status":200`: 2, `"status":404`: 6, `"the log level was changed"`: 1} {
		if n := strings.Count(got, text); n != want {
			t.Errorf("%d lines with %s, want %d:\n%s", n, text, want, got)
		}
	}
	if _, stderr, code := run("", "serve", "--access-log", "0.5"); code != 2 || !strings.Contains(stderr, "it must be all, errors, or 1/N") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestDatabaseOutage stops PostgreSQL and starts it again: each is logged once, whatever the number of requests.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t, pgserver.Options{})
	a := serve(t, database.Database(t)).account("acme")
	r := a.newRecord()
	database.Stop(t)
	a.send(request{Path: r.path(), Body: `{}`})
	lost := logLine(t, a.server, `"lost the database"`)
	if lost["level"] != "ERROR" || !strings.HasPrefix(lost["error"].(string), "postgres: ") {
		t.Errorf("got %v", lost)
	}
	for range 5 {
		a.send(request{Path: r.path(), Body: `{}`})
		a.send(request{Method: http.MethodGet, Path: "/readyz"})
	}
	database.Start(t)
	back := logLine(t, a.server, `"the database is back"`)
	if seconds, _ := back["seconds"].(float64); seconds <= 0 || back["failed_requests"].(float64) < 10 {
		t.Errorf("got %v", back)
	}
	a.stop()
	for text, want := range map[string]int{`"lost the database"`: 1, `"the database is back"`: 1, `"status":503`: 1} {
		if got := strings.Count(a.log.String(), text); got != want {
			t.Errorf("%d lines with %s, want %d:\n%s", got, text, want, a.log)
		}
	}
}

// TestCauseOfAnError has the databases reject a change: the log names the statement, the code and the constraint, and no value.
func TestCauseOfAnError(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		a := newServer(t).account("acme")
		query(t, a.database, "CREATE TRIGGER reject BEFORE UPDATE ON providers BEGIN SELECT RAISE(ABORT, 'rejected'); END")
		expectCause(t, a, map[string]any{"database_code": "SQLITE_CONSTRAINT_TRIGGER"})
	})
	t.Run("postgres", func(t *testing.T) {
		a := serve(t, postgrestest.New(t)).account("acme")
		c, err := pgx.Connect(t.Context(), a.database)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(t.Context(), "ALTER TABLE providers ADD CONSTRAINT no_canary CHECK (city NOT LIKE '%"+canary+"%')"); err != nil {
			t.Fatal(err)
		}
		expectCause(t, a, map[string]any{"database_code": "23514", "statement": "INSERT providers", "constraint": "no_canary"})
	})
}

func expectCause(t *testing.T, a account, want map[string]any) {
	t.Helper()
	r := a.newRecord()
	if got := a.send(request{Path: r.path(), Body: asJSON(changes{"city": canary})}); got.Status != http.StatusInternalServerError {
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
	line := logLine(t, a.server, `"status":500`)
	for _, name := range []string{"database_code", "statement", "constraint"} {
		if line[name] != want[name] {
			t.Errorf("%s is %v, want %v", name, line[name], want[name])
		}
	}
	if metric := fmt.Sprintf("carecycle_store_errors_total{code=%q} 1\n", want["database_code"]); !strings.Contains(a.metrics(), metric) {
		t.Errorf("the metrics lack %s", metric)
	}
	if holdsCanary(a.log.String()) {
		t.Errorf("the log has the value:\n%s", a.log)
	}
}
