// Package sqlite keeps providers, their history and API keys in one SQLite file: the store for one machine.
//
// It is the last step of a request. Writes use one connection, since SQLite lets only one write at a time; concurrent writes
// share its transactions (package writes). Reads have connections of their own and never wait for a write. While the file is
// in use, other programs may open it through SQLite only, and the files -wal and -shm next to it belong to it.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/writes"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyTimeout limits how long a write waits for the transactions before it, here and of other processes, such as an import.
const (
	busyTimeout  = 5 * time.Second
	lockInterval = time.Millisecond // between two attempts
)

// Options configure a Store. The zero value has the defaults.
type Options struct {
	Now   func() time.Time // the clock; nil for time.Now
	Batch writes.Options

	MustExist bool // return an error if there is no file, instead of creating it
}

// Store is a SQLite file. It is safe for concurrent use.
type Store struct {
	now     func() time.Time
	path    string
	files   files
	writes  *writes.Writer
	readers *sqlitex.Pool
	reading atomic.Int64  // connections of it that are in use, or waited for
	pages   chan struct{} // holds one for each readPage that runs
	checks  *checkpointer
	numbers propertyNumbers

	turn   turn // held for the length of a transaction
	writer *sqlite.Conn
	broken bool // writer had an input or output error

	dataVersion int64     // of the file, for writer; changes when another process writes
	sharedUntil time.Time // see letOthersWrite
}

// Open opens the file at path, creates it if there is none, and migrates its schema. The directory must exist. Only its owner
// can read the file.
//
// Errors tell the operator what to do: no such directory, no permission, not a database, a schema of a newer version.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, o.MustExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{now: o.Now, path: path, pages: make(chan struct{}, maxPages), turn: make(turn, 1)}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), s.close())
	}
	s.writes = writes.New(s.runWrites, o.Batch)
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.openWriter(); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer, s.path); err != nil {
		return err
	}
	if err := checkColumns(s.writer); err != nil {
		return err
	}
	numbers, err := numberProperties(s.writer)
	if err != nil {
		return err
	}
	s.numbers.Store(numbers)
	if err := pragmas(s.writer, fmt.Sprintf("application_id = %d", applicationID)); err != nil { // also a test that the file can be written
		return err
	}
	if s.files, err = openFiles(s.path); err != nil {
		return err
	}
	if s.readers, err = openReaders(s.path); err != nil {
		return err
	}
	s.checks, err = newCheckpointer(s, s.path)
	return err
}

// openWriter opens the connection for writing. From then on, its lock keeps the file from being replaced by Restore. If that has happened
// while it was opened, it opens the new file.
func (s *Store) openWriter() error {
	for {
		before, err := os.Stat(s.path)
		if err != nil {
			return err
		}
		if s.writer, err = sqlite.OpenConn(s.path, sqlite.OpenReadWrite); err != nil {
			return err
		}
		if err := checkOwner(s.writer); err != nil {
			return err
		}
		if err := checkComplete(s.writer); err != nil {
			return err
		}
		if err := configureWriter(s.writer); err != nil {
			return err
		}
		after, err := os.Stat(s.path)
		if err != nil || os.SameFile(before, after) {
			return err
		}
		if err := s.writer.Close(); err != nil {
			return err
		}
	}
}

const (
	maxReaders = 10 // connections for reading
	maxPages   = 2  // lists, histories and pieces of an export that are read at once

	// pageTimeout bounds how long one of them waits for others.
	pageTimeout = 5 * time.Second
)

var errManyPages = errors.New("sqlite: too many lists are being read")

