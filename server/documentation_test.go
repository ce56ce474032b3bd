package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
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
		if !strings.Contains(text, "\n## "+reference[1]+"\n") && !strings.Contains(text, "\n**"+reference[1]+".** ") {
			t.Errorf("docs/operations.md has no %q", reference[1])
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
