// Package postgres keeps providers, their history and API keys in a PostgreSQL database: the store for more than one
// machine.
//
// It is the last step of a request. Any number of servers share one database, and none keeps state of its own. Concurrent
// writes share transactions (package writes), a few of which are in flight at once, since PostgreSQL makes several durable with
// one write to the disk. A transaction takes two round trips: the first begins it, locks and reads; Go decides what the records
// become; the second saves and commits. A read takes one.
//
// Transactions lock rows in the order of organization and ID, so they never deadlock. Every key begins with the organization,
// and every statement of a request names it, as databases need that speak PostgreSQL's protocol and shard rows.
package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Timeouts. What waits for something else has the longer one, so that the error names the cause.
const (
	connectTimeout   = 2 * time.Second // to a host; the URL's connect_timeout replaces it
	acquireTimeout   = 5 * time.Second // for a connection, a new one or one that becomes free
	lockTimeout      = 4 * time.Second // for a row that another transaction holds
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
	defaultConns    = 10 // the URL's pool_max_conns replaces it
)

// Options are for tests and benchmarks.
type Options struct {
	Now      func() time.Time // the clock; nil for the machine's
	Batch    writes.Options   // of each of the transactions in flight
	InFlight int              // most transactions of writes in flight at once; 0 means 2
}

// Store is a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	now    func() time.Time
	pool   *pgxpool.Pool
	writes []*writes.Writer
}

// Open connects to the database of a URL, postgres://…, and migrates its schema. If the URL has several hosts, Open uses the
// one that can be written to.
//
// Errors tell the operator what to do. They hold nothing of the URL but its hosts and its database.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	config, err := parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := checkEncoding(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	if err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	configureSessions(config.ConnConfig.RuntimeParams)
	config.AfterConnect = verifySession
	s := &Store{now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open database %s: %w", databaseName(config.ConnConfig), explain(err))
	}
	if err := s.checkColumns(ctx); err != nil {
		s.pool.Close()
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

// parse reads a URL. A password with characters that have a meaning in URLs makes it mean something else; that is
// refused, and the driver's error not repeated, since part of the password would show.
func parse(dsn string) (*pgxpool.Config, error) {
	parts, err := url.Parse(dsn)
	if err != nil || parts.User == nil && strings.Contains(dsn, "@") || strings.Count(authority(dsn), "@") > 1 {
		return nil, errURL
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errURL
	}
	if !parts.Query().Has("pool_max_conns") {
		config.MaxConns = defaultConns
	}
	config.MaxConnLifetimeJitter = config.MaxConnLifetime / 10
	c := config.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if len(hosts(c)) > 1 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return config, nil
}

// authority is what a URL has between the scheme and the path: user, password and hosts.
func authority(dsn string) string {
	_, rest, _ := strings.Cut(dsn, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// Close finishes the writes in flight and closes the connections.
func (s *Store) Close() error {
	for _, writes := range s.writes {
		writes.Close()
	}
	s.pool.Close()
	return nil
}

// Ping reports whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := read(ctx, s, pgx.RowTo[int], "SELECT 1 FROM organizations LIMIT 1")
	return err
}

// writerFor returns the batches that take a record's writes, always the same ones, so that those of a busy record
// share transactions instead of waiting for each other.
func (s *Store) writerFor(id uuid.UUID) *writes.Writer {
	return s.writes[binary.BigEndian.Uint64(id[8:])%uint64(len(s.writes))]
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

// readSnapshot runs queries that see the state of one moment, in one round trip. It calls queue again for a retry.
func (s *Store) readSnapshot(ctx context.Context, queue func(*pgx.Batch)) error {
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

// attempts runs f until it succeeds or a retry cannot help. It retries f while it collides with other transactions, and once
// if its connection is lost.
func (s *Store) attempts(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	pause, reconnected := firstPause, false
	for n := 1; ; n++ {
		err := s.attempt(ctx, attemptTimeout, f)
		var code sqlState
		switch {
		case errors.As(err, new(connectionLostError)) && !reconnected:
			reconnected = true
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
	err = f(limited, c)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = toDomainError(err, c.IsClosed())
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
	return nil, provider.Unavailable(5*time.Second, causeOf(err))
}
