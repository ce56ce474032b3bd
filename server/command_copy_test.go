package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/schema"
)

// mustCopy copies a database, and returns what the program says.
func mustCopy(t *testing.T, from, to string) string {
	t.Helper()
	stdout, stderr, code := run("", "copy", "--from", from, "--to", to)
	if code != 0 || stdout != "" {
		t.Fatalf("copy: exit code %d, %s%s", code, stdout, stderr)
	}
	return stderr
}

// TestCopy moves a server from SQLite to PostgreSQL, and back. Its callers notice nothing: keys, ETags, cursors, histories and idempotency keys
// stay as they are.
func TestCopy(t *testing.T) {
	t.Parallel()
	directory, shared := t.TempDir(), pgtest.New(t)
	s := serve(t, filepath.Join(directory, "test.db"))
	a := s.account("acme")
	reader := a.newKey("acme", "--permission", "providers:read")
	r := a.newRecord()
	a.changeCity(r, 2)
	gone := a.newRecord()
	if got := a.send(request{Method: http.MethodDelete, Path: gone.path()}); got.Status != http.StatusOK {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	for range 2 {
		a.create(r.customer, changes{"providerType": "Hospital"})
	}
	created := a.once(r.customer, hospital, "a")
	first := a.send(request{Method: http.MethodGet, Path: providersOf(r.customer) + "?limit=2"})
	var page struct{ NextCursor string }
	if err := json.Unmarshal([]byte(first.Body), &page); err != nil || page.NextCursor == "" {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	ask := func(s *server) (got []string) {
		a := account{s, "acme", a.key}
		for _, one := range []request{
			{Method: http.MethodGet, Path: r.path()},
			{Method: http.MethodGet, Path: r.path(), Key: reader, Header: http.Header{"If-None-Match": {`"3"`}}},
			{Method: http.MethodGet, Path: r.path() + "/history"},
			{Method: http.MethodGet, Path: gone.path()},
			{Method: http.MethodGet, Path: providersOf(r.customer) + "?limit=2&cursor=" + page.NextCursor},
			{Path: r.path(), Body: `{}`, Header: http.Header{"If-Match": {`"3"`}}},
		} {
			response := a.send(one)
			got = append(got, response.Header.Get("ETag")+" "+response.Body)
		}
		again := a.once(r.customer, hospital, "a")
		return append(got, again.Header.Get("Location")+" "+again.Body)
	}
	want := ask(s)
	if want[len(want)-1] != created.Header.Get("Location")+" "+created.Body {
		t.Errorf("the same creation again: %s, want %s", want[len(want)-1], created.Body)
	}
	names := []string{s.database, shared, filepath.Join(directory, "back.db")}
	for i, next := range names[1:] {
		if code := s.stop(); code != 0 {
			t.Fatalf("exit code %d: %s", code, s.log)
		}
		const said = `^copied and compared 1 organization, 2 API keys, 2 customers, 5 records with 8 versions, and 1 idempotency key in \S+\n$`
		if stderr := mustCopy(t, names[i], next); !regexp.MustCompile(said).MatchString(stderr) {
			t.Errorf("copy said %s, want %s", stderr, said)
		}
		s = serve(t, next)
		if got := ask(s); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	s.newKey("another organization") // its number is free
	if _, stderr, code := s.run("", "verify"); code != 0 {
		t.Errorf("verify: exit code %d, %s", code, stderr)
	}
}

// TestCopyInUse copies from a database, and to one, that a server has open.
func TestCopyInUse(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "test.db"), "PostgreSQL": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served, _ := replica(t, database)
			for _, ends := range [][2]string{{served.database, filepath.Join(t.TempDir(), "copy.db")}, {migrated(t, filepath.Join(t.TempDir(), "empty.db")), served.database}} {
				_, stderr, code := run("", "copy", "--from", ends[0], "--to", ends[1])
				if code != 1 || !strings.HasSuffix(stderr, "stop it first\n") || strings.Count(stderr, "\n") != 1 {
					t.Errorf("exit code %d, %s", code, stderr)
				}
			}
		})
	}
}

const incompleteCopy = "it is an incomplete copy of another database; run copy again to complete it, or name another database"

