package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/go-cmp/cmp"
)

// metricsOf returns what a server tells Prometheus after some requests.
func metricsOf(t *testing.T, s *server) string {
	t.Helper()
	a := s.account("acme")
	path := a.newRecord().path()
	a.send(request{Path: path, Body: `{"city":"new city"}`})
	a.send(request{Method: http.MethodGet, Path: path, Key: "cc_wrong"})
	a.send(request{Method: http.MethodGet, Path: "/readyz"})
	a.send(request{Method: http.MethodGet, Path: "/docs"})
	a.send(request{Method: http.MethodGet, Path: "/nowhere"})
	await.State(t, "the last request is counted, which comes after its response", func() bool { return strings.Contains(s.metrics(), `operation="other"`) })
	return s.metrics()
}

// metrics returns what the server tells Prometheus.
func (s *server) metrics() string {
	s.t.Helper()
	response, err := http.Get(s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := metricsOf(t, s)
	for _, want := range []string{
		`carecycle_http_requests_total{code="",method="PATCH",operation="updateCustomerProvider",status="200"} 1`,
		`carecycle_http_requests_total{code="UNAUTHORIZED",method="GET",operation="getCustomerProvider",status="401"} 1`,
		`carecycle_http_requests_total{code="",method="GET",operation="probe",status="200"} 1`,
		`carecycle_http_requests_total{code="",method="GET",operation="docs",status="200"} 1`,
		`carecycle_http_requests_total{code="PATH_NOT_FOUND",method="GET",operation="other",status="404"} 1`,
		"carecycle_store_batch_size_count 1",
		"carecycle_store_queue_wait_seconds_count 1",
		`carecycle_store_failed_transactions_total{kind="unavailable"} 0`,
		"carecycle_ready 1",
		"carecycle_api_keys_cached 1",
		"carecycle_store_queued_changes 0",
		"carecycle_store_connections_max 10",
	} {
		await.State(t, want, func() bool { // a request and a transaction are counted after their response
			got = s.metrics()
			return strings.Contains(got, "\n"+want)
		})
	}
	for _, name := range []string{"carecycle_store_database_bytes", "carecycle_store_schema_version"} {
		if !regexp.MustCompile(`\n` + name + ` [1-9]`).MatchString(got) {
			t.Errorf("no %s", name)
		}
	}
	if got := metricsOf(t, serve(t, postgrestest.New(t))); strings.Contains(got, "carecycle_store_database_bytes") || !strings.Contains(got, "\ncarecycle_store_connections_in_use ") {
		t.Error("PostgreSQL's metrics are not what they should be")
	}
}

// TestDocumentedMetrics compares the table of metrics with what servers expose.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(documentation(t), "\n| metric, after `carecycle_` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented, exposed []string
	for line := range strings.Lines(table) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(line+" | ", " | ")[0], -1) {
			documented = append(documented, "carecycle_"+name[1])
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (carecycle_\S+) `).FindAllStringSubmatch(metricsOf(t, newServer(t)), -1) {
		exposed = append(exposed, name[1])
	}
	slices.Sort(documented)
	slices.Sort(exposed)
	if diff := cmp.Diff(documented, exposed); diff != "" {
		t.Errorf("(-documented +exposed):\n%s", diff)
	}
}

// metricName finds the metrics in the expressions of alerts and dashboard.
var metricName = regexp.MustCompile(`\b(carecycle|process|go)_[a-z_]+`)

// TestMonitoringFiles compares the names in the files for Prometheus and Grafana with the server's, and has promtool check the rules and
// the names.
func TestMonitoringFiles(t *testing.T) {
	t.Parallel()
	got := metricsOf(t, newServer(t))
	for _, file := range []string{"../docs/monitoring/alerts.yaml", "../docs/monitoring/dashboard.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !strings.Contains(got, "\n"+name+" ") && !strings.Contains(got, "\n"+name+"{") && !strings.Contains(got, "\n"+name+"_bucket{") {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		const advice = "promtool is not on PATH; install it (Debian: apt-get install prometheus)"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	directory := t.TempDir()
	alerts, err := filepath.Abs("../docs/monitoring/alerts.yaml")
	_, prometheus, _ := strings.Cut(documentation(t), "```yaml\nrule_files: [alerts.yaml]")
	prometheus, _, _ = strings.Cut(prometheus, "```")
	config, situations := filepath.Join(directory, "prometheus.yml"), filepath.Join(directory, "situations.yml")
	rules := "rule_files: ['" + alerts + "']\n"
	if err := errors.Join(err, os.WriteFile(config, []byte(rules+prometheus), 0o600), os.WriteFile(situations, []byte(rules+alertSituations), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "config", config}, {"test", "rules", situations}, {"check", "metrics"}} {
		cmd := exec.Command(promtool, args...)
		if args[1] == "metrics" {
			cmd.Stdin = strings.NewReader(got)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// alertSituations has what a server exposes in a situation, and when which alert fires: promtool's form of a test.
const alertSituations = `
evaluation_interval: 30s
tests:
  - name: the database stops
    interval: 30s
    input_series:
      - {series: 'up{job="carecycle", instance="a"}', values: '1x40'}
      - {series: 'carecycle_ready{instance="a"}', values: '1 1 0x40'}
      - {series: 'carecycle_http_requests_total{instance="a", operation="getCustomerProvider", status="200"}', values: '0+300x2 600x40'}
      - {series: 'carecycle_http_requests_total{instance="a", operation="getCustomerProvider", status="503"}', values: '0x2 0+300x40'}
    alert_rule_test:
      - {eval_time: 1m30s, alertname: CarecycleNotReady}
      - {eval_time: 2m, alertname: CarecycleNotReady, exp_alerts: [{exp_labels: {severity: page, instance: a}, exp_annotations: {
          summary: A server cannot write to its database.,
          description: "/readyz fails. Look at the log for the reason: a full disk, a database that is away, or a server that stops."}}]}
      - {eval_time: 5m, alertname: CarecycleErrors}
      - {eval_time: 10m, alertname: CarecycleErrors, exp_alerts: [{exp_labels: {severity: page, instance: a}, exp_annotations: {
          summary: More than one request in a hundred fails.,
          description: "The code of the errors is in carecycle_http_requests_total; their cause in the log, in lines of the level ERROR."}}]}
      - {eval_time: 10m, alertname: CarecycleDown}
  - name: a server is gone
    interval: 30s
    input_series: [{series: 'up{job="carecycle", instance="a"}', values: '0x10'}]
    alert_rule_test:
      - {eval_time: 1m, alertname: CarecycleDown, exp_alerts: [{exp_labels: {severity: page, instance: a, job: carecycle}, exp_annotations: {
          summary: A server does not respond.,
          description: "Look at its log and at the process; /livez tells whether it runs."}}]}
`
