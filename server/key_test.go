package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/apikey"
)

var unauthorized = problem("UNAUTHORIZED",
	"The API key in the header x-api-key is missing or not valid. Keys begin with cc_; check that it is complete, and neither expired nor revoked.")

// TestKeyInvalid sends invalid keys. All get the same response.
func TestKeyInvalid(t *testing.T) {
	t.Parallel()
	unknown := apikey.Generate()
	wrong := unknown[:len(unknown)-1] + string('0'+(unknown[len(unknown)-1]+1)%10)
	as := func(lines ...string) func(account) []string { return func(account) []string { return lines } }
	cases := []struct {
		name  string
		lines func(account) []string // of the header
	}{
		{"no header", as()},
		{"empty", as("")},
		{"unknown", as(unknown)},
		{"a wrong character", as(wrong)},
		{"no prefix", as(unknown[3:])},
		{"another prefix", as("sk_" + unknown[3:])},
		{"the prefix alone", as("cc_")},
		{"the prefix in capitals", as("CC_" + unknown[3:])},
		{"too short", as(unknown[:len(unknown)-1])},
		{"too long", as(unknown + "0")},
		{"very long", as("cc_" + strings.Repeat("0", 8000))},
		{"not ASCII", as("cc_" + strings.Repeat("é", 18))},
		{"the documented placeholder", as("<api-key>")},
		{"a space within", func(a account) []string { return []string{a.key[:20] + " " + a.key[20:]} }},
		{"in capitals", func(a account) []string { return []string{strings.ToUpper(a.key)} }},
		{"a bearer", func(a account) []string { return []string{"Bearer " + a.key} }},
		{"in quotes", func(a account) []string { return []string{`"` + a.key + `"`} }},
		{"doubled in a line", func(a account) []string { return []string{a.key + ", " + a.key} }},
		{"doubled", func(a account) []string { return []string{a.key, a.key} }},
		{"a line that is empty, and another", func(a account) []string { return []string{"", a.key} }},
		{"expired", func(a account) []string { return []string{a.newKey("acme", "--expires", "1ms")} }},
		{"revoked", func(a account) []string {
			key := a.newKey("acme")
			a.mustRun("", "keys", "revoke", a.keyID(key))
			return []string{key}
		}},
	}
	// A server tells an address ten times that its key is wrong before it slows it down.
	for some := range slices.Chunk(cases, 10) {
		a := newServer(t).account("acme")
		var facts []scenario
		for _, one := range some {
			facts = append(facts, scenario{
				name: one.name, request: request{Header: http.Header{"X-Api-Key": one.lines(a)}, Body: `{"city":"x"}`},
				status: http.StatusUnauthorized, body: unauthorized,
			})
		}
		a.runScenarios(t, facts)
	}
}

// keyID finds a key in the list by the start of its secret.
func (s *server) keyID(secret string) string {
	s.t.Helper()
	for line := range strings.Lines(s.mustRun("", "keys", "list")) {
		if columns := strings.Split(line, "\t"); strings.HasPrefix(columns[1], apikey.Prefix(secret)) {
			return columns[0]
		}
	}
	s.t.Fatal("the key is not listed")
	return ""
}

// TestKeyPermission uses keys that are valid and yet may not, or may.
func TestKeyPermission(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	with := func(name string, f scenario, flags ...string) scenario {
		f.name, f.Header = name, http.Header{"X-Api-Key": {a.newKey("acme", flags...)}}
		return f
	}
	allowed := accepted("", changes{"city": "x"})
	forbidden := scenario{request: request{Body: `{`}, status: http.StatusForbidden, body: problem("FORBIDDEN", "This API key lacks the permission providers:write.")}
	a.runScenarios(t, []scenario{
		with("both permissions", allowed),
		with("write", allowed, "--permission", "providers:write"),
		with("read and write", allowed, "--permission", "providers:read,providers:write"),
		with("expires later", allowed, "--expires", "1h"),
		with("read", forbidden, "--permission", "providers:read"),
	})
}

