package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestExitCodes runs the program so that it ends with each exit code that docs/operations.md lists.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	damaged := migrated(t, filepath.Join(directory, "damaged.db"))
	if _, stderr, code := run("", "import", "../docs/example.ndjson", "--organization", "acme", "--database", damaged); code != 0 {
		t.Fatal(stderr)
	}
	query(t, damaged, "DELETE FROM provider_events")
	fine := migrated(t, filepath.Join(directory, "fine.db"))
	due := migrated(t, filepath.Join(directory, "due.db"))
	query(t, due, "DELETE FROM carecycle_schema_versions WHERE version_id > 3")
	got := map[int]bool{}
	for _, tt := range []struct {
		line string
		code int
	}{
		{"", 0},
		{"--version", 0},
		{"verify --database " + fine, 0},
		{"export --organization nobody --database " + fine, 1},
		{"serve --port 80", 2},
		{"verify --database " + damaged, 3},
		{"migrate --status --database " + due, 4},
		{"status --database " + fine, 4}, // it has no backup
	} {
		p := program(directory, strings.Fields(tt.line)...)
		p.Run() // an exit code is an error
		if code := p.ProcessState.ExitCode(); code != tt.code {
			t.Errorf("%q: exit code %d, want %d: %s", tt.line, code, tt.code, p.stderr)
		}
		got[tt.code] = true
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| `).FindAllStringSubmatch(documentation(t), -1)
	for _, row := range rows {
		if code, _ := strconv.Atoi(row[1]); !got[code] {
			t.Errorf("docs/operations.md lists the exit code %d, which is not tested", code)
		}
	}
	if len(rows) != len(got) {
		t.Errorf("docs/operations.md lists %d exit codes, want %d", len(rows), len(got))
	}
}

// TestExampleImport imports the documented example, twice.
func TestExampleImport(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "test.db")
	for _, want := range []string{"imported 2 records: 2 new, 0 changed, 0 unchanged; 1 line with a customer alone\n", "imported 2 records: 0 new, 0 changed, 2 unchanged; 1 line with a customer alone\n"} {
		if _, stderr, code := run("", "import", "../docs/example.ndjson", "--organization", "acme", "--database", database); code != 0 || !strings.HasSuffix(stderr, want) {
			t.Errorf("exit code %d, %q, want %q", code, stderr, want)
		}
	}
}

// TestReferences follows the references in the documentation: each is to a heading, or to a paragraph that begins with its name.
func TestReferences(t *testing.T) {
	t.Parallel()
	text := documentation(t)
	_, tasks, _ := strings.Cut(text, "\n| to | see |\n")
	tasks, _, _ = strings.Cut(tasks, "\n\n")
	references := regexp.MustCompile(`(?i)\bsee \*([^*]+)\*`).FindAllStringSubmatch(text, -1)
	references = append(references, regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(tasks, -1)...)
	if len(references) < 20 {
		t.Errorf("%d references, want more", len(references))
	}
	for _, reference := range references {
		name := strings.ReplaceAll(reference[1], "\n", " ")
		if !strings.Contains(text, "\n## "+name+"\n") && !strings.Contains(text, "\n**"+name+".** ") {
			t.Errorf("docs/operations.md has no %q", name)
		}
	}
}

// documentation returns the documentation for operators.
func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedSQL reads a history by the statements of docs/operations.md.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	text := documentation(t)
	_, section, _ := strings.Cut(text, "\n**In SQL.**")
	statements := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(section, 2)
	if len(statements) != 2 {
		t.Fatalf("%d statements in the documentation, want 2", len(statements))
	}
	file, url := filepath.Join(t.TempDir(), "test.db"), pgtest.New(t)
	for _, database := range []string{file, url} {
		for _, line := range []string{
			`{"customerId":"` + exampleID + `","id":"` + exampleID + `","providerType":"Hospital","city":"a","isActive":true}`,
			`{"customerId":"` + exampleID + `","id":"` + exampleID + `","providerType":"Pharmacy","city":null,"notes":"n","isActive":false}`,
		} {
			if _, stderr, code := run(line, "import", "-", "--organization", "acme", "--database", database); code != 0 {
				t.Fatal(stderr)
			}
		}
	}
	want := []string{"1 city a", "1 customerId " + exampleID, "1 isActive true", "1 providerType Hospital",
		"2 city [a]", "2 isActive [true,false]", "2 notes n", "2 providerType [Hospital,Pharmacy]"}
	for store, rows := range map[string][]string{"SQLite": sqliteRows(t, file, statements[0][1]), "PostgreSQL": postgresRows(t, url, statements[1][1])} {
		slices.Sort(rows)
		if !slices.Equal(rows, want) {
			t.Errorf("%s: got %q, want %q", store, rows, want)
		}
	}
}

// plainRow returns a row of a history without the marks of JSON.
func plainRow(version int64, name, value string) string {
	return fmt.Sprint(version, " ", name, " ", strings.NewReplacer(`"`, "", " ", "").Replace(value))
}

func sqliteRows(t *testing.T, path, statement string) (rows []string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	booleans := map[string]string{"0": "false", "1": "true"} // as SQLite shows them
	err = sqlitex.ExecuteTransient(c, strings.TrimSpace(statement), &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		rows = append(rows, plainRow(s.ColumnInt64(0), s.ColumnText(1), cmp.Or(booleans[s.ColumnText(2)], s.ColumnText(2))))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func postgresRows(t *testing.T, url, statement string) []string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	found, err := c.Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (string, error) {
		var version int64
		var name string
		var value json.RawMessage
		err := row.Scan(&version, &name, &value)
		return plainRow(version, name, string(value)), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
