package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// What is looked for. A text and an id that occur nowhere by chance.
const (
	canary   = "tweet-7f3a"
	canaryID = "c0ffee11-0d44-4b50-8888-8dd25736052a"
)

// TestCanary sends a canary in every place that a value can be put in, and forces every error. It comes back in none of
// their responses, and is in no line of the log and in no metric. The
// audit trail has IDs, and nothing else of it.
func TestCanary(t *testing.T) {
	t.Parallel()
	trail := filepath.Join(t.TempDir(), "audit.log")
	a := serve(t, filepath.Join(t.TempDir(), "test.db"), "--audit", trail).account("acme")
	r := a.newRecord()
	everywhere := changes{}
	for _, f := range fields {
		everywhere[f.name] = canary
	}
	text := asJSON(everywhere)
	wrongTypes := strings.ReplaceAll(text, `"`+canary+`"`, `["`+canary+`"]`)
	tooLong := strings.ReplaceAll(text, canary, strings.Repeat(canary, 101))
	short := asJSON(changes{"city": canary, "notes": canary})
	readOnly, limited := a.newKey("acme", "--permission", "providers:read"), a.newKey("acme", "--rate-limit", "1")
	with := func(header string, lines ...string) http.Header { return http.Header{header: lines} }

	for _, c := range []struct {
		status int
		request
	}{
		{200, request{Body: short}},
		{400, request{Body: canary}},
		{400, request{Body: short[:len(short)-2]}},
		{400, request{Body: short + canary}},
		{400, request{Body: `{"city":` + canary + `}`}},
		{400, request{Body: `{"` + canary + ` ` + canary + `":}`}},
		{400, request{Body: "{\"city\":\"" + canary + "\xff\"}"}},
		{400, request{Body: `{"city":"` + canary + `\ud800"}`}},
		{400, request{Body: strings.Repeat(`{"`+canary+` ":`, 100)}},
		{401, request{Header: with("X-Api-Key", canary), Body: short}},
		{401, request{Header: with("X-Api-Key", "cc_"+canary), Body: short}},
		{401, request{Header: with("X-Api-Key", canary, canary), Body: short}},
		{401, request{Header: with("X-Api-Key"), Body: text}},
		{403, request{Key: readOnly, Body: text}},
		{404, request{Path: "/" + canary, Body: short}},
		{404, request{Path: r.path() + "/" + canary, Body: short}},
		{404, request{Path: pathOf(canaryID, canaryID), Body: short}},
		{405, request{Method: http.MethodPut, Body: short}},
		{405, request{Method: canary, Body: short}},
		{405, request{Method: http.MethodPost, Path: "/docs?" + canary, Body: short}},
		{412, request{Header: with("If-Match", `"`+canary+`"`), Body: short}},
		{413, request{Body: strings.Repeat(canary, 10_000)}},
		{413, request{Body: strings.Repeat(canary, 10_000), Stream: true}},
		{415, request{Header: with("Content-Type", canary), Body: short}},
		{415, request{Header: with("Content-Type", canary+"/"+canary+"; "+canary+"="+canary), Body: short}},
		{415, request{Header: with("Content-Type", "application/json; charset="+canary), Body: short}},
		{415, request{Header: with("Content-Encoding", canary), Body: short}},
		{422, request{Body: text}},
		{422, request{Body: tooLong}},
		{422, request{Body: wrongTypes}},
		{422, request{Body: `"` + canary + `"`}},
		{422, request{Body: `["` + canary + `"]`}},
		{422, request{Body: `{"city":"` + canary + `","city":"` + canary + `"}`}},
		{422, request{Body: `{"city":"` + canary + `\u0000"}`}},
		{422, request{Body: `{"unknown":"` + canary + `"}`}},
		{422, request{Body: `{"unknown":{"city":"` + canary + `"},"city":{"` + canary + ` ":"` + canary + `"}}`}},
		{422, request{Body: `{"` + canary + ` x":"` + canary + `"}`}},
		{422, request{Body: asJSON(changes{"customerId": canaryID, "city": canary})}},
		{422, request{Path: pathOf(canary, canary), Body: short}},
		{422, request{Path: pathOf(r.customer, "%7B"+canaryID+"%7D"), Body: short}},
		{422, request{Header: with("If-Match", canary), Body: short}},
		{200, request{Method: "GET", Header: with("If-None-Match", `"`+canary+`"`)}},
		{422, request{Method: "GET", Header: with("If-None-Match", canary)}},
		{404, request{Method: "GET", Path: pathOf(canaryID, canaryID), Header: with("If-None-Match", `*`)}},
		{422, request{Method: "GET", Path: providersOf(r.customer)}},
		{422, request{Method: "GET", Path: providersOf(canary)}},
		{422, request{Method: "GET", Path: providersOf(r.customer) + "?providerType=" + canary + "&isActive=" + canary + "&limit=" + canary + "&cursor=" + canary + "&x"}},
		{422, request{Method: "GET", Path: r.path() + "/history"}},
		{201, request{Method: "POST", Path: providersOf(r.customer), Body: asJSON(changes{"providerType": "Hospital", "notes": canary})}},
		{201, request{Method: "POST", Path: providersOf(r.customer), Header: with("Idempotency-Key", canary), Body: asJSON(changes{"providerType": "Hospital", "notes": canary})}},
		{201, request{Method: "POST", Path: providersOf(r.customer), Header: with("Idempotency-Key", canary), Body: asJSON(changes{"providerType": "Hospital", "notes": canary})}},
		{422, request{Method: "POST", Path: providersOf(r.customer), Header: with("Idempotency-Key", canary), Body: asJSON(changes{"providerType": "Hospital", "city": canary})}},
		{422, request{Method: "POST", Path: providersOf(r.customer), Header: with("Idempotency-Key", `"`+canary), Body: asJSON(changes{"providerType": "Hospital"})}},
		{400, request{Header: with("Idempotency-Key", canary), Body: short}},
		{422, request{Method: "POST", Path: providersOf(r.customer), Body: short}},
		{422, request{Method: "POST", Path: providersOf(r.customer), Body: text}},
		{404, request{Method: "POST", Path: providersOf(canaryID), Body: asJSON(changes{"providerType": "Hospital", "notes": canary})}},
		{412, request{Method: "DELETE", Header: with("If-Match", `"`+canary+`"`)}},
		{400, request{Method: "DELETE", Header: with("If-None-Match", `"`+canary+`"`)}},
		{400, request{Method: "DELETE", Header: with("If-Unmodified-Since", canary)}},
		{422, request{Method: "DELETE", Header: with("If-Match", canary)}},
		{404, request{Method: "DELETE", Path: pathOf(canaryID, canaryID)}},
	} {
		a.expectNoCanary(c.request, r, c.status)
	}
	a.askedEverything()

	for name, over := range map[string]request{"the key": {Key: limited, Body: short}, "wrong keys": {Header: with("X-Api-Key", canary), Body: short}} {
		await.State(t, "the limit of "+name, func() bool { return a.expectNoCanary(over, r, 0).Status == http.StatusTooManyRequests })
	}
	for _, malformed := range []string{
		"PATCH /" + canary + " HTTP/" + canary, "PATCH /%zz" + canary + " HTTP/1.1\r\nHost: x", "PATCH / HTTP/1.1\r\nHost: " + canary + "\x00",
		"PATCH / HTTP/1.1\r\nHost: x\r\n" + canary, "PATCH / HTTP/1.1\r\nHost: x\r\n" + canary + "é: " + canary, canary,
		"PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + canary, "PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: " + canary,
		"PATCH / HTTP/1.1\r\nHost: x\r\nExpect: " + canary, "PATCH / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(canary, 3_000),
	} {
		c := a.connect()
		c.write("%s\r\n\r\n", malformed)
		if got := c.readResponse(); got.Status < 400 || holdsCanary(got.Body, fmt.Sprint(got.Header)) {
			t.Errorf("%.80q gets %v", malformed, got)
		}
	}
	a.expectNoCanaryKept()
	expectNoCanaryInTrail(t, trail, a.key, readOnly, limited)
}

