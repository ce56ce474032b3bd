package api

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// problemOf returns the response to an error. It is the one place where errors get a status. An error that it does not
// know could hold anything, so the response says nothing about it.
func problemOf(err error) *problem {
	var (
		own        *problem
		invalidity validate.ValidationError
		request    *validate.RequestError
		oversize   *http.MaxBytesError
		store      *provider.Error
		framework  *echo.HTTPError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &oversize):
		return tooLarge(oversize.Limit)
	case errors.As(err, &invalidity):
		return invalid(invalidity)
	case errors.As(err, &request):
		return requestProblem(request)
	case errors.As(err, &store):
		return storeProblem(store)
	case errors.As(err, &framework):
		return frameworkProblem(framework.Code)
	}
	return errInternal
}

func requestProblem(err *validate.RequestError) *problem {
	p := &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: err.Message}
	switch err.Code {
	case validate.CodeTimeout:
		p.status, p.code = http.StatusRequestTimeout, "REQUEST_TIMEOUT"
	case validate.CodeUnsupportedMediaType:
		p.status, p.code = http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"
	case validate.CodeUnsupportedPrecondition:
		p.code = "UNSUPPORTED_PRECONDITION"
	}
	return p
}

func storeProblem(err *provider.Error) *problem {
	switch err.Code {
	case provider.CodeNotFound:
		return errNotFound
	case provider.CodeNoCustomer:
		return errNoCustomer
	case provider.CodePreconditionFailed:
		return errPreconditionFailed
	case provider.CodeUnknownCustomer:
		return errUnknownCustomer
	case provider.CodeIdempotencyKeyReused:
		return errIdempotencyKeyReused
	case provider.CodeUnavailable:
		return unavailable(err.RetryAfter)
	case provider.CodeOutcomeUnknown:
		return outcomeUnknown(err.RetryAfter)
	}
	return errInternal
}

// frameworkProblem returns the response to what Echo rejects by itself: a path or a method without a route.
func frameworkProblem(status int) *problem {
	switch status {
	case http.StatusNotFound:
		return errPathNotFound
	case http.StatusMethodNotAllowed:
		return errMethodNotAllowed
	case http.StatusBadRequest:
		return errUnreadable
	}
	return errInternal
}

// handleError sends the response to an error, unless another response has begun.
func (a *API) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	header := c.Response().Header()
	if validate.Unread(c.Request()) {
		header.Set("Connection", "close") // or the response would wait for the rest of the body
	}
	p := problemOf(err)
	switch p.status {
	case http.StatusUnauthorized:
		header["WWW-Authenticate"] = []string{`ApiKey realm="careCycle", header="x-api-key"`}
	case http.StatusUnsupportedMediaType:
		if accepted := a.patchTypes[c.Path()]; c.Request().Method == http.MethodPatch {
			header.Set("Accept-Patch", strings.Join(accepted, ", "))
		}
	}
	if seconds := p.retryAfterSeconds(); seconds > 0 {
		header.Set("Retry-After", strconv.Itoa(seconds))
	}
	text, encodeErr := json.Marshal(p.body())
	if encodeErr != nil { // the bodies are plain structs
		panic(encodeErr)
	}
	if err := writeJSON(c.Response(), p.status, text); err != nil {
		a.Log.Debug("response not sent", "request_id", infoOf(c.Request().Context()).requestID)
	}
}

func (p *problem) retryAfterSeconds() int { return int(math.Ceil(p.retryAfter.Seconds())) }

func (p *problem) body() any {
	switch {
	case p.errors != nil:
		return gen.ValidationErrorResponse{Message: p.message, Code: p.code, Errors: p.errors.Reported()}
	case p.status == http.StatusTooManyRequests:
		return gen.RateLimitResponse{Message: p.message, Code: p.code, RetryAfter: p.retryAfterSeconds()}
	}
	return gen.ErrorResponse{Message: p.message, Code: p.code}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
