package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// newHandler returns the API's handler over a store that the test brings, its metrics, and a key to it. The key is in a
// database.
func newHandler(t testing.TB, database *sqlite.Store, store provider.Store, log io.Writer) (http.Handler, *metrics.Metrics, string) {
	t.Helper()
	return newHandlerAt(t, database, store, log, time.Now)
}

// newHandlerAt is like newHandler, with another clock.
func newHandlerAt(t testing.TB, database *sqlite.Store, store provider.Store, log io.Writer, now func() time.Time) (http.Handler, *metrics.Metrics, string) {
	t.Helper()
	contract, err := document()
	if err != nil {
		t.Fatal(err)
	}
	organization, _, err := database.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := apikey.Create(t.Context(), database, apikey.Key{Organization: organization, Permissions: apikey.Permissions()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(log, nil))
	verifier, recorder := apikey.NewVerifier(database, now, logger), metrics.New()
	t.Cleanup(verifier.Close)
	handler, err := api.New(api.Config{
		Contract: contract, Store: store, Ready: func(context.Context) error { return nil }, Ping: func(context.Context) error { return nil },
		Keys: verifier, Limiter: apikey.NewLimiter(now), Metrics: recorder, Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler, recorder, secret
}

// openStore opens a new database until the test ends.
func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	return openStoreAt(t, filepath.Join(t.TempDir(), "test.db"))
}

func openStoreAt(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// failing is a store whose every request fails.
type failing struct {
	provider.Store
	fail func() error
}

func (f failing) Write(_ context.Context, w provider.Write) (provider.Provider, error) {
	return provider.Provider{ID: w.ID}, f.fail()
}

func (f failing) Get(context.Context, int64, uuid.UUID, uuid.UUID) (provider.Provider, error) {
	return provider.Provider{}, f.fail()
}

func (f failing) List(context.Context, provider.List) ([]provider.Provider, error) {
	return nil, f.fail()
}

func (f failing) History(context.Context, int64, uuid.UUID, uuid.UUID, int64, int) ([]provider.Event, error) {
	return nil, f.fail()
}

// serveFailing serves the API over a store whose every request fails.
func serveFailing(t testing.TB, fail func() error) account {
	t.Helper()
	s := &server{t: t, log: newBuffer(), transport: newTransport(t), asked: &sync.Map{}}
	handler, recorder, key := newHandler(t, openStore(t), failing{fail: fail}, s.log)
	s.serve(handler, recorder)
	return account{s, "acme", key}
}

// serveWithClock serves the API over a new database until the test ends. Expiry, caching and limits of keys use the clock.
func serveWithClock(t testing.TB) (account, *storetest.Clock) {
	t.Helper()
	s := &server{t: t, database: filepath.Join(t.TempDir(), "test.db"), log: newBuffer(), transport: newTransport(t), asked: &sync.Map{}}
	store, clock := openStoreAt(t, s.database), storetest.NewClock(time.Now())
	handler, recorder, key := newHandlerAt(t, store, store, s.log, clock.Now)
	s.serve(handler, recorder)
	return account{s, "acme", key}, clock
}

// serveImpatient serves the API with little time for a request to arrive.
func serveImpatient(t testing.TB) account {
	t.Helper()
	s := &server{t: t, log: newBuffer(), transport: newTransport(t), asked: &sync.Map{}}
	store := openStore(t)
	handler, recorder, key := newHandler(t, store, store, s.log)
	s.serve(handler, recorder, func(server *http.Server) { server.ReadTimeout = 2 * time.Second })
	return account{s, "acme", key}
}

// serve serves a handler, and its metrics, until the test ends.
func (s *server) serve(handler http.Handler, recorder *metrics.Metrics, configure ...func(*http.Server)) {
	public, admin := httptest.NewUnstartedServer(handler), httptest.NewServer(recorder.Handler())
	for _, configure := range configure {
		configure(public.Config)
	}
	public.Start()
	s.stop = sync.OnceValue(func() int { public.Close(); return 0 })
	s.t.Cleanup(func() { s.stop() })
	s.t.Cleanup(admin.Close)
	s.url, s.admin = public.URL, admin.URL
}

// A client that leaves is no error of the server, and no overload; an error of the server is one also if the client has left.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		err  error
		want string
	}{
		{provider.Unavailable(time.Second, context.Canceled), `"level":"INFO","msg":"request","status":499`},
		{provider.OutcomeUnknown(context.Canceled), `"level":"INFO","msg":"request","status":499`},
		{provider.Unavailable(time.Second, context.DeadlineExceeded), `"level":"ERROR","msg":"request","status":503`},
		{io.ErrUnexpectedEOF, `"level":"ERROR","msg":"request","status":500`},
	} {
		ctx, leave := context.WithCancel(t.Context())
		var log bytes.Buffer
		handler, recorder, key := newHandler(t, openStore(t), failing{fail: func() error { leave(); return f.err }}, &log)
		sent := httptest.NewRequestWithContext(ctx, http.MethodGet, pathOf(exampleID, exampleID), nil)
		ask(t, handler, sent, key)
		var line struct {
			Level, Msg string
			Status     int
		}
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, log.Bytes())
		}
		if got := fmt.Sprintf(`"level":"%s","msg":"%s","status":%d`, line.Level, line.Msg, line.Status); got != f.want {
			t.Errorf("%v: the log has %s; want %s", f.err, got, f.want)
		}
		page := httptest.NewRecorder()
		recorder.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if want := fmt.Sprintf(`method="GET",operation="getCustomerProvider",status="%d"} 1`, line.Status); !strings.Contains(page.Body.String(), want) {
			t.Errorf("%v: the metrics lack %s", f.err, want)
		}
	}
}
