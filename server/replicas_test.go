package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
)

// replica starts the program on a database that others use as well.
func replica(t *testing.T, database string) (*server, process) {
	t.Helper()
	p := start(t, t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	s := &server{t: t, database: database, log: p.stderr, transport: newTransport(t), asked: &sync.Map{}}
	s.url, s.admin = p.stderr.addresses(t, `"listening"`)
	return s, p
}

// awaitStatus asks until the response has the status.
func awaitStatus(t *testing.T, status int, ask func() response) (got response) {
	t.Helper()
	defer func() {
		if got.Status != status {
			t.Logf("the last response: %d %s", got.Status, got.Body)
		}
	}()
	await.State(t, fmt.Sprint("status ", status), func() bool {
		got = ask()
		return got.Status == status
	})
	return got
}

// Replicas are processes that share nothing but a PostgreSQL database.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const id = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	const path = "/v2/customers/" + id + "/providers/" + id
	instance := pgtest.Start(t, pgserver.Options{})
	database := instance.Database(t)
	first, _ := replica(t, database)
	second, _ := replica(t, database)
	replicas := []*server{first, second}
	key := replicas[0].newKey("acme")
	replicas[0].importLines("acme", `{"id": "`+id+`", "customerId": "`+id+`", "providerType": "Hospital"}`)
	change := func(s *server, notes string) response {
		return s.send(request{Path: path, Key: key, Body: `{"notes": "` + notes + `"}`})
	}

	// Changes to one record through both: none is lost, and each has a version of its own.
	const writers, changes = 8, 25
	var wait sync.WaitGroup
	var mu sync.Mutex
	versions := map[string]int{}
	for w := range writers {
		wait.Go(func() {
			for n := range changes {
				a, err := replicas[(w+n)%2].try(request{Path: path, Key: key, Body: fmt.Sprintf(`{"notes": "%d-%d"}`, w, n)})
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("status %d, error %v: %s", a.Status, err, a.Body)
				}
				mu.Lock()
				versions[a.Header.Get("ETag")]++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for version := 2; version <= 1+writers*changes; version++ {
		if n := versions[strconv.Quote(strconv.Itoa(version))]; n != 1 {
			t.Errorf("version %d was returned %d times", version, n)
		}
	}

	// A precondition holds whichever replica it is sent to.
	current := change(replicas[0], "one more").Header.Get("ETag")
	for n, want := range []int{http.StatusOK, http.StatusPreconditionFailed} {
		got := replicas[1].send(request{Path: path, Key: key, Header: http.Header{"If-Match": {current}}, Body: fmt.Sprintf(`{"notes": "If-Match %d"}`, n)})
		if got.Status != want {
			t.Errorf("If-Match with the ETag of another replica, request %d: %d %s, want %d", n, got.Status, got.Body, want)
		}
	}

	// Creations with one key, through both at once, create one record; a repeated one has its response from either.
	accounts := []account{{first, "acme", key}, {second, "acme", key}}
	created := atOnce(t, accounts, onceOf(id, hospital, `"a key"`))
	for _, one := range created {
		same(t, "a creation through one of two replicas", one, created[0])
	}
	accounts[0].send(request{Path: created[0].Header.Get("Location"), Body: `{"city":"changed"}`})
	same(t, "the creation again, after a change", accounts[1].once(id, hospital, `"a key"`), created[0])
	if n := len(accounts[0].list(id, "")); n != 2 {
		t.Errorf("%d records, want the imported one and a new one", n)
	}

	// The database goes away and comes back; the replicas stay.
	instance.Stop(t)
	for _, s := range replicas {
		a := awaitStatus(t, http.StatusServiceUnavailable, func() response { return change(s, "while it is away") })
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("headers %v lack Retry-After", a.Header)
		}
		awaitStatus(t, http.StatusServiceUnavailable, func() response { return s.send(request{Method: http.MethodGet, Path: "/readyz"}) })
	}
	instance.Start(t)
	for _, s := range replicas {
		awaitStatus(t, http.StatusOK, func() response { return change(s, "when it is back") })
		awaitStatus(t, http.StatusOK, func() response { return s.send(request{Method: http.MethodGet, Path: "/readyz"}) })
	}

	// A key that is revoked next to them is rejected by both.
	replicas[0].mustRun("", "keys", "revoke", replicas[0].keyID(key))
	for _, s := range replicas {
		awaitStatus(t, http.StatusUnauthorized, func() response { return change(s, "revoked") })
	}
}

// TestFleetRateLimit sends more requests than a key's limit allows, through three servers on a database: together they allow the limit.
func TestFleetRateLimit(t *testing.T) {
	t.Parallel()
	const limit, requests, callers = 240, 600, 12
	database := postgrestest.New(t)
	fleet := []*server{serve(t, database), serve(t, database), serve(t, database)}
	key := strings.TrimSpace(fleet[0].mustRun("", "keys", "create", "--organization", "acme", "--name", "test", "--rate-limit", strconv.Itoa(limit)))
	var allowed, rejected atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for caller := range callers {
		all.Go(func() {
			for n := range requests / callers {
				got, err := fleet[(caller+n)%3].try(request{Method: http.MethodGet, Path: pathOf(exampleID, exampleID), Key: key})
				switch {
				case err != nil:
					t.Error(err)
				case got.Status == http.StatusNotFound:
					allowed.Add(1)
				case got.Status == http.StatusTooManyRequests:
					rejected.Add(1)
				default:
					t.Errorf("%d %s", got.Status, got.Body)
				}
				if header := got.Header.Get("RateLimit"); !regexp.MustCompile(`^"key";r=\d{1,3};t=\d+$`).MatchString(header) {
					t.Errorf("RateLimit: %s", header)
				}
			}
		})
	}
	all.Wait()
	want := limit * (1 + time.Since(begin).Minutes())
	t.Logf("%d allowed, %d rejected in %v; want %.0f", allowed.Load(), rejected.Load(), time.Since(begin), want)
	if got := float64(allowed.Load()); got < 0.9*want || got > 1.1*want {
		t.Errorf("%.0f requests were allowed, want %.0f", got, want)
	}
}
