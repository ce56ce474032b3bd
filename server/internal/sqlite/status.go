package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// ReadStatus describes the database at path, which can be in use, and calls key with each key in the order of their times. It does not
// migrate, and changes nothing.
//
// Errors tell the operator what to do.
func ReadStatus(ctx context.Context, path string, key func(apikey.Key)) (s provider.Status, err error) {
	path, err = resolve(path)
	if err == nil {
		err = create(path, true)
	}
	if err != nil {
		return s, fmt.Errorf("open database: %w", err)
	}
	c, err := openBackup(path)
	if err != nil {
		return s, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	defer c.Close()
	c.SetInterrupt(ctx.Done())
	c.SetBusyTimeout(busyTimeout)
	if s, err = readStatus(c, key); err != nil {
		return s, fmt.Errorf("read database %s: %w", path, explain(err))
	}
	s.Bytes, s.LogBytes = sizes(path)
	s.LastBackup = lastBackup(path)
	return s, nil
}

// sizes returns the sizes of the file and of its log, in bytes.
func sizes(path string) (database, log int64) {
	if info, err := os.Stat(path); err == nil {
		database = info.Size()
	}
	if info, err := os.Stat(path + "-wal"); err == nil {
		log = info.Size()
	}
	return database, log
}

// The rows of both tables are numbered in the order in which they were written.
const selectEstimates = `SELECT (SELECT coalesce(max(row), 0) FROM providers),
	(SELECT coalesce(max(row), 0) FROM provider_events) - (SELECT coalesce(min(row) - 1, 0) FROM provider_events),
	(SELECT at FROM provider_events ORDER BY row LIMIT 1)`

func readStatus(c *sqlite.Conn, key func(apikey.Key)) (s provider.Status, err error) {
	if err := pragmas(c, "query_only = ON", "temp_store = MEMORY"); err != nil {
		return s, err
	}
	if err := checkOwner(c); err != nil {
		return s, err
	}
	s.NewestVersion = newestVersion
	if s.SchemaVersion, err = schemaVersion(c); err != nil || !s.Current() {
		return s, err
	}
	err = sqlitex.ExecuteTransient(c, selectEstimates, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		s.Records, s.Events, s.OldestEvent = row.ColumnInt64(0), row.ColumnInt64(1), columnTime(row, 2)
		return nil
	}})
	if err != nil {
		return s, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	return s, sqlitex.ExecuteTransient(c, selectAllKeys, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		key(scanKey(row, now))
		return nil
	}})
}
