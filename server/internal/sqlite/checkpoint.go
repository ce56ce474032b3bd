package sqlite

import (
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A commit is on disk in the write-ahead log; a checkpoint copies it into the database file. By default, SQLite does that inside a
// commit, every thousand pages. Here a goroutine does it concurrently. Once the log is long, it stops the writer while it copies
// the few pages that are left, so that the next commit overwrites the log from its start. That is faster than a growing log, because
// a file system journals the size of its files.
const (
	checkpointInterval = time.Second
	longLog            = 2 << 10               // pages, 8 MiB
	littleLeft         = 1 << 10               // pages
	maxImported        = 1000                  // records; see wait
	lockTimeout        = 50 * time.Millisecond // for the writer to stop
	maxPasses          = 5                     // consecutive copies, each of the pages written during the one before
)

// checkpointer copies the log into the database file until it is closed.
type checkpointer struct {
	store   *Store
	conn    *sqlite.Conn
	written atomic.Bool   // something was committed since the last checkpoint
	much    chan struct{} // maxImported records were imported

	imported atomic.Int64 // records since then
	stop     chan struct{}
	stopped  chan struct{}
}

func newCheckpointer(s *Store, path string) (*checkpointer, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(lockInterval)
	c := &checkpointer{store: s, conn: conn, much: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	go c.run()
	return c, nil
}

func (c *checkpointer) run() {
	defer close(c.stopped)
	ticker := time.NewTicker(checkpointInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-c.much:
		case <-ticker.C:
			if !c.written.Load() {
				continue
			}
		}
		c.written.Store(false)
		c.checkpointOnce()
	}
}

// wait is called after an import of so many records. Sooner or later it waits until those before are copied, so that the log is short.
func (c *checkpointer) wait(records int) {
	if c.imported.Add(int64(records)) < maxImported {
		return
	}
	c.imported.Store(0)
	select {
	case c.much <- struct{}{}:
	case <-c.stop:
	}
}

// checkpointOnce copies the log. After an error, of a full disk for example, the next call tries again: the log keeps what is committed,
// and if it can no longer grow, the writer reports that. A reader keeps the pages that were committed since it began from being
// copied; nothing waits for it.
func (c *checkpointer) checkpointOnce() {
	for range maxPasses {
		inLog, left, err := c.checkpoint("PASSIVE")
		if err != nil || inLog < longLog {
			return
		}
		if left < littleLeft {
			break
		}
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	for deadline := time.Now().Add(lockTimeout); ; { // other processes write, too
		if _, _, err := c.checkpoint("FULL"); sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy || time.Now().After(deadline) {
			return
		}
	}
}

// checkpoint returns how many pages the log has and how many of them are not copied yet.
func (c *checkpointer) checkpoint(mode string) (inLog, left int, err error) {
	err = sqlitex.Execute(c.conn, "PRAGMA wal_checkpoint("+mode+")", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		inLog = s.ColumnInt(1)
		left = inLog - s.ColumnInt(2)
		return nil
	}})
	return inLog, left, err
}

func (c *checkpointer) close() error {
	close(c.stop)
	<-c.stopped
	return c.conn.Close()
}
