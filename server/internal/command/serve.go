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
	var stopping atomic.Bool
	handler := newSwitchable(api.Starting(log, recorder))
	endpoints := []endpoint{{public, httpServer(closeWhen(&stopping, handler), log)}}
	attributes := []any{"address", public.Addr().String(), "version", programVersion()}
	if admin != nil {
		endpoints = append(endpoints, endpoint{admin, adminServer(s.AdminAddr.address, s.Pprof, recorder, log)})
		attributes = append(attributes, "admin", admin.Addr().String())
	}
	servers := startServers(log, &stopping, endpoints...)
	defer servers.close()
	o := storeOptions{
		writes: writes.Options{
			Options:  batch.Options{Observe: recorder.Batch},
			Panicked: func(trace string) { log.Error("a transaction panicked", "trace", trace) },
		},
		waiting: func(reason string) {
			log.Warn("waiting for the database", "reason", reason, "address", public.Addr().String())
		},
	}
	started := false
	err = c.withNewStore(ctx, o, func(st store) error {
		if s.Demo {
			if err := demo(ctx, st, public.Addr().String(), io.out); err != nil {
				return fmt.Errorf("prepare the demo: %w", err)
			}
		}
		verifier := apikey.NewVerifier(st, time.Now, log)
		defer verifier.Close()
		ready, err := s.publicHandler(st, verifier, recorder, &stopping, log)
		if err != nil {
			return err
		}
		handler.set(ready)
		started = true
		log.Info("listening", attributes...)
		return servers.serveUntilDone(ctx)
	})
	if !started && ctx.Err() != nil { // stopped while it was starting
		return nil
	}
	return err
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

// switchable is a handler that can be replaced while it serves.
type switchable struct{ current atomic.Pointer[http.Handler] }

func newSwitchable(first http.Handler) *switchable {
	s := new(switchable)
	s.set(first)
	return s
}

func (s *switchable) set(next http.Handler) { s.current.Store(&next) }

// ServeHTTP implements [http.Handler].
func (s *switchable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.current.Load()).ServeHTTP(w, r)
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

// servers are endpoints that serve.
type servers struct {
	log      *slog.Logger
	stopping *atomic.Bool // set when they stop
	public   endpoint
	admin    []endpoint // at most one
	callers  *connections
	failed   chan error
}

// startServers starts to serve the endpoints, the public one first.
func startServers(log *slog.Logger, stopping *atomic.Bool, endpoints ...endpoint) *servers {
	s := &servers{log, stopping, endpoints[0], endpoints[1:], newConnections(), make(chan error, len(endpoints))}
	s.public.server.ConnState = s.callers.track
	for _, e := range endpoints {
		go func() { s.failed <- e.server.Serve(e.listener) }()
	}
	return s
}

// serveUntilDone serves until ctx is done or a server fails, and then stops.
//
// It closes the public listener first, once every connection that callers have made is accepted: the system resets the others.
// Then it goes on serving connections that are open: net/http drops a request that it reads after Shutdown has begun.
func (s *servers) serveUntilDone(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case err = <-s.failed:
	}
	s.stopping.Store(true)
	for limit := time.Now().Add(drainDelay); waitingConnections(s.public.listener) > 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	s.public.listener.Close() // which Serve reports, and nobody reads any more
	s.callers.waitUntilClosed(drainDelay)

	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := s.public.server.Shutdown(limited); stopErr != nil && !errors.Is(stopErr, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("stop: requests were still in flight after %v: %w", stopTimeout, stopErr))
	}
	s.close()
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// close ends the servers at once. It can be called again.
func (s *servers) close() {
	s.public.server.Close()
	for _, e := range s.admin {
		e.server.Close() // does not wait for a profile
	}
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
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s is in use by another program; stop that, or choose another address, port 0 for any free port", flag, a)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s %s is not an address of this machine; choose one of its own, or 0.0.0.0 for all of them", flag, a)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s is not allowed for this user; choose a port from 1024", flag, a)
	case errors.As(err, &name):
		return nil, fmt.Errorf("%s %s has a name that cannot be resolved; use an IP address of this machine", flag, a)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return listener, nil
}
