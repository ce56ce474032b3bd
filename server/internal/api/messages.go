package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/validate"
)

// This file has the text of every response of the API that is not a record, and the status and code of each error. The
// texts about a body or a field come from package validate, whose messages.go an import uses too. No text holds a
// submitted value.

// problem is a response that reports an error.
type problem struct {
	status     int
	code       string // from the contract
	message    string
	retryAfter time.Duration            // in the header and, with 429, in the body; 0 for none
	errors     validate.ValidationError // with 422
}

// Error returns the message.
func (p *problem) Error() string { return p.message }

const deletedMessage = "The provider was deleted."

var (
	errUnauthorized = &problem{status: http.StatusUnauthorized, code: "UNAUTHORIZED",
		message: "The API key in the header x-api-key is missing or not valid. Keys begin with cc_; check that it is complete, and neither expired nor revoked."}
	errSuspended = &problem{status: http.StatusForbidden, code: "FORBIDDEN",
		message: "The organization of this API key is suspended. Nothing was changed; the operator of the server can resume it."}
	errNotFound   = &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: "This customer has no such provider."}
	errNoCustomer = &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: "There is no such customer."}
	// errPathNotFound has a code of its own, so that a wrong base URL does not look like a deleted record.
	errPathNotFound = &problem{status: http.StatusNotFound, code: "PATH_NOT_FOUND",
		message: "The API has no such path; check the base URL and the path. The paths are listed in openapi.yaml."}
	errMethodNotAllowed = &problem{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED",
		message: "This path does not support this method; the header Allow lists the methods that it supports."}
	errPreconditionFailed = &problem{status: http.StatusPreconditionFailed, code: "PRECONDITION_FAILED",
		message: "The provider has changed since the version in If-Match. Nothing was changed; read the record again and decide again."}
	errUnknownETag = &problem{status: http.StatusPreconditionFailed, code: "UNKNOWN_ETAG",
		message: "If-Match has no ETag of this API, so it can never match. Nothing was changed; send the ETag of a response, unchanged."}
	errUnreadable      = &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: "The request cannot be read."}
	errUnknownCustomer = invalid(validate.ValidationError{{
		Path: []string{"customerId"}, Code: "unknown_customer", Message: "customerId must be an existing customer.",
		Expected: "the ID of an existing customer", Received: "another UUID",
	}})
	errIdempotencyKeyReused = &problem{status: http.StatusUnprocessableEntity, code: "IDEMPOTENCY_KEY_REUSED",
		message: "The Idempotency-Key was used for a creation with another customer or other properties within the last 24 hours. Nothing was changed; repeat that request unchanged, or send this one with a new key.",
		errors: validate.ValidationError{{
			Path: []string{"Idempotency-Key"}, Code: "key_reused", Message: "Idempotency-Key must be a new key.",
			Expected: "a new key", Received: "a key of another creation",
		}}}
	errInternal = &problem{status: http.StatusInternalServerError, code: "INTERNAL_ERROR",
		message: "The server has an internal error. Report it with the X-Request-Id of this response."}
)

func forbidden(needed apikey.Permission) *problem {
	return &problem{status: http.StatusForbidden, code: "FORBIDDEN", message: "This API key lacks the permission " + string(needed) + "."}
}

func tooLarge(limit int64) *problem {
	return &problem{status: http.StatusRequestEntityTooLarge, code: "PAYLOAD_TOO_LARGE", message: fmt.Sprintf("The body is larger than %d bytes.", limit)}
}

func invalid(errors validate.ValidationError) *problem {
	return &problem{status: http.StatusUnprocessableEntity, code: "VALIDATION_ERROR", message: errors.Error(), errors: errors}
}

func rateLimited(retryAfter time.Duration) *problem {
	return &problem{status: http.StatusTooManyRequests, code: "RATE_LIMIT_EXCEEDED", retryAfter: retryAfter,
		message: "Too many requests; wait as many seconds as retryAfter says."}
}

func unavailable(retryAfter time.Duration) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", retryAfter: retryAfter,
		message: "The server cannot do this now. Nothing was changed; try again."}
}

func outcomeUnknown(retryAfter time.Duration) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: "OUTCOME_UNKNOWN", retryAfter: retryAfter,
		message: "It is not known whether this was saved. A change, a deletion, or a creation with an Idempotency-Key can be sent again without harm; before a record is created again without that header, check whether it exists."}
}