// TestKeyPermissionOfOperations asks each operation with a key that may read and with one that may write.
func TestKeyPermissionOfOperations(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	reader, writer := a.newKey("acme", "--permission", "providers:read"), a.newKey("acme", "--permission", "providers:write")
	for _, operation := range []struct {
		method  string
		path    func(record) string
		allowed int // the status
		by      string
	}{
		{"GET", record.path, 200, reader},
		{"GET", func(r record) string { return providersOf(r.customer) }, 200, reader},
		{"GET", func(r record) string { return r.path() + "/history" }, 200, reader},
		{"PATCH", record.path, 200, writer},
		{"POST", func(r record) string { return providersOf(r.customer) }, 201, writer},
		{"DELETE", record.path, 200, writer},
	} {
		r := a.newRecord()
		for _, key := range []string{reader, writer} {
			want := http.StatusForbidden
			if key == operation.by {
				want = operation.allowed
			}
			path := operation.path(r)
			got := a.send(request{Method: operation.method, Path: path, Key: key, Body: `{"providerType":"Hospital"}`})
			if got.Status != want {
				t.Errorf("%s %s: %d %s, want %d", operation.method, path, got.Status, got.Body, want)
			}
		}
	}
	a.askedEverything()
}

// TestKeyRevoked revokes a key that the server has seen just now: it takes hold within 5 seconds.
func TestKeyRevoked(t *testing.T) {
	t.Parallel()
	a, clock := serveWithClock(t)
	path := a.newRecord().path()
	secret := a.newKey("acme")
	use := func() int { return a.send(request{Path: path, Key: secret, Body: `{}`}).Status }
	if status := use(); status != http.StatusOK {
		t.Fatalf("before: %d", status)
	}
	a.mustRun("", "keys", "revoke", a.keyID(secret))
	clock.Set(time.Now().Add(5 * time.Second)) // the command uses the real clock
	if status := use(); status != http.StatusUnauthorized {
		t.Errorf("5 seconds after the revocation: %d", status)
	}
	if status := a.send(request{Path: path, Body: `{}`}).Status; status != http.StatusOK {
		t.Errorf("another key: %d", status)
	}
}

// TestKeyRateLimit uses up the limit of one key.
func TestKeyRateLimit(t *testing.T) {
	t.Parallel()
	a, clock := serveWithClock(t)
	path := a.newRecord().path()
	limited := a.newKey("acme", "--rate-limit", "2")
	use := func() response { return a.send(request{Path: path, Key: limited, Body: `{}`}) }
	for n := 1; n <= 2; n++ {
		got := use()
		if got.Status != http.StatusOK {
			t.Fatalf("request %d: %d %s", n, got.Status, got.Body)
		}
		if left := fmt.Sprintf(`"key";r=%d;t=%d`, 2-n, n*30); got.Header.Get("RateLimit") != left || got.Header.Get("RateLimit-Policy") != `"key";q=2;w=60` {
			t.Errorf("request %d: headers %v", n, got.Header)
		}
	}
	if got := a.send(request{Path: path, Body: `{}`}); got.Header.Get("RateLimit") != "" {
		t.Errorf("a key without a limit has one: %v", got.Header)
	}
	tooMany(t, a.send(request{Path: path, Key: limited, Body: `{"city":"x"}`}), 30)
	if got := a.send(request{Path: path, Body: `{}`}); got.properties(t)["city"] != "old city" {
		t.Errorf("the request over the limit was carried out: %s", got.Body)
	}
	clock.Move(29 * time.Second)
	tooMany(t, use(), 1)
	clock.Move(time.Second)
	if got := use(); got.Status != http.StatusOK {
		t.Errorf("after the wait: %d %s", got.Status, got.Body)
	}

	c := a.client(a.newKey("acme", "--rate-limit", "1"))
	update := func() error {
		_, err := c.UpdateProvider(context.Background(), client.CustomerID{}, client.ProviderID{}, client.ProviderUpdate{})
		return err
	}
	if err := update(); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("the client, within the limit: %v", err)
	}
	var limit *client.Error
	if err := update(); !errors.Is(err, client.ErrRateLimited) || !errors.As(err, &limit) || limit.RetryAfter < 30*time.Second || limit.RetryAfter > time.Minute {
		t.Errorf("the client, over the limit: %v", err)
	}
}

