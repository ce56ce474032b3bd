// Package clienttest is the API in memory, for the tests of programs that use package client. It has the operations and the rules of
// the contract: a request that the API would reject is rejected here, with the same status and code. It is less strict with what package
// client cannot send, such as JSON with a property twice. It has no database, and nothing of the server.
//
//	api := clienttest.New(t)
//	c := api.Client()
//	customer := api.NewCustomer()
//	record, err := c.CreateProvider(ctx, customer, client.ProviderCreate{ProviderType: client.ProviderTypeHospital})
//
// Inject has the next requests fail, in the ways in which a network and a busy server do.
package clienttest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

// Key is the API key that an API accepts.
const Key = "cc_clienttest"

// API is an API in memory. It is safe for concurrent use.
type API struct {
	URL string // for client.WithBaseURL

	t         testing.TB
	contract  *contract
	mux       *http.ServeMux
	mu        sync.Mutex
	customers map[client.CustomerID]bool
	records   map[client.ProviderID]*record
	created   map[string]creation // by the Idempotency-Key
	last      time.Time           // of a change: no two have the same
	faults    []Fault             // of the next requests
}

// New starts an API on this machine. It ends with the test.
func New(t testing.TB) *API {
	t.Helper()
	contract, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	a := &API{t: t, contract: contract, customers: map[client.CustomerID]bool{}, records: map[client.ProviderID]*record{}, created: map[string]creation{}}
	a.mux = a.newMux()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// Client returns a Client of the API, with these options.
func (a *API) Client(options ...client.Option) *client.Client {
	a.t.Helper()
	c, err := client.New(Key, append([]client.Option{client.WithBaseURL(a.URL)}, options...)...)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// NewCustomer returns a customer without records.
func (a *API) NewCustomer() client.CustomerID {
	a.mu.Lock()
	defer a.mu.Unlock()
	customer := client.CustomerID(uuid.New())
	a.customers[customer] = true
	return customer
}

// Fault does something to a request, and calls next if the API is to handle it.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject gives each of the next requests one of these faults, in order, whoever sends it. A retry is a request of its own.
func (a *API) Inject(faults ...Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, faults...)
}

// LoseRequest cuts the connection before the request is handled.
func LoseRequest(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// LoseResponse handles the request and then cuts the connection, so that the caller does not know whether it was handled.
func LoseResponse(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Unavailable rejects the request with 503 and the code SERVICE_UNAVAILABLE.
func Unavailable(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	reject(w, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "The server cannot do this now. Nothing was changed; try again.")
}

// BadGateway responds like a proxy that does not reach the API.
func BadGateway(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "<h1>502 Bad Gateway</h1>", http.StatusBadGateway)
}

// RateLimited rejects the request with 429. The caller is to wait for as long, in whole seconds.
func RateLimited(wait time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { rejectRateLimited(w, wait) }
}

// Delay handles the request after a while, unless the caller has left by then.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-time.After(d):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Before calls f before the request is handled, for example to change the record that it is about.
func Before(f func()) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		f()
		next.ServeHTTP(w, r)
	}
}
