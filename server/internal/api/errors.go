package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// problem is an answer that is not a success.
type problem struct {
	status     int
	code       string // the contract's
	message    string
	retryAfter time.Duration    // in the header and, with 429, in the body; 0 for none
	faults     []gen.FieldError // with 422
}

func (p *problem) Error() string { return p.message }

var errUnauthorized = &problem{status: http.StatusUnauthorized, code: "UNAUTHORIZED",
	message: "The API key in the header x-api-key is missing or not valid. Keys begin with cc_; check that it is whole, and neither expired nor revoked."}

// problemOf says how an error is answered. It is the one place where errors get a status. An error that it does not
// know could hold anything, so nothing of it is shown.
func problemOf(err error) *problem {
	var (
		own       *problem
		faults    validate.ValidationError
		malformed validate.MalformedError
		mediaType validate.MediaTypeError
		tooLarge  *http.MaxBytesError
		store     *provider.Error
		framework *echo.HTTPError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, code: "PAYLOAD_TOO_LARGE", message: fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit)}
	case errors.As(err, &faults):
		return &problem{status: http.StatusUnprocessableEntity, code: "VALIDATION_ERROR", message: faults.Error(), faults: faults.Listed()}
	case errors.As(err, &malformed):
		return &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: malformed.Error()}
	case errors.As(err, &mediaType):
		return &problem{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", message: mediaType.Error()}
	case errors.As(err, &store):
		return storeProblem(store)
	case errors.As(err, &framework):
		return frameworkProblem(framework.Code)
	}
	return &problem{status: http.StatusInternalServerError, code: "INTERNAL_ERROR", message: "The server met a fault of its own. Quote the X-Request-Id of this answer when you report it."}
}

func storeProblem(err *provider.Error) *problem {
	switch err.Code {
	case provider.CodeNotFound:
		return &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: err.Message}
	case provider.CodePreconditionFailed:
		return &problem{status: http.StatusPreconditionFailed, code: "PRECONDITION_FAILED",
			message: "The provider has changed since the version in If-Match. Nothing was changed; read the ETag again and decide again."}
	case provider.CodeUnknownCustomer:
		faults := validate.ValidationError{{
			Path: []string{"customerId"}, Code: "unknown_customer", Message: "customerId must be an existing customer.",
			Expected: "the ID of an existing customer", Received: "another UUID",
		}}
		return problemOf(faults)
	case provider.CodeUnavailable:
		return &problem{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", message: err.Message, retryAfter: err.RetryAfter}
	case provider.CodeOutcomeUnknown:
		return &problem{status: http.StatusServiceUnavailable, code: "OUTCOME_UNKNOWN", message: err.Message, retryAfter: err.RetryAfter}
	}
	return problemOf(nil)
}

// frameworkProblem answers what Echo refuses on its own: a path or a method that no route has.
func frameworkProblem(status int) *problem {
	switch status {
	case http.StatusNotFound:
		return &problem{status: status, code: "NOT_FOUND", message: "There is nothing at this path. The API's paths are listed at /docs."}
	case http.StatusMethodNotAllowed:
		return &problem{status: status, code: "METHOD_NOT_ALLOWED", message: "This path does not take this method; the header Allow lists those that it takes."}
	case http.StatusBadRequest:
		return &problem{status: status, code: "BAD_REQUEST", message: "The request cannot be read."}
	}
	return problemOf(nil)
}

// handleError answers an error, unless an answer is on its way already.
func (a *API) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if validate.Unread(c.Request()) {
		c.Response().Header().Set("Connection", "close") // or the answer would wait for the rest of the body
	}
	p := problemOf(err)
	var body any = gen.ErrorResponse{Message: p.message, Code: p.code}
	if p.retryAfter > 0 {
		seconds := max(1, int(math.Ceil(p.retryAfter.Seconds())))
		c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
		if p.status == http.StatusTooManyRequests {
			body = gen.RateLimitResponse{Message: p.message, Code: p.code, RetryAfter: seconds}
		}
	}
	if p.faults != nil {
		body = gen.ValidationErrorResponse{Message: p.message, Code: p.code, Errors: p.faults}
	}
	text, encodeErr := json.Marshal(body)
	if encodeErr != nil { // the bodies are plain structs
		panic(encodeErr)
	}
	if err := writeJSON(c.Response(), p.status, text); err != nil {
		caller := callerOf(c.Request().Context())
		a.Log.Debug("answer not sent", "request_id", caller.requestID)
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
