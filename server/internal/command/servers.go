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
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// The limits of a connection. Requests of the contract are small and fast.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // headers and body
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	drainDelay        = 250 * time.Millisecond // for callers to close their connections before the server does
	maxShutdownDelay  = 20 * time.Second
	requestsTimeout   = 24 * time.Second // after the signal, for the requests in flight
	stopTimeout       = 28 * time.Second // after the signal, for everything but the log: Kubernetes and others kill after 30 seconds
	startPatience     = 5 * time.Second  // from the start, for requests that wait for the store
)

func listen(flag string, a address) (net.Listener, error) {
	if a == fromSystemd {
		return listenFromSystemd()
	}
	if path, ok := a.socket(); ok {
		return listenUnix(flag, path)
	}
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

// listenUnix listens on a Unix socket, which this user and group can connect to. It replaces one that a killed server has left.
func listenUnix(flag, path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s unix:%s is in use by another program; stop that, or choose another path", flag, path)
	} else if errors.Is(err, syscall.ECONNREFUSED) { // nobody listens
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o660)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return listener, nil
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
	leaving  *atomic.Bool // set when they are told to stop
	stopping *atomic.Bool // set when they stop, after shutdownDelay
	public   endpoint
	admin    *endpoint // nil for none
	callers  *connections
	failed   chan error

	shutdownDelay time.Duration
}

func newServers(log *slog.Logger, stopping *atomic.Bool, public endpoint) *servers {
	s := &servers{log: log, leaving: stopping, stopping: stopping, public: public, callers: newConnections(), failed: make(chan error, 2)}
	s.public.server.ConnState = s.callers.track
	return s
}

func (s *servers) start() {
	go func() {
		if s.public.server.TLSConfig != nil {
			s.failed <- s.public.server.ServeTLS(s.public.listener, "", "")
			return
		}
		s.failed <- s.public.server.Serve(s.public.listener)
	}()
	if s.admin != nil {
		go func() { s.failed <- s.admin.server.Serve(s.admin.listener) }()
	}
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
		notifySystemd(daemon.SdNotifyStopping, s.log)
	case err = <-s.failed:
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestsTimeout)
	defer cancel()
	s.leaving.Store(true)
	if err == nil && s.shutdownDelay > 0 {
		select {
		case <-time.After(s.shutdownDelay):
		case err = <-s.failed:
		}
	}
	s.stopping.Store(true)
	for limit := time.Now().Add(drainDelay); waitingConnections(s.public.listener) > 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	s.public.listener.Close() // which Serve reports, and nobody reads any more
	s.callers.waitUntilClosed(drainDelay)

	if stopErr := s.public.server.Shutdown(limited); stopErr != nil && !errors.Is(stopErr, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("stop: requests were still in flight %v after the signal: %w", requestsTimeout, stopErr))
	}
	s.close()
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// endWithin runs f, and gives up waiting for it when ctx has been done for that long. What f has not closed by then, such as a database that
// hangs, ends with the process: an acknowledged change is on disk.
func endWithin(ctx context.Context, timeout time.Duration, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(timeout):
		return fmt.Errorf("stop: the database was not closed %v after the signal; every acknowledged change is in it", timeout)
	}
}

// close ends the servers at once. It can be called again.
func (s *servers) close() {
	s.public.server.Close()
	if s.admin != nil {
		s.admin.server.Close() // does not wait for a profile
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
