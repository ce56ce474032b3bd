package sqlite

import (
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
)

// toDomainError returns the domain error for an error of SQLite. It keeps only the name of the result code, since the rest
// could quote values. It returns other errors as they are.
func toDomainError(err error) error {
	code := sqlite.ErrCode(err)
	if code == sqlite.ResultOK || code == sqlite.ResultError { // none, not SQLite's, or a statement's, whose values are not in it
		return err
	}
	cause := causeOf(code)
	switch code.ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultInterrupt:
		return provider.Unavailable(time.Second, cause)
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultProtocol, sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultNoMem, sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return provider.Unavailable(5*time.Second, cause)
	}
	return provider.Internal(cause)
}

// toCommitError is toDomainError for a COMMIT. After an input or output error it is unknown whether the transaction is on disk.
func toCommitError(err error) error {
	if code := sqlite.ErrCode(err); code.ToPrimary() == sqlite.ResultIOErr {
		return provider.OutcomeUnknown(causeOf(code))
	}
	return toDomainError(err)
}

func causeOf(code sqlite.ResultCode) error {
	return &provider.DatabaseError{Code: code.String(), Err: fmt.Errorf("sqlite: %v", code)}
}

// explain adds to an error at the start what the operator can do about it.
func explain(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultNotADB:
		return fmt.Errorf("it is not a SQLite database; name another file with --database: %w", err)
	case sqlite.ResultCorrupt:
		return fmt.Errorf("it is damaged; restore a backup: %w", err)
	case sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultPerm:
		return fmt.Errorf("it cannot be written; give this user the right to write the file and its directory: %w", err)
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fmt.Errorf("another process holds it; wait until that has ended: %w", err)
	}
	return err
}
