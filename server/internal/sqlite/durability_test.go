package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Acknowledged means durable: each commit is followed by an fsync of the log before the caller has its response. Killing
// the process cannot show that, so the system calls are counted.
func TestEachCommitIsSynced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is not installed; apt-get install strace")
		}
		t.Skip("this test counts system calls with strace; apt-get install strace")
	}
	syncs := func(changes, repeats int) int {
		t.Helper()
		log := filepath.Join(t.TempDir(), "strace")
		command := exec.Command(strace, "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", log, os.Args[0], filepath.Join(t.TempDir(), "strace.db"))
		command.Env = append(os.Environ(), fmt.Sprintf("CHANGES=%d", changes), fmt.Sprintf("REPEATS=%d", repeats),
			"GORACE=atexit_sleep_ms=0") // the race detector would wait for a second before the process ends
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("strace.db-wal>"))
	}
	const n = 20
	none, changed, repeated := syncs(0, 0), syncs(n, 0), syncs(n, n)
	if got := changed - none; got < n || got > n+1 { // one more when the log restarts
		t.Errorf("%d changes made %d fsyncs", n, got)
	}
	if got := repeated - changed; got != 0 {
		t.Errorf("%d repetitions, which change nothing, made %d fsyncs", n, got)
	}
}

// TestMain lets the test binary be the process whose system calls TestEachCommitIsSynced counts, or one that is killed
// while it copies.
func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv("CHANGES") != "":
		err = updates(os.Args[1])
	case os.Getenv("KILLED_BACKUP") != "":
		err = killed(sqlite.Backup, os.Args[1], os.Args[2])
	case os.Getenv("KILLED_RESTORE") != "":
		err = killed(sqlite.Restore, os.Args[1], os.Args[2])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// updates changes one record as often as CHANGES says, then repeats the last change as often as REPEATS says.
func updates(path string) error {
	ctx := context.Background()
	changes, _ := strconv.Atoi(os.Getenv("CHANGES"))
	repeats, _ := strconv.Atoi(os.Getenv("REPEATS"))
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	organization, _, err := s.EnsureOrganization(ctx, "acme")
	if err != nil {
		return err
	}
	id := uuid.New()
	phone := func(n int) property.Patch {
		return property.Patch{Values: property.Values{property.Phone: property.Text(strconv.Itoa(n))}}
	}
	born := storetest.PatchOf(0)
	born.CustomerID = &id
	if _, err := s.Import(ctx, organization, []provider.Import{{ID: id, Patch: born}}, nil); err != nil {
		return err
	}
	if err := stopCheckpoints(path); err != nil {
		return err
	}
	for n := 1; n <= changes+repeats; n++ {
		u := provider.Write{Action: provider.Updated, Organization: organization, CustomerID: id, ID: id, Patch: phone(min(n, changes))}
		if _, err := s.Write(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// stopCheckpoints copies the log into the database file and starts a read transaction, which lasts until the process ends.
// No checkpoint can copy more until then, so that only commits sync the log.
func stopCheckpoints(path string) error {
	c, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite)
	if err != nil {
		return err
	}
	for left := -1; left != 0; { // the store's own checkpointer may be running
		err := sqlitex.ExecuteTransient(c, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{ResultFunc: func(row *zombiezen.Stmt) error {
			left = row.ColumnInt(0) + row.ColumnInt(1) - row.ColumnInt(2) // busy, in the log, copied
			return nil
		}})
		if err != nil {
			return err
		}
	}
	if err := sqlitex.ExecuteTransient(c, "BEGIN", nil); err != nil {
		return err
	}
	return sqlitex.ExecuteTransient(c, "SELECT count(*) FROM providers", nil)
}
