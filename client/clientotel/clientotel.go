// Package clientotel traces the calls of package client with OpenTelemetry: a span for each call, and within it one for each attempt,
// whose context travels to the server in the header traceparent.
//
//	c, err := client.New(key, client.WithTracer(clientotel.New(otel.GetTracerProvider())))
//
// Spans are named by the operation and by the template of its path. They hold no ID of a customer or provider, no value and not the
// key. A transport that traces, such as otelhttp's, would record the URL, with both IDs.
package clientotel

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/carecycle/provider-api/client"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// New returns a Tracer whose spans go to the provider.
func New(provider trace.TracerProvider) client.Tracer {
	return tracer{provider.Tracer("github.com/carecycle/provider-api/client")}
}

type tracer struct{ trace.Tracer }

// StartCall begins the span of a call, such as "update provider".
func (t tracer) StartCall(ctx context.Context, operation string) (context.Context, func(error)) {
	ctx, span := t.Start(ctx, operation)
	return ctx, func(err error) {
		if err != nil {
			fail(span, err)
		}
		span.End()
	}
}

// StartAttempt begins the span of an attempt, with the attributes of OpenTelemetry's conventions for HTTP clients.
func (t tracer) StartAttempt(ctx context.Context, a client.Attempt, header http.Header) (context.Context, func(client.Attempt)) {
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", a.Method),
		attribute.String("url.template", a.Route),
	}
	host, port, err := net.SplitHostPort(a.Host)
	if err != nil {
		host = a.Host
	}
	attributes = append(attributes, attribute.String("server.address", host))
	if number, err := strconv.Atoi(port); err == nil {
		attributes = append(attributes, attribute.Int("server.port", number))
	}
	if a.Number > 1 {
		attributes = append(attributes, attribute.Int("http.request.resend_count", a.Number-1))
	}
	ctx, span := t.Start(ctx, a.Method+" "+a.Route, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	return ctx, func(a client.Attempt) {
		span.SetAttributes(attribute.String("carecycle.request_id", a.RequestID))
		if a.StatusCode != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", a.StatusCode))
		}
		if a.Err != nil {
			fail(span, a.Err)
		}
		span.End()
	}
}

// fail marks a span as failed. Its text is that of an Error, which is safe to log; other errors can be of the program, such as a request
// editor's, and are not repeated.
func fail(span trace.Span, err error) {
	kind, text := "_OTHER", "the call failed"
	if failed, ok := errors.AsType[*client.Error](err); ok {
		text = failed.Error()
		switch {
		case failed.Code != "":
			kind = failed.Code
		case failed.StatusCode != 0:
			kind = strconv.Itoa(failed.StatusCode)
		default:
			kind = "no_response"
		}
	}
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, text)
}
