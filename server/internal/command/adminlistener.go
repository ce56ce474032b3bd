package command

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"strconv"

	"github.com/carecycle/provider-api/server/internal/metrics"
)

// maxProfile bounds the length of a profile or a trace, in seconds.
const maxProfile = 60

// adminServer serves /metrics, the level of the log at /log-level, /debug/pprof/ if profiles is set, and the dashboard, which protects
// itself.
func adminServer(listening address, profiles bool, recorder *metrics.Metrics, dashboard http.Handler, level *slog.LevelVar, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler())
	mux.Handle("GET /log-level", logLevel(level, log))
	mux.Handle("PUT /log-level", logLevel(level, log))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	server := httpServer(withDashboard(dashboard, guardAdmin(listening, mux)), log)
	server.WriteTimeout = 0 // a profile takes as long as requested
	return server
}

// guardAdmin rejects requests of a web page in the operator's browser, also of one whose name resolves to this machine (DNS
// rebinding), and profiles that take long or show arguments of functions.
func guardAdmin(listening address, next http.Handler) http.Handler {
	own, _, _ := net.SplitHostPort(string(listening))
	hostname, _ := os.Hostname()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
		switch {
		case net.ParseIP(host) == nil && !slices.Contains([]string{"localhost", own, hostname}, host):
			http.Error(w, "use this machine's IP address, localhost or the host of --admin-addr", http.StatusForbidden)
		case r.Header.Get("Origin") != "":
			http.Error(w, "requests of web pages are not allowed", http.StatusForbidden)
		case r.FormValue("seconds") != "" && (err != nil || !(seconds > 0 && seconds <= maxProfile)):
			http.Error(w, "seconds must be more than 0 and at most "+strconv.Itoa(maxProfile), http.StatusBadRequest)
		case r.FormValue("debug") == "2":
			http.Error(w, "debug=2 would show arguments, which can be parts of records; use debug=1", http.StatusBadRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
