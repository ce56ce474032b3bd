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
	plain := adminServer("127.0.0.1:9090", noProfiles, metrics.New(), http.NotFoundHandler(), new(slog.LevelVar), slog.New(slog.DiscardHandler)).Handler
	profiling := adminServer("metrics.internal:9090", localProfiles, metrics.New(), http.NotFoundHandler(), new(slog.LevelVar), slog.New(slog.DiscardHandler)).Handler
	remote := adminServer("metrics.internal:9090", remoteProfiles, metrics.New(), http.NotFoundHandler(), new(slog.LevelVar), slog.New(slog.DiscardHandler)).Handler
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
		{plain, "GET", "http://127.0.0.1/log-level", "", 200},
		{plain, "PUT", "http://127.0.0.1/log-level?level=info", "", 200},
		{plain, "PUT", "http://127.0.0.1/log-level?level=info", "https://evil.example", 403},
		{fromElsewhere(plain), "GET", "http://10.1.2.3/metrics", "", 200},
		{fromElsewhere(plain), "GET", "http://10.1.2.3/log-level", "", 200},
		{fromElsewhere(plain), "PUT", "http://10.1.2.3/log-level?level=info", "", 403},
		{fromElsewhere(profiling), "GET", "http://10.1.2.3/metrics", "", 200},
		{fromElsewhere(profiling), "GET", "http://10.1.2.3/debug/pprof/", "", 403},
		{fromElsewhere(profiling), "GET", "http://10.1.2.3/debug/pprof/heap", "", 403},
		{fromElsewhere(remote), "GET", "http://10.1.2.3/debug/pprof/heap", "", 200},
		{fromElsewhere(remote), "GET", "http://10.1.2.3/debug/pprof/goroutine?debug=2", "", 400},
	} {
		request := httptest.NewRequest(test.method, test.url, nil)
		request.RemoteAddr = "127.0.0.1:50000"
		if test.from != "" {
			request.Header.Set("Origin", test.from)
		}
		w := httptest.NewRecorder()
		if test.handler.ServeHTTP(w, request); w.Code != test.status {
			t.Errorf("%s %s from %q: status %d, want %d", test.method, test.url, test.from, w.Code, test.status)
		}
	}
}

// fromElsewhere passes requests on as if another machine had sent them.
func fromElsewhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "192.0.2.1:50000"
		next.ServeHTTP(w, r)
	})
}
