package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestMisuse calls commands as they cannot be called: exit code 2, one line on standard error, and nothing done.
func TestMisuse(t *testing.T) {
	t.Parallel()
	for line, message := range map[string]string{
		"":                                     `expected one of "serve",`,
		"frobnicate":                           "unexpected argument frobnicate",
		"keys":                                 `expected one of "create",`,
		"serve --port 80":                      "unknown flag --port",
		"keys create":                          "missing flags: --name=TEXT, --organization=NAME",
		"keys create --organization acme":      "missing flags: --name=TEXT",
		"keys create --organization= --name=x": "--organization: it must be 1 to 100 printable characters",
		"keys create --organization=acme --name=\x1b[2J":                                   "--name: it must be 1 to 100 printable characters",
		"keys create --organization=acme --name=" + strings.Repeat("x", 101):               "--name: it must be 1 to 100 printable characters",
		"keys create --organization=acme --name=x --permission=write":                      `--permission must be one of "providers:read","providers:write"`,
		"keys create --organization=acme --name=x --permission=providers:read,providers:x": `--permission must be one of "providers:read","providers:write"`,
		"keys create --organization=acme --name=x --expires=soon":                          `--expires: "soon" is no duration; write 14d, 24h or 90m`,
		"keys create --organization=acme --name=x --expires=-1h":                           `--expires: "-1h" is no duration; write 14d, 24h or 90m`,
		"keys create --organization=acme --name=x --expires=99999d":                        `--expires: "99999d" is no duration; write 14d, 24h or 90m`,
		"keys create --organization=acme --name=x --rate-limit=-1":                         "--rate-limit: expected a valid 32 bit uint",
		"keys create --organization=acme --name=x --rate-limit=many":                       "--rate-limit: expected a valid 32 bit uint",
		"keys rotate":                              `expected "<id>"`,
		"keys rotate key_1 --overlap=x":            `--overlap: "x" is no duration`,
		"keys revoke":                              `expected "<id>"`,
		"import --organization acme":               `expected "<file>"`,
		"import - ":                                "missing flags: --organization=NAME",
		"export":                                   "missing flags: --organization=NAME",
		"history":                                  `expected "<provider-id>"`,
		"history 3c90c3cc":                         "<provider-id>: invalid UUID length: 8",
		"serve --demo --addr 0.0.0.0:0":            "--demo serves on loopback only, such as 127.0.0.1:8080, not on 0.0.0.0:0",
		"serve --demo --addr :0":                   "--demo serves on loopback only, such as 127.0.0.1:8080, not on :0",
		"serve --demo --addr [::]:0":               "--demo serves on loopback only, such as 127.0.0.1:8080, not on [::]:0",
		"serve --demo --addr 192.0.2.1:0":          "--demo serves on loopback only, such as 127.0.0.1:8080, not on 192.0.2.1:0",
		"serve --demo --addr localhost.evil.com:0": "--demo serves on loopback only, such as 127.0.0.1:8080, not on localhost.evil.com:0",
		"serve --demo --addr 127.0.0.1":            "--addr: address 127.0.0.1: missing port in address",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			database := filepath.Join(t.TempDir(), "test.db")
			stdout, stderr, code := run("", append(strings.Fields(line), "--database", database)...)
			told := strings.HasPrefix(stderr, "server: ") && strings.Contains(stderr, message) && strings.HasSuffix(stderr, "; see server --help\n")
			if code != 2 || stdout != "" || !told || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, standard output %q, standard error %q, want %q", code, stdout, stderr, message)
			}
			if _, err := os.Stat(database); err == nil {
				t.Error("the database was made")
			}
		})
	}
}

