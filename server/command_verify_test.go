package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// damage is done to a record that has four versions, of which the last three have changed its city.
type damage struct {
	sql   string   // {id} is the record's ID; {1} to {4} are the rows of its events
	lines []string // what verify says of it, without the record; those that begin with an asterisk are not about a record
}

// newHistories creates a record with four versions for each of the damages.
func (a account) newHistories(n int) []record {
	a.t.Helper()
	records := a.newRecords(n)
	for _, r := range records {
		a.changeCity(r, 3)
	}
	return records
}

func (a account) changeCity(r record, times int) {
	a.t.Helper()
	for n := range times {
		if got := a.send(request{Path: r.path(), Body: fmt.Sprintf(`{"city":"%s %d"}`, canary, n)}); got.Status != http.StatusOK {
			a.t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
}

// expectProblems verifies a database, and compares what is reported.
func expectProblems(t *testing.T, database string, want []string) {
	t.Helper()
	stdout, stderr, code := run("", "verify", "--database", database)
	got := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if code != 3 || !strings.HasPrefix(stderr, fmt.Sprintf("carecycle-server: verify: found %d problems in ", len(want))) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if holdsCanary(stdout, stderr) {
		t.Errorf("a value is in\n%s%s", stdout, stderr)
	}
}

func expectNoProblem(t *testing.T, database string) {
	t.Helper()
	stdout, stderr, code := run("", "verify", "--database", database)
	if code != 0 || stdout != "" || !strings.HasPrefix(stderr, "verified ") || !strings.HasSuffix(stderr, ", and found nothing wrong\n") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// expand puts a record's ID and rows in the place of their names.
func expand(text, id string, rows []int64) string {
	text = strings.ReplaceAll(text, "{id}", id)
	for i, row := range rows {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i+1), fmt.Sprint(row))
	}
	return text
}

// sqliteDamages are done with the server stopped.
var sqliteDamages = []damage{
	{"UPDATE provider_events SET previous = {2} WHERE row = {4}", []string{"version 3 is missing in the history", "*the event in row {3}, of a version 3, is in no history"}},
	{"UPDATE provider_events SET previous = {1} WHERE row = {4}", []string{
		"versions 2 to 3 are missing in the history", "*the event in row {2}, of a version 2, is in no history", "*the event in row {3}, of a version 3, is in no history",
	}},
	{"DELETE FROM provider_events WHERE row = {3}", []string{
		"*the event in row {1}, of a version 1, is in no history", "*the event in row {2}, of a version 2, is in no history",
	}},
	{"UPDATE provider_events SET previous = NULL WHERE row = {2}", []string{
		"the versions before 2 are missing in the history, and were not archived", "*the event in row {1}, of a version 1, is in no history",
	}},
	{"UPDATE provider_events SET previous = {4} WHERE row = {1}", []string{"version 1 names one before it"}},
	{"UPDATE provider_events SET previous = {4} WHERE row = {2}", []string{
		"the event in row {4} is in two histories", "*the event in row {1}, of a version 1, is in no history",
	}},
	{"UPDATE providers SET last_event = 1000000 WHERE id = {id}", []string{
		"the record has no history", "*the event in row {1}, of a version 1, is in no history", "*the event in row {2}, of a version 2, is in no history",
		"*the event in row {3}, of a version 3, is in no history", "*the event in row {4}, of a version 4, is in no history",
	}},
	{"UPDATE providers SET version = 5 WHERE id = {id}", []string{"the record has version 5, and its newest event 4"}},
	{"UPDATE provider_events SET version = 5 WHERE row = {2}", []string{
		"version 5 is in the history before version 3", "*the event in row {1}, of a version 1, is in no history",
	}},
	{"UPDATE providers SET city = 'another " + canary + "' WHERE id = {id}", []string{"version 4 has set another value of city than the record has"}},
	{"UPDATE providers SET notes = 'another " + canary + "' WHERE id = {id}", []string{"version 1 has set another value of notes than the record has"}},
	{"UPDATE providers SET is_active = NULL WHERE id = {id}", []string{"version 1 has set another value of isActive than the record has"}},
	{`UPDATE provider_events SET changes = '{"city":["` + canary + `","another"]}' WHERE row = {3}`, []string{
		"version 3 has set another value of city than version 4 has changed", "version 2 has set another value of city than version 3 has changed",
	}},
	{`UPDATE provider_events SET changes = '{}' WHERE row = {4}`, []string{"version 3 has set another value of city than the record has"}},
	{`UPDATE provider_events SET changes = '` + canary + `' WHERE row = {3}`, []string{"the changes of version 3 cannot be read"}},
	{"UPDATE provider_events SET action = '" + canary + "' WHERE row = {3}", []string{"version 3 has an unknown action"}},
	{"UPDATE provider_events SET action = 'updated' WHERE row = {1}", []string{`version 1 is "updated" instead of "created"`}},
	{"UPDATE provider_events SET action = 'deleted' WHERE row = {4}", []string{`version 4 is "deleted", which does not fit what follows it`}},
	{"UPDATE providers SET deleted = 1, city = NULL, specialty = NULL, provider_name = NULL, practice_name = NULL, npi = NULL, phone = NULL, fax = NULL, " +
		"email = NULL, address = NULL, address2 = NULL, state = NULL, postal_code = NULL, is_primary_provider = NULL, is_active = NULL WHERE id = {id}", []string{
		"it is deleted, and still has a value of notes", `version 4 is "updated", which does not fit what follows it`,
	}},
	{"DELETE FROM customers WHERE id = (SELECT customer_id FROM providers WHERE id = {id})", []string{"its customer does not exist"}},
	{"UPDATE providers SET id = x'00' WHERE id = {id}", []string{
		"*row {row} of providers has an ID that is no UUID", "*the event in row {1}, of a version 1, is in no history", "*the event in row {2}, of a version 2, is in no history",
		"*the event in row {3}, of a version 3, is in no history", "*the event in row {4}, of a version 4, is in no history",
	}},
}

// TestVerifySQLite damages a record in each way, and finds every one of them.
func TestVerifySQLite(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	records, long := a.newHistories(len(sqliteDamages)), a.newRecord()
	a.changeCity(long, 64)
	purged, again := a.newRecord(), a.newRecord()
	for _, r := range []record{purged, again} {
		a.send(request{Method: http.MethodDelete, Path: r.path()})
	}
	a.importLines("acme", asJSON(again.properties(changes{"city": canary})))
	a.mustRun("", "purge", purged.id)
	expectNoProblem(t, a.database) // while it is served
	a.stop()
	expectNoProblem(t, a.database)

	var want []string
	for i, d := range sqliteDamages {
		id := blob(records[i].id)
		var rows []int64
		for version := 1; version <= 4; version++ { // the import's events come first
			rows = append(rows, query(t, a.database, fmt.Sprintf(`WITH RECURSIVE history AS (
				SELECT row, previous, version FROM provider_events WHERE row = (SELECT last_event FROM providers WHERE id = %s)
				UNION ALL SELECT provider_events.row, provider_events.previous, provider_events.version FROM history JOIN provider_events ON provider_events.row = history.previous
			) SELECT row FROM history WHERE version = %d`, id, version))[0])
		}
		row := query(t, a.database, "SELECT row FROM providers WHERE id = "+id)[0]
		query(t, a.database, expand(d.sql, id, rows))
		for _, line := range d.lines {
			line = strings.ReplaceAll(expand(line, id, rows), "{row}", fmt.Sprint(row))
			if about, ok := strings.CutPrefix(line, "*"); ok {
				want = append(want, about)
			} else {
				want = append(want, "organization 1: provider "+records[i].id+": "+line)
			}
		}
	}
	query(t, a.database, "UPDATE provider_events SET record = 0 WHERE version = 64 AND record = (SELECT row FROM providers WHERE id = "+blob(long.id)+")")
	want = append(want, "organization 1: provider "+long.id+": version 64 does not name the record")
	query(t, a.database, "UPDATE api_keys SET organization_id = 99")
	want = append(want, "a row of api_keys refers to a row of organizations that does not exist")
	expectProblems(t, a.database, want)
}

func blob(id string) string { return "x'" + strings.ReplaceAll(id, "-", "") + "'" }

// TestVerifyDamagedFile overwrites pages, which SQLite cannot read then.
func TestVerifyDamagedFile(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	a.newRecords(100)
	a.stop()
	file, err := os.OpenFile(a.database, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	root := query(t, a.database, "SELECT rootpage FROM sqlite_schema WHERE name = 'provider_events'")[0]
	if _, err := file.WriteAt([]byte(strings.Repeat(canary, 100)), (root-1)*4096); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run("", "verify", "--database", a.database)
	for _, want := range []string{"SQLite: Tree ", "SQLite cannot read all of the file (SQLITE_CORRUPT), so not everything was verified\n"} {
		if code != 3 || !strings.Contains(stdout, want) || holdsCanary(stdout, stderr) {
			t.Errorf("exit code %d, no %q in\n%s%s", code, want, stdout, stderr)
		}
	}
}

// TestVerifyOlder verifies a database that would be migrated: it stays as it is.
func TestVerifyOlder(t *testing.T) {
	t.Parallel()
	database := migrated(t, filepath.Join(t.TempDir(), "test.db"))
	const version = "SELECT max(version_id) FROM carecycle_schema_versions"
	newest := query(t, database, version)[0]
	query(t, database, fmt.Sprint("DELETE FROM carecycle_schema_versions WHERE version_id = ", newest))
	older := query(t, database, version)[0]
	_, stderr, code := run("", "verify", "--database", database)
	if code != 1 || stderr != fmt.Sprintf("carecycle-server: verify: read database %s: its schema has version %d, and this program needs %d; run migrate first\n", database, older, newest) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// postgresDamages are done without PostgreSQL's own checks.
var postgresDamages = []damage{
	{"DELETE FROM provider_events WHERE provider_id = {id} AND version = 3", []string{"version 3 is missing in the history"}},
	{"DELETE FROM provider_events WHERE provider_id = {id} AND version = 4", []string{"the record has version 4, and its newest event 3"}},
	{"DELETE FROM provider_events WHERE provider_id = {id}", []string{"the record has no history"}},
	{"DELETE FROM providers WHERE id = {id}", []string{"it has a history up to version 4, but there is no record of it"}},
	{"UPDATE providers SET version = 5 WHERE id = {id}", []string{"the record has version 5, and its newest event 4"}},
	{"UPDATE providers SET city = 'another " + canary + "' WHERE id = {id}", []string{"version 4 has set another value of city than the record has"}},
	{"UPDATE provider_events SET changes = '" + canary + "' WHERE provider_id = {id} AND version = 2", []string{"the changes of version 2 cannot be read"}},
	{"DELETE FROM customers WHERE id = (SELECT customer_id FROM providers WHERE id = {id})", []string{"its customer does not exist"}},
}

// TestVerifyPostgreSQL damages a record in each way, and finds every one of them.
func TestVerifyPostgreSQL(t *testing.T) {
	t.Parallel()
	s := serve(t, postgrestest.New(t))
	a := s.account("acme")
	records := a.newHistories(len(postgresDamages))
	other := s.account("umbrella").newRecord()
	expectNoProblem(t, s.database) // while it is served
	s.stop()
	expectNoProblem(t, s.database)

	c, err := pgx.Connect(t.Context(), s.database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	execute := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v: %s", err, sql)
		}
	}
	execute("SET session_replication_role = replica")
	var want []string
	for i, d := range postgresDamages {
		execute(expand(d.sql, "'"+records[i].id+"'", nil))
		for _, line := range d.lines {
			want = append(want, "organization 1: provider "+records[i].id+": "+line)
		}
	}
	execute("DELETE FROM organizations WHERE name = 'umbrella'")
	execute("DELETE FROM customers WHERE id = '" + other.customer + "'")
	var key string
	if err := c.QueryRow(t.Context(), "SELECT id FROM api_keys WHERE organization_id = 2").Scan(&key); err != nil {
		t.Fatal(err)
	}
	want = append(want, "the organization of the key "+key+" does not exist", "organization 2: there are rows of it, but it does not exist",
		"organization 2: provider "+other.id+": its customer does not exist")
	stray := uuid.Max.String() // after all records
	execute(`INSERT INTO provider_events SELECT organization_id, '` + stray + `', version, at, action, key_id, request_id, changes FROM provider_events WHERE provider_id = '` + other.id + "'")
	want = append(want, "organization 2: provider "+stray+": it has a history up to version 1, but there is no record of it")
	expectProblems(t, s.database, want)
}
