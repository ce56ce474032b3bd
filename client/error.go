package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The kinds of an Error, for errors.Is. A response with the status 401, 403, 404, 412 or 422 is of a kind only if it has the contract's
// form: it may be a proxy's page.
var (
	ErrNotModified          = errors.New("not modified")           // 304: the record still has the version of IfNoneMatch
	ErrUnauthorized         = errors.New("unauthorized")           // 401: the key is missing, unknown, revoked or expired
	ErrForbidden            = errors.New("forbidden")              // 403: the key lacks a permission
	ErrNotFound             = errors.New("not found")              // 404: no such customer, or no such provider of the customer; nothing was changed. A path that the API does not have is of no kind
	ErrPreconditionFailed   = errors.New("precondition failed")    // 412: the record has changed since the IfMatch; nothing was changed
	ErrValidation           = errors.New("validation failed")      // 422: Error.Fields says what is wrong
	ErrIdempotencyKeyReused = errors.New("idempotency key reused") // 422: the IdempotencyKey has created another record; nothing was created
	ErrRateLimited          = errors.New("rate limited")           // 429, or nothing was sent as the limit leaves no room: Error.RetryAfter says how long to wait
	ErrUnavailable          = errors.New("unavailable")            // 408, 502, 503, 504, 520 to 530, no response, or half of one: try again later
)

// ErrOutcomeUnknown is the error of a call that may have made its change, for example because the connection of each attempt was cut
// before the response arrived. errors.Is finds it alone or next to another kind. A call that reads never returns it.
//
// After UpdateProvider and DeleteProvider, call again: sending a change twice is the same as sending it once. There are two
// exceptions. An update with IfMatch changes the version that it requires, and a move by CustomerID takes the provider away from
// the customer in the path. If the API responds with 412 or 404 to the retry of such an update, the error is ErrOutcomeUnknown and
// neither ErrPreconditionFailed nor ErrNotFound: read the record with GetProvider, and compare.
//
// After CreateProvider, call again with the IdempotencyKey of the Error: that creates no second record. The exception is a Client with
// DefaultBaseURL: look for the first record with Providers.
var ErrOutcomeUnknown = errors.New("outcome unknown")

// ErrNoVersions is the error of ModifyProvider if the server responds without an ETag.
var ErrNoVersions = errors.New("the server keeps no versions of its records, for it responded without an ETag; nothing was changed")

// ErrETagNeverMatches is the error of ModifyProvider if the server rejects the ETag of a record that nobody changed in between.
// A proxy that rewrites ETags, for example when it compresses responses, causes that.
var ErrETagNeverMatches = errors.New("the server rejects the ETag that it sent for this record, although the record has not changed; a proxy may rewrite ETags. Nothing was changed")

// Error is the error of a call: a response that is not a success or cannot be read, or no response. Its text holds no submitted
// value, no ID except the request's, and not the key. A test can make one: &Error{StatusCode: 412} is an ErrPreconditionFailed.
type Error struct {
	StatusCode     int           // 0 if no response came
	Code           string        // the contract's, such as NOT_FOUND; empty if the response is not in the contract's form
	Message        string        // for a person
	Fields         []FieldError  // with ErrValidation: every error of the request
	RequestID      string        // the ID of the request in the client and the server; quote it when you ask for help
	IdempotencyKey string        // of a creation, to create the record again; empty for other calls
	Cursor         string        // of an iteration: it goes on where this page begins; empty for the first page
	RetryAfter     time.Duration // the wait that the server requests; 0 if none
	Attempts       int           // the number of attempts of the call; 0 if nothing was sent
	OutcomeUnknown bool          // whether an attempt may have made the change, see ErrOutcomeUnknown

	// Err is the error of the network or the context, nil if there is a response. Unlike the text of the Error, its text may
	// hold the URL, and so the customer's ID. A timeout is os.ErrDeadlineExceeded, or context.DeadlineExceeded if the
	// context's deadline passed.
	Err error

	foreign bool // whether the response is not in the contract's form
}

// maxFields bounds how many errors the text of an Error lists; Fields has them all.
const maxFields = 5

