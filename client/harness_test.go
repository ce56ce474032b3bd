package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
)

// list is a page of these items; next is empty on the last one.
func list(next string, items ...string) string {
	if next = `"` + next + `"`; next == `""` {
		next = "null"
	}
	return `{"data":[` + strings.Join(items, ",") + `],"nextCursor":` + next + `}`
}

// oneOf returns the error, or says which rule the result breaks.
func oneOf(record *client.Record, err error) error {
	if (record == nil) != (err != nil) || record != nil && record.ID != providerID {
		return fmt.Errorf("record %+v and error %v", record, err)
	}
	return err
}

// lastOf walks to the end, and returns the error there.
func lastOf[T any](items iter.Seq2[T, error]) error {
	var last error
	for _, err := range items {
		if last != nil {
			return fmt.Errorf("more after the error %w", last)
		}
		last = err
	}
	return last
}

// serve returns a client of a server with that handler, under a base path. Its waits take no time.
func serve(t *testing.T, handler http.HandlerFunc, options ...client.Option) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/base", handler))
	t.Cleanup(server.Close)
	return newClient(t, server.URL+"/base", options...)
}

// serveVendor is serve at the vendor's host, which knows no Idempotency-Key.
func serveVendor(t *testing.T, handler http.HandlerFunc, options ...client.Option) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/base", handler))
	t.Cleanup(server.Close)
	there := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(there.CloseIdleConnections)
	return newClient(t, "http://api.carecycle.ai/base", append(options, client.WithTransport(there))...)
}

func newClient(t *testing.T, baseURL string, options ...client.Option) *client.Client {
	t.Helper()
	clock, patient := newClock(), client.WithTimeout(time.Hour) // no attempt fails because the machine is slow
	c, err := client.New(apiKey, append([]client.Option{client.WithBaseURL(baseURL), clock.option(), patient}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// respond returns a handler that always sends this response; headers come in pairs.
func respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// clock is a clock that goes on only while somebody waits.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waits  []time.Duration
	random float64
}

func newClock() *clock { return &clock{now: time.Now(), random: 0.5} }

func (c *clock) option() client.Option {
	return client.WithClock(func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}, func(ctx context.Context, wait time.Duration) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now = c.now.Add(wait)
		c.waits = append(c.waits, wait)
		return ctx.Err()
	}, func() float64 { return c.random })
}

// transport responds to requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// doer responds to requests without a network, and is no *http.Client.
type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(request *http.Request) (*http.Response, error) { return f(request) }

// wantKinds expects the error to be of these kinds and no others, and to say nothing that it must not.
func wantKinds(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, kind := range kinds {
		if got := errors.Is(err, kind); got != slices.Contains(want, kind) {
			t.Errorf("errors.Is(err, %v) is %t", kind, got)
		}
	}
	for _, private := range []string{customerID.String(), providerID.String(), cursor, "secret", "private", "\n"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("the error has %q: %s", private, err)
		}
	}
}
