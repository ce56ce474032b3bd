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
	"github.com/google/uuid"
)

// newHandler returns the API's handler over a store that the test brings, its metrics, and a key to it. The key is in a
// database.
func newHandler(t testing.TB, database *sqlite.Store, store provider.Store, log io.Writer) (http.Handler, *metrics.Metrics, string) {
	t.Helper()
	contract, err := document()
	if err != nil {
		t.Fatal(err)
	}
	organization, err := database.Organization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := apikey.Create(t.Context(), database, apikey.Key{Organization: organization, Permissions: apikey.Permissions()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(log, nil))
	verifier, recorder := apikey.NewVerifier(database, time.Now, logger), metrics.New()
	t.Cleanup(verifier.Close)
	handler, err := api.New(api.Config{
		Contract: contract, Docs: http.NotFoundHandler(), Store: store, Ready: func(context.Context) error { return nil },
		Keys: verifier, Limiter: apikey.NewLimiter(time.Now), Metrics: recorder, Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler, recorder, secret
}

// openStore opens a new database until the test ends.
func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Options{})
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

func (f failing) Events(context.Context, int64, uuid.UUID, uuid.UUID, int64, int) ([]provider.Event, error) {
	return nil, f.fail()
}

// serveFailing serves the API over a store whose every request fails.
func serveFailing(t testing.TB, fail func() error) account {
	t.Helper()
	s := &server{t: t, log: newBuffer(), asked: &sync.Map{}}
	handler, recorder, key := newHandler(t, openStore(t), failing{fail: fail}, s.log)
	public, admin := httptest.NewServer(handler), httptest.NewServer(recorder.Handler())
	s.stop = sync.OnceValue(func() int { public.Close(); return 0 })
	t.Cleanup(func() { s.stop() })
	t.Cleanup(admin.Close)
	s.url, s.admin = public.URL, admin.URL
	return account{s, "acme", key}
}

// A client who leaves is no fault of the server's, and no overload; a fault is one also if the client has left.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		err  error
		want string
	}{
		{provider.Busy(context.Canceled), `"level":"INFO","msg":"request","status":499`},
		{provider.Unknown(context.Canceled), `"level":"INFO","msg":"request","status":499`},
		{provider.Busy(context.DeadlineExceeded), `"level":"ERROR","msg":"request","status":503`},
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
