package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The bytes that SQLite's connections lock: each one of a database with a log does so for as long as it is open.
var (
	databaseLocks = unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 30, Len: 512}
	logLocks      = unix.Flock_t{Type: unix.F_WRLCK, Start: 120, Len: 9} // of -shm, which may have lost its database
)

// lockUnused locks a database that no connection has open, so that none can read it until unlock is called. There may be no file, or one
// that is damaged. It must not be called in a process that goes on using the file: unlock releases the locks of its connections.
func lockUnused(path string) (unlock func(), _ error) {
	var files []*os.File
	unlock = func() {
		for _, file := range files {
			file.Close()
		}
	}
	for _, one := range []struct {
		path  string
		bytes unix.Flock_t
	}{{path, databaseLocks}, {path + "-shm", logLocks}} {
		file, err := os.OpenFile(one.path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			unlock()
			return nil, err
		}
		files = append(files, file)
		// Unlike the other kind of lock, this one is also seen by connections of the same process.
		if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &one.bytes); err != nil {
			unlock()
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
				return nil, errInUse(path)
			}
			return nil, err
		}
	}
	return unlock, nil
}
