package sqlite

import (
	"os"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A reader sees what was committed last, while a transaction that changes it is in flight, and waits for nothing.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	t.Parallel()
	s, ids := filled(t, 20, Options{})
	before, err := s.Get(t.Context(), 1, ids[0], ids[7])
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(c *sqlite.Conn) error {
		if err := execute(c, "UPDATE providers SET city = 'elsewhere'"); err != nil {
			return err
		}
		during, err := s.Get(t.Context(), 1, ids[0], ids[7])
		if err != nil || during.Values != before.Values {
			t.Errorf("a reader has %v, %v; want %v", during.Values, err, before.Values)
		}
		page, err := s.List(t.Context(), provider.List{Organization: 1, CustomerID: ids[0], Limit: 100})
		if err != nil || len(page) != len(ids) || page[0].Values[property.City] == property.Text("elsewhere") {
			t.Errorf("a list has %d records, %v; want %d as they were", len(page), err, len(ids))
		}
		return nil
	})
	after, getErr := s.Get(t.Context(), 1, ids[0], ids[7])
	if err != nil || getErr != nil || after.Values[property.City] != property.Text("elsewhere") {
		t.Errorf("after the commit a reader has %v, %v, %v", after.Values, err, getErr)
	}
}

// While a reader keeps the log from being copied for longer than a checkpoint, as a backup does, the writer is not stopped for it again and
// again.
func TestWriterDoesNotWaitForLongReader(t *testing.T) {
	t.Parallel()
	s, _ := filled(t, 20, Options{})
	checks := checkpointerOf(t, s)
	reader, err := sqlite.OpenConn(s.path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, statement := range []string{"BEGIN", "SELECT count(*) FROM providers"} {
		if err := execute(reader, statement); err != nil {
			t.Fatal(err)
		}
	}
	err = s.write(t.Context(), func(c *sqlite.Conn) error {
		if err := execute(c, "CREATE TABLE ballast (bytes BLOB)"); err != nil {
			return err
		}
		return execute(c, "INSERT INTO ballast VALUES (zeroblob(?))", (longestLog+littleLeft)*pageSize)
	})
	if err != nil {
		t.Fatal(err)
	}
	checks.checkpointOnce()
	s.turn.Lock()
	checks.checkpointOnce() // does not return if it waits for the writer
	s.turn.Unlock()
	if err := execute(reader, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	checks.checkpointOnce()
	if _, inLog, left, err := checks.checkpoint("PASSIVE"); err != nil || left != 0 {
		t.Errorf("after the reader %d of %d pages are left, %v", left, inLog, err)
	}
}

// checkpointerOf replaces the store's checkpointer by one that works only when it is called.
func checkpointerOf(t *testing.T, s *Store) *checkpointer {
	t.Helper()
	conn, err := sqlite.OpenConn(s.path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetBusyTimeout(lockInterval)
	if err := s.checks.close(); err != nil {
		t.Fatal(err)
	}
	s.checks = &checkpointer{store: s, conn: conn, stop: make(chan struct{}), stopped: make(chan struct{})}
	close(s.checks.stopped)
	return s.checks
}

// importAgain changes all records, to other values for each n.
func importAgain(t *testing.T, s *Store, ids []uuid.UUID, n int) {
	t.Helper()
	imports := make([]provider.Import, len(ids))
	for i, id := range ids {
		imports[i] = provider.Import{ID: id, Patch: storetest.PatchOf(-n*len(ids) - i)}
		imports[i].Patch.CustomerID = &ids[0]
	}
	if _, err := s.importPart(t.Context(), 1, imports, nil); err != nil {
		t.Fatal(err)
	}
}

// The log is written over from its start again and again, however much is written, and although nobody pauses.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	s, ids := filled(t, 2000, Options{})
	checks := checkpointerOf(t, s)
	pages := one(t, s, "PRAGMA page_count", (*sqlite.Stmt).ColumnInt64)
	for n := range 24 {
		importAgain(t, s, ids, n)
		checks.checkpointOnce()
	}
	log, err := os.Stat(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const bound = 2 * longLog * pageSize
	grown := (one(t, s, "PRAGMA page_count", (*sqlite.Stmt).ColumnInt64) - pages) * pageSize
	if log.Size() > bound || grown < bound {
		t.Errorf("the log has %d bytes after %d and more were written; want at most %d", log.Size(), grown, bound)
	}
}

// one returns the result of the writer's connection to a query of one value.
func one[T any](t *testing.T, s *Store, query string, column func(*sqlite.Stmt, int) T) (value T) {
	t.Helper()
	s.turn.Lock()
	defer s.turn.Unlock()
	err := sqlitex.Execute(s.writer, query, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		value = column(row, 0)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
