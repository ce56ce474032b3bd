package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceRequest gives a request of an operation a span, within the caller's if there is one. Nothing of the request is in it but its
// method: the caller's tracestate and baggage are dropped.
func (a *API) traceRequest(route string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			method, info := metrics.Method(c.Request().Method), infoOf(c.Request().Context())
			_, info.span = a.Tracer.Start(callerOf(c.Request()), method+" "+route, trace.WithSpanKind(trace.SpanKindServer),
				trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route)))
			status := http.StatusInternalServerError // after a panic
			defer func() {
				info.span.SetAttributes(attribute.Int("http.response.status_code", status))
				if status >= http.StatusInternalServerError {
					info.span.SetStatus(codes.Error, "")
				}
				info.span.End()
			}()
			err = next(c)
			if status = c.Response().Status; err != nil {
				status = problemOf(err).status
			}
			return err
		}
	}
}

// callerOf returns a context with the span that has sent a request, if it names one.
func callerOf(r *http.Request) context.Context {
	return propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": r.Header.Get("traceparent")})
}

// traceID returns the trace of a request, which is not valid if there is none: the caller's, and if this server traces requests the one that
// is recorded.
func traceID(r *http.Request, info *requestInfo) (id trace.TraceID) {
	switch {
	case info.span == nil && r.Header.Get("traceparent") != "":
		return trace.SpanContextFromContext(callerOf(r)).TraceID()
	case info.span != nil && info.span.SpanContext().IsSampled():
		return info.span.SpanContext().TraceID()
	}
	return id
}

// span is a part of a request; the zero value is that of a request without a span.
type span struct{ trace.Span }

// begin begins a span within the request's.
func (a *API) begin(info *requestInfo, name string) span {
	if info.span == nil {
		return span{}
	}
	return a.beginIn(info.span, name)
}

func (a *API) beginIn(parent trace.Span, name string, options ...trace.SpanStartOption) span {
	_, child := a.Tracer.Start(trace.ContextWithSpan(context.Background(), parent), name, options...)
	return span{child}
}

// end ends the span. Of an error, it has the status of the response.
func (s span) end(err error, options ...trace.SpanEndOption) {
	if s.Span == nil {
		return
	}
	if err != nil {
		status := problemOf(err).status
		s.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
		if status >= http.StatusInternalServerError {
			s.SetStatus(codes.Error, "")
		}
	}
	s.End(options...)
}

// tracedStore gives the calls of a request spans.
type tracedStore struct {
	provider.Store
	api *API
}

// Write implements [provider.Store]. The transaction is shared with other requests, so its spans are made afterwards, from its times.
func (s tracedStore) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	info := infoOf(ctx)
	if info.span == nil || !info.span.IsRecording() {
		return s.Store.Write(ctx, w)
	}
	w.Timing = new(provider.Timing)
	begin := time.Now()
	record, err := s.Store.Write(ctx, w)
	if !errors.Is(err, batch.ErrAbandoned) { // otherwise the transaction still sets the times
		s.api.traceWrite(info.span, begin, w.Timing, err)
	}
	return record, err
}

func (a *API) traceWrite(parent trace.Span, begin time.Time, t *provider.Timing, err error) {
	queue := a.beginIn(parent, "queue", trace.WithTimestamp(begin))
	if t.Begun.IsZero() {
		queue.end(err)
		return
	}
	queue.end(nil, trace.WithTimestamp(t.Begun))
	transaction := a.beginIn(parent, "transaction", trace.WithTimestamp(t.Begun), trace.WithAttributes(attribute.Int("carecycle.batch_size", t.Size)))
	if !t.Committing.IsZero() {
		a.beginIn(transaction, "commit", trace.WithTimestamp(t.Committing)).end(nil, trace.WithTimestamp(t.Ended))
	}
	transaction.end(err, trace.WithTimestamp(t.Ended))
}

// Get implements [provider.Store].
func (s tracedStore) Get(ctx context.Context, organization int64, customer, id uuid.UUID) (provider.Provider, error) {
	read := s.api.begin(infoOf(ctx), "read")
	record, err := s.Store.Get(ctx, organization, customer, id)
	read.end(err)
	return record, err
}

// List implements [provider.Store].
func (s tracedStore) List(ctx context.Context, l provider.List) ([]provider.Provider, error) {
	read := s.api.begin(infoOf(ctx), "read")
	records, err := s.Store.List(ctx, l)
	read.end(err)
	return records, err
}

// History implements [provider.Store].
func (s tracedStore) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	read := s.api.begin(infoOf(ctx), "read")
	events, err := s.Store.History(ctx, organization, customer, id, before, limit)
	read.end(err)
	return events, err
}
