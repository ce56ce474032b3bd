package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/go-cmp/cmp"
)

// line is a line of an audit trail, as a reader of the file has it.
type line map[string]any

// readTrail returns the lines of an audit trail.
func readTrail(t testing.TB, paths ...string) (lines []line) {
	t.Helper()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			var l line
			if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
				t.Fatalf("%v: %s", err, scanner.Text())
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// without returns the line without what differs from run to run.
func (l line) without(names ...string) line {
	for _, name := range names {
		delete(l, name)
	}
	return l
}

// TestAudit asks for every operation, in two organizations, and finds who touched which record.
func TestAudit(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") },
		"PostgreSQL": func(t *testing.T) string { return postgrestest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trail := filepath.Join(t.TempDir(), "audit.log")
			s := serve(t, database(t), "--audit", trail)
			testAudit(t, s, trail)
		})
	}
}

func testAudit(t *testing.T, s *server, trail string) {
	a, b := s.account("acme"), s.account("umbrella")
	r, others := a.newRecord(), b.newRecord()
	reader, limited := a.newKey("acme", "--permission", "providers:read"), a.newKey("acme", "--rate-limit", "1")
	list := providersOf(r.customer)
	customer, record := line{"customer": r.customer}, line{"customer": r.customer, "records": []any{r.id}}
	for _, tt := range []struct {
		request
		operation, code string
		status, count   float64
		names           line
	}{
		{request{Method: "GET", Path: r.path()}, "getCustomerProvider", "", 200, 1, record},
		{request{Method: "HEAD", Path: r.path()}, "getCustomerProvider", "", 200, 1, record},
		{request{Method: "GET", Path: r.path(), Header: http.Header{"If-None-Match": {"*"}}}, "getCustomerProvider", "", 304, 0, record},
		{request{Method: "GET", Path: list}, "listCustomerProviders", "", 200, 1, record},
		{request{Method: "GET", Path: list + "?isActive=true"}, "listCustomerProviders", "", 200, 0, customer},
		{request{Method: "GET", Path: r.path() + "/history"}, "listCustomerProviderHistory", "", 200, 1, record},
		{request{Path: r.path(), Body: `{"city":"x"}`}, "updateCustomerProvider", "", 200, 1, record},
		{request{Path: r.path(), Body: `{"city":1}`}, "updateCustomerProvider", "VALIDATION_ERROR", 422, 0, record},
		{request{Path: r.path(), Body: `{`}, "updateCustomerProvider", "BAD_REQUEST", 400, 0, record},
		{request{Path: r.path(), Body: `{}`, Key: reader}, "updateCustomerProvider", "FORBIDDEN", 403, 0, record},
		{request{Path: others.path(), Body: `{}`}, "updateCustomerProvider", "NOT_FOUND", 404, 0, line{"customer": others.customer, "records": []any{others.id}}},
		{request{Path: r.path(), Body: `{}`, Key: "cc_wrong"}, "updateCustomerProvider", "UNAUTHORIZED", 401, 0, record},
		{request{Method: "GET", Path: pathOf("nobody", r.id)}, "getCustomerProvider", "VALIDATION_ERROR", 422, 0, line{"records": []any{r.id}}},
		{request{Method: "DELETE", Path: r.path()}, "deleteCustomerProvider", "", 200, 1, record},
	} {
		before := len(readTrail(t, trail))
		got := a.send(tt.request)
		lines := readTrail(t, trail)
		if len(lines) != before+1 {
			t.Fatalf("%s %s: %d lines, want one", tt.Method, tt.Path, len(lines)-before)
		}
		want := line{"operation": tt.operation, "status": tt.status, "client": "127.0.0.1", "request": got.Header.Get("X-Request-Id")}
		for name, value := range tt.names {
			want[name] = value
		}
		if tt.code != "" {
			want["code"] = tt.code
		}
		if tt.count != 0 {
			want["count"] = tt.count
		}
		if tt.status != 401 {
			want["organization"], want["organizationName"] = float64(1), "acme"
		}
		last := lines[before]
		if key, _ := last["key"].(string); strings.HasPrefix(key, "key_") != (tt.status != 401) {
			t.Errorf("the key is %q", key)
		}
		if diff := cmp.Diff(want, last.without("time", "key")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.Method, tt.Path, diff)
		}
	}
	created := a.send(request{Method: "POST", Path: list, Body: `{"providerType":"Hospital"}`}).properties(t)["id"]
	b.send(request{Method: "GET", Path: others.path()})
	s.askedEverything()
	if lines := readTrail(t, trail); !cmp.Equal(lines[len(lines)-2]["records"], []any{created}) || lines[len(lines)-1]["organizationName"] != "umbrella" {
		t.Errorf("the last lines are %v", lines[len(lines)-2:])
	}

	before := len(readTrail(t, trail))
	awaitStatus(t, http.StatusTooManyRequests, func() response { return a.send(request{Method: "GET", Path: list, Key: limited}) })
	refused := 1
	for range 20 {
		if a.send(request{Method: "GET", Path: list, Key: limited}).Status == http.StatusTooManyRequests {
			refused++
		}
	}
	s.stop()
	counted := 0.0
	lines := readTrail(t, trail)[before:]
	for _, l := range lines {
		if n, ok := l["requests"].(float64); ok && l["code"] == "RATE_LIMIT_EXCEEDED" {
			counted += n
		}
	}
	if int(counted) != refused || len(lines) > refused {
		t.Errorf("%d lines about %v requests, want fewer lines about %d", len(lines), counted, refused)
	}
}

