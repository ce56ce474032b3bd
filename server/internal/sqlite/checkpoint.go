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
	pageSize           = 4096 // bytes; SQLite's default, which no migration changes
	checkpointInterval = time.Second
	longLog            = 2 << 10 // pages, 8 MiB
	longestLog         = 6 * longLog
	littleLeft         = 1 << 10               // pages
	maxImported        = 500                   // records; see wait
	lockTimeout        = 50 * time.Millisecond // for the writer to stop
	maxPasses          = 5                     // consecutive copies, each of the pages written during the one before
)

// checkpointer copies the log into the database file until it is closed.
type checkpointer struct {
	store   *Store
	conn    *sqlite.Conn
	written atomic.Bool // something was committed since the last checkpoint
	jobs    chan func() // for the goroutine that has the connection
	copied  int         // pages of the log, after the last checkpoint

	imported atomic.Int64 // records since then
	count    atomic.Int64 // checkpoints so far
	stop     chan struct{}
	stopped  chan struct{}
}

func newCheckpointer(s *Store, path string) (*checkpointer, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(lockInterval)
	c := &checkpointer{store: s, conn: conn, jobs: make(chan func()), stop: make(chan struct{}), stopped: make(chan struct{})}
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
		case job := <-c.jobs:
			job()
			continue
		case <-ticker.C:
			if !c.written.Load() {
				continue
			}
		}
		c.written.Store(false)
		c.checkpointOnce()
	}
}

// wait is called after an import of so many records. Once there are many, it waits until they are copied, so that the log is short.
func (c *checkpointer) wait(records int) {
	if c.imported.Add(int64(records)) < maxImported {
		return
	}
	c.imported.Store(0)
	c.do(c.checkpointOnce)
}

// do has the goroutine run a job, and waits for its end. It does nothing if the checkpointer is closed.
func (c *checkpointer) do(job func()) {
	done := make(chan struct{})
	select {
	case c.jobs <- func() { defer close(done); job() }:
		<-done
	case <-c.stop:
	}
}

// checkpointOnce copies the log. After an error, of a full disk for example, the next call tries again: the log keeps what is committed,
// and if it can no longer grow, the writer reports that. A reader keeps the pages that were committed since it began from being
// copied; nothing waits for one that lasts, such as a backup.
func (c *checkpointer) checkpointOnce() {
	var (
		inLog, left int
		err         error
	)
	defer func() {
		if err == nil {
			c.count.Add(1)
		}
	}()
	for range maxPasses {
		if inLog, left, err = c.retry("PASSIVE", checkpointInterval); err != nil || inLog < longLog {
			return
		}
		if left < littleLeft {
			break
		}
	}
	stuck := left > 0 && inLog-left == c.copied
	c.copied = inLog - left
	if stuck || left >= littleLeft && inLog < longestLog {
		return // callers would wait for the reader, or for the copy; next time less may be left
	}
	c.store.turn.Lock()
	defer c.store.turn.Unlock()
	c.retry("FULL", lockTimeout)
}

// retry is checkpoint, again and again while another process does the same, writes, or reads an old state.
func (c *checkpointer) retry(mode string, timeout time.Duration) (inLog, left int, err error) {
	for deadline := time.Now().Add(timeout); ; {
		busy := false
		busy, inLog, left, err = c.checkpoint(mode)
		if err != nil || !busy || time.Now().After(deadline) {
			return inLog, left, err
		}
		time.Sleep(lockInterval)
	}
}

// checkpoint returns how many pages the log has and how many of them are not copied yet, or that it was kept from copying.
func (c *checkpointer) checkpoint(mode string) (busy bool, inLog, left int, err error) {
	err = sqlitex.Execute(c.conn, "PRAGMA wal_checkpoint("+mode+")", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		busy = s.ColumnBool(0)
		inLog = s.ColumnInt(1)
		left = inLog - s.ColumnInt(2)
		return nil
	}})
	return busy, inLog, left, err
}

// truncate copies the log into the database file, and cuts it to nothing. It reports false if others kept it from that.
func (c *checkpointer) truncate() (cut bool, err error) {
	c.do(func() {
		var left int
		if _, left, err = c.retry("PASSIVE", checkpointInterval); err != nil || left >= littleLeft {
			return
		}
		c.store.turn.Lock()
		defer c.store.turn.Unlock()
		busy := false
		busy, _, _, err = c.checkpoint("TRUNCATE")
		cut = !busy
	})
	return cut, err
}

func (c *checkpointer) close() error {
	close(c.stop)
	<-c.stopped
	return c.conn.Close()
}
