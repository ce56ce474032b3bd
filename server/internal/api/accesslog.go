package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/labstack/echo/v4"
)

// accessLog sends the response to an error, and records each request in the log and the metrics. Neither holds anything that
// the client wrote.
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
		info := infoOf(c.Request().Context())
		code := ""
		if err != nil && !left {
			code = problemOf(err).code
		}
		done(info.operation, method, status, code, took)
		if failed, ok := errors.AsType[*provider.DatabaseError](err); ok && !left {
			a.Metrics.StoreError(failed.Code)
		}
		if a.Usage != nil && info.verified {
			a.Usage.Record(info.key, info.operation, status, took)
		}
		switch {
		case info.summarize:
			a.wrongKeys.add(c.RealIP())
			return nil
		case status < http.StatusBadRequest && a.LogSuccess != nil && !a.LogSuccess():
			return nil
		case a.outage.explains(err):
			return nil
		}

		a.logRequest(c, method, status, took, err)
		return nil
	}
}

// logRequest writes the line of a request.
func (a *API) logRequest(c echo.Context, method string, status int, took time.Duration, err error) {
	level, info := slog.LevelInfo, infoOf(c.Request().Context())
	attributes := append(make([]slog.Attr, 0, 10),
		slog.String("request_id", info.requestID),
		slog.String("method", method),
		slog.String("operation", info.operation),
		slog.Int("status", status),
		slog.Float64("milliseconds", float64(took.Microseconds())/1000),
		slog.Int64("bytes", c.Response().Size),
		slog.String("remote", c.RealIP()),
	)
	if info.key != nil {
		attributes = append(attributes, slog.String("key", info.key.ID), slog.Int64("organization", info.key.Organization))
	}
	if id := traceID(c.Request(), info); id.IsValid() {
		attributes = append(attributes, slog.String("trace_id", id.String()))
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
		attributes = append(append(attributes, slog.String("error", describe(err))), databaseAttributes(err)...)
	}
	a.Log.LogAttrs(c.Request().Context(), level, "request", attributes...)
}

// summaryInterval is how often the requests that have no line of their own are logged.
const summaryInterval = time.Second

// maxAddresses bounds the addresses of a summary, and with them its memory. If there are more, the log has this number.
const maxAddresses = 10_000

// summary counts requests of callers who have sent too many wrong keys, and logs their number.
type summary struct {
	log *slog.Logger

	mu        sync.Mutex
	requests  int
	addresses map[string]bool
}

// add counts a request.
func (s *summary) add(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		s.addresses = map[string]bool{}
		time.AfterFunc(summaryInterval, s.write) // unless Close is first
	}
	s.requests++
	if len(s.addresses) < maxAddresses {
		s.addresses[address] = true
	}
}

func (s *summary) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		return
	}
	s.log.Warn("requests with wrong keys were rejected", "requests", s.requests, "addresses", len(s.addresses))
	s.requests, s.addresses = 0, nil
}

// statusClientClosedRequest is the status in the log and the metrics of a request whose client left before it ended, as in
// nginx. There was a response, and nobody to read it.
const statusClientClosedRequest = 499

// flush sends a complete response at once, so that the caller does not wait for the log.
func flush(response *echo.Response) {
	if response.Header().Get("Content-Length") != "" {
		http.NewResponseController(response.Writer).Flush() // an error means a lost connection, which net/http notices too
	}
}

// databaseAttributes say what the database has said about an error.
func databaseAttributes(err error) (attributes []slog.Attr) {
	failed, ok := errors.AsType[*provider.DatabaseError](err)
	if !ok {
		return nil
	}
	for _, a := range []slog.Attr{slog.String("database_code", failed.Code), slog.String("statement", failed.Statement), slog.String("constraint", failed.Constraint)} {
		if a.Value.String() != "" {
			attributes = append(attributes, a)
		}
	}
	return attributes
}

// describe returns what the log says about an error: the text of a domain error, which holds no submitted value, and only
// the types of any other.
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