// TestAuditCommands runs commands of the operator. Each has a line before it does anything, and one with its outcome.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	database, trail := migrated(t, filepath.Join(directory, "test.db")), filepath.Join(directory, "audit.log")
	audited := func(code int, args ...string) (stdout string, last line) {
		t.Helper()
		before := 0
		if _, err := os.Stat(trail); err == nil {
			before = len(readTrail(t, trail))
		}
		stdout, stderr, got := run("", append(args, "--database", database, "--audit", trail)...)
		if got != code {
			t.Fatalf("%q: exit code %d: %s", args, got, stderr)
		}
		lines := readTrail(t, trail)[before:]
		if len(lines) != 2 || lines[0]["outcome"] != "started" || lines[0]["request"] != lines[1]["request"] || lines[1]["operator"] == nil {
			t.Fatalf("%q: %v", args, lines)
		}
		return strings.TrimSpace(stdout), lines[1].without("time", "request", "operator")
	}
	check := func(got, want line) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const id = "5f0c8b7e-2d1a-4c3b-9e6f-7a8b9c0d1e2f"
	acme := func(operation, outcome string, more line) line {
		l := line{"operation": operation, "outcome": outcome, "organization": 1.0, "organizationName": "acme"}
		for name, value := range more {
			l[name] = value
		}
		return l
	}
	_, got := audited(0, "import", "../docs/example.ndjson", "--organization", "acme")
	check(got, acme("import", "done", line{"count": 2.0, "file": "../docs/example.ndjson"}))
	secret, got := audited(0, "keys", "create", "--organization", "acme", "--name", "x")
	key := got["key"].(string)
	check(got, acme("keys create", "done", line{"key": key}))
	_, got = audited(0, "keys", "rotate", key)
	check(got.without("newKey"), acme("keys rotate", "done", line{"key": key}))
	_, got = audited(0, "keys", "revoke", key)
	check(got, acme("keys revoke", "done", line{"key": key}))
	_, got = audited(1, "keys", "revoke", secret)
	check(got, line{"operation": "keys revoke", "outcome": "failed"})
	_, got = audited(0, "export", "--organization", "acme", "--reason", "court order 7")
	check(got, acme("export", "done", line{"everything": true, "reason": "court order 7"}))
	_, got = audited(0, "history", id)
	check(got, acme("history show", "done", line{"records": []any{id}}))
	_, got = audited(1, "purge", id, "--reason", "erasure")
	check(got, acme("purge provider", "failed", line{"records": []any{id}, "reason": "erasure"}))
	_, got = audited(0, "purge", "customer", exampleID, "--organization", "acme", "--reason", "erasure", "--dry-run")
	check(got, acme("purge customer --dry-run", "done", line{"everything": true, "customer": exampleID, "reason": "erasure"}))
	_, got = audited(0, "migrate", "--status")
	check(got, line{"operation": "migrate --status", "outcome": "done"})
	_, got = audited(0, "organizations", "rename", "acme", "umbrella")
	check(got, acme("organizations rename", "done", line{"newName": "umbrella"}))
	_, got = audited(0, "keys", "remove", "--ended-before", "2000-01-01")
	check(got, line{"operation": "keys remove", "outcome": "done"})
	_, got = audited(0, "backup", database+".backup")
	check(got, line{"operation": "backup", "outcome": "done", "everything": true, "file": database + ".backup"})

	// A command does nothing if there can be no line of it.
	if _, stderr, code := run("", "keys", "create", "--organization", "acme", "--name", "y", "--database", database, "--audit", directory); code != 1 || !strings.Contains(stderr, "--audit") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if list, _, _ := run("", "keys", "list", "--database", database); strings.Contains(list, `"y"`) {
		t.Error("a key was created")
	}
	if text, err := os.ReadFile(trail); err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), "Ada Example") {
		t.Errorf("the trail has a secret or a value: %v\n%s", err, text)
	}
}

