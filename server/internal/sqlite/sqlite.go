// Package sqlite keeps providers, their history and API keys in one SQLite file: the store for one machine.
//
// It is the last step of a request. Writes use one connection, since SQLite lets only one write at a time; concurrent writes
// share its transactions (package writes). Reads have connections of their own and never wait for a write. While the file is
// in use, other programs may open it through SQLite only, and the files -wal and -shm next to it belong to it.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/writes"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyTimeout limits how long a write waits for the transaction of another process, such as an import.
const busyTimeout = 5 * time.Second

// Options are for tests and benchmarks.
type Options struct {
	Now   func() time.Time // the clock; nil for the machine's
	Batch writes.Options
}

// Store is a SQLite file. It is safe for concurrent use.
type Store struct {
	now     func() time.Time
	writes  *writes.Writer
	readers *sqlitex.Pool
	checks  *checkpointer

	mu     sync.Mutex // held for the length of a transaction
	writer *sqlite.Conn
}

// Open opens the file at path, creates it if there is none, and migrates its schema. The directory must exist. Only its owner
// can read the file.
//
// Errors tell the operator what to do: no such directory, no permission, not a database, a schema of a newer version.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	writer, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	s.writer = writer
	if err := configureWriter(writer); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), writer.Close())
	}
	err = migrate(ctx, writer, path)
	if err == nil {
		err = checkColumns(writer)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrate database %s: %w", path, explain(err)), writer.Close())
	}
	s.readers, err = sqlitex.NewPool(path, sqlitex.PoolOptions{Flags: sqlite.OpenReadOnly, PrepareConn: configureReader})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), writer.Close())
	}
	s.checks, err = newCheckpointer(s, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), s.readers.Close(), writer.Close())
	}
	s.writes = writes.New(s.runWrites, o.Batch)
	return s, nil
}

// create creates an empty file, which is a new database to SQLite, with permissions for its owner alone. SQLite gives the same
// permissions to the files next to it.
func create(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("the folder %s does not exist; create it, or name another file with --database", folder)
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

func configureWriter(c *sqlite.Conn) error {
	c.SetBusyTimeout(busyTimeout)
	if err := useLog(c); err != nil {
		return err
	}
	return pragmas(c,
		"synchronous = FULL",             // a commit is on disk before it is acknowledged
		"foreign_keys = ON",              // per connection, off by default
		"temp_store = MEMORY",            // no record leaves the database's own files
		"cache_size = -65536",            // KiB
		"wal_autocheckpoint = 0",         // see checkpoint.go
		"journal_size_limit = 268435456", // bytes; a log that a slow reader has made longer is cut when it starts over
	)
}

// useLog switches a new file to a write-ahead log. If another process does the same at that moment, SQLite returns an error at
// once, despite the busy timeout.
func useLog(c *sqlite.Conn) error {
	for deadline := time.Now().Add(busyTimeout); ; time.Sleep(10 * time.Millisecond) {
		err := pragmas(c, "journal_mode = WAL")
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy || time.Now().After(deadline) {
			return err
		}
	}
}

func configureReader(c *sqlite.Conn) error {
	c.SetBusyTimeout(busyTimeout)
	return pragmas(c, "query_only = ON", "temp_store = MEMORY")
}

func pragmas(c *sqlite.Conn, settings ...string) error {
	for _, setting := range settings {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+setting, nil); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a statement without results. The statement stays prepared.
func execute(c *sqlite.Conn, statement string, arguments ...any) error {
	return sqlitex.Execute(c, statement, &sqlitex.ExecOptions{Args: arguments})
}

// Close finishes the writes in flight and closes the file.
func (s *Store) Close() error {
	s.writes.Close()
	err := s.checks.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.readers.Close(), s.writer.Close()) // the last connection checkpoints the log
}

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, "SELECT 1 FROM organizations LIMIT 1", nil)
	})
}

// write runs f in a transaction, one at a time, and returns when it is committed and on disk. If f fails, write rolls back and
// returns f's error as a domain error. A caller that leaves before its turn changes nothing.
func (s *Store) write(ctx context.Context, f func(*sqlite.Conn) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := execute(s.writer, "BEGIN IMMEDIATE"); err != nil {
		return toDomainError(err)
	}
	defer func() { // also when f panics; a commit that failed may or may not have ended the transaction
		if !s.writer.AutocommitEnabled() {
			err = errors.Join(err, toDomainError(execute(s.writer, "ROLLBACK")))
		}
	}()
	if err := f(s.writer); err != nil {
		return toDomainError(err)
	}
	if err := execute(s.writer, "COMMIT"); err != nil {
		return toCommitError(err)
	}
	s.checks.written.Store(true)
	return nil
}

// read runs f with a connection for reading. Each statement sees the state of one moment, but not all of them the same.
func (s *Store) read(ctx context.Context, f func(*sqlite.Conn) error) error {
	c, err := s.readers.Take(ctx)
	switch {
	case ctx.Err() != nil:
		s.readers.Put(c) // nil, if there is none
		return provider.Unavailable(time.Second, ctx.Err())
	case err != nil:
		return provider.Unavailable(5*time.Second, err)
	}
	defer s.readers.Put(c)
	return toDomainError(f(c))
}
