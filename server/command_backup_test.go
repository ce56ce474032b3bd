package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/google/uuid"
)

// TestBackupStops sends SIGTERM to a backup. It ends with a complete file, or with none at all.
func TestBackupStops(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "test.db")
	customer, lines := uuid.NewString(), make([]string, 3000)
	for i := range lines {
		lines[i] = asJSON(changes{"customerId": customer, "id": uuid.NewString(), "providerType": "Hospital", "notes": strings.Repeat("x", 1000)})
	}
	if _, stderr, code := run(strings.Join(lines, "\n"), "import", "-", "--organization", "acme", "--database", database); code != 0 {
		t.Fatal(stderr)
	}
	directory := t.TempDir()
	p := start(t, directory, "backup", "backup.db", "--database", database)
	await.State(t, "the backup has begun", func() bool {
		names, err := filepath.Glob(filepath.Join(directory, "backup.db*"))
		return err == nil && len(names) > 0
	})
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	names, err := filepath.Glob(filepath.Join(directory, "*"))
	switch code := p.ProcessState.ExitCode(); {
	case err != nil:
		t.Fatal(err)
	case code == 1 && len(names) == 0 && p.stderr.String() == "server: backup: it was stopped, and no file was written\n":
	case code == 0 && len(names) == 1 && query(t, names[0], "SELECT count(*) FROM providers")[0] == int64(len(lines)):
	default:
		t.Errorf("exit code %d, files %v, %s", code, names, p.stderr)
	}
}

func TestBackupOfPostgreSQL(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	_, stderr, code := run("", "backup", file, "--database", "postgres://nobody@localhost/secret")
	if code != 2 || stderr != "server: backup: this database is PostgreSQL's; use pg_dump\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
}
