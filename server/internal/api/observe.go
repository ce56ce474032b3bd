package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/stack"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// caller is what the layers before the handler have found out about a request.
type caller struct {
	requestID string
	operation string      // the contract's operationId; "other" outside the contract's paths
	key       *apikey.Key // nil before authentication
	body      validate.Checked
}

type callerKey struct{}

// callerOf returns the caller of a request that went through identify.
func callerOf(ctx context.Context) *caller { return ctx.Value(callerKey{}).(*caller) }

// The values of headers that every answer has. They are shared, and so never changed in place.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// identify names the request and sets the headers that every answer carries. A name that the client brings is kept
// if it is a UUID, which holds no words; any other gets a fresh one.
func (a *API) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, header := c.Request(), c.Response().Header()
		id := request.Header.Get("X-Request-Id")
		if parsed, err := uuid.Parse(id); err != nil || parsed.String() != strings.ToLower(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		header.Set("X-Request-Id", id)
		header["Cache-Control"] = noStore
		header["X-Content-Type-Options"] = noSniff
		c.SetRequest(request.WithContext(context.WithValue(request.Context(), callerKey{}, &caller{requestID: id, operation: "other"})))
		return next(c)
	}
}

// observe answers the error of a request, if it ended with one, and tells the log and the metrics how it went: in
// the server's words, never in the client's.
func (a *API) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		done := a.Metrics.Started()
		err := next(c)
		if err != nil {
			c.Error(err)
		}
		left := errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil
		send(c.Response())
		took, status, method := time.Since(start), c.Response().Status, metrics.Method(c.Request().Method)
		if left {
			status = statusLeft
		}
		caller := callerOf(c.Request().Context())
		done(caller.operation, method, status, took)

		level := slog.LevelInfo
		attributes := append(make([]slog.Attr, 0, 10),
			slog.String("request_id", caller.requestID),
			slog.String("method", method),
			slog.String("operation", caller.operation),
			slog.Int("status", status),
			slog.Float64("milliseconds", float64(took.Microseconds())/1000),
			slog.Int64("bytes", c.Response().Size),
			slog.String("remote", c.RealIP()),
		)
		if caller.key != nil {
			attributes = append(attributes, slog.String("key", caller.key.ID), slog.Int64("organization", caller.key.Organization))
		}
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
			attributes = append(attributes, slog.String("error", describe(err)))
		}
		a.Log.LogAttrs(c.Request().Context(), level, "request", attributes...)
		return nil
	}
}

// statusLeft is what the log and the metrics have for a request whose client left and so ended it, as nginx does. An
// answer was made, and nobody is there to read it.
const statusLeft = 499

// send sends a whole answer on its way, so that nobody waits until it is noted.
func send(answer *echo.Response) {
	if answer.Header().Get("Content-Length") != "" {
		http.NewResponseController(answer.Writer).Flush() // if that fails the connection is lost, which net/http finds out too
	}
}

// describe tells the operator of an error without telling what was submitted: the domain's errors promise to hold
// no value, of any other only its types are told.
func describe(err error) string {
	var panicked *panicked
	var domain *provider.Error
	switch {
	case errors.As(err, &panicked):
		return panicked.Error()
	case errors.As(err, &domain):
		return domain.Error()
	}
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	return strings.Join(types, ": ")
}

// recover turns a panic into an error, with where it came from, and without its value, unless it is the runtime's own.
func (a *API) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch value := recover().(type) {
			case nil:
			case runtime.Error:
				err = &panicked{value.Error(), stack.Trace()}
			default:
				if value == http.ErrAbortHandler {
					panic(value)
				}
				err = &panicked{fmt.Sprintf("%T", value), stack.Trace()}
			}
		}()
		return next(c)
	}
}

type panicked struct{ what, trace string }

func (p *panicked) Error() string { return "panic: " + p.what + "\n" + p.trace }
