package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// fill creates a database of some MiB, which stays open until the test ends.
func fill(t *testing.T) (s *sqlite.Store, path string, records int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "served.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	organization, _, err := s.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	imports := make([]provider.Import, 1000)
	customer := uuid.New()
	for i := range imports {
		imports[i] = provider.Import{ID: uuid.New(), Patch: storetest.PatchOf(0)}
		imports[i].Patch.CustomerID = &customer
		imports[i].Patch.Values[property.Notes] = property.Text(strings.Repeat("x", 1000))
	}
	if _, err := s.Import(t.Context(), organization, imports, nil); err != nil {
		t.Fatal(err)
	}
	return s, path, len(imports)
}

// onlyFiles fails unless a directory has these files.
func onlyFiles(t *testing.T, directory string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the directory has %v, want %v", got, want)
	}
}

// A backup has the state of one moment, although records are changed at each of its steps.
func TestBackupIsOneState(t *testing.T) {
	t.Parallel()
	s, path, records := fill(t)
	directory := t.TempDir()
	backup := filepath.Join(directory, "backup.db")
	steps := 0
	copied, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{Progress: func(done, total int64) {
		steps++
		if _, _, err := s.EnsureOrganization(t.Context(), fmt.Sprint("organization ", steps)); err != nil {
			t.Error(err)
		}
		if done > total || total < 1<<20 {
			t.Errorf("%d of %d bytes", done, total)
		}
	}})
	if err != nil || copied.Records != int64(records) || copied.Versions != int64(records) || steps < 3 {
		t.Errorf("%+v in %d steps, %v; want %d records", copied, steps, err, records)
	}
	onlyFiles(t, directory, "backup.db")
	if info, err := os.Stat(backup); err != nil || info.Mode() != 0o600 || info.Size() != copied.Bytes {
		t.Errorf("%v, %v; want the mode 600 and %d bytes", info, err, copied.Bytes)
	}
	restored, err := sqlite.Open(t.Context(), backup, sqlite.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if organizations, err := restored.ListOrganizations(t.Context()); err != nil || len(organizations) != 1 {
		t.Errorf("%d organizations, %v; want that of the beginning", len(organizations), err)
	}
}

// A backup that is stopped leaves no file, and one that is killed leaves none of its name; the next removes the other.
func TestBackupStopped(t *testing.T) {
	t.Parallel()
	s, path, records := fill(t)
	directory := t.TempDir()
	backup := filepath.Join(directory, "backup.db")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := sqlite.Backup(ctx, path, backup, sqlite.CopyOptions{Progress: func(int64, int64) { cancel() }})
	if err == nil || !strings.Contains(err.Error(), "it was stopped, and no file was written") {
		t.Errorf("stopped: %v", err)
	}
	onlyFiles(t, directory)
	if _, err := sqlite.Backup(ctx, path, backup, sqlite.CopyOptions{}); err == nil {
		t.Error("stopped before it began: no error")
	}
	onlyFiles(t, directory)

	command := exec.Command(os.Args[0], path, backup)
	command.Env = append(os.Environ(), "KILLED_BACKUP=1")
	err = command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the backup was to be killed: %v", err)
	}
	left, err := filepath.Glob(backup + "*")
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0], backup+".partial-") {
		t.Errorf("a killed backup has left %v, %v", left, err)
	}
	if _, _, err := s.EnsureOrganization(t.Context(), "after"); err != nil {
		t.Errorf("a change after it: %v", err)
	}
	copied, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{Progress: func(int64, int64) {
		if other, _ := filepath.Glob(backup + "*"); len(other) != 1 || other[0] == left[0] {
			t.Errorf("while the next is written, there are %v", other)
		}
	}})
	if err != nil || copied.Records != int64(records) {
		t.Errorf("the next: %+v, %v", copied, err)
	}
	onlyFiles(t, directory, "backup.db")
}

// killed makes a copy, and kills the process in the middle of it.
func killed(copyTo func(context.Context, string, string, sqlite.CopyOptions) (sqlite.Copied, error), path, other string) error {
	_, err := copyTo(context.Background(), path, other, sqlite.CopyOptions{Replace: true, Progress: func(done, total int64) {
		if done >= total/2 {
			self, _ := os.FindProcess(os.Getpid())
			self.Kill()
		}
	}})
	return err
}

// Two backups to the same name at once disturb neither.
func TestBackupTwice(t *testing.T) {
	t.Parallel()
	_, path, records := fill(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	started, inner := false, error(nil)
	copied, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{Replace: true, Progress: func(int64, int64) {
		if !started {
			started = true
			_, inner = sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{})
		}
	}})
	if err != nil || inner != nil || copied.Records != int64(records) {
		t.Errorf("%+v, %v, %v", copied, err, inner)
	}
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	_, path, _ := fill(t)
	directory := t.TempDir()
	existing := filepath.Join(directory, "existing")
	if err := os.WriteFile(existing, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"an existing file", path, existing, existing + " exists, and was left as it is; replace it with --force"},
		{"a directory", path, directory, directory + " is a directory; name a file in it"},
		{"no directory", path, filepath.Join(directory, "none", "b.db"), "the directory " + filepath.Join(directory, "none") + " does not exist"},
		{"itself", path, path, "both names lead to the same database"},
		{"its log", path, path + "-wal", "both names lead to the same database"},
		{"another log of its", path, path + "-journal", "both names lead to the same database"},
		{"no database", filepath.Join(directory, "none.db"), filepath.Join(directory, "b.db"), "there is no database"},
		{"another program's file", existing, filepath.Join(directory, "b.db"), "it is not a SQLite database"},
		{"an empty file", file(t, ""), filepath.Join(directory, "b.db"), "it is no database of this program"},
		{"a newer schema", newer(t), filepath.Join(directory, "b.db"), "was made by a newer version of this program"},
		{"a damaged database", damaged(t), filepath.Join(directory, "b.db"), "it is damaged"},
	} {
		_, err := sqlite.Backup(t.Context(), c.from, c.to, sqlite.CopyOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	onlyFiles(t, directory, "existing")
	if content, err := os.ReadFile(existing); err != nil || string(content) != "mine" {
		t.Errorf("the existing file has %q, %v", content, err)
	}
	if _, err := sqlite.Backup(t.Context(), path, existing, sqlite.CopyOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(existing); err != nil || info.Mode() != 0o600 {
		t.Errorf("replaced: %v, %v", info, err)
	}
}

// A file that is created while a backup is written stays as it is.
func TestBackupMeetsFile(t *testing.T) {
	t.Parallel()
	_, path, _ := fill(t)
	directory := t.TempDir()
	backup := filepath.Join(directory, "backup.db")
	_, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{Progress: func(int64, int64) {
		if err := os.WriteFile(backup, []byte("mine"), 0o600); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "backup.db exists, and was left as it is") {
		t.Errorf("error %v", err)
	}
	if content, err := os.ReadFile(backup); err != nil || string(content) != "mine" {
		t.Errorf("the file has %q, %v", content, err)
	}
	onlyFiles(t, directory, "backup.db")
}

// A backup to a full disk leaves no file.
func TestBackupToFullDisk(t *testing.T) {
	t.Parallel()
	_, path, _ := fill(t)
	directory := mount(t, "size=1m")
	_, err := sqlite.Backup(t.Context(), path, filepath.Join(directory, "backup.db"), sqlite.CopyOptions{})
	if err == nil || !strings.Contains(err.Error(), "there is no room left for the copy") {
		t.Errorf("error %v", err)
	}
	onlyFiles(t, directory)
}
