package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collectorServer receives spans by OTLP over HTTP.
type collectorServer struct {
	url string

	mu       sync.Mutex
	requests int
	text     strings.Builder // all that was received
	spans    []*tracepb.Span
}

func newCollector(t *testing.T) *collectorServer {
	c := &collectorServer{}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// ServeHTTP implements [http.Handler].
func (c *collectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var unzipped *gzip.Reader
		if unzipped, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(unzipped)
		}
	}
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(&c.text, export.String())
	for _, of := range export.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// tree returns the spans of a trace as lines: the names and attributes, each below its parent.
func (c *collectorServer) tree(trace string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		var children []*tracepb.Span
		for _, s := range c.spans {
			if fmt.Sprintf("%x", s.TraceId) == trace && fmt.Sprintf("%x", s.ParentSpanId) == parent {
				children = append(children, s)
			}
		}
		slices.SortStableFunc(children, func(a, b *tracepb.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
		for _, s := range children {
			line := strings.Repeat("  ", depth) + s.Name
			for _, a := range s.Attributes {
				value := a.Value.GetStringValue()
				if value == "" {
					value = fmt.Sprint(a.Value.GetIntValue())
				}
				line += " " + a.Key + "=" + value
			}
			lines = append(lines, line)
			below(fmt.Sprintf("%x", s.SpanId), depth+1)
		}
	}
	below("00f067aa0ba902b7", 0)
	return lines
}

// TestTraces changes a record, within the trace of its caller, and compares what the collector receives.
func TestTraces(t *testing.T) {
	const route = "PATCH /v2/customers/{id}/providers/{providerId} http.request.method=PATCH http.route=/v2/customers/{id}/providers/{providerId} http.response.status_code="
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
	for i, database := range []string{filepath.Join(t.TempDir(), "test.db"), postgrestest.New(t)} {
		a := serve(t, database).account("acme")
		r := a.newRecord()
		send := func(n int, body string, status int) (trace string) {
			t.Helper()
			trace = fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e47%d%d", i, n)
			got := a.send(request{Path: r.path(), Body: body, Header: http.Header{
				"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}, "Tracestate": {"canary=" + canary}, "Baggage": {"canary=" + canary},
			}})
			if got.Status != status {
				t.Fatalf("got %d %s", got.Status, got.Body)
			}
			return trace
		}
		changed := send(0, asJSON(changes{"city": canary}), http.StatusOK)
		invalid := send(1, asJSON(changes{"fax": 1, canary: canary}), http.StatusUnprocessableEntity)
		a.send(request{Method: http.MethodGet, Path: "/readyz"})
		if line := a.log.waitFor(t, changed); !strings.Contains(line, `"trace_id":"`+changed+`"`) {
			t.Errorf("the log has %s", line)
		}
		a.stop() // which sends the spans
		for trace, want := range map[string][]string{
			changed: {route + "200", "  key", "  validation", "  queue", "  transaction carecycle.batch_size=1", "    commit"},
			invalid: {route + "422", "  key", "  validation error.type=422"},
		} {
			if diff := cmp.Diff(want, c.tree(trace)); diff != "" {
				t.Errorf("%s: (-want +got):\n%s", database, diff)
			}
		}
		c.mu.Lock()
		received := c.text.String()
		for _, secret := range []string{canary, a.key, r.id, r.customer, `"probe"`, "readyz"} {
			if strings.Contains(received, secret) {
				t.Errorf("the spans have %q", secret)
			}
		}
		if !strings.Contains(received, "carecycle-server") {
			t.Error("the spans do not name the service")
		}
		c.mu.Unlock()
	}
}

// TestTracesOff sends requests to servers that are not to trace.
func TestTracesOff(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	a := newServer(t).account("acme")
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, parent := range []string{"", "00-" + caller + "-00f067aa0ba902b7-01", "00-" + canary + "-00f067aa0ba902b7-01"} {
		a.send(request{Path: a.newRecord().path(), Body: `{}`, Header: http.Header{"Traceparent": {parent}}})
	}
	a.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests != 0 {
		t.Errorf("%d requests were sent to the collector", c.requests)
	}
	if log := a.log.String(); strings.Count(log, `"trace_id":"`) != 1 || !strings.Contains(log, `"trace_id":"`+caller+`"`) || strings.Contains(log, canary) {
		t.Errorf("want one line with the trace of its caller, and no other, in\n%s", log)
	}
	for name, value := range map[string]string{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} {
		t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
		t.Setenv(name, value)
		if _, stderr, code := run("", "serve", "--database", a.database); code != 2 || !strings.Contains(stderr, name+" must be ") {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
}

// TestTracesLost has no collector: requests do not fail, and the log says so once. When there is one again, the log says that, too.
func TestTracesLost(t *testing.T) {
	c := newCollector(t)
	failing := &failingCollector{next: c, failing: true}
	s := httptest.NewServer(failing)
	t.Cleanup(s.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	a := newServer(t).account("acme")
	r := a.newRecord()
	for range 20 {
		if got := a.send(request{Path: r.path(), Body: `{}`}); got.Status != http.StatusOK {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	a.log.waitFor(t, "traces cannot be sent")
	await.State(t, "more exports have failed", func() bool {
		a.send(request{Path: r.path(), Body: `{}`})
		return failing.count() > 3
	})
	failing.set(false)
	await.State(t, "an export has succeeded", func() bool {
		a.send(request{Path: r.path(), Body: `{}`})
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.requests > 0
	})
	a.log.waitFor(t, "traces are sent again")
	a.stop()
	if n := strings.Count(a.log.String(), "traces cannot be sent"); n != 1 {
		t.Errorf("%d lines say that traces cannot be sent, want 1", n)
	}
}

// TestTracesHang has a collector that never responds: it delays no request, and the stop by no more than a moment.
func TestTracesHang(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
	a := newServer(t).account("acme")
	r := a.newRecord()
	begin := time.Now()
	for range 50 { // which fill the queue
		if got := a.send(request{Path: r.path(), Body: `{}`}); got.Status != http.StatusOK {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	a.stop()
	if took := time.Since(begin); took > 8*time.Second { // the exporter gives up after 10
		t.Errorf("requests and stop took %v", took)
	}
}

// failingCollector rejects what it receives while failing is set.
type failingCollector struct {
	next http.Handler

	mu       sync.Mutex
	failing  bool
	rejected int
}

func (f *failingCollector) set(failing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = failing
}

func (f *failingCollector) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rejected
}

// ServeHTTP implements [http.Handler].
func (f *failingCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	failing := f.failing
	if failing {
		f.rejected++
	}
	f.mu.Unlock()
	if failing {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	f.next.ServeHTTP(w, r)
}
