package command

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carecycle/provider-api/server/internal/metrics"
)

// TestAdmin sends requests to the admin listener: of an operator, and of a web page in the operator's browser.
func TestAdmin(t *testing.T) {
	t.Parallel()
	plain := adminServer("127.0.0.1:9090", false, metrics.New(), http.NotFoundHandler(), new(slog.LevelVar), slog.New(slog.DiscardHandler)).Handler
	profiling := adminServer("metrics.internal:9090", true, metrics.New(), http.NotFoundHandler(), new(slog.LevelVar), slog.New(slog.DiscardHandler)).Handler
	for _, test := range []struct {
		handler           http.Handler
		method, url, from string // from is the Origin
		status            int
	}{
		{plain, "GET", "http://127.0.0.1:9090/metrics", "", 200},
		{plain, "HEAD", "http://localhost:9090/metrics", "", 200},
		{plain, "GET", "http://[::1]:9090/metrics", "", 200},
		{plain, "GET", "http://10.1.2.3/metrics", "", 200},
		{plain, "POST", "http://127.0.0.1:9090/metrics", "", 405},
		{plain, "GET", "http://127.0.0.1:9090/debug/pprof/", "", 404},
		{plain, "GET", "http://evil.example:9090/metrics", "", 403},
		{plain, "GET", "http://127.0.0.1:9090/metrics", "https://evil.example", 403},
		{profiling, "GET", "http://metrics.internal:9090/metrics", "", 200},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/", "", 200},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/goroutine?debug=1", "", 200},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/goroutine?debug=2", "", 400},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/profile?seconds=61", "", 400},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/trace?seconds=1e9", "", 400},
		{profiling, "GET", "http://127.0.0.1/debug/pprof/trace?seconds=NaN", "", 400},
		{profiling, "GET", "http://evil.example/debug/pprof/heap", "", 403},
	} {
		request := httptest.NewRequest(test.method, test.url, nil)
		if test.from != "" {
			request.Header.Set("Origin", test.from)
		}
		w := httptest.NewRecorder()
		if test.handler.ServeHTTP(w, request); w.Code != test.status {
			t.Errorf("%s %s from %q: status %d, want %d", test.method, test.url, test.from, w.Code, test.status)
		}
	}
}
