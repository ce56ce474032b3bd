// Package metrics counts and times what the server does, for Prometheus to fetch from the admin listener.
//
// It stands next to a request: the middleware that logs a request records it here, and a store records each commit. No
// label holds anything that a caller sends, so the metrics neither reveal a caller nor grow with what callers send.
package metrics

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds the server's metrics. It is safe for concurrent use. New returns one.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	batchSize prometheus.Histogram
	commit    prometheus.Histogram
	dropped   prometheus.Counter
}

// New returns new metrics, all zero, together with those of the process and the Go runtime.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carecycle_http_requests_total",
			Help: "Requests handled, by the contract's operation, method and status.",
		}, []string{"operation", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "carecycle_http_request_duration_seconds",
			Help:    "Time to handle a request, by the contract's operation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "carecycle_http_requests_in_flight",
			Help: "Requests in flight.",
		}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "carecycle_store_batch_size",
			Help:    "Changes that shared one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11), // 1 to 1024
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "carecycle_store_commit_duration_seconds",
			Help:    "Time that the transaction of a batch took, commit included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carecycle_log_lines_dropped_total",
			Help: "Log lines that could not be written, because the reader of the log stalled or left.",
		}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.inFlight, m.batchSize, m.commit, m.dropped, build(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves every metric, in the format that the caller accepts.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Started counts a request as in flight. Call the function that it returns once, after the response: it records the request, which is
// no longer in flight.
func (m *Metrics) Started() func(operation, method string, status int, took time.Duration) {
	m.inFlight.Inc()
	return func(operation, method string, status int, took time.Duration) {
		m.inFlight.Dec()
		m.Request(operation, method, status, took)
	}
}

// Request records a request after its response. The operation is the contract's operationId, or "other" outside the
// contract's paths; it must never be taken from the request. The method can be: one that HTTP does not define counts
// as "other".
func (m *Metrics) Request(operation, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, Method(method), strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// Batch records a transaction: its number of changes and its duration.
func (m *Metrics) Batch(size int, took time.Duration) {
	m.batchSize.Observe(float64(size))
	m.commit.Observe(took.Seconds())
}

// LogDropped records log lines that could not be written.
func (m *Metrics) LogDropped(lines int) { m.dropped.Add(float64(lines)) }

// Method returns a request's method if HTTP defines it, and "other" for any other.
func Method(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

// build is a gauge that is always 1 and says in its labels what is running.
func build() prometheus.Gauge {
	labels := prometheus.Labels{"version": "unknown", "revision": "unknown", "goversion": "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"], labels["goversion"] = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				labels["revision"] = s.Value
			}
		}
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "carecycle_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: labels,
	})
	gauge.Set(1)
	return gauge
}
