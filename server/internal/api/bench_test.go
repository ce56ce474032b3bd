package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/getkin/kin-openapi/openapi3"
)

const (
	benchID   = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	benchPath = "/v2/customers/" + benchID + "/providers/" + benchID
)

// benchBody fits in the 512 bytes that a json.Decoder reads at first. A longer one slows down the bare handler, which
// makes the comparison with it look better.
var benchBody = storetest.Body("")

// BenchmarkRequest compares a PATCH of all properties through everything but a database with a bare net/http handler
// that decodes the same body into a struct and encodes the record, without any validation.
func BenchmarkRequest(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmark(b, http.HandlerFunc(bare), "") })
	b.Run("full", func(b *testing.B) {
		handler, secret := serving(b, memory{})
		benchmark(b, handler, secret)
	})
}

// TestBenchmarkedHandlersAgree sees to it that both handlers do the work: they return the same record.
func TestBenchmarkedHandlersAgree(t *testing.T) {
	t.Parallel()
	handler, secret := serving(t, memory{})
	var records [2]map[string]any
	for i, h := range []http.Handler{handler, http.HandlerFunc(bare)} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, benchRequest(t, secret))
		if err := json.Unmarshal(w.Body.Bytes(), &records[i]); err != nil || w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		for _, theirs := range []string{"id", "createdAt", "updatedAt"} {
			delete(records[i], theirs)
		}
	}
	if len(records[0]) != 1+len(property.Table) || !maps.Equal(records[0], records[1]) {
		t.Errorf("got %v\nwant %v", records[0], records[1])
	}
}

// serving returns the whole pipeline in front of a store, and a key to it.
func serving(t testing.TB, store provider.Store) (http.Handler, string) {
	t.Helper()
	keys := &oneKey{}
	secret, key, err := apikey.Create(t.Context(), keys, apikey.Key{Organization: 1, Permissions: apikey.Permissions()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys.key = key
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	verifier := apikey.NewVerifier(keys, time.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(verifier.Close)
	handler, err := New(Config{
		Contract: doc, Store: store, Ready: func(context.Context) error { return nil }, Ping: func(context.Context) error { return nil },
		Keys: verifier, Limiter: apikey.NewLimiter(time.Now), Metrics: metrics.New(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler, secret
}

func benchRequest(t testing.TB, secret string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodPatch, benchPath, strings.NewReader(benchBody))
	if err != nil {
		t.Fatal(err)
	}
	request.RemoteAddr = "127.0.0.1:50000"
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Api-Key", secret)
	return request
}

func benchmark(b *testing.B, handler http.Handler, secret string) {
	b.ReportAllocs()
	request := benchRequest(b, secret)
	w := &discard{header: http.Header{}}
	for b.Loop() {
		clear(w.header)
		w.status = 0
		request.Body = io.NopCloser(strings.NewReader(benchBody))
		handler.ServeHTTP(w, request)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
}

func bare(w http.ResponseWriter, r *http.Request) {
	var record gen.Provider
	if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	now := "2026-06-17T19:07:23.709Z"
	record.CreatedAt, record.UpdatedAt = &now, &now
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	json.NewEncoder(w).Encode(record)
}

// memory returns for each update a record that it changes.
type memory struct{ provider.Store }

func (memory) Write(_ context.Context, u provider.Write) (provider.Provider, error) {
	record, _, err := u.Apply(&provider.Provider{ID: u.ID, CustomerID: u.CustomerID, Version: 1, Values: property.Nulls()}, time.Now())
	return record, err
}

type oneKey struct {
	apikey.Store
	key  apikey.Key
	hash apikey.Hash
}

func (k *oneKey) CreateKey(_ context.Context, _ apikey.Key, hash apikey.Hash) error {
	k.hash = hash
	return nil
}

func (k *oneKey) KeyByHash(_ context.Context, hash apikey.Hash) (apikey.Key, error) {
	if hash != k.hash {
		return apikey.Key{}, apikey.ErrNotFound
	}
	return k.key, nil
}

func (*oneKey) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (*oneKey) RecordKeyUses(context.Context, map[string]time.Time) error { return nil }

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Flush()                      {}
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
