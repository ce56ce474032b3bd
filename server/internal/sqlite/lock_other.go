//go:build !linux

package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"zombiezen.com/go/sqlite"
)

// lockUnused locks a database that no connection has open, so that none can read it until unlock is called. There may be no file, or one
// that is damaged; that one is not locked.
func lockUnused(path string) (unlock func(), _ error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(0)
	if err = pragmas(c, "locking_mode = EXCLUSIVE"); err == nil {
		err = execute(c, "BEGIN EXCLUSIVE")
	}
	unlock = func() { c.Close() }
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultOK, sqlite.ResultNotADB, sqlite.ResultCorrupt:
		return unlock, nil
	case sqlite.ResultBusy, sqlite.ResultLocked:
		err = errInUse(path)
	}
	unlock()
	return nil, err
}
