package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/client"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.accept:
		return connection, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (p *pipes) Close() error   { close(p.closed); return nil }

// dial returns a connection to the listener, whose other side hears nothing while silent is set.
func (p *pipes) dial(silent *atomic.Bool) net.Conn {
	near, far := net.Pipe()
	p.accept <- far
	return &silentConn{Conn: near, silent: silent}
}

// silentConn is a connection that loses what is written to it while silent is set.
type silentConn struct {
	net.Conn
	silent *atomic.Bool
}

func (c *silentConn) Write(b []byte) (int, error) {
	if c.silent.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestSilentHTTP2 has a connection whose other side is gone without a word, as behind a router that forgot it. Of all attempts, one
// is lost.
func TestSilentHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certificates := httptest.NewUnstartedServer(nil)
		certificates.StartTLS()
		config, trusted := certificates.TLS.Clone(), certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		certificates.Close()
		config.NextProtos = []string{"h2"}
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("the request came by %s", r.Proto)
			}
			respond(200, record)(w, r)
		}), TLSConfig: config}
		var serving sync.WaitGroup
		serving.Go(func() { server.ServeTLS(listener, "", "") })

		own := client.NewTransport().(*http.Transport)
		own.Proxy = nil
		own.TLSClientConfig = &tls.Config{RootCAs: trusted, ServerName: "example.com"}
		var first, later atomic.Bool
		dialled := 0
		own.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if dialled++; dialled == 1 {
				return listener.dial(&first), nil
			}
			return listener.dial(&later), nil
		}
		c, err := client.New(apiKey, client.WithBaseURL("https://api.example"), client.WithTransport(own))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
			t.Fatal(err)
		}
		first.Store(true)
		start := time.Now()
		if _, err := c.UpdateProvider(t.Context(), customerID, providerID, update); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 6*time.Second || dialled != 2 {
			t.Errorf("it took %v and %d connections, want 5 seconds and a wait, and 2", took, dialled)
		}
		own.CloseIdleConnections()
		server.Close()
		serving.Wait()
	})
}

// TestConnectionsAreKept has a crowd that calls again and again.
func TestConnectionsAreKept(t *testing.T) {
	const callers = 32
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(respond(200, record))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	for range 10 {
		var crowd sync.WaitGroup
		for range callers {
			crowd.Go(func() {
				if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
	}
	if n := opened.Load(); n > 2*callers { // one that is dialled while another becomes idle is kept, too
		t.Errorf("%d callers opened %d connections", callers, n)
	}
}

// TestProxy has proxies that open no connection to the API.
func TestProxy(t *testing.T) {
	for name, test := range map[string]struct {
		status, attempts int
		text             string
		kinds            []error
	}{
		"no password":       {407, 1, "no response: the proxy opened no connection: 407 Proxy Authentication Required; check the proxy's address, user and password", nil},
		"not allowed":       {403, 1, "no response: the proxy opened no connection: 403 Forbidden; check the proxy's address, user and password", nil},
		"the API is not up": {502, client.DefaultAttempts, "no response: the proxy opened no connection: 502 Bad Gateway; check the proxy's address, user and password", []error{client.ErrUnavailable}},
		"a transport's own": {-407, 1, "no response: the proxy opened no connection: 407 Proxy Authentication Required; check the proxy's address, user and password", nil},
	} {
		t.Run(name, func(t *testing.T) {
			own := client.NewTransport().(*http.Transport)
			if test.status < 0 {
				own.OnProxyConnectResponse, test.status = nil, -test.status
			}
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodConnect {
					t.Errorf("%s arrived at the proxy", r.Method)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, "private words")
			}))
			t.Cleanup(proxy.Close)
			address, _ := url.Parse(proxy.URL)
			own.Proxy = http.ProxyURL(address)
			for _, operation := range operations {
				err := operation.call(t.Context(), newClient(t, "https://api.example", client.WithTransport(own)))
				wantKinds(t, err, test.kinds...) // and the outcome is known: nothing was sent
				if got := strings.TrimPrefix(err.Error(), operation.name+": "); !strings.HasPrefix(got, test.text) || asError(t, err).Attempts != test.attempts {
					t.Errorf("got  %s\nwant %s", got, test.text)
				}
			}
		})
	}
}

// TestCauseOfTheContext ends calls before, during and after an attempt, for a reason.
func TestCauseOfTheContext(t *testing.T) {
	reason := errors.New("a private reason")
	for name, end := range map[string]func(t *testing.T, cancel context.CancelCauseFunc) *client.Client{
		"before": func(t *testing.T, cancel context.CancelCauseFunc) *client.Client {
			cancel(reason)
			return serve(t, respond(200, record))
		},
		"during": func(t *testing.T, cancel context.CancelCauseFunc) *client.Client {
			return serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(reason); <-r.Context().Done() })
		},
		"between two": func(t *testing.T, cancel context.CancelCauseFunc) *client.Client {
			return serve(t, respond(503, ""), client.WithAttemptHook(func(context.Context, client.Attempt) { cancel(reason) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := end(t, cancel).GetProvider(ctx, customerID, providerID)
			if !errors.Is(err, reason) || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "private") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestWaitInAnEditor has an editor that takes longer than an attempt may.
func TestWaitInAnEditor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := client.WithRequestEditorFn(func(ctx context.Context, _ *http.Request) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		answer := misbehaveInBubble(write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + record))
		c := newClient(t, "http://api.example", slow, client.WithTransport(answer), client.WithTimeout(time.Second))
		if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.GetProvider(ctx, customerID, providerID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an editor waits longer than its call: %v", err)
		}
	})
}
