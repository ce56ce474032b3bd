package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// once sends a creation with an idempotency key; each line is one of the header.
func (a account) once(customer, body string, lines ...string) response {
	a.t.Helper()
	return a.send(onceOf(customer, body, lines...))
}

func onceOf(customer, body string, lines ...string) request {
	return request{Method: "POST", Path: providersOf(customer), Body: body, Header: http.Header{"Idempotency-Key": lines}}
}

const hospital = `{"providerType":"Hospital","city":"Springfield"}`

// same fails unless the response of a repeated creation is that of the creation.
func same(t testing.TB, what string, got, created response) {
	t.Helper()
	if created.Status != http.StatusCreated {
		t.Fatalf("the creation: %d %s", created.Status, created.Body)
	}
	for _, name := range []string{"ETag", "Location", "Content-Type"} {
		if got.Header.Get(name) != created.Header.Get(name) {
			t.Errorf("%s: %s %q, want %q", what, name, got.Header.Get(name), created.Header.Get(name))
		}
	}
	if got.Status != http.StatusCreated || got.Body != created.Body {
		t.Errorf("%s:\ngot  %d %s\nwant 201 %s", what, got.Status, got.Body, created.Body)
	}
}

var keyReused = func() string {
	const message = "The Idempotency-Key was used for a creation with another customer or other properties within the last 24 hours. Nothing was changed; repeat that request unchanged, or send this one with a new key."
	return strings.Replace(strings.Replace(rejection([]fieldError{{
		Path: []string{"Idempotency-Key"}, Code: "key_reused", Message: "Idempotency-Key must be a new key.", Expected: "a new key", Received: "a key of another creation",
	}}), "The request has an error: Idempotency-Key must be a new key.", message, 1), "VALIDATION_ERROR", "IDEMPOTENCY_KEY_REUSED", 1)
}()

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer, elsewhere := a.newRecord().customer, a.newRecord().customer
	created := a.once(customer, hospital, `"a key"`)
	if tag := created.Header.Get("ETag"); tag != `"1"` {
		t.Errorf("ETag %s", tag)
	}
	repeat := func(what string) {
		t.Helper()
		same(t, what, a.once(customer, hospital, `"a key"`), created)
	}
	repeat("again")
	same(t, "the same written otherwise", a.once(strings.ToUpper(customer), ` {"city": "Spring\u0066ield", "fax": null, "providerType": "Hospital"}`, `"a key"`), created)
	same(t, "with another API key", account{a.server, "acme", a.newKey("acme")}.once(customer, hospital, `"a key"`), created)

	path := created.Header.Get("Location")
	a.send(request{Path: path, Body: `{"city":"Shelbyville","isActive":true}`})
	repeat("after a change")
	a.send(request{Path: path, Body: `{"customerId":"` + elsewhere + `"}`})
	repeat("after a move")
	a.send(request{Method: "DELETE", Path: pathOf(elsewhere, created.properties(t)["id"].(string))})
	repeat("after the deletion")
	if got := a.send(request{Method: "GET", Path: path}); got.Body != providerNotFound {
		t.Errorf("the record was created again: %d %s", got.Status, got.Body)
	}
	if got := len(a.list(customer, "")); got != 1 {
		t.Errorf("%d records, want the imported one", got)
	}
}

// TestIdempotencyKeyReused sends other creations with a key that was used.
func TestIdempotencyKeyReused(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer, elsewhere := a.newRecord().customer, a.newRecord().customer
	created := a.once(customer, hospital, `"a key"`)
	for name, got := range map[string]response{
		"another value":         a.once(customer, `{"providerType":"Hospital","city":"Shelbyville"}`, `"a key"`),
		"another property":      a.once(customer, `{"providerType":"Hospital","state":"Springfield"}`, `"a key"`),
		"one more":              a.once(customer, `{"providerType":"Hospital","city":"Springfield","isActive":false}`, `"a key"`),
		"another customer":      a.once(elsewhere, hospital, `"a key"`),
		"a customer who is not": a.once(uuid.NewString(), hospital, `"a key"`),
	} {
		if got.Status != http.StatusUnprocessableEntity || got.Body != keyReused {
			t.Errorf("%s: %d %s\nwant 422 %s", name, got.Status, got.Body, keyReused)
		}
	}

	b := a.account("other")
	others := b.once(b.newRecord().customer, hospital, `"a key"`)
	if others.Status != http.StatusCreated || others.Header.Get("Location") == created.Header.Get("Location") {
		t.Errorf("another organization: %d %s", others.Status, others.Body)
	}
	for range 2 {
		if got := a.send(request{Method: "POST", Path: providersOf(customer), Body: hospital}); got.Status != http.StatusCreated {
			t.Errorf("without a key: %d %s", got.Status, got.Body)
		}
	}
	same(t, "the first again", a.once(customer, hospital, `"a key"`), created)
	if got := len(a.list(customer, "")); got != 4 {
		t.Errorf("%d records, want the imported one, the first and the two that were created without a key", got)
	}
}

