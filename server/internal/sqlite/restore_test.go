package sqlite_test

import (
	dbsql "database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

// backUp creates a database, whose organization is named like it, and backs it up.
func backUp(t *testing.T, name string) (backup string) {
	t.Helper()
	path := withOrganization(t, filepath.Join(t.TempDir(), name+".db"), name)
	backup = filepath.Join(t.TempDir(), "backup.db")
	if _, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	return backup
}

// withOrganization creates a database with one organization, and closes it.
func withOrganization(t *testing.T, path, name string) string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.EnsureOrganization(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return path
}

// organizations returns those of a database.
func organizations(t *testing.T, path string) (names []string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.ListOrganizations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		names = append(names, one.Name)
	}
	return names
}

func expectOrganization(t *testing.T, path, want string) {
	t.Helper()
	if got := organizations(t, path); fmt.Sprint(got) != "["+want+"]" {
		t.Errorf("%s has the organizations %v, want %s", filepath.Base(path), got, want)
	}
}

// crashed returns a database whose process was killed: it has a log, and nobody has it open.
func crashed(t *testing.T, name string) (path string) {
	t.Helper()
	s, served, _ := fill(t)
	if _, _, err := s.EnsureOrganization(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "test.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(served + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if suffix == "-wal" && len(content) == 0 {
			t.Fatal("the log is empty")
		}
		if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestRestore(t *testing.T) {
	t.Parallel()
	backup := backUp(t, "saved")
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	closed := withOrganization(t, filepath.Join(t.TempDir(), "closed.db"), "old")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(closed, link); err != nil {
		t.Fatal(err)
	}
	withLog := crashed(t, "old")
	logOnly := crashed(t, "old")
	if err := os.Remove(logOnly); err != nil {
		t.Fatal(err)
	}
	broken := damaged(t)
	noDatabase := file(t, "noise")
	for _, c := range []struct {
		name, path, file string
		replace          bool
	}{
		{"no database", fresh, fresh, false},
		{"a database", closed, closed, true},
		{"a link to one", link, closed, true},
		{"a database with a log", withLog, withLog, true},
		{"a log without a database", logOnly, logOnly, false},
		{"a damaged database", broken, broken, true},
		{"another file", noDatabase, noDatabase, true},
	} {
		if c.replace {
			_, err := sqlite.Restore(t.Context(), c.path, backup, sqlite.CopyOptions{})
			if err == nil || !strings.Contains(err.Error(), "exists, and was left as it is; replace it with --force") {
				t.Errorf("%s, not to be replaced: %v", c.name, err)
			}
		}
		copied, err := sqlite.Restore(t.Context(), c.path, backup, sqlite.CopyOptions{Replace: c.replace})
		if err != nil || copied.Bytes == 0 {
			t.Errorf("%s: %+v, %v", c.name, copied, err)
			continue
		}
		onlyFiles(t, filepath.Dir(c.file), filepath.Base(c.file))
		if info, err := os.Lstat(c.file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", c.name, info, err)
		}
		expectOrganization(t, c.path, "saved")
	}
	onlyFiles(t, filepath.Dir(backup), "backup.db")
}

// A backup of a database with an older schema is migrated when it is opened.
func TestRestoreOlder(t *testing.T) {
	t.Parallel()
	backup := backUp(t, "saved")
	statements(t, backup, sqlite.Downgrade+"ALTER TABLE carecycle_schema_versions RENAME TO goose_db_version")
	path := filepath.Join(t.TempDir(), "test.db")
	if _, err := sqlite.Restore(t.Context(), path, backup, sqlite.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	expectOrganization(t, path, "saved")
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	path := withOrganization(t, filepath.Join(t.TempDir(), "test.db"), "old")
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	statements(t, foreign, "CREATE TABLE notes (text TEXT)")
	directory := t.TempDir()
	for _, c := range []struct{ name, backup, want string }{
		{"no file", filepath.Join(directory, "none"), "there is no file"},
		{"a directory", directory, directory + " is not a file"},
		{"itself", path, "both names lead to the same database"},
		{"another file", file(t, strings.Repeat("noise ", 1000)), "it is not a SQLite database"},
		{"an empty file", file(t, ""), "it is no database of this program"},
		{"another program's database", foreign, "it is the database of another program"},
		{"a newer schema", newer(t), "was made by a newer version of this program"},
		{"a damaged backup", damaged(t), "it is damaged"},
		{"a backup without an index entry", withoutIndexEntry(t), "it is damaged (row 1 missing from index"},
		{"half of a backup", half(t), "it is damaged"},
	} {
		_, err := sqlite.Restore(t.Context(), path, c.backup, sqlite.CopyOptions{Replace: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	onlyFiles(t, filepath.Dir(path), "test.db")
	expectOrganization(t, path, "old")
}

// withoutIndexEntry creates a database that SQLite reads without an error, although it is damaged.
func withoutIndexEntry(t *testing.T) string {
	_, path, _ := fill(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := sqlite.Backup(t.Context(), path, backup, sqlite.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'deleted = 0', 'deleted = 5') WHERE name = 'providers_by_customer'`,
		"UPDATE providers SET created_at = created_at + 1 WHERE row = 1",
		`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'deleted = 5', 'deleted = 0') WHERE name = 'providers_by_customer'`,
	} {
		statements(t, backup, sql)
	}
	return backup
}

// half returns the first half of a database.
func half(t *testing.T) string {
	content, err := os.ReadFile(backUp(t, "half"))
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(content[:len(content)/2]))
}

// A restore that is killed leaves the old database, with what its log had.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	path, backup := crashed(t, "old"), backUp(t, "saved")
	command := exec.Command(os.Args[0], path, backup)
	command.Env = append(os.Environ(), "KILLED_RESTORE=1")
	if err := command.Run(); err == nil {
		t.Fatal("the restore was to be killed")
	}
	if got := organizations(t, path); fmt.Sprint(got) != "[acme old]" {
		t.Errorf("the old database has the organizations %v", got)
	}
	if _, err := sqlite.Restore(t.Context(), path, backup, sqlite.CopyOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	onlyFiles(t, filepath.Dir(path), "test.db")
	expectOrganization(t, path, "saved")
}

// A backup can be verified and restored from where nothing can be written.
func TestReadOnlyBackup(t *testing.T) {
	t.Parallel()
	backup := readOnly(t)
	if _, err := sqlite.Verify(t.Context(), backup, func(p provider.Problem) { t.Error(p) }); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if _, err := sqlite.Restore(t.Context(), path, backup, sqlite.CopyOptions{}); err != nil {
		t.Error(err)
	}
}

// statements runs SQL on a database that is not open.
func statements(t *testing.T, path, sql string) {
	t.Helper()
	db, err := dbsql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(sql); err != nil {
		t.Fatal(err)
	}
}