// openReaders opens every connection and reads with it, so that serving needs no further file descriptor.
func openReaders(path string) (*sqlitex.Pool, error) {
	pool, err := sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: maxReaders, Flags: sqlite.OpenReadOnly, PrepareConn: configureReader})
	if err != nil {
		return nil, err
	}
	for range maxReaders {
		c, err := pool.Take(context.Background())
		if err != nil {
			return nil, errors.Join(err, pool.Close())
		}
		defer pool.Put(c)
		if err := sqlitex.Execute(c, "SELECT 1 FROM organizations LIMIT 1", nil); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func configureWriter(c *sqlite.Conn) error {
	c.SetBusyTimeout(busyTimeout)
	if err := useLog(c); err != nil {
		return err
	}
	return pragmas(c,
		"synchronous = FULL",            // a commit is on disk before it is acknowledged
		"foreign_keys = ON",             // per connection, off by default
		"secure_delete = ON",            // values that are removed or replaced are overwritten
		"temp_store = MEMORY",           // no record leaves the database's own files
		"cache_size = -65536",           // KiB
		"wal_autocheckpoint = 0",        // see checkpoint.go
		"journal_size_limit = 67108864", // bytes; a log that a slow reader has made longer is cut when it starts over
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

// Ping reports whether a change could be saved now. It makes one, which no reader sees.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, probe)
}

// probe writes a page of the file.
func probe(c *sqlite.Conn) error { return pragmas(c, "user_version = 1") }

// Close finishes the writes in flight and closes the file.
func (s *Store) Close() error {
	s.writes.Close()
	return s.close()
}

// close closes what is open.
func (s *Store) close() (err error) {
	if s.checks != nil {
		err = s.checks.close()
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.readers != nil {
		err = errors.Join(err, s.readers.Close())
	}
	s.files.close()
	if s.writer != nil {
		err = errors.Join(err, s.writer.Close()) // the last connection checkpoints the log
		s.writer = nil
	}
	return err
}

// write runs f in a transaction, one at a time, and returns when it is committed and on disk. If f fails, write rolls back and
// returns f's error as a domain error. A caller that leaves before its turn changes nothing.
func (s *Store) write(ctx context.Context, f func(*sqlite.Conn) error) (err error) {
	deadline := time.Now().Add(busyTimeout)
	if err := s.turn.wait(ctx, deadline); err != nil {
		return err
	}
	defer s.turn.Unlock()
	if err := s.repairWriter(); err != nil {
		return toDomainError(err)
	}
	if err := s.begin(deadline); err != nil {
		s.broken = sqlite.ErrCode(err).ToPrimary() == sqlite.ResultIOErr
		return toDomainError(err)
	}
	defer func() { // also if f panics; a commit that failed may or may not have ended the transaction
		if !s.writer.AutocommitEnabled() {
			rollbackErr := execute(s.writer, "ROLLBACK")
			s.broken = s.broken || rollbackErr != nil
			err = errors.Join(err, toDomainError(rollbackErr))
		}
	}()
	if err := f(s.writer); err != nil {
		return toDomainError(err)
	}
	if err := s.files.check(time.Now()); err != nil {
		return provider.Unavailable(5*time.Second, err)
	}
	if err := execute(s.writer, "COMMIT"); err != nil {
		s.broken = sqlite.ErrCode(err).ToPrimary() == sqlite.ResultIOErr
		return toCommitError(err)
	}
	s.checks.written.Store(true)
	return nil
}

// begin begins a transaction. It asks for the lock every millisecond while another process has it: SQLite itself would soon ask so
// seldom that an import, which pauses between its transactions, always has the lock.
func (s *Store) begin(deadline time.Time) error {
	for {
		s.writer.SetBusyTimeout(lockInterval)
		err := execute(s.writer, "BEGIN IMMEDIATE")
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy || time.Now().After(deadline) {
			return err
		}
	}
}

// turn is a mutex whose lock can be waited for until a deadline.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

var errManyWrites = errors.New("sqlite: the transactions before this one take too long")

// wait locks t, unless its caller has left or leaves. The error is a domain error, or that of ctx.
func (t turn) wait(ctx context.Context, deadline time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case t <- struct{}{}:
		return nil
	case <-limited.Done():
		return cmp.Or(ctx.Err(), error(provider.Unavailable(time.Second, errManyWrites)))
	}
}

var errClosed = errors.New("sqlite: the store is closed")

// repairWriter replaces the connection after an input or output error, which can leave it unable to lock the file.
func (s *Store) repairWriter() error {
	if s.writer == nil {
		return provider.Unavailable(5*time.Second, errClosed)
	}
	if !s.broken {
		return nil
	}
	c, err := sqlite.OpenConn(s.path, sqlite.OpenReadWrite)
	if err == nil {
		if err = configureWriter(c); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return err
	}
	s.writer.Close()
	s.writer, s.broken = c, false
	return nil
}

// readPage is read for what may read many rows, such as a list or a piece of an export. Few run at once, so that the look-up of a key
// and the read of a record always find a connection, and a processor.
func (s *Store) readPage(ctx context.Context, f func(*sqlite.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	select {
	case s.pages <- struct{}{}:
	case <-limited.Done():
		return provider.Unavailable(time.Second, cmp.Or(ctx.Err(), errManyPages))
	}
	defer func() { <-s.pages }()
	return s.read(ctx, f)
}

// inSnapshot runs f, whose statements all see the state of one moment.
func inSnapshot(c *sqlite.Conn, f func() error) (err error) {
	if err := execute(c, "BEGIN"); err != nil {
		return err
	}
	defer func() { // also if f panics
		caller := c.SetInterrupt(nil) // who may have left: an interrupted connection runs nothing
		err = cmp.Or(err, execute(c, "COMMIT"))
		c.SetInterrupt(caller)
	}()
	return f()
}

// Stats implements [provider.Store].
func (s *Store) Stats() provider.Stats {
	stats := provider.Stats{
		Queued: s.writes.Queued(), Connections: int(s.reading.Load()), MaxConnections: maxReaders, SchemaVersion: newestVersion,
	}
	stats.Bytes, stats.LogBytes = sizes(s.path)
	stats.Checkpoints = s.checks.count.Load()
	stats.LastBackup = lastBackup(s.path).At
	return stats
}

// read runs f with a connection for reading. Each statement sees the state of one moment, but not all of them the same.
func (s *Store) read(ctx context.Context, f func(*sqlite.Conn) error) error {
	s.reading.Add(1)
	defer s.reading.Add(-1)
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
