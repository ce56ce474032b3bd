package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/carecycle/provider-api/server/internal/owner"
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
// permissions and the same owner to the files next to it.
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
	return errors.Join(owner.LikeDirectory(file), file.Close())
}

// files are the database and its log, as they were opened.
type files struct {
	all     [2]openedFile
	checked time.Time // when the paths were last checked
}

type openedFile struct {
	path string
	info os.FileInfo
	inode
}

func openFiles(path string) (f files, err error) {
	for i, path := range []string{path, path + "-wal"} {
		one := &f.all[i]
		one.path = path
		if one.info, err = os.Stat(path); err != nil {
			return f, err
		}
		if one.inode, err = openInode(path); err != nil {
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
		f.all[i].inode.close()
		f.all[i].inode = inode{}
	}
}
