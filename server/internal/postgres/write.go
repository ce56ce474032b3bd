package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Write implements [provider.Store]. A write to a row that another session has locked waits in a queue for that row, so that it
// delays no other write.
func (s *Store) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	s.inUse.RLock()
	defer s.inUse.RUnlock()
	rows := rowsOf(&w)
	queue := s.locked.enter(rows, nil)
	if queue == nil {
		record, err := writerFor(&w, s.writes).Write(ctx, w)
		if !errors.Is(err, errLocked) {
			return record, err
		}
		queue = s.locked.enter(rows, func() *writes.Writer { return writes.New(s.runLocked, s.batch) })
	}
	defer s.locked.leave(rows)
	return queue.Write(ctx, w)
}

// rows are those that a write locks. Writes to the same rows share the wait for them, and its end.
type rows struct {
	organization     int64
	record, customer uuid.UUID
}

func rowsOf(w *provider.Write) rows {
	r := rows{organization: w.Organization, record: w.ID}
	if customer, needed := customerOf(w); needed {
		r.customer = customer
	}
	return r
}

// queues are the queues of the rows that other sessions have locked. One exists while a write is in it. The zero value has none.
type queues struct {
	mu      sync.Mutex
	byRows  map[rows]*queue
	closing sync.WaitGroup // those that have no more writes
}

type queue struct {
	*writes.Writer
	users int
}

// enter returns the queue for rows. If there is none it opens one, unless open is nil. Call leave afterwards.
func (q *queues) enter(r rows, open func() *writes.Writer) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	found := q.byRows[r]
	if found == nil {
		if open == nil {
			return nil
		}
		if q.byRows == nil {
			q.byRows = map[rows]*queue{}
		}
		found = &queue{Writer: open()}
		q.byRows[r] = found
	}
	found.users++
	return found
}

func (q *queues) leave(r rows) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.byRows[r]
	if left.users--; left.users == 0 {
		delete(q.byRows, r)
		q.closing.Go(left.Close) // which waits for a run that its callers have abandoned
	}
}

// runWrites is the transaction of a batch. It waits for no other session.
func (s *Store) runWrites(calls []provider.Write) ([]writes.Result, error) {
	return s.run(calls, transaction{skipLocked: true})
}

// runLocked is runWrites for writes to rows that another session has locked. It waits for them for lockTimeout. Only a few
// transactions wait at the same time; each lets the next one try after a while, so that a row which is soon free does not wait for
// one that stays locked.
func (s *Store) runLocked(calls []provider.Write) (results []writes.Result, err error) {
	timeout := time.NewTimer(lockTimeout)
	defer timeout.Stop()
	for begin := time.Now(); ; {
		select {
		case s.waits <- struct{}{}:
		case <-timeout.C:
			return nil, provider.Unavailable(time.Second, lockNotAvailable)
		}
		results, err = s.run(calls, transaction{lockTimeout: lockTurn})
		<-s.waits
		if !errors.Is(err, lockNotAvailable) || time.Since(begin) > lockTimeout {
			return results, err
		}
	}
}

func (s *Store) run(calls []provider.Write, kind transaction) ([]writes.Result, error) {
	results := make([]writes.Result, len(calls))
	err := s.write(context.Background(), func(ctx context.Context, c *pgx.Conn) error {
		t := kind
		t.numbers, t.clock = &s.numbers, s.now
		for i := range calls {
			t.deletes = t.deletes || calls[i].Action == provider.Deleted
			t.of(calls[i].Organization).wantFor(&calls[i])
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		if err := t.readRepeated(ctx, c, calls); err != nil {
			return err
		}
		for i := range calls {
			next, err := t.of(calls[i].Organization).apply(&calls[i], t.now)
			if err != nil && err != errLocked && provider.CodeOf(err) == "" {
				return err
			}
			results[i] = writes.Result{Value: next, Err: err}
		}
		provider.Committing(calls)
		err := t.commit(ctx, c)
		if err != nil && causeOf(err) == uniqueViolation && t.createsOnce() { // another transaction saved one of the keys, which had no row to lock yet
			return serializationFailure
		}
		return err
	})
	return results, err
}
