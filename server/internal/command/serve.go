package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"syscall"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/writes"
)

// The limits of a connection. Requests of the contract are small and fast.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // headers and body
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	drainDelay        = 250 * time.Millisecond // for callers to close their connections before the server does
	stopTimeout       = 30 * time.Second       // for the requests in flight when the server is told to stop
)

type serveCommand struct {
	Addr      string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to serve the API. Default: 127.0.0.1:8080."`
	AdminAddr string `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where to serve /metrics and /debug/pprof/; keep it private. Default: 127.0.0.1:9090."`
	Demo      bool   `help:"Serve example data from a file of its own, and print a command that updates a provider. On loopback only."`
}

// Validate checks what the flags mean together.
func (s serveCommand) Validate() error {
	if !s.Demo {
		return nil
	}
	return onLoopback(s.Addr)
}

// Run serves until ctx is done. Then it takes no more connections, finishes the requests in flight, and returns.
func (s serveCommand) Run(ctx context.Context, c *commands, io streams) error {
	database := c.Database
	if s.Demo {
		if database = demoDatabase; c.Database != defaultDatabase {
			fmt.Fprintf(io.err, "server: the demo uses its own file, %s, whatever --database names\n", demoDatabase)
		}
	}
	log, flush := newLog(io.err)
	defer flush()
	public, err := listen("--addr", s.Addr)
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := listen("--admin-addr", s.AdminAddr)
	if err != nil {
		return err
	}
	defer admin.Close()

	recorder := metrics.New()
	watched := writes.Options{
		Options:  batch.Options{Observe: recorder.Batch},
		Panicked: func(trace string) { log.Error("a transaction panicked", "trace", trace) },
	}
	return withStoreOptions(ctx, database, watched, func(st store) error {
		if s.Demo {
			if err := demo(ctx, st, public.Addr().String(), io.out); err != nil {
				return fmt.Errorf("prepare the demo: %w", err)
			}
		}
		verifier := apikey.NewVerifier(st, time.Now, log)
		defer verifier.Close()
		var stopping atomic.Bool
		handler, err := publicHandler(st, verifier, recorder, &stopping, log)
		if err != nil {
			return err
		}
		log.Info("listening", "address", public.Addr().String(), "admin", admin.Addr().String(), "version", programVersion())
		return serveUntilDone(ctx, log, &stopping,
			endpoint{public, httpServer(handler, log)}, endpoint{admin, adminServer(recorder, log)})
	})
}

func publicHandler(st store, verifier *apikey.Verifier, recorder *metrics.Metrics, stopping *atomic.Bool, log *slog.Logger) (http.Handler, error) {
	doc, err := contract()
	if err != nil {
		return nil, err
	}
	pages, err := docs.New(providerapi.Contract)
	if err != nil {
		return nil, err
	}
	handler, err := api.New(api.Config{
		Contract: doc,
		Docs:     pages,
		Store:    st,
		Ready: func(ctx context.Context) error {
			if stopping.Load() {
				return errors.New("the server is stopping")
			}
			return st.Ping(ctx)
		},
		Keys:    verifier,
		Limiter: apikey.NewLimiter(time.Now),
		Metrics: recorder,
		Log:     log,
	})
	if err != nil {
		return nil, err
	}
	return closeWhen(stopping, handler), nil
}

// closeWhen returns a handler that asks callers to close their connections once the server is stopping.
func closeWhen(stopping *atomic.Bool, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

func httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(acceptErrors{log}, "", 0),

		DisableGeneralOptionsHandler: true, // OPTIONS * is answered like every other path that is not there
	}
}

func adminServer(recorder *metrics.Metrics, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("/metrics", recorder.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := httpServer(mux, log)
	server.WriteTimeout = 0 // a profile takes as long as it is asked to
	return server
}

// endpoint is a server and where it listens.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// serveUntilDone serves both sites until ctx is done or one of them fails, then stops them.
func serveUntilDone(ctx context.Context, log *slog.Logger, stopping *atomic.Bool, public, admin endpoint) error {
	callers := newConnections()
	public.server.ConnState = callers.track
	failed := make(chan error, 2)
	for _, s := range []endpoint{public, admin} {
		go func() { failed <- s.server.Serve(s.listener) }()
	}
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err = <-failed:
	}
	stopping.Store(true)
	callers.waitUntilClosed(drainDelay)
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := public.server.Shutdown(patience); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop: requests were still under way after %v: %w", stopTimeout, stopErr), public.server.Close())
	}
	err = errors.Join(err, admin.server.Close()) // a profile may be in flight, and is not waited for
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// connections counts the open connections of a server.
type connections struct {
	open   atomic.Int64
	closed chan struct{} // holds one if a connection was closed since the last look
}

func newConnections() *connections { return &connections{closed: make(chan struct{}, 1)} }

// track is the ConnState of the server.
func (c *connections) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
		select {
		case c.closed <- struct{}{}:
		default:
		}
	}
}

// waitUntilClosed returns when no connection is open, and after the timeout at the latest.
func (c *connections) waitUntilClosed(timeout time.Duration) {
	over := time.After(timeout)
	for c.open.Load() > 0 {
		select {
		case <-c.closed:
		case <-over:
			return
		}
	}
}

// acceptErrors logs what net/http says of connections that cannot be accepted, when files run out for example. The rest
// of what it says quotes requests, and is for no log.
type acceptErrors struct{ log *slog.Logger }

func (a acceptErrors) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: Accept error")) {
		a.log.Warn(string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}

func listen(flag, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s is in use by another program; stop that, or choose another address, port 0 for any that is free", flag, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return listener, nil
}

func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--demo serves on loopback only, such as 127.0.0.1:8080, not on %s", address)
	}
	return nil
}