// TestCanaryInFailure has a store that fails with a canary, in each way that a store can.
func TestCanaryInFailure(t *testing.T) {
	t.Parallel()
	down := errors.New("the disk is full")
	for name, c := range map[string]struct {
		status int
		fail   func() error
	}{
		"an error":              {500, func() error { return errors.New(canary) }},
		"a wrapped error":       {500, func() error { return fmt.Errorf("save %s: %w", canaryID, errors.Join(io.EOF, errors.New(canary))) }},
		"a fault":               {500, func() error { return provider.Internal(down) }},
		"a panic of text":       {500, func() error { panic(canary) }},
		"a panic of an error":   {500, func() error { panic(errors.New(canary)) }},
		"a panic of a record":   {500, func() error { panic(provider.Provider{Values: property.Values{property.Notes: property.Text(canary)}}) }},
		"a panic of a slice":    {500, func() error { panic([]string{canary}) }},
		"a panic of Go's":       {500, func() error { return []error{nil}[len(canary)] }},
		"a panic of Go's, too":  {500, func() error { return any(canary).(error) }},
		"busy":                  {503, func() error { return provider.Unavailable(time.Second, down) }},
		"down":                  {503, func() error { return provider.Unavailable(5*time.Second, down) }},
		"of an unknown outcome": {503, func() error { return fmt.Errorf("%s: %w", canary, provider.OutcomeUnknown(down)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serveFailing(t, c.fail)
			values := asJSON(changes{"customerId": canaryID, "city": canary, "notes": canary})
			of := record{canaryID, canaryID}
			for _, r := range []request{
				{Body: values},
				{Method: "POST", Path: providersOf(canaryID), Body: asJSON(changes{"providerType": "Hospital", "notes": canary})},
				{Method: "DELETE", Header: http.Header{"If-Match": {`"` + canary + `", "7"`}}},
				{Method: "GET", Header: http.Header{"If-None-Match": {`"` + canary + `"`}}},
			} {
				got := a.expectNoCanary(r, of, c.status)
				if wait := got.Header.Get("Retry-After"); (c.status == http.StatusServiceUnavailable) != (wait != "") {
					t.Errorf("Retry-After is %q", wait)
				}
				if line := a.log.waitFor(t, got.Header.Get("X-Request-Id")); !strings.Contains(line, `"ERROR"`) {
					t.Errorf("the log does not tell of a failure: %s", line)
				}
			}
			for _, path := range []string{providersOf(canaryID), of.path() + "/history"} {
				if got := a.send(request{Method: "GET", Path: path}); got.Status != c.status || holdsCanary(got.Body) {
					t.Errorf("GET %s: %d %s", path, got.Status, got.Body)
				}
			}
			a.expectNoCanaryKept()
		})
	}
}

// expectNoCanary sends a request with canaries in its headers and its query. Without a Path it goes to the record; a
// status of 0 is any. A success is expected to have the canary.
func (a account) expectNoCanary(r request, of record, status int) response {
	a.t.Helper()
	if r.Path == "" {
		r.Path = of.path()
	}
	separator := "?"
	if strings.Contains(r.Path, "?") {
		separator = "&"
	}
	r.Path += separator + canary + "%20=" + canary
	header := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Language", "Authorization", "Cookie", "Forwarded", "From", "Origin", "Range", "Referer", "Traceparent", "Tracestate",
		"Baggage", "User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Correlation-Id", "X-" + canary,
	} {
		header.Set(name, canary)
	}
	for name, lines := range r.Header {
		header[name] = lines
	}
	r.Header = header
	got := a.send(r)
	if status != 0 && got.Status != status {
		a.t.Errorf("%s %.100s %.100s: %d %s, want %d", r.Method, r.Path, r.Body, got.Status, got.Body, status)
	}
	if found := holdsCanary(got.Body, fmt.Sprint(got.Header)); found != (got.Status/100 == 2) {
		a.t.Errorf("%s %.100s %.100s: the canary is in the response: %t\n%d %v %s", r.Method, r.Path, r.Body, found, got.Status, got.Header, got.Body)
	}
	return got
}

// expectNoCanaryKept looks at the metrics and, when the server has stopped and so written all of it, at the log.
func (a account) expectNoCanaryKept() {
	a.t.Helper()
	metrics := a.metrics()
	if !strings.Contains(metrics, "updateCustomerProvider") {
		a.t.Errorf("these are not the metrics:\n%s", metrics)
	}
	a.stop()
	for line := range strings.Lines(a.log.String() + metrics) {
		if holdsCanary(line) {
			a.t.Errorf("the canary is in the line %s", line)
		}
	}
}

// holdsCanary reports whether a text has a canary, in any form: Go prints the bytes of an id in two more.
func holdsCanary(texts ...string) bool {
	for _, text := range texts {
		text = strings.ToLower(text)
		for _, form := range []string{canary, "c0ffee11", "192 255 238 17", "0xc0, 0xff, 0xee, 0x11"} {
			if strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}
