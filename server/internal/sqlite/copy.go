package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/owner"
	"github.com/carecycle/provider-api/server/internal/schema"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// CopyOptions are those of Backup and Restore.
type CopyOptions struct {
	Replace  bool                      // replace an existing file
	Progress func(copied, total int64) // called after each MiB; may be nil

	own func(*os.File) error // gives the copy to its user; nil if that is who copies
}

// Copied says what is in a copy.
type Copied struct {
	Records  int64 // without deleted ones
	Versions int64 // in all histories
	Bytes    int64

	// Unrecorded says why the backup, which is complete, is not recorded as the last one; nil if it is.
	Unrecorded error
}

var (
	errCopyStopped = errors.New("it was stopped, and no file was written")
	errSameFile    = errors.New("both names lead to the same database; name another file")
)

// Backup writes the state that the database at path has at this moment to another file. The database can be in use: no reader or
// writer waits. While pages are copied, its log cannot start over, and grows with what is written.
//
// The copy gets its name when it is complete, checked and on disk. Until then, and for good if the process is killed, it is next to it
// under a name that contains ".partial-"; the next backup to the same name removes it. Only its owner can read the file. A file next to the
// database then records the backup as the last one, for ReadStatus and Stats.
//
// Pages that are free are copied, too. They hold no value, as every connection that writes has secure_delete set.
//
// Errors tell the operator what to do.
func Backup(ctx context.Context, path, destination string, o CopyOptions) (Copied, error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, true)
	}
	if err != nil {
		return Copied{}, fmt.Errorf("open database: %w", err)
	}
	if sameFile(path, destination) || isLog(path, destination) {
		return Copied{}, errSameFile
	}
	// The last connection to a database copies its log and removes it, unless it can only read.
	source, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return Copied{}, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	defer source.Close()
	at := time.Now() // not later than the moment
	copied, err := copyDatabase(ctx, source, path, destination, o)
	if err == nil {
		copied.Unrecorded = recordBackup(path, destination, at)
	}
	return copied, err
}

// Restore puts a copy of a backup in the place of the database at path, and removes the log of the old one. It fails while any process
// has that open. The copy gets the database's name when it is complete, checked and on disk, as that of Backup.
//
// Errors tell the operator what to do.
func Restore(ctx context.Context, path, backup string, o CopyOptions) (Copied, error) {
	path, err := resolve(path)
	if err != nil {
		return Copied{}, fmt.Errorf("open database: %w", err)
	}
	info, err := os.Stat(backup)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Copied{}, fmt.Errorf("there is no file %s; check its name", backup)
	case err != nil:
		return Copied{}, err
	case !info.Mode().IsRegular():
		return Copied{}, fmt.Errorf("%s is not a file", backup)
	case sameFile(path, backup):
		return Copied{}, errSameFile
	}
	source, err := openBackup(backup)
	if err != nil {
		return Copied{}, fmt.Errorf("open backup %s: %w", backup, explainCopy(err))
	}
	defer source.Close()
	o.own = owner.LikeDirectory
	return copyDatabase(ctx, source, backup, path, o)
}

// openBackup opens a file for reading. If it has no log, SQLite needs to create no file next to it, which may be impossible.
func openBackup(path string) (*sqlite.Conn, error) {
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		return openImmutable(path)
	}
	return sqlite.OpenConn(path, sqlite.OpenReadWrite)
}

