package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"zombiezen.com/go/sqlite"
)

// replacement is a database that is written under a temporary name, and then becomes the one at path.
type replacement struct {
	*os.File // under its temporary name
	conn     *sqlite.Conn
	path     string
	replace  bool // an existing file
}

// sideFiles are the suffixes of the files that SQLite keeps next to a database.
var sideFiles = []string{"-wal", "-shm", "-journal"}

// partial is in the name of a file that is not complete.
const partial = ".partial-"

// newReplacement creates an empty file next to path that only its owner can read. It removes those that a killed process has left.
func newReplacement(path string, replace bool) (*replacement, error) {
	if err := checkReplaceable(path, replace); err != nil {
		return nil, err
	}
	directory, name := filepath.Split(path)
	if err := removePartial(directory, name+partial); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Clean(directory+"."), name+partial+"*")
	if err != nil {
		return nil, err
	}
	r := &replacement{File: file, path: path, replace: replace}
	if r.conn, err = sqlite.OpenConn(file.Name(), sqlite.OpenReadWrite); err == nil {
		// The file is worthless unless it is complete, and synced at the end. Its lock, which SQLite keeps until the connection is
		// closed, says that it is in use.
		err = pragmas(r.conn, "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE")
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// checkReplaceable fails if there can be no new file at path.
func checkReplaceable(path string, replace bool) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("the directory %s does not exist; create it, or name another file", filepath.Dir(path))
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory; name a file in it", path)
	case err == nil && !replace:
		return errExists(path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	unlock, err := lockUnused(path)
	if err != nil {
		return err
	}
	unlock()
	return nil
}

func errExists(path string) error {
	return fmt.Errorf("%s exists, and was left as it is; replace it with --force, or name another file", path)
}

func errInUse(path string) error {
	return fmt.Errorf("a process has the database %s open; stop it first", path)
}

// removePartial removes the files that newReplacement has created with a prefix, unless a process has them open.
func removePartial(directory, prefix string) error {
	entries, err := os.ReadDir(filepath.Clean(directory + "."))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		random, found := strings.CutPrefix(entry.Name(), prefix)
		if !found || strings.Trim(random, "0123456789") != "" {
			continue
		}
		path := filepath.Join(directory, entry.Name())
		unlock, err := lockUnused(path)
		if err != nil {
			continue
		}
		err = os.Remove(path)
		unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// publish gives the file its name.
//
// SQLite would apply the log of the old database to the new one, so that is removed first. If the process is killed in between, the old
// database is complete without its log, unless it is damaged.
func (r *replacement) publish() error {
	if r.replace {
		copyLog(r.path)
	}
	unlock, err := lockUnused(r.path)
	if err != nil {
		return err
	}
	defer unlock()
	for _, suffix := range sideFiles {
		if err := os.Remove(r.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	directory := filepath.Dir(r.path)
	if err := syncDirectory(directory); err != nil {
		return err
	}
	if r.replace {
		err = os.Rename(r.Name(), r.path)
	} else {
		err = renameNew(r.Name(), r.path)
	}
	if err != nil {
		return err
	}
	return syncDirectory(directory)
}

// copyLog copies the log of a database into it and removes the log, if it is not in use and not damaged.
func copyLog(path string) {
	unlock, err := lockUnused(path)
	if err != nil {
		return
	}
	unlock()
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		return
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetBusyTimeout(busyTimeout)
	_ = pragmas(c, "wal_checkpoint(TRUNCATE)")
}

// renameNew renames a file, unless the new name is taken.
func renameNew(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return errExists(to)
	}
	if err == nil {
		return os.Remove(from)
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) { // the file system has no links
		return errExists(to)
	}
	return os.Rename(from, to)
}

// syncDirectory returns when the names in a directory are on disk.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" { // which has no such thing
		return nil
	}
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// close removes the file unless it was published.
func (r *replacement) close() error {
	var err error
	if r.conn != nil {
		err = r.conn.Close()
	}
	err = errors.Join(err, r.File.Close())
	if removeErr := os.Remove(r.Name()); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}
