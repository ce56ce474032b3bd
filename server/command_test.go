package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// query runs a statement on a database that no server has open, and returns the integers of its one row, if it has one.
func query(t *testing.T, path, statement string) (row []int64) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.ExecuteTransient(c, statement, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		for i := range s.ColumnCount() {
			row = append(row, s.ColumnInt64(i))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// TestEnvironment gives flags as environment variables.
func TestEnvironment(t *testing.T) {
	database := filepath.Join(t.TempDir(), "test.db")
	for name, value := range map[string]string{"DATABASE": database, "ORGANIZATION": "acme", "NAME": "from the environment", "RATE_LIMIT": "7", "EXPIRES": "14d"} {
		t.Setenv("CARECYCLE_"+name, value)
	}
	migrated(t, database)
	if _, stderr, code := run("", "keys", "create"); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := run("", "keys", "create", "--rate-limit", "8"); code != 0 {
		t.Fatal(stderr)
	}
	list, _, _ := run("", "keys", "list", "--database", database)
	for _, want := range []string{"\t\"acme\"\t\"from the environment\"\t", "\t7/min\t", "\t8/min\t"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	t.Setenv("CARECYCLE_RATE_LIMIT", "many")
	if _, stderr, code := run("", "keys", "create"); code != 2 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("a wrong value: exit code %d, %s", code, stderr)
	}
}

// TestDefaultDatabase names no database: the default one is made, with its directory, for this user alone.
func TestDefaultDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, want := range []string{"carecycle-server: created the database data/carecycle.db\nthe schema is up to date\n", "the schema is up to date\n"} {
		if _, stderr, code := run("", "migrate"); code != 0 || stderr != want {
			t.Fatalf("migrate: exit code %d, %q", code, stderr)
		}
	}
	for path, mode := range map[string]os.FileMode{"data": os.ModeDir | 0o700, "data/carecycle.db": 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for line, usage := range map[string]string{"": "<command>", "--help": "<command>", "serve --help": "serve", "keys create --help": "keys create"} {
		stdout, stderr, code := run("", strings.Fields(line)...)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "Usage: carecycle-server "+usage+" ") {
			t.Errorf("%q: exit code %d, standard error %q, standard output\n%s", line, code, stderr, stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^carecycle-server \S+( \(commit [0-9a-f]{40}, \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\))? go1\.\S+ ` + runtime.GOOS + "/" + runtime.GOARCH + "\n$")
	for _, arg := range []string{"version", "--version"} {
		if stdout, stderr, code := run("", arg); code != 0 || stderr != "" || !want.MatchString(stdout) {
			t.Errorf("%s: exit code %d, %q, %q", arg, code, stdout, stderr)
		}
	}
}

// TestStop stops a server while half of a request has arrived: the server waits for the other half, and responds.
func TestStop(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	c := a.connect()
	first, second := `{"city":`, `"x"}`
	c.write("PATCH %s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		r.path(), a.key, len(first+second))
	if got := c.readResponse(); got.Status != http.StatusContinue { // the server has begun to read the body
		t.Fatalf("got %d %s, want %d", got.Status, got.Body, http.StatusContinue)
	}
	c.write("%s", first)
	exit := make(chan int)
	go func() { exit <- a.stop() }()
	a.log.waitFor(t, `"stopping"`)
	serves := func() bool { // another program that listens on the port does not know the key
		got, err := a.try(request{Method: http.MethodGet, Path: r.path(), Key: a.key})
		return err == nil && got.Status == http.StatusOK
	}
	await.State(t, "the server takes no new connections", func() bool { return !serves() })
	select {
	case code := <-exit:
		t.Fatalf("the server did not wait; exit code %d", code)
	default:
	}
	c.write("%s", second)
	a.compare("response", c.readResponse(), r.properties(changes{"city": "x"}), true)
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if events := a.history(r); len(events) != 2 {
		t.Errorf("the database has %d events, want 2", len(events))
	}
}