// Error returns the status, the message and the ID of the request, on one line.
func (e *Error) Error() string {
	var text strings.Builder
	if e.StatusCode != 0 {
		text.WriteString(strings.TrimSpace(fmt.Sprintf("%d %s", e.StatusCode, e.Code)) + ": ")
	}
	text.WriteString(e.Message)
	if len(e.Fields) > 1 { // the message repeats a single one
		for _, field := range e.Fields[:min(len(e.Fields), maxFields)] {
			text.WriteString(" " + clean(field.Message, maxText))
		}
		if more := len(e.Fields) - maxFields; more > 0 {
			fmt.Fprintf(&text, " And %d more.", more)
		}
	}
	var about []string
	if e.RequestID != "" {
		about = append(about, "request "+e.RequestID)
	}
	if e.Attempts > 1 {
		about = append(about, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if len(about) > 0 {
		text.WriteString(" (" + strings.Join(about, ", ") + ")")
	}
	return text.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Codes of the contract that decide what an error means.
const (
	codeNotFound    = "NOT_FOUND"    // unlike PATH_NOT_FOUND, which a wrong base URL gives
	codeUnknownETag = "UNKNOWN_ETAG" // the condition can never match
	codeKeyReused   = "IDEMPOTENCY_KEY_REUSED"
	codeUnavailable = "SERVICE_UNAVAILABLE"
)

// Is reports whether the error is of the kind of target, one of the Err… values.
func (e *Error) Is(target error) bool {
	if e.OutcomeUnknown && target == ErrOutcomeUnknown {
		return true
	}
	switch {
	case e.StatusCode == http.StatusTooManyRequests:
		return target == ErrRateLimited
	case isUnavailable(e.StatusCode):
		return target == ErrUnavailable
	}
	if e.Err != nil {
		return e.Err != ErrRateLimited && target == ErrUnavailable && !ended(e.Err) && !isPermanent(e.Err)
	}
	if e.foreign {
		return false
	}
	switch e.StatusCode {
	case http.StatusNotModified:
		return target == ErrNotModified
	case http.StatusUnauthorized:
		return target == ErrUnauthorized
	case http.StatusForbidden:
		return target == ErrForbidden
	case http.StatusNotFound:
		return target == ErrNotFound && (e.Code == codeNotFound || e.Code == "") && !e.OutcomeUnknown
	case http.StatusPreconditionFailed:
		return target == ErrPreconditionFailed && !e.OutcomeUnknown
	case http.StatusUnprocessableEntity:
		if e.Code == codeKeyReused {
			return target == ErrIdempotencyKeyReused
		}
		return target == ErrValidation
	}
	return false
}

// setOutcome records whether the attempt may have had an effect. A read has none, nor has a creation that gets the contract's
// SERVICE_UNAVAILABLE. Servers older than the code OUTCOME_UNKNOWN returned that code for updates of unknown outcome, too.
func (e *Error) setOutcome(c *call) {
	creates := c.method == http.MethodPost
	e.IdempotencyKey = c.idempotencyKey
	switch {
	case !e.OutcomeUnknown:
	case creates && c.once && (e.StatusCode != http.StatusServiceUnavailable || e.Code != codeUnavailable):
		e.Message = strings.TrimSuffix(e.Message, ".") + "; whether the record was created is not known: create it again with the IdempotencyKey of this Error"
	case c.method == http.MethodGet, creates && e.StatusCode == http.StatusServiceUnavailable && e.Code == codeUnavailable:
		e.OutcomeUnknown = false
	case creates:
		e.Message = strings.TrimSuffix(e.Message, ".") + "; whether the record was created is not known: look for it before you create it again"
	case e.Code == "":
		e.Message += "; whether the change was made is not known"
	}
}

// ended reports whether the context of the call ended.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// afterAttempt adds the unknown outcome of earlier attempts.
func (e *Error) afterAttempt(unknown bool) {
	if unknown && !e.OutcomeUnknown {
		e.OutcomeUnknown = true
		e.Message = strings.TrimSuffix(e.Message, ".") + ". An earlier attempt of this call may have made the change."
	}
}

// endedBy returns the error of a call whose context ended before this attempt could be repeated.
func (e *Error) endedBy(err error) *Error {
	late := *e
	late.Message += "; the call's context ended before the next attempt (" + err.Error() + ")"
	late.Err = err
	return &late
}