// TestFailure calls commands that cannot do their work: exit code 1, and one line on standard error says why and what to do.
func TestFailure(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var (
		missing  = filepath.Join(folder, "missing", "test.db")
		text     = file("text.db", strings.Repeat("This is not a database. ", 1000))
		newer    = newerSchema(t, filepath.Join(folder, "newer.db"))
		fine     = filepath.Join(folder, "fine.db")
		lines    = file("lines.ndjson", "")
		inUse    = taken.Addr().String() + " is in use by another program; stop that, or choose another address, port 0 for any that is free"
		noKey    = "there is no key of that ID; IDs begin with key_ and are listed by keys list"
		noFolder = "open database: the folder " + filepath.Dir(missing) + " does not exist; create it, or name another file with --database"
		notOne   = "open database " + text + ": it is not a SQLite database; name another file with --database"
		tooNew   = "migrate database " + newer + ": its schema, version 99, was made by a newer version of this program, which knows up to "
	)
	for _, fact := range []struct {
		name, database, message string
		args                    []string
	}{
		{"migrate/no folder", missing, noFolder, []string{"migrate"}},
		{"serve/no folder", missing, noFolder, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}},
		{"import/no folder", missing, noFolder, []string{"import", lines, "--organization", "acme"}},
		{"migrate/a folder", folder, "open database " + folder + ": ", []string{"migrate"}},
		{"migrate/not a database", text, notOne, []string{"migrate"}},
		{"keys/not a database", text, notOne, []string{"keys", "list"}},
		{"migrate/a newer schema", newer, tooNew, []string{"migrate"}},
		{"serve/a newer schema", newer, tooNew, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}},
		{"serve/address in use", fine, "--addr " + inUse, []string{"serve", "--addr", taken.Addr().String()}},
		{"serve/admin address in use", fine, "--admin-addr " + inUse, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", taken.Addr().String()}},
		{"serve/no port", fine, "--addr: listen tcp: address 127.0.0.1: missing port in address", []string{"serve", "--addr", "127.0.0.1"}},
		{"migrate/unknown scheme", "mysql://localhost/x", "open database: the scheme mysql:// is not known", []string{"migrate"}},
		{"import/no file", fine, "import: open " + filepath.Join(folder, "none") + ": no such file or directory", []string{"import", filepath.Join(folder, "none"), "--organization", "acme"}},
		{"import/a folder", fine, "import: read line 1: read " + folder + ": is a directory", []string{"import", folder, "--organization", "acme"}},
		{"export/an unknown organization", fine, `export: there is no organization "nobody" in this database; check --organization and --database`, []string{"export", "--organization", "nobody"}},
		{"history/an unknown ID", fine, "history: no provider has or had the ID " + exampleID + " in this database; check the ID and --database", []string{"history", exampleID}},
		{"keys/revoke an unknown key", fine, "revoke key: " + noKey, []string{"keys", "revoke", "key_000000000000"}},
		{"keys/rotate an unknown key", fine, "rotate key: " + noKey, []string{"keys", "rotate", "key_000000000000"}},
		{"keys/revoke a secret", fine, "revoke key: " + noKey, []string{"keys", "revoke", apikey.Generate()}},
	} {
		t.Run(fact.name, func(t *testing.T) {
			stdout, stderr, code := run("", append(fact.args, "--database", fact.database)...)
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "server: "+fact.message) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, standard output %q, standard error\n%s, want\n%s", code, stdout, stderr, fact.message)
			}
		})
	}
	if content, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(content), "This is not a database.") {
		t.Errorf("the file that is not a database has changed: %v", err)
	}
}

