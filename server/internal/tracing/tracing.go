// Package tracing sends spans to an OpenTelemetry collector, by OTLP over HTTP, if the standard environment variables request it.
//
// It stands next to a request: package api begins and ends the spans. None holds anything that a caller has sent.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// closeTimeout bounds how long a server that stops waits for a collector that does not respond.
const closeTimeout = 500 * time.Millisecond

// Provider creates spans and sends them. It never waits for the collector: spans that it cannot keep are dropped.
type Provider struct {
	trace.Tracer
	provider *sdktrace.TracerProvider
}

// FromEnvironment returns a Provider as the OTEL_ variables say, and nil if none of them asks for traces. The log gets a line when spans
// cannot be sent, and one when they can again.
//
// Errors name a variable whose value this program does not support.
func FromEnvironment(ctx context.Context, service, version string, log *slog.Logger) (*Provider, error) {
	on, err := requested()
	if err != nil || !on {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv())
	if err != nil {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES cannot be read; write key=value,key=value")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&reporter{SpanExporter: exporter, log: log}), sdktrace.WithResource(about))
	return &Provider{provider.Tracer("github.com/carecycle/provider-api/server"), provider}, nil
}

// requested reports whether a variable asks for traces.
func requested() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	switch exporter {
	case "none":
		return false, nil
	case "", "otlp":
	default:
		return false, errors.New("OTEL_TRACES_EXPORTER must be otlp or none")
	}
	if exporter == "" && os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			return false, fmt.Errorf("%s must be http/protobuf, which collectors receive on port 4318", name)
		}
	}
	return true, nil
}

// Close sends the spans that wait, for closeTimeout at most. A nil Provider has none.
func (p *Provider) Close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = p.provider.Shutdown(ctx) // the reporter has logged an error
}

// reporter logs when spans cannot be sent any more, and when they can again.
type reporter struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (r *reporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !r.failing.Swap(true):
		r.log.Warn("traces cannot be sent and are dropped", "error", err.Error())
	case err == nil && r.failing.Swap(false):
		r.log.Warn("traces are sent again")
	}
	return nil
}
