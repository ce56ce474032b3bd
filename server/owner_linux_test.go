package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwner has root create, back up and restore a database in the directory of the user who serves: the database is that user's, as the
// server could not open it otherwise, and the backup is root's.
func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can create a file of another user; run this test as root")
	}
	const user = 12345
	directory, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	if err := os.Chown(directory, user, user); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(directory, "test.db")
	owner := func(path string) uint32 {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	for _, args := range [][]string{{"migrate"}, {"backup", backup}, {"restore", backup, "--force"}} {
		if _, stderr, code := run("", append(args, "--database", database)...); code != 0 {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr)
		}
		if got := owner(database); got != user {
			t.Errorf("after %s the database belongs to %d, want %d", args[0], got, user)
		}
	}
	if got := owner(backup); got != 0 {
		t.Errorf("the backup belongs to %d", got)
	}
}