// newerSchema makes a database as a later version of the program would leave it.
func newerSchema(t *testing.T, path string) string {
	t.Helper()
	if _, stderr, code := run("", "migrate", "--database", path); code != 0 {
		t.Fatal(stderr)
	}
	query(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	return path
}

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

// TestKeys follows a key from its creation to its end, as the operator sees it and as the server does.
func TestKeys(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	status := func(secret string) int { return a.send(request{Path: path, Key: secret, Body: `{}`}).Status }
	expectLine := func(id string, pattern string) {
		t.Helper()
		pattern = "(?m)^" + id + "\t" + pattern + "$"
		if list := a.mustRun("", "keys", "list"); !regexp.MustCompile(pattern).MatchString(list) {
			t.Errorf("no line %s in\n%s", pattern, list)
		}
	}
	const when = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`

	stdout, stderr, code := a.run("", "keys", "create", "--organization", "acme", "--name", "nightly job")
	secret := strings.TrimSuffix(stdout, "\n")
	if code != 0 || !regexp.MustCompile(`^cc_[0-9A-Za-z]{36}$`).MatchString(secret) || strings.Contains(stderr, secret) || !strings.HasPrefix(stderr, "created key_") {
		t.Fatalf("create: exit code %d, standard output %q, standard error %q", code, stdout, stderr)
	}
	id := a.keyID(secret)
	expectLine(id, apikey.Prefix(secret)+`…\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\tcreated `+when+`\texpires never\tused never\tactive`)
	if got := status(secret); got != http.StatusOK {
		t.Errorf("new: %d", got)
	}

	next := strings.TrimSpace(a.mustRun("", "keys", "rotate", id, "--overlap", "1h"))
	expectLine(id, `.*\trevoked from `+when)
	expectLine(a.keyID(next), `.*\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\t.*\tactive`)
	if old, new := status(secret), status(next); old != http.StatusOK || new != http.StatusOK {
		t.Errorf("in the overlap: %d with the old key, %d with the new one", old, new)
	}

	former := a.newKey("acme")
	last := strings.TrimSpace(a.mustRun("", "keys", "rotate", a.keyID(former), "--overlap", "0s"))
	if old, new := status(former), status(last); old != http.StatusUnauthorized || new != http.StatusOK {
		t.Errorf("without overlap: %d with the old key, %d with the new one", old, new)
	}
	if _, stderr, code := a.run("", "keys", "revoke", a.keyID(last)); code != 0 || stderr != "revoked; running servers refuse the key within 5 seconds\n" {
		t.Errorf("revoke: exit code %d, %q", code, stderr)
	}
	expectLine(a.keyID(last), `.*\tno limit\t.*\trevoked`)
	expectLine(a.keyID(a.newKey("acme", "--expires", "1ms")), `.*\texpired`)
	expectLine(a.keyID(a.newKey("umbrella", "--permission", "providers:read", "--expires", "14d")), `.*\t"umbrella"\t"test"\tproviders:read\t.*\texpires `+when+`\tused never\tactive`)
}

// TestImport imports lines into an empty database, and then once more: nothing changes.
func TestImport(t *testing.T) {
	t.Parallel()
	const (
		line     = `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Hospital"}`
		withID   = `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","id":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Pharmacy","city":"x"}`
		bad      = `{"customerId":"3c90c3cc","providerType":"Canary","city":7,"Phone":"canary"}`
		badSays  = "Phone is not a property of the contract; did you mean phone. city must be a string or null, not a number. customerId must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a. providerType must be one of \"Primary Care\", \"Specialist\", \"Hospital\", \"Pharmacy\".\n"
		customer = `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a"}`
		oneBad   = "server: import: 1 line is invalid, so nothing was imported; fix them, or import the others with --skip-invalid\n"
		required = "customerId is required. providerType is required.\n"
	)
	long := `{"notes":"` + strings.Repeat("x", 64<<10) + `"}`
	longest := withID + strings.Repeat(" ", 64<<10-len(withID)-1) + "\t" // 64 KiB
	skip := []string{"--skip-invalid"}
	for _, fact := range []struct {
		name, lines string
		flags       []string
		code        int
		stderr      string
		records     int64
	}{
		{"nothing", "", nil, 0, "imported 0 records\n", 0},
		{"blank lines", "\n \n\t\n\r\n", nil, 0, "imported 0 records\n", 0},
		{"without ids", line + "\n" + line[:len(line)-1] + ` }`, nil, 0, "imported 2 records\n", 2},
		{"with an id", withID + "\n", nil, 0, "imported 1 record\n", 1},
		{"no line break at the end", withID + "\n" + line, nil, 0, "imported 2 records\n", 2},
		{"blank lines between", "\n" + withID + "\n\n" + line + "\n\n", nil, 0, "imported 2 records\n", 2},
		{"CRLF", withID + "\r\n" + line + "\r\n", nil, 0, "imported 2 records\n", 2},
		{"a byte order mark", "\ufeff" + withID + "\n", nil, 0, "imported 1 record\n", 1},
		{"many", strings.Repeat(withID+"\n", 1234), nil, 0, "imported 1234 records\n", 1},

		{"a bad line", line + "\n\n" + bad + "\n" + withID, nil, 1, "line 3: " + badSays + oneBad, 0},
		{"a bad line is left out", line + "\n\n" + bad + "\n" + withID, skip, 0, "line 3: " + badSays + "imported 2 records; 1 line is invalid and left out\n", 2},
		{"no space of JSON's", line + "\u00a0\n\v" + line + "\n\u0085", skip, 0, "line 1: The line must be one JSON value; something follows it.\n" +
			"line 2: The line is not JSON: it has a syntax error after byte 0.\nline 3: The line is not JSON: it has a syntax error after byte 0.\nimported 0 records; 3 lines are invalid and left out\n", 0},
		{"nothing but a bad line", bad, skip, 0, "line 1: " + badSays + "imported 0 records; 1 line is invalid and left out\n", 0},
		{"two bad lines", "{}\n" + line + "\n{}", nil, 1,
			"line 1: " + required + "line 3: " + required + "server: import: 2 lines are invalid, so nothing was imported; fix them, or import the others with --skip-invalid\n", 0},
		{"required", `{"customerId":null}`, nil, 1, "line 1: customerId must be a UUID, not null. providerType is required.\n" + oneBad, 0},
		{"a bad id", strings.Replace(withID, `"id":"3c90c3cc-`, `"id":"`, 1), nil, 1, "line 1: id must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a.\n" + oneBad, 0},
		{"an escaped id", strings.Replace(withID, `"id":"3`, `"id":"\u0033`, 1), nil, 0, "imported 1 record\n", 1},
		{"no id but null", strings.Replace(withID, `"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a"`, `"id":null`, 1), nil, 1, "line 1: id must be a UUID, not null.\n" + oneBad, 0},
		{"a property of the answer", strings.Replace(line, "{", `{"createdAt":"2026-06-17T19:07:23.709Z",`, 1), nil, 1, "line 1: createdAt is not a property of the contract.\n" + oneBad, 0},
		{"two values", line + line, nil, 1, "line 1: The line must be one JSON value; something follows it.\n" + oneBad, 0},
		{"an array", "[" + line + "]", nil, 1, "line 1: The line must be an object, not an array.\n" + oneBad, 0},
		{"a byte order mark later", line + "\n\ufeff" + line, nil, 1, "line 2: The line begins with a byte order mark; send UTF-8 without one.\n" + oneBad, 0},
		{"a long line", line + "\n" + long + "\n" + withID, nil, 1, "line 2: it is longer than 65536 bytes\n" + oneBad, 0},
		{"a long line is left out", long + "\n" + withID, skip, 0, "line 1: it is longer than 65536 bytes\nimported 1 record; 1 line is invalid and left out\n", 1},
		{"a long line at the end", withID + "\n" + long, skip, 0, "line 2: it is longer than 65536 bytes\nimported 1 record; 1 line is invalid and left out\n", 1},
		{"the longest line", longest + "\r\n" + long + "\n" + longest, skip, 0, "line 2: it is longer than 65536 bytes\nimported 2 records; 1 line is invalid and left out\n", 1},
		{"one byte more", longest + " \n" + longest + " ", skip, 0, "line 1: it is longer than 65536 bytes\nline 2: it is longer than 65536 bytes\nimported 0 records; 2 lines are invalid and left out\n", 0},
		{"a customer alone", customer, nil, 0, "imported 0 records and 1 line with a customer alone\n", 0},
		{"customers alone", customer + "\n" + withID + "\n" + customer, nil, 0, "imported 1 record and 2 lines with a customer alone\n", 1},
		{"a customer with an id", strings.Replace(customer, "{", `{"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a",`, 1), nil, 1, "line 1: providerType is required.\n" + oneBad, 0},
		{"a customer with a property", strings.Replace(customer, "{", `{"city":null,`, 1), nil, 1, "line 1: providerType is required.\n" + oneBad, 0},
		{"a customer twice", strings.Replace(customer, "{", `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a",`, 1), nil, 1, "line 1: customerId is given more than once. providerType is required.\n" + oneBad, 0},
		{"bad lines without end", strings.Repeat("{}\n", 1000), nil, 1,
			numbered(100, required) + "server: import: 1000 lines are invalid (the first 100 are reported above), so nothing was imported; fix them, or import the others with --skip-invalid\n", 0},
	} {
		t.Run(fact.name, func(t *testing.T) {
			t.Parallel()
			database, file := filepath.Join(t.TempDir(), "test.db"), filepath.Join(t.TempDir(), "lines.ndjson")
			if err := os.WriteFile(file, []byte(fact.lines), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, source := range []string{"-", file} {
				args := append([]string{"import", source, "--organization", "acme", "--database", database}, fact.flags...)
				stdout, stderr, code := run(fact.lines, args...)
				if code != fact.code || stdout != "" || stderr != fact.stderr {
					t.Errorf("from %s: exit code %d, standard output %q, standard error\n%s, want %d,\n%s", source, code, stdout, stderr, fact.code, fact.stderr)
				}
				if _, err := os.Stat(database); err != nil && fact.records == 0 {
					continue // not even the database was made
				}
				if row := query(t, database, "SELECT count(*), coalesce(sum(version), 0) FROM providers"); row[0] != fact.records || row[1] != fact.records {
					t.Errorf("from %s: %d records with versions that add up to %d, want %d records of version 1", source, row[0], row[1], fact.records)
				}
			}
		})
	}
}

func numbered(n int, text string) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "line %d: %s", i+1, text)
	}
	return lines.String()
}