// tooMany expects a 429 that asks for a wait of so many seconds.
func tooMany(t *testing.T, got response, seconds int) {
	t.Helper()
	want := asJSON(client.RateLimitResponse{
		Code: "RATE_LIMIT_EXCEEDED", Message: "Too many requests; wait as many seconds as retryAfter says.", RetryAfter: seconds,
	})
	if got.Status != http.StatusTooManyRequests || got.Body != want || got.Header.Get("Retry-After") != strconv.Itoa(seconds) {
		t.Errorf("got %d, Retry-After %q, %s", got.Status, got.Header.Get("Retry-After"), got.Body)
	}
}

// TestKeyGuessing slows down an address that tries keys, and nobody else.
func TestKeyGuessing(t *testing.T) {
	t.Parallel()
	a, clock := serveWithClock(t)
	path := a.newRecord().path()
	for n := 1; n <= 10; n++ {
		if got := a.send(request{Path: path, Key: apikey.Generate(), Body: `{}`}); got.Status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d %s", n, got.Status, got.Body)
		}
	}
	tooMany(t, a.send(request{Path: path, Key: apikey.Generate(), Body: `{}`}), 6)
	if got := a.send(request{Path: path, Body: `{}`}); got.Status != http.StatusOK {
		t.Errorf("a valid key from the same address: %d %s", got.Status, got.Body)
	}
	clock.Move(6 * time.Second)
	if got := a.send(request{Path: path, Key: apikey.Generate(), Body: `{}`}); got.Status != http.StatusUnauthorized {
		t.Errorf("a guess after the wait: %d %s", got.Status, got.Body)
	}
}

// TestKeyFlood sends many wrong keys: beyond the limit they share a line of the log each second. A key that was created in the
// meantime works from the same address.
func TestKeyFlood(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	const requests = 300
	rejected := 0
	flood := func() {
		for range requests {
			if got := a.send(request{Path: path, Key: apikey.Generate(), Body: `{}`}); got.Status == http.StatusTooManyRequests {
				rejected++
			}
		}
	}
	flood()
	key := a.newKey("acme")
	awaitStatus(t, http.StatusOK, func() response { return a.send(request{Path: path, Key: key, Body: `{}`}) })
	a.log.waitFor(t, "requests with wrong keys were rejected")
	flood()
	a.stop() // before the last second is over
	counted := 0
	for line := range strings.Lines(a.log.String()) {
		var summary struct {
			Msg                 string
			Requests, Addresses int
		}
		if err := json.Unmarshal([]byte(line), &summary); err == nil && strings.HasPrefix(summary.Msg, "requests with wrong keys") && summary.Addresses == 1 {
			counted += summary.Requests
		}
	}
	if counted < rejected {
		t.Errorf("the log counts %d of %d rejected requests", counted, rejected)
	}
	if lines := strings.Count(a.log.String(), `"status":429`); lines != 0 || rejected < requests/2 {
		t.Errorf("%d of %d requests were rejected, with %d lines of their own, want none", rejected, requests, lines)
	}
}

// TestKeyKept looks for keys in everything that the server writes: there is nothing of them but their first characters.
func TestKeyKept(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	a.send(request{Path: a.newRecord().path(), Body: `{"city":"x"}`})
	next := strings.TrimSpace(a.mustRun("", "keys", "rotate", a.keyID(a.key)))
	var kept []byte
	for _, companion := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(a.database + companion)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, content...)
	}
	a.stop() // the log is whole then
	kept = append(kept, a.log.String()+a.mustRun("", "keys", "list")...)
	for _, secret := range []string{a.key, next} {
		shown := apikey.Prefix(secret)
		if !bytes.Contains(kept, []byte(shown)) || bytes.Contains(kept, []byte(secret[len(shown):])) {
			t.Errorf("of a key that begins with %s, not its first characters alone are kept", shown)
		}
	}
}

// TestKeyBeforeBody begins a body and never ends it. Without a valid key the response does not wait for it.
func TestKeyBeforeBody(t *testing.T) {
	t.Parallel()
	c := newServer(t).connect()
	c.write("PATCH %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", pathOf(exampleID, exampleID))
	if got := c.readResponse(); got.Status != http.StatusUnauthorized || got.Body != unauthorized {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}