// TestIdempotencyKeyForm creates a record under a key in each form, and then under the same key in its other form.
func TestIdempotencyKeyForm(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := a.newRecord().customer
	var printable strings.Builder
	for c := ' '; c <= '~'; c++ {
		printable.WriteRune(c)
	}
	quoted := func(text string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	kinds := map[string]bool{}
	for _, c := range []struct{ one, other string }{
		{"8e03978e-40d5-43dd-bc93-6894a57f9324", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`},
		{"8E03978E-40D5-43DD-BC93-6894A57F9324", `"8E03978E-40D5-43DD-BC93-6894A57F9324"`},
		{"x", `  "x"  `}, {"100%25", `"100%25"`}, {"100%", `"100%"`}, {`a\b`, `"a\\b"`}, {`a\\b`, `"a\\\\b"`}, {"a;b=1", `"a;b=1"`}, {"'a'", `"'a'"`},
		{quoted(printable.String()), quoted(printable.String())},
		{`"a,b"`, `"a,b"`}, {`"a, b"`, `"a, b"`}, {`" "`, `" "`}, {`"\""`, `"\""`},
		{strings.Repeat("a", 255), quoted(strings.Repeat("a", 255))}, {quoted(strings.Repeat(`"`, 255)), quoted(strings.Repeat(`"`, 255))},
	} {
		created := a.once(customer, hospital, c.one)
		same(t, c.other, a.once(customer, hospital, c.other), created)
		kinds[created.Body] = true
	}
	if len(kinds) != 16 {
		t.Errorf("%d records, want one for each key", len(kinds))
	}
	form := "1 to 255 printable ASCII characters in double quotes, or without them if there is no space, comma or double quote"
	malformed := rejection([]fieldError{{
		Path: []string{"Idempotency-Key"}, Code: "invalid_format", Message: "Idempotency-Key must be " + form + ".", Expected: form, Received: "another string",
	}})
	for name, lines := range map[string][]string{
		"empty": {``}, "an empty string": {`""`}, "256 characters": {strings.Repeat("a", 256)}, "256 in quotes": {quoted(strings.Repeat("a", 256))},
		"one quote": {`"a`}, "a quote at the end": {`a"`}, "a quote within": {`"a"b"`}, "a space": {`a b`}, "a comma": {`a,b`}, "a parameter": {`"a";b=1`},
		"another escape": {`"a\n"`}, "an escape without an end": {`"a\"`}, "two lines": {`a`, `a`}, "two strings": {`"a"`, `"a"`}, "a letter beyond ASCII": {`"é"`}, "a tab": {"\"a\tb\""},
	} {
		if got := a.once(customer, hospital, lines...); got.Status != http.StatusUnprocessableEntity || got.Body != malformed {
			t.Errorf("%s: %d %s\nwant 422 %s", name, got.Status, got.Body, malformed)
		}
	}
	if got := a.once(customer, hospital, "\"\xff\""); got.Status != http.StatusUnprocessableEntity {
		t.Errorf("bytes that are no text: %d %s", got.Status, got.Body)
	}
}

// TestIdempotencyKeyRejected has creations that fail. Their key can be used again, by another one.
func TestIdempotencyKeyRejected(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := a.newRecord().customer
	for name, got := range map[string]response{"an invalid body": a.once(customer, `{"city":1}`, "a"), "no customer": a.once(uuid.NewString(), hospital, "a")} {
		if got.Status != http.StatusUnprocessableEntity && got.Body != noSuchCustomer {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	same(t, "again", a.once(customer, hospital, "a"), a.once(customer, hospital, "a"))
}

// TestIdempotencyKeyAtOnce sends 20 requests with one key at the same time.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := a.newRecord().customer
	got := atOnce(t, []account{a}, onceOf(customer, hospital, "a"))
	for _, one := range got {
		same(t, "one of them", one, got[0])
	}
	if n := len(a.list(customer, "")); n != 2 {
		t.Errorf("%d records, want the imported one and a new one", n)
	}
}

// atOnce has 20 callers send the same request, each to the next of the accounts.
func atOnce(t *testing.T, accounts []account, r request) []response {
	t.Helper()
	responses := make([]response, 20)
	var all sync.WaitGroup
	for n := range responses {
		all.Go(func() {
			a, r := accounts[n%len(accounts)], r
			r.Key = a.key
			var err error
			if responses[n], err = a.try(r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return responses
}

// TestIdempotencyKeyExpires moves the store's clock.
func TestIdempotencyKeyExpires(t *testing.T) {
	t.Parallel()
	a, clock := serveWithStoreClock(t)
	customer := a.newRecord().customer
	first := a.once(customer, hospital, "a")
	clock.Move(provider.KeyLifetime - time.Millisecond)
	same(t, "just before 24 hours", a.once(customer, hospital, "a"), first)
	clock.Move(time.Millisecond)
	second := a.once(customer, `{"providerType":"Pharmacy"}`, "a")
	if second.Status != http.StatusCreated || second.Header.Get("Location") == first.Header.Get("Location") {
		t.Errorf("after 24 hours: %d %s, want a new record", second.Status, second.Body)
	}
	same(t, "the new one again", a.once(customer, `{"providerType":"Pharmacy"}`, "a"), second)
	if n := len(a.list(customer, "")); n != 3 {
		t.Errorf("%d records, want the imported one and two new ones", n)
	}
}

// serveWithStoreClock is like serveWithClock, with a store that uses the clock.
func serveWithStoreClock(t *testing.T) (account, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock(time.Now())
	s := &server{t: t, database: filepath.Join(t.TempDir(), "test.db"), log: newBuffer(), transport: newTransport(t), asked: &sync.Map{}}
	store, err := sqlite.Open(t.Context(), s.database, sqlite.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	handler, recorder, key := newHandler(t, store, store, s.log)
	s.serve(handler, recorder)
	return account{s, "acme", key}, clock
}

// TestIdempotencyKeyKept repeats a creation after a restart, and looks for the key in what is kept.
func TestIdempotencyKeyKept(t *testing.T) {
	t.Parallel()
	const secret = "key-7f3a-of-a-creation"
	a := newServer(t).account("acme")
	customer := a.newRecord().customer
	created := a.once(customer, hospital, secret)
	a.send(request{Path: created.Header.Get("Location"), Body: `{"city":null}`})
	a.stop()
	restarted := account{serve(t, a.database), "acme", a.key}
	same(t, "after a restart", restarted.once(customer, hospital, `"`+secret+`"`), created)
	restarted.stop()

	kept, err := os.ReadFile(a.database)
	if err != nil {
		t.Fatal(err)
	}
	kept = append(kept, a.log.String()+restarted.log.String()...)
	if bytes.Contains(kept, []byte(secret)) {
		t.Error("the key is in the database or in the log")
	}
}

// TestIdempotencyKeyArchived repeats a creation whose first event the operator has removed.
func TestIdempotencyKeyArchived(t *testing.T) {
	t.Parallel()
	a, clock := serveWithStoreClock(t)
	customer := a.newRecord().customer
	clock.Move(-20 * time.Hour)
	created := a.once(customer, hospital, "a")
	path := created.Header.Get("Location")
	clock.Move(20 * time.Hour)
	changed := a.send(request{Path: path, Body: `{"city":"Shelbyville"}`})
	store, err := sqlite.Open(t.Context(), a.database, sqlite.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	removed, err := provider.Archive(t.Context(), store, clock.Now().Add(-time.Hour), func([]provider.OrganizationEvent) error { return nil })
	if err != nil || removed != 1 {
		t.Fatalf("%d events were archived, error %v", removed, err)
	}
	got := a.once(customer, hospital, "a")
	if got.Status != http.StatusCreated || got.Body != changed.Body || got.Header.Get("ETag") != `"2"` || got.Header.Get("Location") != path {
		t.Errorf("got  %d %v %s\nwant 201 %s", got.Status, got.Header, got.Body, changed.Body)
	}
	a.send(request{Method: "DELETE", Path: path})
	if got := a.once(customer, hospital, "a"); got.Status != http.StatusNotFound || got.Body != providerNotFound {
		t.Errorf("after the deletion: %d %s", got.Status, got.Body)
	}
	if got := a.once(customer, hospital, "b"); got.Status != http.StatusCreated {
		t.Errorf("another key: %d %s", got.Status, got.Body)
	}
}
