package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/labstack/echo/v4"
)

// accessLog writes the response to an error, and a line about each request to the log and the metrics: in the server's
// words, never in the client's.
func (a *API) accessLog(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		done := a.Metrics.Started()
		err := next(c)
		if err != nil {
			c.Error(err)
		}
		left := errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil
		flush(c.Response())
		took, status, method := time.Since(start), c.Response().Status, metrics.Method(c.Request().Method)
		if left {
			status = statusClientClosedRequest
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

// statusClientClosedRequest is the status in the log and the metrics of a request that ended because its client left, as
// with nginx. There was a response, and nobody to read it.
const statusClientClosedRequest = 499

// flush sends a complete response at once, so that the caller does not wait for the log.
func flush(response *echo.Response) {
	if response.Header().Get("Content-Length") != "" {
		http.NewResponseController(response.Writer).Flush() // an error means a lost connection, which net/http notices too
	}
}

// describe returns what the operator may read of an error: the text of the domain's errors, which promise to hold no
// submitted value, and only the types of any other.
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
