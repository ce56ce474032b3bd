package provider

import (
	"errors"
	"time"
)

// Code says what kind of error an Error is.
type Code string

// The codes.
const (
	CodeNotFound           Code = "not_found"           // no such record, as far as the organization can see
	CodePreconditionFailed Code = "precondition_failed" // the record has another version
	CodeUnknownCustomer    Code = "unknown_customer"    // the organization has no customer of the new CustomerID
	CodeUnavailable        Code = "unavailable"         // the store cannot do it now, and changed nothing; try again
	CodeOutcomeUnknown     Code = "outcome_unknown"     // the store cannot tell whether it was done
	CodeInternal           Code = "internal"            // an error of the program, which changed nothing
)

// Error is the error of a store. Message is for the caller and holds no value of a record. Cause, for the operator's log,
// is where it came from, likewise without values; nil if there is no more to say.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // with CodeUnavailable and CodeOutcomeUnknown: how long to wait
	Cause      error
}

// The errors that need no more than their code.
var (
	ErrNotFound           = &Error{Code: CodeNotFound, Message: "This customer has no such provider."}
	ErrPreconditionFailed = &Error{Code: CodePreconditionFailed, Message: "The provider has another version. Nothing was changed."}
	ErrNoCustomer         = &Error{Code: CodeNotFound, Message: "There is no such customer."}
	ErrNoOrganization     = &Error{Code: CodeNotFound, Message: "There is no such organization."}
	ErrUnknownCustomer    = &Error{Code: CodeUnknownCustomer, Message: "There is no such customer."}
)

// CodeOf returns the code of a domain error, and "" for any other error and for nil.
func CodeOf(err error) Code {
	var domain *Error
	if errors.As(err, &domain) {
		return domain.Code
	}
	return ""
}

// Error returns the message, and the cause if there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + " (" + e.Cause.Error() + ")"
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Unavailable returns the error of a store that has more work than it can queue, cannot be reached or cannot write, before
// anything was changed.
func Unavailable(retryAfter time.Duration, cause error) *Error {
	return &Error{Code: CodeUnavailable, Message: "The server cannot do this now. Nothing was changed; try again.", RetryAfter: retryAfter, Cause: cause}
}

// OutcomeUnknown returns the error of a commit whose outcome is not known.
func OutcomeUnknown(cause error) *Error {
	return &Error{Code: CodeOutcomeUnknown, Message: "It is not known whether this was saved. A change or a deletion can be sent again without harm; before a record is created again, look whether it exists.", RetryAfter: time.Second, Cause: cause}
}

// Internal returns the error of a store that found an error of the program, a broken constraint for example.
func Internal(cause error) *Error {
	return &Error{Code: CodeInternal, Message: "The server has an internal error. Nothing was changed.", Cause: cause}
}