// TestImportChanges imports lines with an id that is known: they change the record, which may have another customer then.
func TestImportChanges(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	update := changes{"customerId": uuid.NewString(), "city": nil, "isActive": true}
	a.importLines("acme", asJSON(r.properties(update)))
	moved := record{update["customerId"].(string), r.id}
	a.compare("changed", a.send(request{Path: moved.path(), Body: `{}`}), r.properties(update), true)

	partial := changes{"id": r.id, "customerId": moved.customer, "providerType": "Hospital"}
	a.importLines("acme", asJSON(partial))
	a.compare("what a line leaves out stays", a.send(request{Path: moved.path(), Body: `{}`}), r.properties(update), true)
}

// TestEnvironment gives flags as environment variables.
func TestEnvironment(t *testing.T) {
	database := filepath.Join(t.TempDir(), "test.db")
	for name, value := range map[string]string{"DATABASE": database, "ORGANIZATION": "acme", "NAME": "from the environment", "RATE_LIMIT": "7", "EXPIRES": "14d"} {
		t.Setenv("CARECYCLE_"+name, value)
	}
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

// TestDefaultDatabase names no database: the default one is made, with its folder, for this user alone.
func TestDefaultDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	for range 2 {
		if _, stderr, code := run("", "migrate"); code != 0 || stderr != "the schema is up to date\n" {
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
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"keys", "create", "--help"}} {
		stdout, stderr, code := run("", args...)
		if usage := strings.Join(append([]string{"Usage: server"}, args[:len(args)-1]...), " "); code != 0 || stderr != "" || !strings.HasPrefix(stdout, usage) {
			t.Errorf("%q: exit code %d, standard error %q, standard output\n%s", args, code, stderr, stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run("", "version")
	if code != 0 || stderr != "" || !regexp.MustCompile(`^\S+( [0-9a-f]{40})? go1\.\S+\n$`).MatchString(stdout) {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// TestStop stops a server while half of a request has arrived: the other half is waited for, carried out and answered.
func TestStop(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	c := a.connect()
	first, second := `{"city":`, `"x"}`
	c.say("PATCH %s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		r.path(), a.key, len(first+second))
	if got := c.hear(); got.Status != http.StatusContinue { // the server has begun to read the body
		t.Fatalf("got %d %s, want %d", got.Status, got.Body, http.StatusContinue)
	}
	c.say("%s", first)
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
	c.say("%s", second)
	a.compare("answer", c.hear(), r.properties(changes{"city": "x"}), true)
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if events := a.history(r); len(events) != 2 {
		t.Errorf("the database has %d events, want 2", len(events))
	}
}