// TestAuditSearch finds who has read a record, from files that were rotated and compressed.
func TestAuditSearch(t *testing.T) {
	t.Parallel()
	const id, other = "5f0c8b7e-2d1a-4c3b-9e6f-7a8b9c0d1e2f", "00000000-0000-4000-8000-000000000001"
	old := filepath.Join(t.TempDir(), "audit.log.1.gz")
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	for _, l := range []string{
		`{"time":"2026-04-30T23:59:59.999Z","key":"key_april","organizationName":"acme","operation":"getCustomerProvider","records":["` + id + `"],"status":200}`,
		`{"time":"2026-05-01T00:00:00.000Z","key":"key_may","organizationName":"acme","operation":"listCustomerProviders","customer":"` + other + `","records":["` + other + `","` + id + `"],"status":200}`,
		`{"time":"2026-05-07T00:00:00.000Z","operator":"purger","organizationName":"acme","operation":"purge customer","customer":"` + other + `","everything":true}`,
		`{"time":"2026-05-07T00:00:00.000Z","key":"key_else","organizationName":"acme","operation":"getCustomerProvider","records":["` + other + `"],"status":200}`,
	} {
		fmt.Fprintln(zip, l)
	}
	zip.Close()
	current := filepath.Join(t.TempDir(), "audit.log")
	lines := strings.Join([]string{
		`{"time":"2026-05-31T23:59:59.999Z","operator":"root","organizationName":"acme","operation":"export","everything":true,"outcome":"done"}`,
		`{"time":"2026-05-31T23:59:59.999Z","operator":"root","operation":"backup","everything":true,"outcome":"done","reason":"nightly"}`,
		`{"time":"2026-05-31T23:59:59.999Z","operator":"root","organizationName":"umbrella","operation":"export","everything":true,"outcome":"done"}`,
		`{"time":"2026-06-01T00:00:00.000Z","key":"key_june","organizationName":"acme","operation":"getCustomerProvider","records":["` + id + `"],"status":200}`,
	}, "\n") + "\n"
	if err := errors.Join(os.WriteFile(old, compressed.Bytes(), 0o600), os.WriteFile(current, []byte(lines), 0o600)); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"--record " + id + " --since 2026-05-01 --until 2026-05-31 --organization acme": "key_may purger root root",
		"--record " + id:                                  "key_april key_may purger root root root key_june",
		"--customer " + other + " --json":                 "key_may purger root root root",
		"--key key_else":                                  "key_else",
		"--operation export":                              "root root",
		"--organization umbrella":                         "root root",
		"--customer " + id:                                "root root root",
		"--since 2026-05-31T00:00:00Z --until 2999-12-31": "root root root key_june",
	} {
		args := append([]string{"audit", "search", old, current}, strings.Fields(flags)...)
		stdout, stderr, code := run("", args...)
		var who []string
		for l := range strings.Lines(stdout) {
			if strings.HasPrefix(l, "TIME\t") {
				continue
			}
			if strings.Contains(flags, "--json") {
				var e struct{ Key, Operator string }
				if err := json.Unmarshal([]byte(l), &e); err != nil {
					t.Error(err)
				}
				who = append(who, e.Key+e.Operator)
				continue
			}
			who = append(who, strings.Split(l, "\t")[1])
		}
		searched := fmt.Sprintf("found %d of 8 lines in 2 files, from 2026-04-30T23:59:59.999Z to 2026-06-01T00:00:00.000Z\n", len(who))
		if got := strings.Join(who, " "); got != want || code != 0 || stderr != searched {
			t.Errorf("%s: %s, want %s; exit code %d %s", flags, got, want, code, stderr)
		}
	}
	if err := os.WriteFile(current, []byte(lines+`{"time":"2026-06-0`), 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := run("", "audit", "search", current); code != 1 || !strings.Contains(stderr, "1 line cannot be read") || strings.Count(stdout, "\n") != 5 {
		t.Errorf("an incomplete line: exit code %d, %s", code, stderr)
	}
}

