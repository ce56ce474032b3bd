package metrics_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/go-cmp/cmp"
)

func TestRequest(t *testing.T) {
	m := metrics.New()
	m.Request("updateCustomerProvider", "PATCH", 200, "", 3*time.Millisecond)
	m.Request("updateCustomerProvider", "PATCH", 200, "", 300*time.Millisecond)
	m.Request("updateCustomerProvider", "PATCH", 422, "VALIDATION_ERROR", 100*time.Microsecond)
	m.Request("other", "GET", 404, "PATH_NOT_FOUND", time.Minute)
	m.Request("other", "BREW", 405, "METHOD_NOT_ALLOWED", time.Millisecond)
	m.Request("other", "patch", 405, "METHOD_NOT_ALLOWED", time.Millisecond)

	same(t, scrape(t, m, "carecycle_http_requests_total"), `
carecycle_http_requests_total{code="",method="PATCH",operation="updateCustomerProvider",status="200"} 2
carecycle_http_requests_total{code="METHOD_NOT_ALLOWED",method="other",operation="other",status="405"} 2
carecycle_http_requests_total{code="PATH_NOT_FOUND",method="GET",operation="other",status="404"} 1
carecycle_http_requests_total{code="VALIDATION_ERROR",method="PATCH",operation="updateCustomerProvider",status="422"} 1
`)
	same(t, scrape(t, m, `carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider"`), `
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="+Inf"} 3
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.0005"} 1
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.001"} 1
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.0025"} 1
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.005"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.01"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.025"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.05"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.1"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.25"} 2
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="0.5"} 3
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="1"} 3
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="10"} 3
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="2.5"} 3
carecycle_http_request_duration_seconds_bucket{operation="updateCustomerProvider",le="5"} 3
`)
	same(t, scrape(t, m, "carecycle_http_request_duration_seconds_count"), `
carecycle_http_request_duration_seconds_count{operation="other"} 3
carecycle_http_request_duration_seconds_count{operation="updateCustomerProvider"} 3
`)
}

func TestStarted(t *testing.T) {
	m := metrics.New()
	first, second := m.Started(), m.Started()
	same(t, scrape(t, m, "carecycle_http_requests_in_flight"), "carecycle_http_requests_in_flight 2")
	same(t, scrape(t, m, "carecycle_http_requests_total"), "")

	first("updateCustomerProvider", "PATCH", 200, "", time.Millisecond)
	same(t, scrape(t, m, "carecycle_http_requests_in_flight"), "carecycle_http_requests_in_flight 1")
	second("other", "GET", 404, "PATH_NOT_FOUND", time.Millisecond)
	same(t, scrape(t, m, "carecycle_http_requests_in_flight"), "carecycle_http_requests_in_flight 0")
	same(t, scrape(t, m, "carecycle_http_requests_total"), `
carecycle_http_requests_total{code="",method="PATCH",operation="updateCustomerProvider",status="200"} 1
carecycle_http_requests_total{code="PATH_NOT_FOUND",method="GET",operation="other",status="404"} 1
`)
}

// A transaction that failed is no commit.
func TestTransaction(t *testing.T) {
	m := metrics.New()
	m.Transaction(batch.Run{Size: 1, Took: 250 * time.Microsecond, Waited: time.Millisecond}, nil)
	m.Transaction(batch.Run{Size: 64, Took: 750 * time.Microsecond}, nil)
	m.Transaction(batch.Run{Size: 64, Took: time.Second}, provider.Unavailable(time.Second, nil))
	m.Transaction(batch.Run{Size: 2, Took: time.Second}, provider.OutcomeUnknown(nil))
	m.Transaction(batch.Run{Size: 2, Took: time.Second}, errors.New("private"))
	same(t, scrape(t, m, "carecycle_store_failed"), `
carecycle_store_failed_transactions_total{kind="internal"} 1
carecycle_store_failed_transactions_total{kind="outcome_unknown"} 1
carecycle_store_failed_transactions_total{kind="unavailable"} 1
`)
	same(t, scrape(t, m, "carecycle_store_queue_wait_seconds_sum"), "carecycle_store_queue_wait_seconds_sum 0.001")
	same(t, scrape(t, m, "carecycle_store_batch_size"), `
carecycle_store_batch_size_bucket{le="+Inf"} 2
carecycle_store_batch_size_bucket{le="1"} 1
carecycle_store_batch_size_bucket{le="1024"} 2
carecycle_store_batch_size_bucket{le="128"} 2
carecycle_store_batch_size_bucket{le="16"} 1
carecycle_store_batch_size_bucket{le="2"} 1
carecycle_store_batch_size_bucket{le="256"} 2
carecycle_store_batch_size_bucket{le="32"} 1
carecycle_store_batch_size_bucket{le="4"} 1
carecycle_store_batch_size_bucket{le="512"} 2
carecycle_store_batch_size_bucket{le="64"} 2
carecycle_store_batch_size_bucket{le="8"} 1
carecycle_store_batch_size_count 2
carecycle_store_batch_size_sum 65
`)
	same(t, scrape(t, m, "carecycle_store_commit_duration_seconds_count"), "carecycle_store_commit_duration_seconds_count 2")
	same(t, scrape(t, m, "carecycle_store_commit_duration_seconds_sum"), "carecycle_store_commit_duration_seconds_sum 0.001")
}

func TestNewHasWhatPrometheusExpects(t *testing.T) {
	m := metrics.New()
	for _, name := range []string{
		"carecycle_build_info{", "carecycle_http_requests_in_flight ", "carecycle_store_batch_size_count ",
		"go_goroutines ", "process_cpu_seconds_total ", "process_open_fds ", "promhttp_metric_handler_errors_total{",
	} {
		if scrape(t, m, name) == "" {
			t.Errorf("%s: got no such metric", name)
		}
	}
	if line := scrape(t, m, "carecycle_build_info"); !strings.HasSuffix(line, "} 1") {
		t.Errorf("carecycle_build_info: got %s, want the value 1", line)
	}
}

func TestConcurrentUse(t *testing.T) {
	m := metrics.New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.Started()("updateCustomerProvider", "PATCH", 200, "", time.Millisecond)
				m.Transaction(batch.Run{Size: 2, Took: time.Millisecond}, nil)
			}
			scrape(t, m, "")
		})
	}
	wg.Wait()
	same(t, scrape(t, m, "carecycle_http_requests"), `
carecycle_http_requests_in_flight 0
carecycle_http_requests_total{code="",method="PATCH",operation="updateCustomerProvider",status="200"} 800
`)
	same(t, scrape(t, m, "carecycle_store_batch_size_count"), "carecycle_store_batch_size_count 800")
}

func BenchmarkStarted(b *testing.B) {
	m := metrics.New()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Started()("updateCustomerProvider", "PATCH", 200, "", time.Millisecond)
		}
	})
}

// scrape returns the lines of the metrics that begin with prefix, sorted, without their comments.
func scrape(t *testing.T, m *metrics.Metrics, prefix string) string {
	t.Helper()
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	if response.Code != http.StatusOK {
		t.Errorf("status: got %d, want 200", response.Code)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	lines := slices.DeleteFunc(strings.Split(string(body), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "#") || !strings.HasPrefix(line, prefix)
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
