package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel() // one of them waits for a lock
	tests := []struct {
		name  string
		path  func(t *testing.T) string
		wants string // in the error
	}{
		{"no such directory", func(t *testing.T) string { return filepath.Join(t.TempDir(), "missing", "x.db") }, "missing does not exist; create it"},
		{"a directory", func(t *testing.T) string { return t.TempDir() }, "cannot be written"},
		{"not a database", func(t *testing.T) string { return file(t, strings.Repeat("not a database ", 1000)) }, "it is not a SQLite database"},
		{"damaged", damaged, "it is damaged; restore a backup"},
		{"newer", newer, "version 999, was made by a newer version of this program"},
		{"read-only", readOnly, "cannot be written"},
		{"locked", locked, "another process holds it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := test.path(t)
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), test.wants) || !strings.HasPrefix(err.Error(), "open database") && !strings.HasPrefix(err.Error(), "migrate database") {
				t.Errorf("error %q, want one with %q", err, test.wants)
			}
		})
	}
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// closed makes a database and closes it.
func closed(t *testing.T, path string) string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// damaged makes a database whose pages after the first are noise.
func damaged(t *testing.T) string {
	path := closed(t, filepath.Join(t.TempDir(), "x.db"))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content); i++ {
		content[i] = 0xff
	}
	return file(t, string(content))
}

func newer(t *testing.T) string {
	path := closed(t, filepath.Join(t.TempDir(), "x.db"))
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO carecycle_schema_versions (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}
	return path
}

// locked makes a database that another connection keeps for itself, as a tool could.
func locked(t *testing.T) string {
	path := closed(t, filepath.Join(t.TempDir(), "x.db"))
	db, err := sql.Open("sqlite", path+"?_pragma=locking_mode(EXCLUSIVE)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("UPDATE organizations SET name = name"); err != nil {
		t.Fatal(err)
	}
	return path
}

func readOnly(t *testing.T) string {
	directory := mount(t, "size=8m")
	path := closed(t, filepath.Join(directory, "x.db"))
	if out, err := exec.Command("mount", "-o", "remount,ro", directory).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// mount mounts an empty file system in memory until the test ends.
func mount(t *testing.T, options string) string {
	t.Helper()
	directory := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", directory).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a file system: %v: %s", err, out)
		}
		t.Skip("this test mounts a file system of its own; run it as root on Linux")
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", directory).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return directory
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.EnsureOrganization(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has the mode %o, want 600", path+suffix, mode)
		}
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	opened := make(chan error)
	const openers = 8
	for range openers {
		go func() {
			s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			if err == nil {
				_, _, err = s.EnsureOrganization(context.Background(), "acme")
				err = errors.Join(err, s.Close())
			}
			opened <- err
		}()
	}
	for range openers {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}

// A full disk fails changes, not reads, and they go on once there is room.
func TestDiskFull(t *testing.T) {
	directory := mount(t, "size=4m")
	s, err := sqlite.Open(t.Context(), filepath.Join(directory, "x.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	organization, _, err := s.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	set := func(notes string) property.Patch {
		return property.Patch{Values: property.Values{property.Notes: property.Text(notes)}}
	}
	born := storetest.PatchOf(0)
	born.CustomerID = &id
	if _, err := s.Import(t.Context(), organization, []provider.Import{{ID: id, Patch: born}}, nil); err != nil {
		t.Fatal(err)
	}
	update := func(n int) error {
		_, err := s.Write(t.Context(), provider.Write{Action: provider.Updated, Organization: organization, CustomerID: id, ID: id, Patch: set(strings.Repeat("x", n))})
		return err
	}

	ballast := filepath.Join(directory, "ballast")
	os.WriteFile(ballast, make([]byte, 8<<20), 0o600) // as much as there is room for
	saved := 1
	var rejected *provider.Error
	for n := 1; ; n++ { // what room SQLite had left is used up
		err := update(n % 1000)
		if errors.As(err, &rejected) {
			break
		}
		if err != nil || n > 10_000 {
			t.Fatalf("update %d: %v", n, err)
		}
		saved++
	}
	if rejected.Code != provider.CodeUnavailable || rejected.RetryAfter <= 0 {
		t.Errorf("a change on a full disk: %+v", rejected)
	}
	events, err := storetest.HistoryByID(t.Context(), s, id)
	if err != nil || len(events) != saved {
		t.Errorf("%d events and error %v, want %d", len(events), err, saved)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await.State(t, "with room again, a change is saved", func() bool { return update(1000) == nil })
}
