package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/sqlitetest"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestMisuse calls commands as they cannot be called: exit code 2, one line on standard error, and nothing done.
func TestMisuse(t *testing.T) {
	t.Parallel()
	help := regexp.MustCompile(`; see carecycle-server [a-z ]*--help\n$`) // of the command
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
		"backup":                                   `expected "<dest>"`,
		"restore --force":                          `expected "<src>"`,
		"serve --path-prefix api":                  "--path-prefix: it must begin with a slash and end without one",
		"serve --path-prefix /":                    "--path-prefix: it must begin with a slash and end without one",
		"serve --path-prefix /api/":                "--path-prefix: it must begin with a slash and end without one",
		"serve --path-prefix //api":                "--path-prefix: it must begin with a slash and end without one",
		"serve --path-prefix /api/../x":            "--path-prefix: it must begin with a slash and end without one",
		"serve --path-prefix /%61pi":               "--path-prefix: it must begin with a slash and end without one",
		"serve --docs maybe":                       `--docs must be one of "on","off"`,
		"verify all":                               "unexpected argument all",
		"migrate --status --dry-run":               "--status and --dry-run can't be used together",
		"history":                                  "name a provider, or what to look for",
		"history 3c90c3cc":                         "<provider-id>]: it must be a UUID, such as ",
		"serve --demo --addr 0.0.0.0:0":            "--demo serves on loopback only, such as 127.0.0.1:8080, not on 0.0.0.0:0",
		"serve --demo --addr :0":                   "--demo serves on loopback only, such as 127.0.0.1:8080, not on :0",
		"serve --demo --addr [::]:0":               "--demo serves on loopback only, such as 127.0.0.1:8080, not on [::]:0",
		"serve --demo --addr 192.0.2.1:0":          "--demo serves on loopback only, such as 127.0.0.1:8080, not on 192.0.2.1:0",
		"serve --demo --addr localhost.evil.com:0": "--demo serves on loopback only, such as 127.0.0.1:8080, not on localhost.evil.com:0",
		"serve --demo --addr 127.0.0.1":            "--addr: it must be HOST:PORT",
		"serve --addr=":                            "--addr: it must be HOST:PORT",
		"serve --addr 127.0.0.1:70000":             "--addr: it must be HOST:PORT",
		"serve --admin-addr=":                      "--admin-addr: it must be HOST:PORT",
		"serve --admin-addr systemd":               "--admin-addr: systemd passes the socket of --addr only",
		"serve --demo --addr systemd":              "--demo serves on loopback only, such as 127.0.0.1:8080, not on systemd",
		"serve --admin-addr no":                    "--admin-addr: it must be HOST:PORT",
		"serve --trusted-proxies 10.0.0.1":         "--trusted-proxies: it must be a network in CIDR notation",
		"serve --trusted-proxies 10.0.0.1/8":       "--trusted-proxies: it must be a network in CIDR notation",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			database := filepath.Join(t.TempDir(), "test.db")
			stdout, stderr, code := run("", append(strings.Fields(line), "--database", database)...)
			told := strings.HasPrefix(stderr, "carecycle-server: ") && strings.Contains(stderr, message) && help.MatchString(stderr)
			if code != 2 || stdout != "" || !told || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, standard output %q, standard error %q, want %q", code, stdout, stderr, message)
			}
			if _, err := os.Stat(database); err == nil {
				t.Error("the database was made")
			}
		})
	}
	if _, stderr, code := run("", "serve", "--addr"); code != 2 || stderr != "carecycle-server: --addr: a value is missing; see carecycle-server serve --help\n" {
		t.Errorf("serve --addr: exit code %d, %s", code, stderr)
	}
}