// TestAuditRotation moves the file away again and again while requests are served: every response has its line in one of the files.
func TestAuditRotation(t *testing.T) {
	t.Parallel()
	trail := filepath.Join(t.TempDir(), "audit.log")
	a := serve(t, filepath.Join(t.TempDir(), "test.db"), "--audit", trail).account("acme")
	path := a.newRecord().path()
	files := []string{trail}
	var done atomic.Bool
	var wait sync.WaitGroup
	var mu sync.Mutex
	served := map[string]bool{}
	for n := range 8 {
		wait.Go(func() {
			for i := 0; !done.Load(); i++ {
				r := request{Method: "GET", Path: path, Key: a.key}
				if n%2 == 0 {
					r = request{Path: path, Key: a.key, Body: fmt.Sprintf(`{"city":"%d"}`, i)}
				}
				got, err := a.try(r)
				if err == nil && got.Status == http.StatusServiceUnavailable {
					continue // on a busy machine a line can take so long that requests are refused for a while
				}
				if err != nil || got.Status != http.StatusOK {
					t.Errorf("%v %d %s", err, got.Status, got.Body)
					return
				}
				mu.Lock()
				served[got.Header.Get("X-Request-Id")] = true
				mu.Unlock()
			}
		})
	}
	for i := range 5 {
		mu.Lock()
		enough := len(served) + 20
		mu.Unlock()
		await.State(t, "requests", func() bool { mu.Lock(); defer mu.Unlock(); return len(served) >= enough })
		files = append(files, fmt.Sprint(trail, ".", i))
		await.State(t, "the file", func() bool { return os.Rename(trail, files[len(files)-1]) == nil })
	}
	await.State(t, "a new file", func() bool { _, err := os.Stat(trail); return err == nil })
	done.Store(true)
	wait.Wait()
	a.stop()
	recorded := map[string]int{}
	for _, l := range readTrail(t, files...) {
		recorded[l["request"].(string)]++
	}
	for id := range served {
		if recorded[id] != 1 {
			t.Errorf("request %s has %d lines", id, recorded[id])
		}
	}
}

// expectNoCanaryInTrail looks for values of records, and for keys, in an audit trail. IDs in paths belong there.
func expectNoCanaryInTrail(t *testing.T, path string, keys ...string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(keys, func(key string) bool { return bytes.Contains(text, []byte(key)) }) || bytes.Contains(text, []byte("cc_")) {
		t.Error("a key is in the audit trail")
	}
	for _, l := range readTrail(t, path) {
		if rest := asJSON(l.without("customer", "records")); holdsCanary(rest) {
			t.Errorf("the canary is in the line %s", rest)
		}
	}
	if !bytes.Contains(text, []byte(canaryID)) {
		t.Error("the audit trail lacks the record that was tried")
	}
}
