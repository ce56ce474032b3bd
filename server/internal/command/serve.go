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
	"os/signal"
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
	Addr           address      `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to serve the API. Default: 127.0.0.1:8080."`
	AdminAddr      adminAddress `default:"127.0.0.1:9090" placeholder:"HOST:PORT|off" help:"Where to serve /metrics; keep it private. Default: 127.0.0.1:9090."`
	Pprof          bool         `help:"Serve profiles at /debug/pprof/ of the admin address."`
	TrustedProxies []network    `placeholder:"CIDR,…" help:"The networks of the proxies in front of the server, whose X-Forwarded-For names the caller. Default: none."`
	Demo           bool         `help:"Serve example data from a file of its own, and print a command that updates a provider. On loopback only."`
}

// Validate checks what the flags mean together.
func (s serveCommand) Validate() error {
	if s.Demo && !s.Addr.onLoopback() {
		return fmt.Errorf("--demo serves on loopback only, such as 127.0.0.1:8080, not on %s", s.Addr)
	}
	return nil
}

// Run serves until ctx is done. Then it takes no more connections, finishes the requests in flight, and returns.
func (s serveCommand) Run(ctx context.Context, c *commands, io streams) error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // a reader of the log, or the terminal, that leaves
	defer signal.Reset(syscall.SIGPIPE, syscall.SIGHUP)
	if s.Demo {
		if c.Database != defaultDatabase {
			fmt.Fprintf(io.err, "server: the demo uses its own file, %s, whatever --database names\n", demoDatabase)
		}
		c.Database = demoDatabase
	}
	recorder := metrics.New()
	log, closeLog := newLog(io.err, recorder.LogDropped)
	defer closeLog()

	public, err := listen("--addr", s.Addr)
	if err != nil {
		return err
	}
	defer public.Close()
	var admin net.Listener
	if !s.AdminAddr.off {
		if admin, err = listen("--admin-addr", s.AdminAddr.address); err != nil {
			return err
		}
		defer admin.Close()
		if !s.AdminAddr.onLoopback() {
			log.Warn("the admin address can be reached from other machines; make sure that only the operator's can", "admin", admin.Addr().String())
		}
	}
	observed := writes.Options{
		Options:  batch.Options{Observe: recorder.Batch},
		Panicked: func(trace string) { log.Error("a transaction panicked", "trace", trace) },
	}
	return c.withNewStore(ctx, observed, func(st store) error {
		if s.Demo {
			if err := demo(ctx, st, public.Addr().String(), io.out); err != nil {
				return fmt.Errorf("prepare the demo: %w", err)
			}
		}
		verifier := apikey.NewVerifier(st, time.Now, log)
		defer verifier.Close()
		var stopping atomic.Bool
		handler, err := s.publicHandler(st, verifier, recorder, &stopping, log)
		if err != nil {
			return err
		}
		endpoints := []endpoint{{public, httpServer(handler, log)}}
		attributes := []any{"address", public.Addr().String(), "version", programVersion()}
		if admin != nil {
			endpoints = append(endpoints, endpoint{admin, adminServer(s.AdminAddr.address, s.Pprof, recorder, log)})
			attributes = append(attributes, "admin", admin.Addr().String())
		}
		log.Info("listening", attributes...)
		return serveUntilDone(ctx, log, &stopping, endpoints...)
	})
}

func (s serveCommand) publicHandler(st store, verifier *apikey.Verifier, recorder *metrics.Metrics, stopping *atomic.Bool, log *slog.Logger) (http.Handler, error) {
	doc, err := contract()
	if err != nil {
		return nil, err
	}
	pages, err := docs.New(providerapi.Contract)
	if err != nil {
		return nil, err
	}
	ready := &readiness{probe: st.Ping, now: time.Now}
	handler, err := api.New(api.Config{
		Contract: doc,
		Docs:     pages,
		Store:    st,
		Ready: func(ctx context.Context) error {
			if stopping.Load() {
				return errors.New("the server is stopping")
			}
			return ready.check(ctx)
		},
		Keys:    verifier,
		Limiter: apikey.NewLimiter(time.Now),
		Metrics: recorder,
		Log:     log,
		Proxies: s.proxies(),
	})
	if err != nil {
		return nil, err
	}
	return closeWhen(stopping, handler), nil
}

func (s serveCommand) proxies() (networks []*net.IPNet) {
	for _, proxy := range s.TrustedProxies {
		networks = append(networks, proxy.IPNet)
	}
	return networks
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

		DisableGeneralOptionsHandler: true, // OPTIONS * gets the response of every other unknown path
	}
}

// endpoint is a server and its listener.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// serveUntilDone serves the endpoints until ctx is done or one of them fails, then stops them. The first is the public one.
//
// It closes the public listener first, and goes on serving connections that are open: net/http drops a request that it reads
// after Shutdown has begun.
func serveUntilDone(ctx context.Context, log *slog.Logger, stopping *atomic.Bool, endpoints ...endpoint) error {
	public := endpoints[0]
	callers := newConnections()
	public.server.ConnState = callers.track
	failed := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() { failed <- e.server.Serve(e.listener) }()
	}
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err = <-failed:
	}
	stopping.Store(true)
	public.listener.Close() // which Serve reports, and nobody reads any more
	callers.waitUntilClosed(drainDelay)

	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := public.server.Shutdown(limited); stopErr != nil && !errors.Is(stopErr, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("stop: requests were still in flight after %v: %w", stopTimeout, stopErr), public.server.Close())
	}
	for _, e := range endpoints[1:] {
		err = errors.Join(err, e.server.Close()) // does not wait for a profile
	}
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

func listen(flag string, a address) (net.Listener, error) {
	listener, err := net.Listen("tcp", string(a))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s is in use by another program; stop that, or choose another address, port 0 for any free port", flag, a)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return listener, nil
}
