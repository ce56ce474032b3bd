// Package storecopy copies a whole database to another one, of the same kind of store or of another, and compares the two.
//
// It knows the tables by package schema, and the databases by two small interfaces, which the stores implement. Both read their rows in
// one order, so that an interrupted copy has the first rows of its source: it goes on behind them, and needs no records of its own.
package storecopy

import (
	"context"
	"fmt"
	"iter"

	"github.com/carecycle/provider-api/server/internal/schema"
)

// Source is a database that nobody changes while it is open. It is not safe for concurrent use.
type Source interface {
	// Rows returns the rows of a table in the order of its key, each with its columns in the order of the table, until an error. Rows of
	// two tables can be read in turns.
	Rows(ctx context.Context, t *schema.Table) iter.Seq2[[]any, error]

	// Count returns how many rows a table has.
	Count(ctx context.Context, t *schema.Table) (int64, error)

	// Close ends the use of the database, and gives up what was not committed.
	Close() error
}

// Target is a database without rows, or an incomplete copy. Until Complete, no store opens it.
type Target interface {
	Source

	// Add adds a row. Rows come in the order of Copy: events before their record.
	Add(ctx context.Context, t *schema.Table, row []any) error

	// Commit saves the rows that were added since the last one, all or none. It returns when they are on disk.
	Commit(ctx context.Context) error

	// Arrange gives all rows, which are saved, the places that they have in a database which was written from the start. It can be called again.
	Arrange(ctx context.Context) error

	// Complete makes the database one that stores open.
	Complete(ctx context.Context) error
}

// Options are those of Copy.
type Options struct {
	Begin    func(doing string, rows int64) // called for each step of the work
	Progress func(rows int64)               // called when that many more rows are done
}

// commitRows is how many rows are saved in a transaction, or a few more: a record and its events are saved together.
var commitRows int64 = 50_000

// Copy copies all rows of the source that the target does not have, reads both again, compares them, and completes the target. It returns
// how many rows of each table the target has.
//
// In memory are some thousands of rows, whatever the number of rows. After an error, or if the process is killed, the next call with the same
// databases goes on where this one ended, unless the source has changed.
//
// Errors tell the operator what to do.
func Copy(ctx context.Context, from Source, to Target, o Options) (counts map[*schema.Table]int64, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errStopped
		}
	}()
	counts = map[*schema.Table]int64{}
	total := int64(0)
	for _, t := range schema.Tables {
		n, err := from.Count(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("read the source: %w", err)
		}
		counts[t] = n
		total += n
	}
	o.Begin("copying", total)
	if err := copyRows(ctx, from, to, o.Progress); err != nil {
		return nil, err
	}
	if err := to.Arrange(ctx); err != nil {
		return nil, fmt.Errorf("write to the target: %w", err)
	}
	o.Begin("comparing", total)
	if err := compareAll(ctx, from, to, o.Progress); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // what is in memory already is compared without a look at it
		return nil, err
	}
	if err := to.Complete(ctx); err != nil {
		return nil, fmt.Errorf("complete the target: %w", err)
	}
	return counts, nil
}

// copyRows adds the rows that the target does not have.
func copyRows(ctx context.Context, from Source, to Target, progress func(int64)) error {
	source := start(ctx, "source", from)
	defer source.stop()
	if err := skipCopied(ctx, source, to, progress); err != nil {
		return err
	}
	added := int64(0)
	for {
		next, err := source.next()
		if err != nil {
			return err
		}
		if next.row == nil {
			break
		}
		if err := to.Add(ctx, next.table, next.row); err != nil {
			return fmt.Errorf("write to the target: %w", err)
		}
		if added++; added >= commitRows && next.table != schema.Events {
			if err := to.Commit(ctx); err != nil {
				return fmt.Errorf("write to the target: %w", err)
			}
			progress(added)
			added = 0
		}
	}
	if err := to.Commit(ctx); err != nil {
		return fmt.Errorf("write to the target: %w", err)
	}
	progress(added)
	return nil
}

// skipCopied reads as many rows of the source as the target has, which must be equal.
func skipCopied(ctx context.Context, source *stream, to Target, progress func(int64)) error {
	target := start(ctx, "target", to)
	defer target.stop()
	for {
		copied, err := target.next()
		if err != nil || copied.row == nil {
			return err
		}
		original, err := source.next()
		if err != nil {
			return err
		}
		if !original.equal(copied) {
			return fmt.Errorf("the target has another %s: it is an incomplete copy of another database, or the source has changed since; create an empty target, and run it again", original.orElse(copied))
		}
		if target.read%batchSize == 0 {
			progress(batchSize)
		}
	}
}

// compareAll fails unless both databases have the same rows.
func compareAll(ctx context.Context, from, to Source, progress func(int64)) error {
	source := start(ctx, "source", from)
	defer source.stop()
	target := start(ctx, "target", to)
	defer target.stop()
	for {
		original, err := source.next()
		if err != nil {
			return err
		}
		copied, err := target.next()
		if err != nil {
			return err
		}
		if !original.equal(copied) {
			return fmt.Errorf("the target has not kept this: %s; create an empty target, and run it again", original.orElse(copied))
		}
		if original.row == nil {
			return nil
		}
		if source.read%batchSize == 0 {
			progress(batchSize)
		}
	}
}
