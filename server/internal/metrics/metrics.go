// Package metrics counts and times what the server does, for Prometheus to fetch from the admin listener.
//
// It stands next to a request: the middleware that logs a request records it here, and a store records each commit. No
// label holds anything that a caller sends, so the metrics neither reveal a caller nor grow with what callers send.
package metrics

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
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
	waited    prometheus.Histogram
	failed    *prometheus.CounterVec
	errors    *prometheus.CounterVec
	dropped   prometheus.Counter
	unaudited prometheus.Counter
	auditFail prometheus.Counter
	ready     atomic.Pointer[func() bool] // nil until Serve
}

// New returns new metrics, all zero, together with those of the process and the Go runtime.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carecycle_http_requests_total",
			Help: "Requests handled, by the contract's operation, method, status, and the contract's code of an error.",
		}, []string{"operation", "method", "status", "code"}),
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
			Help:    "Changes that shared one transaction that was committed.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11), // 1 to 1024
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "carecycle_store_commit_duration_seconds",
			Help:    "Time that the transaction of a batch took, commit included, if it was committed.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "carecycle_store_queue_wait_seconds",
			Help:    "Time that the first change of a batch waited for its transaction.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carecycle_store_failed_transactions_total",
			Help: "Transactions of changes that failed, by kind: unavailable (nothing was changed), outcome_unknown, or internal (an error of the program).",
		}, []string{"kind"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carecycle_store_errors_total",
			Help: "Requests that an error of the database has failed, by its code: PostgreSQL's SQLSTATE, the name of SQLite's result code, or none, of a lost connection for example.",
		}, []string{"code"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carecycle_log_lines_dropped_total",
			Help: "Log lines that could not be written, because the reader of the log stalled or left.",
		}),
		unaudited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carecycle_audit_lost_total",
			Help: "Lines that are missing in the audit trail, of requests that were served although they could not be recorded.",
		}),
		auditFail: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carecycle_audit_failures_total",
			Help: "Attempts to write the audit trail that failed. While they fail, there is one a second.",
		}),
	}
	for _, kind := range []provider.Code{provider.CodeUnavailable, provider.CodeOutcomeUnknown, provider.CodeInternal} {
		m.failed.WithLabelValues(string(kind)) // there from the start, so that the first failure is an increase
	}
	m.errors.WithLabelValues("")
	ready := newGauge("carecycle_ready", "1 if /readyz says that the server is ready, 0 if not, or not within 2 seconds.", func() float64 {
		if ready := m.ready.Load(); ready != nil && (*ready)() {
			return 1
		}
		return 0
	})
	m.registry.MustRegister(ready, m.requests, m.durations, m.inFlight, m.batchSize, m.commit, m.waited, m.failed, m.errors, m.dropped, m.unaudited, m.auditFail, build(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves every metric, in the format that the caller accepts.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Started counts a request as in flight. Call the function that it returns once, after the response: it records the request, which is
// no longer in flight.
func (m *Metrics) Started() func(operation, method string, status int, code string, took time.Duration) {
	m.inFlight.Inc()
	return func(operation, method string, status int, code string, took time.Duration) {
		m.inFlight.Dec()
		m.Request(operation, method, status, code, took)
	}
}

// Request records a request after its response. The operation is the contract's operationId, "probe", "docs", or "other" for an unknown
// path; it must never be taken from the request. The method can be: one that HTTP does not define counts as "other". The code is
// that of an error, or empty.
func (m *Metrics) Request(operation, method string, status int, code string, took time.Duration) {
	m.requests.WithLabelValues(operation, Method(method), strconv.Itoa(status), code).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// StoreError records a request that an error of the database has failed. The code is the database's, or empty.
func (m *Metrics) StoreError(code string) { m.errors.WithLabelValues(code).Inc() }

// Transaction records a transaction of changes, with its error if it failed.
func (m *Metrics) Transaction(run batch.Run, err error) {
	m.waited.Observe(run.Waited.Seconds())
	if err == nil {
		m.batchSize.Observe(float64(run.Size))
		m.commit.Observe(run.Took.Seconds())
		return
	}
	kind := provider.CodeOf(err)
	if kind != provider.CodeUnavailable && kind != provider.CodeOutcomeUnknown {
		kind = provider.CodeInternal
	}
	m.failed.WithLabelValues(string(kind)).Inc()
}

// Serve adds what is asked of others when the metrics are fetched: of the store, of the API keys in memory, and whether the server is
// ready.
func (m *Metrics) Serve(store func() provider.Stats, cachedKeys func() int, ready func() bool) {
	m.ready.Store(&ready)
	m.registry.MustRegister(
		newGauge("carecycle_api_keys_cached", "API keys in memory.", func() float64 { return float64(cachedKeys()) }),
		newGauge("carecycle_store_queued_changes", "Changes that wait for a transaction.", func() float64 { return float64(store().Queued) }),
		newGauge("carecycle_store_connections_in_use", "Connections to the database that are in use or waited for; of SQLite, those for reading.", func() float64 { return float64(store().Connections) }),
		newGauge("carecycle_store_connections_max", "The largest number of such connections.", func() float64 { return float64(store().MaxConnections) }),
		newGauge("carecycle_store_schema_version", "The version of the database's schema that this program uses.", func() float64 { return float64(store().SchemaVersion) }),
	)
	if store().Bytes > 0 {
		m.registry.MustRegister(
			newGauge("carecycle_store_database_bytes", "The size of SQLite's file.", func() float64 { return float64(store().Bytes) }),
			newGauge("carecycle_store_log_bytes", "The size of SQLite's write-ahead log.", func() float64 { return float64(store().LogBytes) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "carecycle_store_checkpoints_total", Help: "How often SQLite's log was copied into its file by this server, completely or as far as readers let it.",
			}, func() float64 { return float64(store().Checkpoints) }),
			newGauge("carecycle_last_backup_timestamp_seconds", "The moment whose state the last backup of SQLite's file has, since 1970; 0 if there is none.", func() float64 {
				return float64(max(0, store().LastBackup.Unix()))
			}),
		)
	}
}

func newGauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// LogDropped records log lines that could not be written.
func (m *Metrics) LogDropped(lines int) { m.dropped.Add(float64(lines)) }

// AuditLost records lines that are missing in the audit trail.
func (m *Metrics) AuditLost(lines int) { m.unaudited.Add(float64(lines)) }

// AuditFailed records that the audit trail could not be written.
func (m *Metrics) AuditFailed() { m.auditFail.Inc() }

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
