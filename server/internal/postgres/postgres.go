// Package postgres keeps providers, their history and API keys in a PostgreSQL database: the store for more than one
// machine.
//
// It is the last step of a request. Any number of servers share one database, and none keeps state of its own. Concurrent
// writes share transactions (package writes), a few of which are in flight at once, since PostgreSQL makes several durable with
// one write to the disk. A transaction takes two round trips: the first begins it, locks and reads; Go decides what the records
// become; the second saves and commits. A creation that repeats an earlier one needs a third. A read takes one.
//
// Transactions lock rows in the order of organization and ID, so they never deadlock. The keys of customers, records and events
// begin with the organization, and every statement of a request on them names it, as databases need that speak PostgreSQL's
// protocol and shard rows.
package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Timeouts. What waits for something else has the longer one, so that the error names the cause.
const (
	connectTimeout   = 2 * time.Second  // to a host; the URL's connect_timeout replaces it
	openTimeout      = 10 * time.Second // for the first responses
	reconnectPause   = time.Second      // between attempts to reach a server that is away
	acquireTimeout   = 5 * time.Second  // for a connection, a new one or one that becomes free
	lockTimeout      = 4 * time.Second  // for a row that another transaction holds
	lockTurn         = lockTimeout / 16 // of it, until other waiting transactions get their turn
	statementTimeout = 8 * time.Second
	attemptTimeout   = 10 * time.Second // for a transaction
)

// A transaction that collides with another is retried, after a random part of a pause that doubles.
const (
	maxAttempts = 8
	firstPause  = 10 * time.Millisecond
)

const (
	defaultInFlight = 2
	maxWaits        = 4  // most transactions that wait for rows which other sessions have locked
	defaultConns    = 10 // the URL's pool_max_conns replaces it
)

// Options are those of Open. The zero value is good.
type Options struct {
	Now      func() time.Time // the clock; nil for the database's
	Batch    writes.Options   // of each of the transactions in flight
	InFlight int              // most transactions of writes in flight at once; 0 means 2

	// Latest, if not nil, returns the URL as it is now: each new connection has its user and password.
	Latest func() (dsn string, err error)

	// Patient makes Open wait, until its context is done, for a server that is away. Otherwise that is an error.
	Patient bool

	// Waiting, if not nil, is called now and then while Open waits, with what it waits for.
	Waiting func(reason string)

	// Finish says that no server runs that is older than this program, so that events are written in a form that such a server cannot read.
	// It stays true for the database.
	Finish bool
}

func (o Options) latest(dsn string) func() (string, error) {
	if o.Latest != nil {
		return o.Latest
	}
	return func() (string, error) { return dsn, nil }
}

// Store is a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	now    func() time.Time // nil for the database's clock
	pool   *pgxpool.Pool
	batch  writes.Options
	inUse  sync.RWMutex     // read-locked by every Write
	writes []*writes.Writer // see writerFor
	locked queues           // of the writes that found a row locked
	waits  chan struct{}    // holds one for each transaction that waits for a locked row
	pages  chan struct{}    // holds one for each takePage whose end is to come

	numbers   numbers
	acquiring atomic.Int64 // calls that wait for a connection
}

// Open connects to the database of a URL, postgres://…, and migrates its schema. If the URL has several hosts, Open uses the
// one that can be written to.
//
// Errors tell the operator what to do. They hold nothing of the URL but its hosts, its database and its user.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	config, err := parse(dsn, o.latest(dsn))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{now: o.Now, batch: o.Batch, waits: make(chan struct{}, maxWaits)}
	if err := s.connect(ctx, config, o); err != nil {
		return nil, fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	if o.InFlight <= 0 {
		o.InFlight = defaultInFlight
	}
	for range o.InFlight {
		s.writes = append(s.writes, writes.New(s.runWrites, o.Batch))
	}
	return s, nil
}

// connect opens the pool, once the database can be used.
func (s *Store) connect(ctx context.Context, config *pgxpool.Config, o Options) error {
	waiting := newWaiting(o.Waiting)
	defer waiting.end()
	waiting.set(toRespond)
	for {
		err := s.connectNow(ctx, config, waiting, o.Finish)
		if err == nil || !o.Patient || !isAway(err, config.ConnConfig) {
			return err
		}
		waiting.set(fmt.Sprintf("%s (%v)", toRespond, causeOf(err)))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(reconnectPause):
		}
	}
}

const toRespond = "the database to respond"

// connectNow opens the pool if the database is there.
func (s *Store) connectNow(ctx context.Context, config *pgxpool.Config, waiting *waiting, finish bool) error {
	if err := checkDatabase(ctx, config.ConnConfig); err != nil {
		return err
	}
	tables, err := migrate(ctx, config.ConnConfig, waiting)
	if err != nil {
		return err
	}
	waiting.set(toRespond)
	config.ConnConfig.Tracer = failures{}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return configureSession(ctx, c, tables) }
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	s.pages = make(chan struct{}, max(1, config.MaxConns*3/10))
	err = s.checkColumns(ctx)
	if err == nil {
		err = s.numberProperties(ctx, finish)
	}
	if err != nil {
		s.pool.Close()
	}
	return err
}