// TestDatabaseForms gives databases that would otherwise become files of that name. No error repeats the value.
func TestDatabaseForms(t *testing.T) {
	t.Chdir(t.TempDir())
	for value, message := range map[string]string{
		"":                                 "it is empty",
		"host=127.0.0.1 dbname=x":          "it has PostgreSQL's keyword form",
		"dbname = secret":                  "it has PostgreSQL's keyword form",
		"x.db\r":                           "it begins or ends with a blank or a line break",
		"x.db\n":                           "it begins or ends with a blank or a line break",
		" x.db":                            "it begins or ends with a blank or a line break",
		"postgres://secret@localhost/x\n":  "it begins or ends with a blank or a line break",
		".":                                "it is not a file",
		":memory:":                         "it is a name of SQLite's",
		"file:x.db?mode=memory":            "it is a name of SQLite's",
		"mysql://secret@localhost/x":       "its scheme is unknown",
		"jdbc:postgresql://localhost/data": "its scheme is unknown",
	} {
		for _, command := range []string{"migrate", "keys list"} {
			args := append(strings.Fields(command), "--database="+value)
			_, stderr, code := run("", args...)
			if code != 2 || !strings.Contains(stderr, "--database: "+message) || !strings.Contains(stderr, "postgres://USER@HOST/DATABASE") || strings.Contains(stderr, "secret") {
				t.Errorf("%s %q: exit code %d, %s, want %s", command, value, code, stderr, message)
			}
		}
	}
	for _, variable := range []string{"CARECYCLE_DATABASE", "CARECYCLE_ADDR", "CARECYCLE_ADMIN_ADDR"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "")
			if _, stderr, code := run("", "serve"); code != 2 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("empty: exit code %d, %s", code, stderr)
			}
		})
	}
	t.Run("a secret in a variable", func(t *testing.T) {
		t.Setenv("CARECYCLE_DATABASE", "mysql://user:"+canary+"@host/db")
		const want = "(from envar CARECYCLE_DATABASE); see carecycle-server migrate --help\n"
		if _, stderr, code := run("", "migrate"); code != 2 || holdsCanary(stderr) || !strings.HasSuffix(stderr, want) {
			t.Errorf("exit code %d, %s, want %s", code, stderr, want)
		}
	})
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("files were created: %v, %v", entries, err)
	}
}

// TestLinkedDatabase opens a database by a symbolic link, as long as it leads to one.
func TestLinkedDatabase(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file, link := filepath.Join(directory, "file.db"), filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	want := "carecycle-server: open database: " + link + " is a link to a file that does not exist; create that file with migrate, or remove the link\n"
	if _, stderr, code := run("", "migrate", "--database", link); code != 1 || stderr != want {
		t.Errorf("a link to nothing: exit code %d, %s", code, stderr)
	}
	migrated(t, file)
	a := serve(t, link).account("acme")
	if got := a.send(request{Path: a.newRecord().path(), Body: `{"city":"x"}`}); got.Status != http.StatusOK {
		t.Errorf("a change through a link: %d %s", got.Status, got.Body)
	}
}