// openImmutable opens a file that nobody changes, without locks and without a log.
func openImmutable(path string) (*sqlite.Conn, error) {
	return sqlite.OpenConn("file:"+(&url.URL{Path: path}).EscapedPath()+"?immutable=1", sqlite.OpenReadOnly, sqlite.OpenURI)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// isLog reports whether a name is that of a file which SQLite keeps next to a database.
func isLog(database, name string) bool {
	suffix, found := strings.CutPrefix(filepath.Base(name), filepath.Base(database))
	return found && slices.Contains(sideFiles, suffix) && sameFile(filepath.Dir(database), filepath.Dir(name))
}

// copyDatabase copies the database that source has open, whose name is from, to another file.
func copyDatabase(ctx context.Context, source *sqlite.Conn, from, to string, o CopyOptions) (copied Copied, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errCopyStopped
		}
	}()
	source.SetInterrupt(ctx.Done())
	source.SetBusyTimeout(busyTimeout)
	// All that is read until the end of the transaction is the state of one moment. Otherwise SQLite would start over with the copy
	// whenever another process writes.
	if err := pragmas(source, "query_only = ON", "temp_store = MEMORY"); err != nil {
		return copied, fmt.Errorf("open %s: %w", from, explainCopy(err))
	}
	if err := execute(source, "BEGIN"); err != nil {
		return copied, fmt.Errorf("open %s: %w", from, explainCopy(err))
	}
	if err := checkBackup(source); err != nil {
		return copied, fmt.Errorf("open %s: %w", from, explainCopy(err))
	}
	file, err := newReplacement(to, o.Replace)
	if err != nil {
		return copied, err
	}
	defer file.close()
	if err := copyPages(ctx, file, source, o.Progress); err != nil {
		return copied, fmt.Errorf("copy %s: %w", from, explainCopy(err))
	}
	if err := source.Close(); err != nil { // so that its log can start over
		return copied, fmt.Errorf("copy %s: %w", from, toDomainError(err))
	}
	if err := file.Sync(); err != nil {
		return copied, err
	}
	if copied, err = checkCopy(ctx, file.Name()); err != nil {
		return copied, fmt.Errorf("check the copy of %s: %w", from, err)
	}
	if o.own != nil {
		if err := o.own(file.File); err != nil {
			return copied, err
		}
	}
	return copied, file.publish()
}

// stepPages is how many pages are copied, and synced, at a time: 1 MiB. A file system that has much more to write makes the commits of
// others wait for it.
const stepPages = 256

// copyPages copies all pages.
func copyPages(ctx context.Context, to *replacement, from *sqlite.Conn, progress func(copied, total int64)) error {
	backup, err := sqlite.NewBackup(to.conn, "main", from, "main")
	if err != nil {
		return err
	}
	defer backup.Close()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = backup.Step(stepPages); err != nil {
			return err
		}
		if err := to.Sync(); err != nil {
			return err
		}
		if progress != nil {
			total := int64(backup.PageCount())
			progress((total-int64(backup.Remaining()))*pageSize, total*pageSize)
		}
	}
	return nil
}

// checkBackup fails unless the file is a database of this program, and of a version that it knows.
func checkBackup(c *sqlite.Conn) error {
	if err := checkOwner(c); err != nil {
		return err
	}
	if err := checkComplete(c); err != nil {
		return err
	}
	version, err := schemaVersion(c)
	switch {
	case err != nil:
		return err
	case version == 0:
		return errors.New("it is no database of this program; name another file")
	case version > newestVersion:
		return schema.Newer(version, newestVersion)
	}
	return nil
}

// checkCopy reads all of a complete copy, and returns what is in it.
func checkCopy(ctx context.Context, path string) (copied Copied, _ error) {
	c, err := openImmutable(path)
	if err != nil {
		return copied, explainCopy(err)
	}
	defer c.Close()
	c.SetInterrupt(ctx.Done())
	problem := ""
	err = sqlitex.ExecuteTransient(c, "PRAGMA integrity_check(1)", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		if text := s.ColumnText(0); text != "ok" {
			problem = text
		}
		return nil
	}})
	if err == nil && problem != "" {
		err = fmt.Errorf("it is damaged (%s), and was not copied; verify lists all of its problems", problem)
	}
	if err == nil {
		err = sqlitex.ExecuteTransient(c, `SELECT (SELECT count(*) FROM providers WHERE deleted = 0), (SELECT count(*) FROM provider_events), page_count * page_size
			FROM pragma_page_count, pragma_page_size`, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			copied = Copied{Records: s.ColumnInt64(0), Versions: s.ColumnInt64(1), Bytes: s.ColumnInt64(2)}
			return nil
		}})
	}
	return copied, explainCopy(err)
}

// explainCopy is explain for a file that is copied.
func explainCopy(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultNotADB:
		return errors.New("it is not a SQLite database; name another file")
	case sqlite.ResultCorrupt:
		return errors.New("it is damaged, and was not copied; verify lists its problems")
	case sqlite.ResultFull:
		return errors.New("there is no room left for the copy; make room, or name a file on another disk")
	case sqlite.ResultError, sqlite.ResultOK:
		return err
	}
	return toDomainError(err)
}