// Close finishes the writes in flight and closes the connections.
func (s *Store) Close() error {
	s.inUse.Lock()
	defer s.inUse.Unlock()
	for _, writer := range s.writes {
		writer.Close()
	}
	s.locked.closing.Wait()
	s.pool.Close()
	return nil
}

// Ping reports whether a change could be saved now. It makes one, in a table of its own.
func (s *Store) Ping(ctx context.Context) error {
	const probe = "INSERT INTO write_probes (id, at) VALUES (1, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
	_, err := s.execute(ctx, probe)
	if provider.CodeOf(err) == provider.CodeOutcomeUnknown { // the connection was lost; another one may be good
		_, err = s.execute(ctx, probe)
	}
	return err
}

// Now returns the time of the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if s.now != nil {
		return s.now(), nil
	}
	times, err := read(ctx, s, pgx.RowTo[time.Time], "SELECT clock_timestamp()")
	if err != nil {
		return time.Time{}, err
	}
	return times[0].UTC(), nil
}

// writerFor returns the one of the writers that takes a record's writes, always the same, so that those of a busy record
// share transactions instead of waiting for each other. Creations with one idempotency key have one, too.
func writerFor(w *provider.Write, writers []*writes.Writer) *writes.Writer {
	place := w.ID[8:]
	if w.Idempotency != nil {
		place = w.Idempotency.Key[:8]
	}
	return writers[binary.BigEndian.Uint64(place)%uint64(len(writers))]
}

// read returns the rows of a query.
func read[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], query string, arguments ...any) (all []T, err error) {
	err = s.attempts(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, arguments...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scan)
		return err
	})
	return all, err
}

// takePage waits until the caller may read many rows, such as a list or a piece of an export, and calls end when it has read them. Such
// reads use three of ten connections at most, so that the look-up of a key and the read of a record find one.
func (s *Store) takePage(ctx context.Context) (end func(), _ error) {
	select {
	case s.pages <- struct{}{}:
		return func() { <-s.pages }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(acquireTimeout):
		return nil, provider.Unavailable(time.Second, errManyPages)
	}
}

var errManyPages = errors.New("postgres: too many lists are being read")

// readPage runs the queries of a list or a history, which see the state of one moment, in one round trip. It calls queue again for a
// retry.
func (s *Store) readPage(ctx context.Context, queue func(*pgx.Batch)) error {
	end, err := s.takePage(ctx)
	if err != nil {
		return err
	}
	defer end()
	return s.attempts(ctx, func(ctx context.Context, c *pgx.Conn) error { return inSnapshot(ctx, c, queue) })
}

func inSnapshot(ctx context.Context, c *pgx.Conn, queue func(*pgx.Batch)) error {
	b := new(pgx.Batch)
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	queue(b)
	b.Queue("COMMIT")
	return c.SendBatch(ctx, b).Close()
}

// into collects the rows of a query in all.
func into[T any](all *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*all, err = pgx.CollectRows(rows, scan)
		return err
	}
}

// write runs f, which changes something and commits. A caller that leaves does not interrupt it.
func (s *Store) write(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.attempts(context.WithoutCancel(ctx), f)
}

// attempts runs f until it succeeds or a retry cannot help. It retries f while it collides with other transactions, once if its
// connection is lost, and once if a newer server has numbered a property.
func (s *Store) attempts(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	pause, reconnected, renumbered := firstPause, false, false
	for n := 1; ; n++ {
		err := s.attempt(ctx, attemptTimeout, f)
		var code sqlState
		switch {
		case errors.As(err, new(connectionLostError)) && !reconnected:
			reconnected = true
		case errors.Is(err, wire.ErrUnknownNumber) && !renumbered:
			renumbered = true
			if err := s.attempt(ctx, attemptTimeout, s.numbers.read); err != nil {
				return err
			}
		case errors.As(err, &code) && code.collision() && n < maxAttempts:
			time.Sleep(rand.N(pause))
			pause *= 2
		default:
			return err
		}
	}
}

// attempt runs f on a connection of its own and returns a domain error.
func (s *Store) attempt(ctx context.Context, timeout time.Duration, f func(context.Context, *pgx.Conn) error) error {
	pooled, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release() // closes the connection if a transaction is open, after a panic for example
	c := pooled.Conn()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	forgetFailure(c)
	err = f(limited, c)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = toDomainError(c, err)
	if errors.As(err, new(connectionLostError)) {
		s.pool.Reset() // the others lead to the same server
	} else if c.PgConn().TxStatus() != idle {
		c.Exec(limited, "ROLLBACK") // if that fails, Release closes the connection, which has the same effect
	}
	return err
}

// idle is the protocol's state of a connection without a transaction.
const idle = 'I'

func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	s.acquiring.Add(1)
	defer s.acquiring.Add(-1)
	limited, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	c, err := s.pool.Acquire(limited)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, provider.Unavailable(time.Second, errNoConnection)
	}
	return nil, provider.Unavailable(5*time.Second, databaseError("", err, causeOf(err)))
}

// Stats implements [provider.Store].
func (s *Store) Stats() provider.Stats {
	pool := s.pool.Stat()
	stats := provider.Stats{Connections: int(pool.AcquiredConns()) + int(s.acquiring.Load()), MaxConnections: int(pool.MaxConns()), SchemaVersion: newestVersion}
	for _, w := range s.writes {
		stats.Queued += w.Queued()
	}
	return stats
}
