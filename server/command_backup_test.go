package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/google/uuid"
)

// TestBackupStops sends SIGTERM to a backup. It ends with a complete file, or with none at all.
func TestBackupStops(t *testing.T) {
	t.Parallel()
	const records = 3000
	database := filled(t, records)
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
	case code == 1 && len(names) == 0 && p.stderr.String() == "carecycle-server: backup: it was stopped, and no file was written\n":
	case code == 0 && len(names) == 1 && query(t, names[0], "SELECT count(*) FROM providers")[0] == records:
	default:
		t.Errorf("exit code %d, files %v, %s", code, names, p.stderr)
	}
}

// filled creates a database with that many records, of a KiB or two each, under one customer.
func filled(t *testing.T, records int) (database string) {
	t.Helper()
	database = filepath.Join(t.TempDir(), "test.db")
	customer, lines := uuid.NewString(), make([]string, records)
	for i := range lines {
		lines[i] = asJSON(changes{"customerId": customer, "id": uuid.NewString(), "providerType": "Hospital", "notes": strings.Repeat("x", 1000)})
	}
	if _, stderr, code := run(strings.Join(lines, "\n"), "import", "-", "--organization", "acme", "--database", database); code != 0 {
		t.Fatal(stderr)
	}
	return database
}

func TestBackupOfPostgreSQL(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	for command, tool := range map[string]string{"backup": "pg_dump", "restore": "pg_restore"} {
		_, stderr, code := run("", command, file, "--database", "postgres://nobody@localhost/secret")
		if code != 2 || stderr != "carecycle-server: "+command+": this database is PostgreSQL's; use "+tool+"\n" {
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
	const want = "carecycle-server: restore: a process has the database test.db open; stop it first\n"
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

// TestBackupWhileWriting backs up a database that eight writers change, and restores that. Each record has a version between those that
// were acknowledged before and after the backup, with its history.
func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	const writers, perWriter = 8, 8
	directory := t.TempDir()
	s, p := replica(t, filepath.Join(directory, "test.db"))
	a := s.account("acme")
	records := a.newRecords(writers * perWriter)
	acknowledged := make([]atomic.Int64, len(records))
	all := func() (versions []int64, sum int64) {
		for i := range acknowledged {
			versions = append(versions, acknowledged[i].Load())
			sum += versions[i]
		}
		return versions, sum
	}
	var writing sync.WaitGroup
	stop := make(chan struct{})
	finish := sync.OnceFunc(func() { close(stop); writing.Wait() })
	defer finish()
	for w := range writers {
		writing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				i := w*perWriter + n%perWriter
				got, err := a.try(request{Path: records[i].path(), Key: a.key, Body: fmt.Sprintf(`{"city":"%d"}`, n)})
				version, _ := strconv.ParseInt(strings.Trim(got.Header.Get("ETag"), `"`), 10, 64)
				if err != nil || got.Status != http.StatusOK || version == 0 {
					t.Errorf("a change: %d %s, %v", got.Status, got.Body, err)
					return
				}
				acknowledged[i].Store(version)
			}
		})
	}
	await.State(t, "each record was changed", func() bool {
		versions, _ := all()
		return slices.Min(versions) > 1 || t.Failed()
	})
	var before, after []int64
	for changed := false; !changed && !t.Failed(); { // the writers may pause for as long as a backup takes
		var sum, later int64
		before, sum = all()
		s.mustRun("", "backup", "--force", filepath.Join(directory, "backup.db"))
		after, later = all()
		changed = later > sum
	}
	expectNoProblem(t, s.database)
	finish()
	p.end(t, syscall.SIGTERM)

	restored := filepath.Join(directory, "restored.db")
	if _, stderr, code := run("", "restore", filepath.Join(directory, "backup.db"), "--database", restored); code != 0 {
		t.Fatal(stderr)
	}
	expectNoProblem(t, restored)
	expectNoProblem(t, s.database)
	for i, r := range records {
		row := query(t, restored, "SELECT version, (SELECT count(*) FROM providers) FROM providers WHERE id = "+blob(r.id))
		// A change can be saved, and not yet be acknowledged.
		if len(row) != 2 || row[0] < before[i] || row[0] > after[i]+1 || row[1] != int64(len(records)) {
			t.Errorf("a record has %v; want a version from %d to %d, and %d records", row, before[i], after[i]+1, len(records))
		}
	}
}

// TestRestoreKilled kills a restore when it is about to remove the log of the old database, and when it is about to give the new one its
// name. Then the database is the old one with all of its changes, or the new one.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is not installed; apt-get install strace")
		}
		t.Skip("this test kills a process at a system call with strace; apt-get install strace")
	}
	directory := t.TempDir()
	served := filepath.Join(directory, "test.db")
	s, p := replica(t, served)
	a := s.account("acme")
	r := a.newRecord()
	backup := filepath.Join(directory, "backup.db")
	s.mustRun("", "backup", backup)
	a.changeCity(r, 3)
	p.Process.Kill() // so that a log is left
	p.Wait()
	for _, at := range []string{"unlink,unlinkat:when=1", "unlink,unlinkat:when=2", "unlink,unlinkat:when=3", "rename,renameat,renameat2:when=1"} {
		t.Run(at, func(t *testing.T) {
			database := filepath.Join(t.TempDir(), "test.db")
			for _, suffix := range []string{"", "-wal", "-shm"} {
				content, err := os.ReadFile(served + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(database+suffix, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := program(directory, "-f", "-o", "/dev/null", "-e", "trace="+strings.Split(at, ":")[0], "-e", "inject="+at+":signal=KILL",
				os.Args[0], "restore", backup, "--force", "--database", database)
			p.Path, p.Args[0] = strace, strace
			p.Run()
			if p.stderr.String() != "" || p.ProcessState.ExitCode() == 0 {
				t.Errorf("it was not killed: %v, %s", p.ProcessState, p.stderr)
			}
			expectNoProblem(t, database)
			if got := query(t, database, "SELECT version FROM providers")[0]; got != 1 && got != 4 {
				t.Errorf("the record has version %d", got)
			}
			if _, stderr, code := run("", "restore", backup, "--force", "--database", database); code != 0 {
				t.Error(stderr)
			}
			expectNoProblem(t, database)
			if got := query(t, database, "SELECT version FROM providers")[0]; got != 1 {
				t.Errorf("after another restore, the record has version %d", got)
			}
			if left, err := filepath.Glob(database + "*"); err != nil || len(left) != 1 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		})
	}
}
