package command

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/metrics"
)

// TestStop stops a server. It waits only while connections are open, and not for ever.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		caller func(*caller) // nil for none; it is called when the server is stopping
		want   time.Duration // from the signal to the end
	}{
		{"no caller", nil, 0},
		{"a caller that left", func(c *caller) { c.Close() }, 0},
		{"a caller that sends another request is asked to close", func(c *caller) {
			time.Sleep(drainDelay / 2)
			if response := c.ask(); response == nil || !response.Close {
				c.t.Errorf("got %+v, want a response that closes the connection", response)
			}
			c.Close()
		}, drainDelay / 2},
		{"a caller that does nothing", func(*caller) {}, drainDelay},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var stopping atomic.Bool
				response := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
				log := slog.New(slog.DiscardHandler)
				public, admin := newPipes(), newPipes()
				stopped := make(chan error)
				go func() {
					servers := newServers(log, &stopping, endpoint{public, httpServer(closeWhen(&stopping, response), log)})
					servers.admin = &endpoint{admin, httpServer(response, log)}
					servers.start()
					stopped <- servers.serveUntilDone(ctx)
				}()
				var c *caller
				if test.caller != nil {
					c = &caller{t, public.dial()}
					defer c.Close()
					if response := c.ask(); response == nil || response.Close {
						t.Errorf("got %+v, want a response that keeps the connection", response)
					}
				}
				synctest.Wait()
				start := time.Now()
				stop()
				synctest.Wait()
				if test.caller != nil {
					go test.caller(c)
				}
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("it took %v to stop, want %v", took, test.want)
				}
			})
		})
	}
}

// TestStopIsBounded stops a server with a request that never ends, and then a database that never closes.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		hang := make(chan struct{})
		public := newPipes()
		log, stopping := slog.New(slog.DiscardHandler), new(atomic.Bool)
		servers := newServers(log, stopping, endpoint{public, httpServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }), log)})
		servers.shutdownDelay = maxShutdownDelay
		var requestsEnded time.Duration
		var served error
		start := time.Now()
		stopped := make(chan error)
		go func() {
			stopped <- endWithin(ctx, stopTimeout, func() error {
				servers.start()
				served, requestsEnded = servers.serveUntilDone(ctx), time.Since(start)
				<-hang
				return nil
			})
		}()
		c := public.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		if err := <-stopped; err == nil || !strings.Contains(err.Error(), "the database was not closed 28s after the signal") {
			t.Errorf("got %v, want an error that names the database", err)
		}
		synctest.Wait()
		if took := time.Since(start); took+logCloseTimeout >= 30*time.Second || took != stopTimeout {
			t.Errorf("it took %v to stop", took)
		}
		if served == nil || !strings.Contains(served.Error(), "requests were still in flight 24s after the signal") || requestsEnded > requestsTimeout {
			t.Errorf("the requests ended after %v: %v", requestsEnded, served)
		}
		close(hang)
	})
}

// caller is one end of a connection to a server.
type caller struct {
	t *testing.T
	net.Conn
}

// ask sends a request and returns the response, nil if there is none.
func (c *caller) ask() *http.Response {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		c.t.Error(err)
		return nil
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.t.Error(err)
	}
	return response
}

// pipes is a listener in memory, for a synctest bubble.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
	closing     sync.Once
}

func newPipes() *pipes { return &pipes{connections: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.connections <- far
	return near
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.closing.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// TestUntilOpened sends requests to a server that is starting: they wait for its store, but no more than a few seconds after the start.
func TestUntilOpened(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, path string
		opens      bool
		status     int
		took       time.Duration
	}{
		{"opens in time", "/v2/customers", true, http.StatusNoContent, time.Second},
		{"does not open", "/v2/customers", false, http.StatusServiceUnavailable, startPatience},
		{"probe", "/readyz", false, http.StatusServiceUnavailable, 0},
		{"probe of the process", "/livez", false, http.StatusOK, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := &service{log: slog.New(slog.DiscardHandler), recorder: metrics.New(), opened: make(chan struct{})}
				v.handler = newSwitchable(v.untilOpened())
				start, w := time.Now(), httptest.NewRecorder()
				if test.opens {
					time.AfterFunc(time.Second, func() {
						v.handler.set(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
						close(v.opened)
					})
				}
				v.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
				if took := time.Since(start); w.Code != test.status || took != test.took {
					t.Errorf("%d after %v, want %d after %v", w.Code, took, test.status, test.took)
				}
			})
		})
	}
}
