package provider

import "time"

// Code says what kind of error an Error is.
type Code string

// The codes.
const (
	NotFound           Code = "not_found"           // no such record, as far as the organization can see
	PreconditionFailed Code = "precondition_failed" // the record has another version
	UnknownCustomer    Code = "unknown_customer"    // the organization has no customer of the new CustomerID
	Unavailable        Code = "unavailable"         // the store cannot do it now, and changed nothing; try again
	OutcomeUnknown     Code = "outcome_unknown"     // the store cannot tell whether it was done
	Internal           Code = "internal"            // a fault of the program
)

// Error is what a store answers when it cannot do what it was asked. Message is for the caller and holds no value of
// a record. Cause, for the operator's log, is where it came from, likewise without values; nil if there is no more to say.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // with Unavailable and OutcomeUnknown: how long to wait
	Cause      error
}

// The errors that need no more than their code.
var (
	ErrNotFound           = &Error{Code: NotFound, Message: "This customer has no such provider."}
	ErrPreconditionFailed = &Error{Code: PreconditionFailed, Message: "The provider has changed since the version in If-Match. Nothing was changed; read the ETag anew and decide again."}
	ErrNoCustomer         = &Error{Code: NotFound, Message: "There is no such customer."}
	ErrNoOrganization     = &Error{Code: NotFound, Message: "There is no such organization."}
	ErrUnknownCustomer    = &Error{Code: UnknownCustomer, Message: "There is no such customer."}
)

// Error returns the message, and the cause if there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + " (" + e.Cause.Error() + ")"
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Busy returns the error of a store that has more work than it can queue.
func Busy(cause error) *Error {
	return &Error{Code: Unavailable, Message: "The server is busy. Nothing was changed; try again.", RetryAfter: time.Second, Cause: cause}
}

// Down returns the error of a store that cannot be reached or cannot write, before anything was changed.
func Down(cause error) *Error {
	return &Error{Code: Unavailable, Message: "The server cannot do this at the moment. Nothing was changed; try again.", RetryAfter: 5 * time.Second, Cause: cause}
}

// Unknown returns the error of a commit whose outcome is not known.
func Unknown(cause error) *Error {
	return &Error{Code: OutcomeUnknown, Message: "It is not known whether this was saved. A change or a deletion can be sent again without harm; before a record is made again, look whether it is there.", RetryAfter: time.Second, Cause: cause}
}

// Broken returns the error of a store that met a fault of the program, a broken constraint for example.
func Broken(cause error) *Error {
	return &Error{Code: Internal, Message: "The server met a fault of its own. Nothing was changed.", Cause: cause}
}