// TestCopyKilled kills copies that have begun. Then no command uses the target, until the same copy has run again.
func TestCopyKilled(t *testing.T) {
	t.Parallel()
	source := filled(t, 1000)
	for _, create := range []func() string{
		func() string { return filepath.Join(t.TempDir(), "copy.db") },
		func() string { return pgtest.New(t) },
	} {
		target := create()
		for !killedCopy(t, source, target) { // it was too late, or too early
			target = create()
		}
		server := start(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--admin-addr", "off", "--database", target)
		server.stderr.waitFor(t, incompleteCopy)
		if server.Wait(); server.ProcessState.ExitCode() != 1 {
			t.Errorf("serve: exit code %d, %s", server.ProcessState.ExitCode(), server.stderr)
		}
		for _, line := range []string{"import ../docs/example.ndjson --organization acme", "verify", "migrate"} {
			if _, stderr, code := run("", append(strings.Fields(line), "--database", target)...); code != 1 || !strings.Contains(stderr, incompleteCopy) {
				t.Errorf("%s: exit code %d, %s", line, code, stderr)
			}
		}
		mustCopy(t, source, target)
		if _, stderr, code := run("", "verify", "--database", target); code != 0 || !strings.HasPrefix(stderr, "verified 1000 records with 1000 versions") {
			t.Errorf("verify: exit code %d, %s", code, stderr)
		}
	}
}

// killedCopy kills a copy, and reports whether the target is incomplete.
func killedCopy(t *testing.T, source, target string) bool {
	t.Helper()
	p := start(t, t.TempDir(), "copy", "--from", source, "--to", target)
	await.State(t, "the copy has begun", func() bool { return incomplete(target) || strings.Contains(p.stderr.String(), "copied") })
	p.Process.Kill()
	p.Wait()
	_, stderr, _ := run("", "keys", "list", "--database", target)
	return strings.Contains(stderr, incompleteCopy)
}

// incomplete reports whether a copy to the database has begun. A SQLite file is locked then, and its log names the table that marks it.
func incomplete(target string) bool {
	if strings.HasPrefix(target, "postgres:") {
		_, stderr, _ := run("", "keys", "list", "--database", target)
		return strings.Contains(stderr, incompleteCopy)
	}
	log, err := os.ReadFile(target + "-wal")
	return err == nil && bytes.Contains(log, []byte(schema.CopyMarker))
}

// TestDocumentedCopy runs what the documentation says, but for createdb.
func TestDocumentedCopy(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(documentation(t), "\n## Move from SQLite to PostgreSQL\n")
	lines := regexp.MustCompile(`(?m)^ *bin/carecycle-server (.*)$`).FindAllStringSubmatch(section[:strings.Index(section, "\n## ")], -1)
	if len(lines) != 2 {
		t.Fatalf("%d commands in the documentation, want 2", len(lines))
	}
	target := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(target, []byte(pgtest.New(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("data/carecycle.db", filled(t, 2), "/etc/carecycle-server/database", target)
	for _, line := range lines {
		if _, stderr, code := run("", strings.Fields(names.Replace(line[1]))...); code != 0 {
			t.Errorf("%s: exit code %d, %s", line[1], code, stderr)
		}
	}
}

// TestCopyOfBackup copies a backup, next to a server.
func TestCopyOfBackup(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	a := newServer(t).account("acme")
	a.newRecord()
	backup := filepath.Join(directory, "backup.db")
	a.mustRun("", "backup", backup)
	if stderr := mustCopy(t, backup, filepath.Join(directory, "copy.db")); !strings.Contains(stderr, "1 record with 1 version") {
		t.Error(stderr)
	}
}

// TestCopyMisuse names databases that cannot be copied.
func TestCopyMisuse(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	named := filepath.Join(directory, "named")
	if err := os.WriteFile(named, []byte("postgres://user:"+canary+"@localhost:1/db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := migrated(t, filepath.Join(directory, "empty.db"))
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--to", "a.db"}, 2, "copy: --from is missing; name a SQLite file, or the URL of a PostgreSQL database"},
		{[]string{"--from", "a.db", "--from-file", named, "--to", "b.db"}, 2, "copy: --from and --from-file exclude each other; give one of them"},
		{[]string{"--from", "a.db", "--to", "a.db"}, 2, "copy: --from and --to name the same database"},
		{[]string{"--from", "a.db", "--to-file", filepath.Join(directory, "none")}, 2, "copy: --to-file: open "},
		{[]string{"--from", filepath.Join(directory, "none.db"), "--to", "a.db"}, 1, "copy: --from: open database: there is no database "},
		{[]string{"--from", foreignDatabase(t, filepath.Join(directory, "foreign.db")), "--to", "a.db"}, 1, "it is the database of another program"},
		{[]string{"--from", empty, "--to-file", named}, 1, "copy: --to: open database localhost:1/db: no server can be reached there"},
		{[]string{"--from", empty, "--to", filepath.Join(directory, "none", "a.db")}, 1, "copy: --to: open database: the directory "},
	} {
		stdout, stderr, code := run("", append([]string{"copy"}, test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 || holdsCanary(stderr) {
			t.Errorf("%v: exit code %d, %q, want %d, %q", test.args, code, stderr, test.code, test.want)
		}
	}
	if _, err := os.Stat("a.db"); err == nil {
		t.Error("a file was created")
	}
}
