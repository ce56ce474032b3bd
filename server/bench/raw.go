//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// rawRun configures a process that writes straight into a SQLite file.
type rawRun struct {
	Database  string
	Providers int // how many the file has
	Batch     int // updates in a transaction
	Warmup    time.Duration
	Length    time.Duration

	NoCheckpoints bool // leave all in the log; otherwise SQLite empties it as it does by itself, every 1,000 pages
}

// rawOutcome is its result.
type rawOutcome struct {
	Updates int
	Took    time.Duration
	Times   histogram // of the transactions
}

// do updates random providers with the server's settings and driver, one transaction after the other, until the time
// is up.
func (r rawRun) do(ctx context.Context) (outcome rawOutcome, err error) {
	c, err := sqlite.OpenConn(r.Database, sqlite.OpenReadWrite, sqlite.OpenWAL)
	if err != nil {
		return outcome, err
	}
	defer c.Close()
	settings := []string{"synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY", "cache_size = -65536"}
	if r.NoCheckpoints {
		settings = append(settings, "wal_autocheckpoint = 0")
	}
	for _, setting := range settings {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+setting, nil); err != nil {
			return outcome, err
		}
	}
	update, err := c.Prepare(rawUpdate())
	if err != nil {
		return outcome, err
	}
	begin := time.Now()
	for ctx.Err() == nil {
		start := time.Now()
		if err := r.transaction(c, update); err != nil {
			return outcome, err
		}
		now := time.Now()
		if outcome.Took = now.Sub(begin) - r.Warmup; outcome.Took > 0 {
			outcome.Updates += r.Batch
			outcome.Times.add(now.Sub(start))
		}
		if outcome.Took >= r.Length {
			return outcome, nil
		}
	}
	return outcome, ctx.Err()
}

// rawUpdate is the server's UPDATE of all columns, by the record's key.
func rawUpdate() string {
	set := "version = ?2, updated_at = ?3, last_event = ?4"
	for i, p := range record {
		set += fmt.Sprintf(", %s = ?%d", p.column, 5+i)
	}
	return "UPDATE providers SET " + set + " WHERE organization_id = 1 AND id = ?1"
}

func (r rawRun) transaction(c *sqlite.Conn, update *sqlite.Stmt) error {
	if err := sqlitex.Execute(c, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	for range r.Batch {
		id := idOf(rand.IntN(r.Providers))
		digits := strconv.Itoa(100_000 + rand.IntN(900_000))
		update.BindBytes(1, id[:])
		update.BindInt64(2, rand.Int64N(1000))
		update.BindInt64(3, time.Now().UnixMilli())
		update.BindInt64(4, rand.Int64N(1_000_000))
		for i, p := range record {
			switch value := p.value.(type) {
			case string:
				update.BindText(5+i, strings.Replace(value, "@", digits, 1))
			case bool:
				update.BindBool(5+i, value)
			}
		}
		if _, err := update.Step(); err != nil {
			return err
		}
		if err := update.Reset(); err != nil {
			return err
		}
		if c.Changes() != 1 {
			return fmt.Errorf("provider %s is not there", id)
		}
	}
	return sqlitex.Execute(c, "COMMIT", nil)
}

// rawPeer is the process: it reads a rawRun and writes a rawOutcome.
func rawPeer(ctx context.Context, in io.Reader, out io.Writer) error {
	var run rawRun
	if err := json.NewDecoder(in).Decode(&run); err != nil {
		return err
	}
	outcome, err := run.do(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(outcome)
}
