package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

func malformedIfMatch() fieldError {
	return fieldError{
		Path: []string{"If-Match"}, Code: "invalid_format", Message: "If-Match must be entity tags in double quotes, separated by commas, or *.",
		Expected: "entity tags in double quotes, separated by commas, or *", Received: "another string",
	}
}

// TestIfMatch asks for versions of a record that has version 1. Each line after a name is a line of the header.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	update := changes{"city": "city"}
	matched := scenario{status: http.StatusOK, changes: update}
	stale := scenario{status: http.StatusPreconditionFailed, body: problem("PRECONDITION_FAILED",
		"The provider has changed since the version in If-Match. Nothing was changed; read the record again and decide again.")}
	unknown := scenario{status: http.StatusPreconditionFailed, body: problem("UNKNOWN_ETAG",
		"If-Match has no ETag of this API, so it can never match. Nothing was changed; send the ETag of a response, unchanged.")}
	malformed := scenario{status: http.StatusUnprocessableEntity, fieldErrors: []fieldError{malformedIfMatch()}}
	absent := scenario{request: request{Path: pathOf(uuid.NewString(), uuid.NewString())}, status: http.StatusNotFound, body: providerNotFound}
	given := func(name string, wanted scenario, lines ...string) scenario {
		wanted.name, wanted.Body, wanted.Header = name, asJSON(update), http.Header{"If-Match": lines}
		return wanted
	}
	newServer(t).account("acme").runScenarios(t, []scenario{
		given("no header", matched),
		given("any", matched, `*`),
		given("any, with spaces", matched, ` * `),
		given("the version", matched, `"1"`),
		given("a list with the version", matched, `"7","1"`),
		given("a list with spaces", matched, "\t\"7\" ,\t\"1\" , \"8\" "),
		given("a list with a weak tag", matched, `W/"7", "1"`),
		given("empty elements", matched, `, "7",, ,"1" ,`),
		given("several lines, one empty", matched, ``, `"1"`),
		given("several lines", matched, `"7"`, `"8", "1"`),

		given("another version", stale, `"2"`),
		given("another version, weak", stale, `W/"2"`),
		given("another version and a foreign tag", stale, `"2", "a1b2-c3"`),
		given("version 0", unknown, `"0"`),
		given("a negative version", unknown, `"-1"`),
		given("beyond 64 bits", unknown, `"18446744073709551617"`),
		given("a list without the version", stale, `"2", "3"`),
		given("several lines without the version", stale, `"2"`, `"3"`),
		given("the version, weakened by a proxy", matched, `W/"1"`),
		given("the version, with a suffix of Apache", matched, `"1-gzip"`),
		given("the version, with a suffix of Jetty", matched, `"1--gzip"`),
		given("the version, weak and with a suffix", matched, `W/"1;br"`),
		given("the version, written otherwise", unknown, `"01", "+1", "1.0", "0x1"`),
		given("a foreign tag", unknown, `"a1b2-c3"`),
		given("an empty tag", unknown, `""`),
		given("a star as a tag", unknown, `"*"`),

		given("empty", malformed, ``),
		given("empty elements only", malformed, `, ,`),
		given("without quotes", malformed, `1`),
		given("one quote", malformed, `"1`),
		given("other quotes", malformed, `'1'`),
		given("w in lower case", malformed, `w/"1"`),
		given("a space in a tag", malformed, `" 1"`),
		given("a star in a list", malformed, `"1", *`),
		given("a star and another line", malformed, `*`, `"1"`),
		given("no comma", malformed, `"1" "2"`),
		given("text", malformed, `whatever`),

		given("no such provider, any version", absent, `*`),
		given("no such provider, a version", absent, `"7"`),
	})
}

// TestIfMatchByClient has two callers who start from the same version: the second one's change is not lost on the first's.
func TestIfMatchByClient(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	c := a.client(a.key)
	customer, id := a.newRecord().ids()
	update := func(city, etag string) (*client.Record, error) {
		return c.UpdateProvider(t.Context(), customer, id, client.ProviderUpdate{City: client.Set(city)}, client.IfMatch(etag))
	}
	first, err := update("first", `"1"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := update("second", `"1"`); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("a stale ETag: %v, want precondition failed", err)
	}
	if second, err := update("second", first.ETag); err != nil || *second.City != "second" || second.ETag != `"3"` {
		t.Errorf("the ETag of the response: %+v, %v", second, err)
	}
}
