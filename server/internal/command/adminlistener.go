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

// profiles says who gets profiles.
type profiles int

const (
	noProfiles     profiles = iota
	localProfiles           // for callers on this machine
	remoteProfiles          // for every caller of the admin address
)

// adminServer serves /metrics, the level of the log at /log-level, profiles at /debug/pprof/, and the dashboard, which protects itself.
func adminServer(listening address, who profiles, recorder *metrics.Metrics, dashboard http.Handler, level *slog.LevelVar, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler())
	mux.Handle("GET /log-level", logLevel(level, log))
	mux.Handle("PUT /log-level", localOnly(logLevel(level, log)))
	switch handler := profileHandler(); who {
	case localProfiles:
		mux.Handle("GET /debug/pprof/", localOnly(handler))
	case remoteProfiles:
		mux.Handle("GET /debug/pprof/", handler)
	}
	server := httpServer(withDashboard(dashboard, guardAdmin(listening, mux)), log)
	server.WriteTimeout = 0 // a profile takes as long as requested
	return server
}

func profileHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// localOnly rejects requests of other machines, which may be let in for the metrics.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fromThisMachine(r) {
			http.Error(w, "this is for callers on this machine; use a tunnel (profiles: or serve with --pprof-remote)", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromThisMachine reports whether a request came over loopback or a Unix socket.
func fromThisMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err != nil || net.ParseIP(host).IsLoopback()
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
