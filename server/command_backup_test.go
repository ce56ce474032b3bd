package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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
	for command, tool := range map[string]string{"backup": "pg_dump", "restore": "pg_restore"} {
		_, stderr, code := run("", command, file, "--database", "postgres://nobody@localhost/secret")
		if code != 2 || stderr != "server: "+command+": this database is PostgreSQL's; use "+tool+"\n" {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
}

// TestRestoreInUse restores while the database is served: nothing happens, whether or not the file still has its name.
func TestRestoreInUse(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	database, backup := filepath.Join(directory, "test.db"), filepath.Join(directory, "backup.db")
	s, p := replica(t, database)
	a := s.account("acme")
	r := a.newRecord()
	restore := func() process {
		restoring := start(t, directory, "restore", "backup.db", "--force", "--database", "test.db")
		restoring.Wait()
		return restoring
	}
	if out := s.mustRun("", "backup", backup); out != "" {
		t.Errorf("standard output %s", out)
	}
	const want = "server: restore: a process has the database test.db open; stop it first\n"
	if got := restore(); got.ProcessState.ExitCode() != 1 || got.stderr.String() != want {
		t.Errorf("served: exit code %d, %s", got.ProcessState.ExitCode(), got.stderr)
	}
	if got := a.send(request{Path: r.path(), Body: `{"city":"after"}`}); got.Status != http.StatusOK {
		t.Errorf("a change after it: %d %s", got.Status, got.Body)
	}
	if err := os.Remove(database); err != nil {
		t.Fatal(err)
	}
	if got := restore(); got.ProcessState.ExitCode() != 1 || got.stderr.String() != want {
		t.Errorf("served, and deleted: exit code %d, %s", got.ProcessState.ExitCode(), got.stderr)
	}
	p.Process.Kill()
	p.Wait()
	got := restore()
	if got.ProcessState.ExitCode() != 0 || !regexp.MustCompile(`^restored 1 record with 1 version: \d+ bytes in \S+\n$`).MatchString(got.stderr.String()) {
		t.Errorf("not served: exit code %d, %s", got.ProcessState.ExitCode(), got.stderr)
	}
	if rows := query(t, database, "SELECT count(*), (SELECT count(*) FROM provider_events) FROM providers"); rows[0] != 1 || rows[1] != 1 {
		t.Errorf("the database has %v records and events", rows)
	}
}
