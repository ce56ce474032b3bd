package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/carecycle/provider-api/server/internal/owner"
)

// file is a sink that follows its path.
type file struct {
	path    string
	current atomic.Pointer[openFile] // nil after an error
}

// openFile is an open file and its state.
type openFile struct {
	*os.File
	info   fs.FileInfo
	synced atomic.Bool // all that was written to it is on disk, and nothing more is written
}

// write implements [sink].
func (l *file) write(lines []byte) error {
	f, err := l.follow()
	if err != nil {
		return err
	}
	if _, err = f.Write(lines); err != nil {
		l.leave(f) // its end may be half of a line, which open notices
	}
	return err
}

// sync implements [sink]. After an error it is unknown what was written, and another sync of the same file could succeed without it.
func (l *file) sync() error {
	f := l.current.Load()
	if f == nil {
		return os.ErrClosed
	}
	err := f.Sync()
	if errors.Is(err, os.ErrClosed) && f.synced.Load() {
		return nil
	}
	if err != nil {
		l.leave(f)
	}
	return err
}

func (l *file) close() error {
	if f := l.current.Load(); f != nil {
		return f.Close()
	}
	return nil
}

// follow returns the file that has the path now. One that was moved away is synced first: callers may wait for that.
func (l *file) follow() (*openFile, error) {
	if f := l.current.Load(); f != nil {
		if info, err := os.Stat(l.path); err == nil && os.SameFile(info, f.info) {
			return f, nil
		}
		err := f.Sync()
		f.synced.Store(err == nil)
		l.leave(f)
		if err != nil {
			return nil, err
		}
	}
	f, err := open(l.path)
	if err == nil {
		l.current.Store(f)
	}
	return f, err
}

func (l *file) leave(f *openFile) {
	l.current.CompareAndSwap(f, nil)
	f.Close()
}

// open opens a file to append to it, for its owner alone. If its last line is incomplete, the next one is not appended to that.
func open(path string) (_ *openFile, err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		err = errors.Join(owner.LikeDirectory(f), syncDirectory(filepath.Dir(path)))
	default:
		err = endLine(f, info.Size())
	}
	return &openFile{File: f, info: info}, err
}

func endLine(f *os.File, size int64) error {
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := f.Write([]byte("\n"))
	return err
}

// syncDirectory makes the name of a new file durable.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// stream is a sink that cannot be synced.
type stream struct{ io.Writer }

func (s stream) write(lines []byte) error {
	_, err := s.Write(lines)
	return err
}

func (stream) sync() error  { return nil }
func (stream) close() error { return nil }