// TestFailure calls commands that cannot do their work: exit code 1, and one line on standard error says why and what to do.
func TestFailure(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(directory, name)
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
		missing     = filepath.Join(directory, "missing", "test.db")
		text        = file("text.db", strings.Repeat("This is not a database. ", 1000))
		newer       = newerSchema(t, filepath.Join(directory, "newer.db"))
		fine        = migrated(t, filepath.Join(directory, "fine.db"))
		none        = filepath.Join(directory, "none.db")
		foreign     = foreignDatabase(t, filepath.Join(directory, "foreign.db"))
		lines       = file("lines.ndjson", "{}") // invalid, which is found out later
		inUse       = taken.Addr().String() + " is in use by another program; stop that, or choose another address, port 0 for any free port"
		noKey       = "there is no key of that ID; IDs begin with key_ and are listed by keys list"
		noDirectory = "open database: the directory " + filepath.Dir(missing) + " does not exist; create it, or name another file with --database"
		notOne      = "open database " + text + ": it is not a SQLite database; name another file with --database"
		tooNew      = "open database " + newer + ": its schema, version 99, was made by a newer version of this program, which knows up to "
	)
	for _, tt := range []struct {
		name, database, message string
		args                    []string
	}{
		{"migrate/no directory", missing, noDirectory, []string{"migrate"}},
		{"serve/no directory", missing, noDirectory, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}},
		{"import/no directory", missing, noDirectory, []string{"import", lines, "--organization", "acme"}},
		{"migrate/not a database", text, notOne, []string{"migrate"}},
		{"keys/not a database", text, notOne, []string{"keys", "list"}},
		{"migrate/a newer schema", newer, tooNew, []string{"migrate"}},
		{"serve/a newer schema", newer, tooNew, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}},
		{"serve/address in use", fine, "--addr " + inUse, []string{"serve", "--addr", taken.Addr().String()}},
		{"serve/admin address in use", fine, "--admin-addr " + inUse, []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", taken.Addr().String()}},
		{"serve/an address of another machine", fine, "--addr 192.0.2.1:8080 is not an address of this machine; choose one of its own, or 0.0.0.0 for all of them", []string{"serve", "--addr", "192.0.2.1:8080"}},
		{"serve/a name without an address", fine, "--addr nowhere.invalid:8080 has a name that cannot be resolved; use an IP address of this machine", []string{"serve", "--addr", "nowhere.invalid:8080"}},
		{"keys/no database", none, "open database: there is no database " + none + "; name another with --database, or create it with migrate", []string{"keys", "list"}},
		{"export/no database", none, "open database: there is no database " + none, []string{"export", "--organization", "acme"}},
		{"serve/another program's database", foreign, "open database " + foreign + ": it is the database of another program, and was left as it is", []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "off"}},
		{"import/no file", fine, "import: there is no file " + filepath.Join(directory, "none") + "; check its name, or use - for standard input", []string{"import", filepath.Join(directory, "none"), "--organization", "acme"}},
		{"import/a directory", fine, "import: " + directory + " is a directory; name a file in it, or use - for standard input", []string{"import", directory, "--organization", "acme"}},
		{"export/an unknown organization", fine, `export: there is no organization "nobody" in this database; check the name and --database`, []string{"export", "--organization", "nobody"}},
		{"history/an unknown ID", fine, "history: no provider has or had the ID " + exampleID + " in this database; check the ID and --database", []string{"history", exampleID}},
		{"keys/revoke an unknown key", fine, "revoke key: " + noKey, []string{"keys", "revoke", "key_000000000000"}},
		{"keys/rotate an unknown key", fine, "rotate key: " + noKey, []string{"keys", "rotate", "key_000000000000"}},
		{"keys/revoke a secret", fine, "revoke key: " + noKey, []string{"keys", "revoke", apikey.Generate()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := run("", append(tt.args, "--database", tt.database)...)
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "carecycle-server: "+tt.message) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, standard output %q, standard error\n%s, want\n%s", code, stdout, stderr, tt.message)
			}
		})
	}
	elsewhere := " serve --demo --addr 127.0.0.1:0 --admin-addr 127.0.0.1:0\n"
	if _, stderr, code := run("", "serve", "--demo", "--addr", taken.Addr().String()); code != 1 || !strings.Contains(stderr, inUse+"; for example: ") || !strings.HasSuffix(stderr, elsewhere) {
		t.Errorf("the address of the demo in use: exit code %d, standard error\n%s", code, stderr)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a command that only reads has created a database")
	}
	if query(t, foreign, "SELECT count(*) FROM sqlite_schema")[0] != 1 || query(t, foreign, "PRAGMA application_id")[0] != 0 {
		t.Error("another program's database has changed")
	}
	if content, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(content), "This is not a database.") {
		t.Errorf("the file that is not a database has changed: %v", err)
	}
}

// newerSchema makes a database as a later version of the program would leave it.
func newerSchema(t *testing.T, path string) string {
	t.Helper()
	migrated(t, path)
	query(t, path, "INSERT INTO carecycle_schema_versions (version_id, is_applied) VALUES (99, 1)")
	return path
}

// migrated migrates a database, or creates one without records.
func migrated(t testing.TB, database string) string {
	t.Helper()
	if _, err := os.Stat(database); err == nil || strings.Contains(database, "://") {
		if _, stderr, code := run("", "migrate", "--database", database); code != 0 {
			t.Fatal(stderr)
		}
		return database
	}
	return sqlitetest.New(t, database)
}

// foreignDatabase creates a database of another program.
func foreignDatabase(t *testing.T, path string) string {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlitex.ExecuteTransient(c, "CREATE TABLE notes (text TEXT)", nil); err != nil {
		t.Fatal(err)
	}
	return path
}
