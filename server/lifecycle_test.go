package main

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/lock"
)

// TestStarting serves while another process migrates the database: the server is alive, not ready, and says what it waits for.
func TestStarting(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t) // which needs a migration
	holder, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(t.Context())
	hold := func(function string) {
		t.Helper()
		if _, err := holder.Exec(t.Context(), fmt.Sprintf("SELECT %s(%d)", function, lock.DefaultLockID)); err != nil {
			t.Fatal(err)
		}
	}
	hold("pg_advisory_lock")
	p := start(t, t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--trusted-proxies", "127.0.0.0/8")
	s := &server{t: t, database: database, log: p.stderr, transport: newTransport(t), asked: &sync.Map{}}
	s.url, _ = p.stderr.addresses(t, "another process that migrates the database")
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		got := s.send(request{Method: http.MethodGet, Path: path, Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}})
		if got.Status != want {
			t.Errorf("%s: %d %s, want %d", path, got.Status, got.Body, want)
		}
	}
	await.State(t, "both requests are logged with the address that the proxy named", func() bool {
		return strings.Count(p.stderr.String(), `"remote":"203.0.113.9"`) == 2
	})
	hold("pg_advisory_unlock")
	awaitStatus(t, http.StatusOK, func() response { return s.send(request{Method: http.MethodGet, Path: "/readyz"}) })
	p.end(t, syscall.SIGTERM)
}

// TestStartingWithoutDatabase starts a server whose database is away. Other commands fail then.
func TestStartingWithoutDatabase(t *testing.T) {
	t.Parallel()
	instance := pgtest.Start(t, pgserver.Options{})
	database := instance.Database(t)
	instance.Stop(t)
	serve := func() process {
		return start(t, t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	}
	p, stopped := serve(), serve()
	s := &server{t: t, database: database, log: p.stderr, transport: newTransport(t), asked: &sync.Map{}}
	s.url, s.admin = p.stderr.addresses(t, "the database to respond (postgres: ")
	stopped.stderr.waitFor(t, "waiting for the database")
	stopped.end(t, syscall.SIGTERM)
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if got := s.send(request{Method: http.MethodGet, Path: path}); got.Status != want {
			t.Errorf("%s: %d %s, want %d", path, got.Status, got.Body, want)
		}
	}
	if got := s.metrics(); !strings.Contains(got, "\ncarecycle_ready 0\n") {
		t.Errorf("the metrics, of which an alert is made, do not say that it is not ready:\n%s", got)
	}
	if _, stderr, code := s.run("", "keys", "list"); code != 1 || !strings.Contains(stderr, "no server can be reached there") {
		t.Errorf("keys list: exit code %d, %s", code, stderr)
	}
	instance.Start(t)
	awaitStatus(t, http.StatusOK, func() response { return s.send(request{Method: http.MethodGet, Path: "/readyz"}) })
	p.end(t, syscall.SIGTERM)
}

// TestReplacedDatabase deletes or replaces the file of a running server. Nothing more is acknowledged, as it would be lost.
func TestReplacedDatabase(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(path string) error{
		"deleted": os.Remove,
		"replaced": func(path string) error {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, text, 0o600)
		},
		"without its log": func(path string) error { return os.Remove(path + "-wal") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			a := s.account("acme")
			path := a.newRecord().path()
			if got := a.send(request{Path: path, Body: `{"city":"before"}`}); got.Status != http.StatusOK {
				t.Fatalf("before: %d %s", got.Status, got.Body)
			}
			if err := replace(s.database); err != nil {
				t.Fatal(err)
			}
			if got := a.send(request{Path: path, Body: `{"city":"after"}`}); got.Status != http.StatusServiceUnavailable {
				t.Errorf("a change: %d %s", got.Status, got.Body)
			}
			awaitStatus(t, http.StatusServiceUnavailable, func() response { return s.send(request{Method: "GET", Path: "/readyz"}) })
			s.log.waitFor(t, "the database or its log was deleted or replaced while the server runs")
		})
	}
}

// TestStopUnderLoad stops a server that is busy. Every request that was sent before the signal gets a response.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	for range 3 {
		directory := t.TempDir()
		p := start(t, directory, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		url, _ := p.stderr.addresses(t, `"listening"`)
		var signalled atomic.Bool
		var sent atomic.Int64
		var callers sync.WaitGroup
		for range 16 {
			transport := newTransport(t)
			callers.Go(func() {
				for {
					var early atomic.Bool // the request was sent before the signal
					request, err := http.NewRequest(http.MethodPatch, url+pathOf(exampleID, exampleID), strings.NewReader(`{}`))
					if err != nil {
						t.Error(err)
						return
					}
					request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
						WroteRequest: func(httptrace.WroteRequestInfo) { early.Store(!signalled.Load()) },
					}))
					response, err := transport.RoundTrip(request)
					if err != nil {
						if early.Load() {
							t.Errorf("a request before the signal: %v", err)
						}
						return
					}
					response.Body.Close()
					sent.Add(1)
				}
			})
		}
		await.State(t, "the server is busy", func() bool { return sent.Load() > 200 })
		signalled.Store(true)
		p.end(t, syscall.SIGTERM)
		callers.Wait()
	}
}

// A server that stops says so, and ends though a caller keeps its connection open.
func TestStopWithAnIdleCaller(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	transport := newTransport(t)
	url, _ := p.stderr.addresses(t, `"listening"`)
	request, err := http.NewRequest(http.MethodGet, url+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	begin := time.Now()
	p.end(t, syscall.SIGTERM)
	if took := time.Since(begin); took > await.Patience/2 {
		t.Errorf("it took %v to stop", took)
	}
}
