package postgres

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sqlState is an error code of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html). Nothing else of an
// error is kept: the other fields quote statements and values.
type sqlState string

// The codes with a case of their own. The others are handled by class, their first two characters.
const (
	outcomeUnknown        sqlState = "08007"
	protocolViolation     sqlState = "08P01"
	featureNotSupported   sqlState = "0A000"
	uniqueViolation       sqlState = "23505"
	readOnly              sqlState = "25006"
	serializationFailure  sqlState = "40001"
	completionUnknown     sqlState = "40003"
	deadlock              sqlState = "40P01"
	insufficientPrivilege sqlState = "42501"
	undefinedTable        sqlState = "42P01"
	lockNotAvailable      sqlState = "55P03"
	tooManyConnections    sqlState = "53300"
	queryCanceled         sqlState = "57014"
	adminShutdown         sqlState = "57P01"
	crashShutdown         sqlState = "57P02"
	cannotConnectNow      sqlState = "57P03"
)

// conditions says what a code, or the class of a code, means for the operator.
var conditions = map[string]string{
	"08":                          "the server, or a proxy in front of it, ended or rejected the connection",
	string(featureNotSupported):   "a table was changed after a statement was planned",
	"22":                          "a value does not fit its column or its setting",
	"23":                          "a constraint of a table is violated",
	string(readOnly):              "it is read-only; name the primary server",
	"26":                          "a prepared statement is missing; a pooler in front of the server must pool sessions, not transactions",
	"28":                          "the server refuses this user or password",
	"3D000":                       "there is no database of that name; create it with createdb, or name another with --database",
	"3F000":                       "this user can use no schema of its search path; grant it USAGE, and CREATE if it is to run migrate",
	string(serializationFailure):  "the transaction collided with another",
	string(deadlock):              "the transaction collided with another",
	"42":                          "a statement does not match the tables; run migrate, and undo what else has changed them",
	string(insufficientPrivilege): "this user lacks a privilege on the schema or its tables; grant it, or run migrate as their owner",
	"42704":                       "the server does not know a setting; check the parameters of the URL",
	"42P05":                       "a prepared statement is another session's; a pooler in front of the server must pool sessions, not transactions",
	"53":                          "the server has run out of a resource",
	"53100":                       "the server's disk is full",
	string(tooManyConnections):    "the server has no connection left",
	string(lockNotAvailable):      "another session holds a lock; see pg_stat_activity",
	"57":                          "the server is starting, stopping or shedding work",
	string(queryCanceled):         "a statement took too long",
	"58":                          "the server has an error of its system, such as its disk",
	"XX":                          "the server has an internal error; see its log",
}

// Error returns the condition and the code.
func (s sqlState) Error() string {
	condition := cmp.Or(conditions[string(s)], conditions[s.class()], "the server reports an error")
	return "postgres: " + condition + " (SQLSTATE " + string(s) + ")"
}

func (s sqlState) class() string { return string(s[:min(2, len(s))]) }

// collision reports whether the transaction collided with another, so that a retry helps.
func (s sqlState) collision() bool { return s == serializationFailure || s == deadlock }

var (
	errNoConnection = errors.New("postgres: no connection became free in time")
	errTimeout      = errors.New("postgres: no response in time")
	errEnded        = errors.New("postgres: the server, or a proxy in front of it, ended the connection")
	errNoHost       = errors.New("postgres: there is no host of that name")
	errCertificate  = errors.New("postgres: the server's certificate is not valid for this host, or its authority is unknown; check the host and sslrootcert")
)

// connectionLostError is the cause of an error after which its connection, and probably every other, is of no use: the server has
// ended it, or has lost its role to another one, or a table that its statements were planned for has changed. Nothing was changed.
type connectionLostError struct{ error }

// toDomainError returns the domain error for an error of the driver on a connection.
func toDomainError(c *pgx.Conn, err error) error {
	var own *provider.Error
	if errors.As(err, &own) || errors.Is(err, apikey.ErrNotFound) {
		return err
	}
	domain := classify(causeOf(err), c.IsClosed())
	domain.Cause = databaseError(failedStatement(c), err, domain.Cause)
	return domain
}

// databaseError adds to a cause which statement has failed, if one has, and what the server has said about it.
func databaseError(statement string, err, cause error) error {
	failed := provider.DatabaseError{Statement: statement, Err: cause}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		failed.Code, failed.Constraint = server.Code, server.ConstraintName
	}
	return &failed
}

// classify returns the domain error for a cause. closed says whether its connection is closed.
func classify(cause error, closed bool) *provider.Error {
	code, _ := cause.(sqlState)
	switch {
	case closed && cause == errTimeout: // another attempt would wait as long
		return provider.Unavailable(5*time.Second, cause)
	case closed, code == readOnly, code == featureNotSupported:
		return provider.Unavailable(5*time.Second, connectionLostError{cause})
	case slices.Contains([]sqlState{serializationFailure, deadlock, lockNotAvailable, queryCanceled}, code):
		return provider.Unavailable(time.Second, cause)
	case slices.Contains([]string{"08", "53", "57", "58"}, code.class()): // connection, resources such as the disk's space, the operator, the system
		return provider.Unavailable(5*time.Second, cause)
	}
	return provider.Internal(cause)
}

// toCommitError is toDomainError for a batch that ends with a commit: if the connection is lost after it was sent, the outcome is
// unknown.
func toCommitError(c *pgx.Conn, err error) error {
	if err == nil {
		return nil
	}
	cause := causeOf(err)
	if c.IsClosed() && !pgconn.SafeToRetry(err) || cause == completionUnknown || cause == outcomeUnknown {
		return provider.OutcomeUnknown(databaseError(failedStatement(c), err, cause))
	}
	return err
}

// causeOf returns the part of a driver's error that the log may show.
func causeOf(err error) error {
	var (
		code   sqlState
		server *pgconn.PgError
		system syscall.Errno
		name   *net.DNSError
		start  startError
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
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return errCertificate
	case errors.As(err, &start):
		return start
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errEnded
	case errors.Is(err, wire.ErrUnknownNumber):
		return wire.ErrUnknownNumber
	}
	return fmt.Errorf("postgres: %T", innermost(err))
}

// innermost returns the first error of a chain; of several, the last.
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

// startError says why a connection, or the database, cannot be used. It holds no value of the URL but its user.
type startError string

// Error returns the text.
func (e startError) Error() string { return string(e) }

// explain puts an error at the start into words that say what the operator can do about it.
func explain(err error) error {
	cause := causeOf(err)
	_, answered := cause.(sqlState)
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return readOnly
	case answered, errors.As(err, new(startError)), cause == errCertificate:
		return cause
	case errors.As(err, new(*pgconn.ConnectError)):
		return fmt.Errorf("no server can be reached there; start it, or fix host, port and sslmode: %w", cause)
	}
	return err
}

// isAway reports whether an error at the start will pass by itself: no server can be reached, it is starting or stopping, it has no
// connection left, or none of several is the primary yet.
func isAway(err error, c *pgx.ConnConfig) bool {
	cause := causeOf(err)
	code, answered := cause.(sqlState)
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return len(hosts(c)) > 1
	case answered:
		return slices.Contains([]sqlState{adminShutdown, crashShutdown, cannotConnectNow, tooManyConnections}, code) || code.class() == "08"
	case cause == errCertificate, errors.As(err, new(startError)):
		return false
	}
	return cause == errEnded || errors.As(err, new(*pgconn.ConnectError))
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
