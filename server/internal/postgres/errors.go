package postgres

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sqlState is an error code of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html). Nothing else of an
// error is kept: the other fields quote statements and values.
type sqlState string

// The codes with a case of their own. The others are handled by class, their first two characters.
const (
	readOnly             sqlState = "25006"
	serializationFailure sqlState = "40001"
	completionUnknown    sqlState = "40003"
	deadlock             sqlState = "40P01"
	outcomeUnknown       sqlState = "08007"
	uniqueViolation      sqlState = "23505"
	undefinedTable       sqlState = "42P01"
	lockNotAvailable     sqlState = "55P03"
	queryCanceled        sqlState = "57014"
)

func (s sqlState) Error() string { return "postgres: SQLSTATE " + string(s) }

func (s sqlState) class() string { return string(s[:min(2, len(s))]) }

// collision reports whether the transaction collided with another, so that a retry helps.
func (s sqlState) collision() bool { return s == serializationFailure || s == deadlock }

var (
	errNoConnection = errors.New("postgres: no connection became free in time")
	errTimeout      = errors.New("postgres: no answer in time")
	errNoHost       = errors.New("postgres: there is no host of that name")
	errURL          = errors.New("the URL cannot be read; it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE, and characters other than letters and digits in the password are written as %XX")
)

// connectionLostError is the cause of an error after which its connection, and probably every other, is of no use: the server has
// ended it, or has lost its role to another one. Nothing was changed.
type connectionLostError struct{ error }

// toDomainError puts what the driver answers into the domain's errors. closed says whether the connection is.
func toDomainError(err error, closed bool) error {
	var own *provider.Error
	if errors.As(err, &own) || errors.Is(err, apikey.ErrNotFound) {
		return err
	}
	cause := causeOf(err)
	code, _ := cause.(sqlState)
	switch {
	case closed && cause == errTimeout: // another attempt would wait as long
		return provider.Unavailable(5*time.Second, cause)
	case closed, code == readOnly:
		return provider.Unavailable(5*time.Second, connectionLostError{cause})
	case slices.Contains([]sqlState{serializationFailure, deadlock, lockNotAvailable, queryCanceled}, code):
		return provider.Unavailable(time.Second, cause)
	case slices.Contains([]string{"08", "53", "57", "58"}, code.class()): // connection, resources such as the disk's space, the operator, the system
		return provider.Unavailable(5*time.Second, cause)
	}
	return provider.Internal(cause)
}

// toCommitError is for the errors of what ends with a commit: once it was sent, a lost connection leaves it open
// whether it took place.
func toCommitError(c *pgx.Conn, err error) error {
	if err == nil {
		return nil
	}
	cause := causeOf(err)
	if c.IsClosed() && !pgconn.SafeToRetry(err) || cause == completionUnknown || cause == outcomeUnknown {
		return provider.OutcomeUnknown(cause)
	}
	return err
}

// causeOf is what the operator may know of a driver's error.
func causeOf(err error) error {
	var (
		code   sqlState
		server *pgconn.PgError
		system syscall.Errno
		name   *net.DNSError

		session sessionError
	)
	switch {
	case errors.As(err, &code):
		return code
	case errors.As(err, &server):
		return sqlState(server.Code)
	case pgconn.Timeout(err):
		return errTimeout
	case errors.As(err, &system):
		return fmt.Errorf("postgres: %w", system)
	case errors.As(err, &name):
		return errNoHost
	case errors.As(err, &session):
		return session
	}
	return fmt.Errorf("postgres: %T", innermost(err))
}

// innermost is where an error began; of several, the last.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
			inner = several.Unwrap()[len(several.Unwrap())-1]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// explain puts an error at the start into words that say what the operator can do about it.
func explain(err error) error {
	cause := causeOf(err)
	code, answered := cause.(sqlState)
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection), code == readOnly:
		return errors.New("it is read-only; name the primary server")
	case code.class() == "28":
		return fmt.Errorf("the server refuses this user or password: %w", cause)
	case code == "3D000":
		return fmt.Errorf("there is no database of that name; create it with createdb, or name another with --database: %w", cause)
	case code == "42501":
		return fmt.Errorf("this user may not make tables; grant it CREATE on the schema, or run migrate as a user who may: %w", cause)
	case code.class() == "53":
		return fmt.Errorf("the server has no connection left, or no space on its disk: %w", cause)
	case errors.As(err, new(sessionError)):
		return cause
	case answered:
		return cause
	case errors.As(err, new(*pgconn.ConnectError)):
		return fmt.Errorf("no server can be reached there; start it, or fix host, port and sslmode: %w", cause)
	}
	return err
}

// databaseName names the database of a configuration.
func databaseName(c *pgx.ConnConfig) string { return strings.Join(hosts(c), ",") + "/" + c.Database }

// hosts are those of a configuration, which holds one twice where TLS is optional.
func hosts(c *pgx.ConnConfig) []string {
	all := []string{hostPort(c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		if next := hostPort(f.Host, f.Port); !slices.Contains(all, next) {
			all = append(all, next)
		}
	}
	return all
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
