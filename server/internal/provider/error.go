package provider

import (
	"errors"
	"time"
)

// Code says what kind of error an Error is.
type Code string

// The codes.
const (
	CodeNotFound             Code = "not_found"              // no such record, as far as the organization can see
	CodeNoCustomer           Code = "no_customer"            // no such customer, as far as the organization can see
	CodeNoOrganization       Code = "no_organization"        // no organization of that name
	CodePreconditionFailed   Code = "precondition_failed"    // the record has another version
	CodeUnknownCustomer      Code = "unknown_customer"       // the organization has no customer of the new CustomerID
	CodeIdempotencyKeyReused Code = "idempotency_key_reused" // the key of a creation was used for another one
	CodeUnavailable          Code = "unavailable"            // the store cannot do it now, and changed nothing; try again
	CodeOutcomeUnknown       Code = "outcome_unknown"        // the store does not know whether it was done
	CodeInternal             Code = "internal"               // an error of the program, which changed nothing
)

// Error is the error of a store. Package api has the text that a caller reads; the text here is for the operator.
type Error struct {
	Code       Code
	RetryAfter time.Duration // how long to wait, with CodeUnavailable and CodeOutcomeUnknown
	Cause      error         // holds no value of a record; nil if there is no more to say
}

// The errors that need no more than their code.
var (
	ErrNotFound             = &Error{Code: CodeNotFound}
	ErrNoCustomer           = &Error{Code: CodeNoCustomer}
	ErrNoOrganization       = &Error{Code: CodeNoOrganization}
	ErrPreconditionFailed   = &Error{Code: CodePreconditionFailed}
	ErrUnknownCustomer      = &Error{Code: CodeUnknownCustomer}
	ErrIdempotencyKeyReused = &Error{Code: CodeIdempotencyKeyReused}
)

// Unavailable returns the error of a store that has more work than it can queue, cannot be reached or cannot write, before
// anything was changed. If the cause is a domain error, the new error has the cause of that.
func Unavailable(retryAfter time.Duration, cause error) *Error {
	var domain *Error
	if errors.As(cause, &domain) && domain.Cause != nil {
		cause = domain.Cause
	}
	return &Error{Code: CodeUnavailable, RetryAfter: retryAfter, Cause: cause}
}

// OutcomeUnknown returns the error of a commit whose outcome is unknown.
func OutcomeUnknown(cause error) *Error {
	return &Error{Code: CodeOutcomeUnknown, RetryAfter: time.Second, Cause: cause}
}

// Internal returns the error of a store that found an error of the program, such as a broken constraint.
func Internal(cause error) *Error { return &Error{Code: CodeInternal, Cause: cause} }

// DatabaseError is the cause of an Error that the database has reported. It holds no value and no key.
type DatabaseError struct {
	Code       string // PostgreSQL's SQLSTATE, or the name of SQLite's result code
	Statement  string // its verb and its table, such as "INSERT provider_events"; empty if it is not known
	Constraint string // the name of the constraint that was violated, if any
	Err        error
}

// Error returns the text of Err.
func (e *DatabaseError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DatabaseError) Unwrap() error { return e.Err }

// CodeOf returns the code of a domain error, and "" for any other error and for nil.
func CodeOf(err error) Code {
	var domain *Error
	if errors.As(err, &domain) {
		return domain.Code
	}
	return ""
}

// texts are for the log and the operator. Callers read those of package api.
var texts = map[Code]string{
	CodeNotFound:             "no such provider",
	CodeNoCustomer:           "no such customer",
	CodeNoOrganization:       "no such organization",
	CodePreconditionFailed:   "the provider has another version",
	CodeUnknownCustomer:      "the new customer does not exist",
	CodeIdempotencyKeyReused: "the idempotency key was used for another creation",
	CodeUnavailable:          "the database cannot do this now, and nothing was changed; try again",
	CodeOutcomeUnknown:       "it is not known whether this was saved; check before you repeat it",
	CodeInternal:             "internal error; nothing was changed",
}

// Error returns the text of the code, and the cause if there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return texts[e.Code] + " (" + e.Cause.Error() + ")"
	}
	return texts[e.Code]
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
