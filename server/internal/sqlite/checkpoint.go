package sqlite

import (
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What is committed is on disk in the write-ahead log; a checkpoint copies it into the database file. SQLite would
// have the writer do that inside a commit, every thousand pages. Here it is done next to the writer, which is stopped only
// for the little that is left to copy once the log has some length, so that the next commit writes over the log from its
// start. That is quicker than to have it grow: a file system keeps a journal of the sizes of its files.
const (
	checkpointInterval = time.Second
	longLog            = 2 << 10 // pages, 8 MiB
	littleLeft         = 1 << 10 // pages
	maxPasses          = 5       // copies in a row, each of what came during the one before
)

// checkpointer copies the log into the database file until it is closed.
type checkpointer struct {
	store   *Store
	conn    *sqlite.Conn
	written atomic.Bool // something was committed since the last look
	stop    chan struct{}
	stopped chan struct{}
}

func newCheckpointer(s *Store, path string) (*checkpointer, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	c := &checkpointer{store: s, conn: conn, stop: make(chan struct{}), stopped: make(chan struct{})}
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
		case <-ticker.C:
			if c.written.Swap(false) {
				c.checkpointOnce()
			}
		}
	}
}

// checkpointOnce copies what is in the log. An error, a full disk for example, is the next checkpointOnce's to overcome: the log keeps
// what is committed, and if the log itself can no longer grow, the writer reports that. A reader who has not ended
// holds back what was committed since it began; nobody waits for it.
func (c *checkpointer) checkpointOnce() {
	for range maxPasses {
		inLog, left, err := c.checkpoint()
		if err != nil || inLog < longLog {
			return
		}
		if left < littleLeft {
			break
		}
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.checkpoint()
}

// checkpoint returns how many pages the log has and how many of them are not copied yet.
func (c *checkpointer) checkpoint() (inLog, left int, err error) {
	err = sqlitex.Execute(c.conn, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
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
