package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// resolve returns the path of a file without symbolic links: SQLite keeps the log next to the file, not next to a link to it.
func resolve(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, linkErr := os.Lstat(path); linkErr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a link to a file that does not exist; create that file with migrate, or remove the link", path)
		}
		return path, nil
	}
	return resolved, err
}

// create creates an empty file, which is a new database to SQLite, with permissions for its owner alone. SQLite gives the same
// permissions to the files next to it.
func create(path string, mustExist bool) error {
	directory := filepath.Dir(path)
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return fmt.Errorf("the directory %s does not exist; create it, or name another file with --database", directory)
	}
	if mustExist {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database %s; name another with --database, or create it with migrate", path)
		}
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// applicationID marks a database as this program's in the file's header; "care" in ASCII.
const applicationID = 0x63617265

// checkOwner fails if the file is another program's database. It changes nothing.
func checkOwner(c *sqlite.Conn) error {
	c.SetBusyTimeout(busyTimeout)
	var id, tables, ours int64
	err := sqlitex.ExecuteTransient(c, "SELECT (SELECT application_id FROM pragma_application_id), count(*), count(*) FILTER (WHERE name IN ('"+schema.VersionTable+"', 'provider_events')) FROM sqlite_schema",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			id, tables, ours = s.ColumnInt64(0), s.ColumnInt64(1), s.ColumnInt64(2)
			return nil
		}})
	if err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0 && ours == 0) {
		return errors.New("it is the database of another program, and was left as it is; name another file with --database")
	}
	return nil
}

// files are the database and its log, as they were opened.
type files struct {
	all     [2]openedFile
	checked time.Time // when the paths were last checked
}

type openedFile struct {
	path string
	info os.FileInfo
	names
}

func openFiles(path string) (f files, err error) {
	for i, path := range []string{path, path + "-wal"} {
		one := &f.all[i]
		one.path = path
		if one.info, err = os.Stat(path); err != nil {
			return f, err
		}
		if one.names, err = openNames(path); err != nil {
			return f, err
		}
	}
	return f, nil
}

// errReplaced means that a commit would go into a file that has no name any more, or another one.
var errReplaced = errors.New("sqlite: the database or its log was deleted or replaced while the server runs; restore it and restart the server")

// check fails if a file was deleted, or if its path leads to another one. It looks at the paths every pathInterval only, as that
// takes a tenth of the time of a commit.
func (f *files) check(now time.Time) error {
	for i := range f.all {
		if f.all[i].deleted() {
			return errReplaced
		}
	}
	if now.Sub(f.checked) < pathInterval {
		return nil
	}
	f.checked = now
	for i := range f.all {
		if info, err := os.Stat(f.all[i].path); err != nil || !os.SameFile(info, f.all[i].info) {
			return errReplaced
		}
	}
	return nil
}

func (f *files) close() {
	for i := range f.all {
		f.all[i].names.close()
		f.all[i].names = names{}
	}
}

// Ping reports whether a change could be saved now. It makes one, which no reader sees.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, probe)
}

// probe writes a page of the file.
func probe(c *sqlite.Conn) error { return pragmas(c, "user_version = 1") }
