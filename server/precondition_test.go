package main

import (
	"net/http"
	"testing"
)

// TestUnsupportedPrecondition sends every precondition of RFC 9110 and an idempotency key to every operation. Those that an operation
// does not have are rejected, and nothing is changed.
func TestUnsupportedPrecondition(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	honoured := map[string]string{
		"GET " + r.path(): "If-None-Match", "PATCH " + r.path(): "If-Match", "DELETE " + r.path(): "If-Match", "POST " + providersOf(r.customer): "Idempotency-Key",
	}
	for _, operation := range []struct{ method, path, body string }{
		{"GET", providersOf(r.customer), ""},
		{"HEAD", providersOf(r.customer), ""},
		{"POST", providersOf(r.customer), `{"providerType":"Hospital"}`},
		{"GET", r.path(), ""},
		{"PATCH", r.path(), `{"city":"changed"}`},
		{"DELETE", r.path(), ""},
		{"GET", r.path() + "/history", ""},
	} {
		for name, value := range map[string]string{
			"If-Match": `"7"`, "If-None-Match": `*`, "If-Modified-Since": "Thu, 26 Nov 2026 12:00:00 GMT",
			"If-Unmodified-Since": "Thu, 26 Nov 2026 12:00:00 GMT", "If-Range": `"1"`, "Idempotency-Key": `"1"`,
		} {
			got := a.send(request{Method: operation.method, Path: operation.path, Body: operation.body, Header: http.Header{name: {value}}})
			want := problem("UNSUPPORTED_PRECONDITION", "This operation does not support the precondition "+name+". Nothing was changed; send the request without that header.")
			if name == "Idempotency-Key" {
				want = problem("UNSUPPORTED_PRECONDITION", "This operation does not support Idempotency-Key. Nothing was changed; send the request without that header.")
			}
			supported := honoured[operation.method+" "+operation.path] == name
			if rejected := got.Status == http.StatusBadRequest && (got.Body == want || operation.method == "HEAD"); rejected == supported {
				t.Errorf("%s %s with %s: %d %s", operation.method, operation.path, name, got.Status, got.Body)
			}
		}
	}
	a.compare("record", a.send(request{Path: r.path(), Body: `{}`}), r.properties(nil), false)
}
