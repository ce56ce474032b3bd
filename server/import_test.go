package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A line without an ID makes a record once. Importing its file again, to complete an import for example, must not undo
// what was changed since.
func TestImportAgainLeavesChanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.newKey("acme")
	const customer = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	line := `{"customerId": "` + customer + `", "providerType": "Hospital", "phone": "from the file"}`
	s.importLines("acme", line)
	s.stop()
	id := onlyProvider(t, s.database)
	s = serve(t, s.database)
	path := "/v2/customers/" + customer + "/providers/" + id
	if a := s.send(request{Path: path, Key: key, Body: `{"phone": "changed"}`}); a.Status != http.StatusOK {
		t.Fatal(a.Body)
	}
	s.importLines("acme", line)
	var record struct{ Phone string }
	a := s.send(request{Path: path, Key: key, Body: `{}`})
	if err := json.Unmarshal([]byte(a.Body), &record); err != nil || record.Phone != "changed" || a.Header.Get("ETag") != `"2"` {
		t.Errorf("after importing again: %s %s", a.Header.Get("ETag"), a.Body)
	}
}

// onlyProvider returns the ID of a database's one provider.
func onlyProvider(t *testing.T, database string) string {
	t.Helper()
	c, err := sqlite.OpenConn(database, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var id uuid.UUID
	err = sqlitex.ExecuteTransient(c, "SELECT id FROM providers", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		s.ColumnBytes(0, id[:])
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
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
		oneBad   = "carecycle-server: import: 1 line is invalid, so nothing was imported; fix them, or import the others with --skip-invalid\n"
		required = "customerId is required. providerType is required.\n"
	)
	long := `{"notes":"` + strings.Repeat("x", 64<<10) + `"}`
	longest := withID + strings.Repeat(" ", 64<<10-len(withID)-1) + "\t" // 64 KiB
	skip := []string{"--skip-invalid"}
	for _, tt := range []struct {
		name, lines string
		flags       []string
		code        int
		stderr      string // RECORDS stands for the number of records
		records     int    // that are new at the first import, and unchanged at the second
		repeated    int    // lines about a record that came before
	}{
		{"nothing", "", nil, 0, "imported 0 records\n", 0, 0},
		{"blank lines", "\n \n\t\n\r\n", nil, 0, "imported 0 records\n", 0, 0},
		{"without ids", line + "\n" + strings.Replace(line, "}", `,"city":"x"}`, 1), nil, 0, "imported RECORDS\n", 2, 0},
		{"without ids, written differently", line + "\n" + `{ "providerType": "Hospital", "notes": null, "customerId": "3C90C3CC-0d44-4b50-8888-8dd25736052a" }`, nil, 0, "imported RECORDS\n", 1, 1},
		{"as the API returns it", strings.Replace(withID, "{", `{"createdAt":"2026-06-17T19:07:23.709Z","updatedAt":"2026-06-17T19:07:23.709Z",`, 1), nil, 0, "imported RECORDS\n", 1, 0},
		{"with an id", withID + "\n", nil, 0, "imported RECORDS\n", 1, 0},
		{"no line break at the end", withID + "\n" + line, nil, 0, "imported RECORDS\n", 2, 0},
		{"blank lines between", "\n" + withID + "\n\n" + line + "\n\n", nil, 0, "imported RECORDS\n", 2, 0},
		{"CRLF", withID + "\r\n" + line + "\r\n", nil, 0, "imported RECORDS\n", 2, 0},
		{"a byte order mark", "\ufeff" + withID + "\n", nil, 0, "imported RECORDS\n", 1, 0},
		{"many", strings.Repeat(withID+"\n", 1234), nil, 0, "imported RECORDS\n", 1, 1233},

		{"a bad line", line + "\n\n" + bad + "\n" + withID, nil, 1, "line 3: " + badSays + oneBad, 0, 0},
		{"a bad line is left out", line + "\n\n" + bad + "\n" + withID, skip, 0, "line 3: " + badSays + "imported RECORDS; skipped 1 invalid line\n", 2, 0},
		{"no space of JSON's", line + "\u00a0\n\v" + line + "\n\u0085", skip, 0, "line 1: The line must be one JSON value; something follows it.\n" +
			"line 2: The line is not JSON: it has a syntax error after byte 0.\nline 3: The line is not JSON: it has a syntax error after byte 0.\nimported 0 records; skipped 3 invalid lines\n", 0, 0},
		{"nothing but a bad line", bad, skip, 0, "line 1: " + badSays + "imported 0 records; skipped 1 invalid line\n", 0, 0},
		{"two bad lines", "{}\n" + line + "\n{}", nil, 1,
			"line 1: " + required + "line 3: " + required + "carecycle-server: import: 2 lines are invalid, so nothing was imported; fix them, or import the others with --skip-invalid\n", 0, 0},
		{"required", `{"customerId":null}`, nil, 1, "line 1: customerId must be a UUID, not null. providerType is required.\n" + oneBad, 0, 0},
		{"a bad id", strings.Replace(withID, `"id":"3c90c3cc-`, `"id":"`, 1), nil, 1, "line 1: id must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a.\n" + oneBad, 0, 0},
		{"an escaped id", strings.Replace(withID, `"id":"3`, `"id":"\u0033`, 1), nil, 0, "imported RECORDS\n", 1, 0},
		{"no id but null", strings.Replace(withID, `"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a"`, `"id":null`, 1), nil, 1, "line 1: id must be a UUID, not null.\n" + oneBad, 0, 0},
		{"a time that is none", strings.Replace(line, "{", `{"createdAt":"yesterday",`, 1), nil, 1, "line 1: createdAt must be a time, in the form 2026-06-17T19:07:23.709Z.\n" + oneBad, 0, 0},
		{"two values", line + line, nil, 1, "line 1: The line must be one JSON value; something follows it.\n" + oneBad, 0, 0},
		{"an array", "[" + line + "]", nil, 1, "line 1: The line must be an object, not an array.\n" + oneBad, 0, 0},
		{"a byte order mark later", line + "\n\ufeff" + line, nil, 1, "line 2: The line begins with a byte order mark; send UTF-8 without one.\n" + oneBad, 0, 0},
		{"a long line", line + "\n" + long + "\n" + withID, nil, 1, "line 2: it is longer than 65536 bytes\n" + oneBad, 0, 0},
		{"a long line is left out", long + "\n" + withID, skip, 0, "line 1: it is longer than 65536 bytes\nimported RECORDS; skipped 1 invalid line\n", 1, 0},
		{"a long line at the end", withID + "\n" + long, skip, 0, "line 2: it is longer than 65536 bytes\nimported RECORDS; skipped 1 invalid line\n", 1, 0},
		{"the longest line", longest + "\r\n" + long + "\n" + longest, skip, 0, "line 2: it is longer than 65536 bytes\nimported RECORDS; skipped 1 invalid line\n", 1, 1},
		{"one byte more", longest + " \n" + longest + " ", skip, 0, "line 1: it is longer than 65536 bytes\nline 2: it is longer than 65536 bytes\nimported 0 records; skipped 2 invalid lines\n", 0, 0},
		{"a customer alone", customer, nil, 0, "imported 0 records; 1 line with a customer alone\n", 0, 0},
		{"customers alone", customer + "\n" + withID + "\n" + customer, nil, 0, "imported RECORDS; 2 lines with a customer alone\n", 1, 0},
		{"a customer with an id", strings.Replace(customer, "{", `{"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a",`, 1), nil, 1, "line 1: providerType is required.\n" + oneBad, 0, 0},
		{"a customer with a property", strings.Replace(customer, "{", `{"city":null,`, 1), nil, 1, "line 1: providerType is required.\n" + oneBad, 0, 0},
		{"a customer twice", strings.Replace(customer, "{", `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a",`, 1), nil, 1, "line 1: customerId is given more than once. providerType is required.\n" + oneBad, 0, 0},
		{"bad lines without end", strings.Repeat("{}\n", 1000), nil, 1,
			numbered(100, required) + "carecycle-server: import: 1000 lines are invalid (the first 100 are reported above), so nothing was imported; fix them, or import the others with --skip-invalid\n", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			database, file := migrated(t, filepath.Join(t.TempDir(), "test.db")), filepath.Join(t.TempDir(), "lines.ndjson")
			if err := os.WriteFile(file, []byte(tt.lines), 0o600); err != nil {
				t.Fatal(err)
			}
			created := "carecycle-server: created the organization \"acme\", as there was none of that name\n"
			for n, source := range []string{"-", file} {
				args := append([]string{"import", source, "--organization", "acme", "--database", database}, tt.flags...)
				stdout, stderr, code := run(tt.lines, args...)
				records := fmt.Sprintf("%d records: %d new, 0 changed, %d unchanged", tt.records+tt.repeated, tt.records, tt.repeated)
				if n == 1 {
					records = fmt.Sprintf("%d records: 0 new, 0 changed, %[1]d unchanged", tt.records+tt.repeated)
				}
				if tt.records+tt.repeated == 1 {
					records = strings.Replace(records, "records", "record", 1)
				}
				want := strings.Replace(tt.stderr, "RECORDS", records, 1)
				if n == 0 && code == 0 {
					want = created + want
				}
				if code != tt.code || stdout != "" || stderr != want {
					t.Errorf("from %s: exit code %d, standard output %q, standard error\n%s, want %d,\n%s", source, code, stdout, stderr, tt.code, want)
				}
				if row := query(t, database, "SELECT count(*), coalesce(sum(version), 0) FROM providers"); row[0] != int64(tt.records) || row[1] != int64(tt.records) {
					t.Errorf("from %s: %d records with versions that add up to %d, want %d records of version 1", source, row[0], row[1], tt.records)
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
