package clientotel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/client/clientotel"
	"github.com/carecycle/provider-api/client/clienttest"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// record returns a client that is traced, and the spans that have ended.
func record(t *testing.T, api *clienttest.API, options ...client.Option) (*client.Client, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return api.Client(append(options, client.WithTracer(clientotel.New(provider)))...), spans
}

// line describes a span by its name, its parent's, its attributes and its status.
func line(all tracetest.SpanStubs, span tracetest.SpanStub) string {
	parent := ""
	for _, other := range all {
		if other.SpanContext.SpanID() == span.Parent.SpanID() {
			parent = " in " + other.Name
		}
	}
	var attributes []string
	for _, a := range span.Attributes {
		if key := string(a.Key); key != "carecycle.request_id" && key != "server.port" {
			attributes = append(attributes, key+"="+a.Value.String())
		}
	}
	slices.Sort(attributes)
	failed := ""
	if span.Status.Code == codes.Error {
		failed = " failed"
	}
	return fmt.Sprint(span.Name, parent, " ", attributes, failed)
}

func lines(spans *tracetest.InMemoryExporter) (all []string) {
	for _, span := range spans.GetSpans() {
		all = append(all, line(spans.GetSpans(), span))
	}
	return all
}

func TestSpans(t *testing.T) {
	api := clienttest.New(t)
	customer := api.NewCustomer()
	made, err := api.Client().CreateProvider(t.Context(), customer, client.ProviderCreate{ProviderType: client.ProviderTypeHospital})
	if err != nil {
		t.Fatal(err)
	}
	c, spans := record(t, api)
	api.Inject(clienttest.Unavailable)
	if _, err := c.UpdateProvider(t.Context(), customer, made.ID, client.ProviderUpdate{Notes: client.Set("private")}); err != nil {
		t.Fatal(err)
	}
	const route = "/v2/customers/{id}/providers/{providerId}"
	const attempt = "PATCH " + route + " in update provider "
	want := []string{
		attempt + "[error.type=SERVICE_UNAVAILABLE http.request.method=PATCH http.response.status_code=503 server.address=127.0.0.1 url.template=" + route + "] failed",
		attempt + "[http.request.method=PATCH http.request.resend_count=1 http.response.status_code=200 server.address=127.0.0.1 url.template=" + route + "]",
		"update provider []",
	}
	if diff := cmp.Diff(want, lines(spans)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}

	spans.Reset()
	_, err = c.ModifyProvider(t.Context(), customer, client.ProviderID{}, func(*client.Record) (client.ProviderUpdate, error) {
		return client.ProviderUpdate{}, nil
	})
	if !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	want = []string{
		"GET " + route + " in get provider [error.type=NOT_FOUND http.request.method=GET http.response.status_code=404 server.address=127.0.0.1 url.template=" + route + "] failed",
		"get provider in modify provider [error.type=NOT_FOUND] failed",
		"modify provider [error.type=NOT_FOUND] failed",
	}
	if diff := cmp.Diff(want, lines(spans)); diff != "" {
		t.Errorf("spans of a modification (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v", spans.GetSpans()); strings.Contains(text, customer.String()) || strings.Contains(text, made.ID.String()) || strings.Contains(text, clienttest.Key) || strings.Contains(text, "private") {
		t.Errorf("the spans name an ID, a value or the key: %s", text)
	}
}

// The server's span is a child of the attempt's.
func TestTraceparent(t *testing.T) {
	api := clienttest.New(t)
	c, spans := record(t, api)
	arrived := ""
	api.Inject(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		arrived = r.Header.Get("Traceparent")
		next.ServeHTTP(w, r)
	})
	for _, err := range c.Providers(t.Context(), api.NewCustomer(), client.ProviderFilter{}) {
		t.Fatal(err)
	}
	attempt := spans.GetSpans()[0]
	if want := fmt.Sprintf("00-%s-%s-01", attempt.SpanContext.TraceID(), attempt.SpanContext.SpanID()); arrived != want {
		t.Errorf("traceparent %q, want %q", arrived, want)
	}
}

// The error of a request editor is the program's: it may hold anything.
func TestErrorOfAnEditor(t *testing.T) {
	private := errors.New("private words")
	c, spans := record(t, clienttest.New(t), client.WithRequestEditorFn(func(context.Context, *http.Request) error { return private }))
	if _, err := c.GetProvider(t.Context(), client.CustomerID{}, client.ProviderID{}); !errors.Is(err, private) {
		t.Fatal(err)
	}
	all := spans.GetSpans()
	if text := fmt.Sprintf("%+v", all); len(all) != 2 || all[0].Status.Code != codes.Error || strings.Contains(text, "private") {
		t.Errorf("spans %s", text)
	}
}
