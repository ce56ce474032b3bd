package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
)

func TestErrors(t *testing.T) {
	plain := func(code string) string { return fmt.Sprintf(`{"message":"Why.","code":%q}`, code) }
	const page = "<html>customer 3c90c3cc-0d44-4b50-8888-8dd25736052a, key cc_0123456789secret, private words</html>"
	const advice = "; check the base URL, and what stands between this program and the API"
	const unknown = "; whether the change was made is not known"
	type expectation struct {
		name    string
		handler http.HandlerFunc
		text    string
		kinds   []error
	}
	expect := func(operation operation, tests ...expectation) {
		for _, test := range tests {
			t.Run(operation.name+" "+test.name, func(t *testing.T) {
				named := func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Request-Id", "r")
					test.handler(w, r)
				}
				err := operation.call(t.Context(), serve(t, named, client.WithoutRetries()))
				if err == nil {
					t.Fatal("no error")
				}
				if want := operation.name + ": " + test.text + " (request r)"; err.Error() != want {
					t.Errorf("got  %s\nwant %s", err, want)
				}
				wantKinds(t, err, test.kinds...)
			})
		}
	}

	expect(change, []expectation{
		{"bad request", respond(400, plain("BAD_REQUEST")), "400 BAD_REQUEST: Why.", nil},
		{"unauthorized", respond(401, plain("UNAUTHORIZED")), "401 UNAUTHORIZED: Why.", []error{client.ErrUnauthorized}},
		{"forbidden", respond(403, plain("FORBIDDEN")), "403 FORBIDDEN: Why.", []error{client.ErrForbidden}},
		{"not found", respond(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"a path that the API does not have", respond(404, plain("PATH_NOT_FOUND")), "404 PATH_NOT_FOUND: Why.", nil},
		{"a body that arrived too slowly", respond(408, plain("REQUEST_TIMEOUT")), "408 REQUEST_TIMEOUT: Why.", []error{client.ErrUnavailable}},
		{"a condition that can never match", respond(412, plain("UNKNOWN_ETAG")), "412 UNKNOWN_ETAG: Why.", []error{client.ErrPreconditionFailed}},
		{"precondition failed", respond(412, plain("PRECONDITION_FAILED")), "412 PRECONDITION_FAILED: Why.", []error{client.ErrPreconditionFailed}},
		{"too large", respond(413, plain("PAYLOAD_TOO_LARGE")), "413 PAYLOAD_TOO_LARGE: Why.", nil},
		{"validation", respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M.","expected":"E","received":"R","code":"too_long"}]}`),
			"422 VALIDATION_ERROR: Why.", []error{client.ErrValidation}},
		{"validation, two errors", respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"message":"M."},{"message":"N."}]}`),
			"422 VALIDATION_ERROR: Why. M. N.", []error{client.ErrValidation}},
		{"validation, many errors", respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[`+strings.Repeat(`{"message":"M."},`, 16)+`{}]}`),
			"422 VALIDATION_ERROR: Why. M. M. M. M. M. And 12 more.", []error{client.ErrValidation}},
		{"validation, errors of another form", respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":{"npi":"private"}}`),
			"422 VALIDATION_ERROR: Why.", []error{client.ErrValidation}},
		{"rate limited", respond(429, `{"message":"Why.","code":"RATE_LIMIT_EXCEEDED","retryAfter":60}`), "429 RATE_LIMIT_EXCEEDED: Why.", []error{client.ErrRateLimited}},
		{"internal error", respond(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why.", []error{client.ErrOutcomeUnknown}},
		{"unavailable", respond(503, plain("SERVICE_UNAVAILABLE")), "503 SERVICE_UNAVAILABLE: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"outcome unknown", respond(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a long message of two lines", respond(400, `{"message":"Why.\n`+strings.Repeat("x", 400)+`","code":"BAD_REQUEST"}`),
			"400 BAD_REQUEST: Why. " + strings.Repeat("x", 295) + "…", nil},
		{"more properties than the contract has", respond(404, `{"message":"Why.","code":"NOT_FOUND","hint":1}`), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},

		{"a proxy's 502", respond(502, page, "Content-Type", "text/html"),
			"502: the response is a web page instead of JSON; something between this program and the API sent it; try again later" + unknown,
			[]error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 520", respond(520, page, "Content-Type", "text/html"),
			"520: the response is a web page instead of JSON; something between this program and the API sent it; try again later" + unknown, []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 530", respond(530, ""), "530: the response is empty; something between this program and the API sent it; try again later" + unknown, []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 429", respond(429, page, "Content-Type", "text/html"),
			"429: the response is a web page instead of JSON; something between this program and the API sent it; try again later", []error{client.ErrRateLimited}},
		{"a gateway's 403", respond(403, `{"message":"private"}`), "403: the response is not an error as the contract describes it" + advice, nil},
		{"a 404 of another site", respond(404, page, "Content-Type", "text/html; charset=utf-8"), "404: the response is a web page instead of JSON" + advice, nil},
		{"a 412 of nobody", respond(412, "", "Content-Type", "text/plain"), "412: the response is empty" + advice, nil},
		{"a 500 that is no JSON", respond(500, "{private", "Content-Type", "application/json"), "500: the response is not valid JSON; something between this program and the API sent it; try again later" + unknown, []error{client.ErrOutcomeUnknown}},
		{"a redirect", respond(307, "", "Location", "https://elsewhere.example/private"),
			"307: the response is a redirect, which is not followed because the key would go along" + advice, nil},

		{"a page instead of a record", respond(200, page, "Content-Type", "text/html"), "200: the response is a web page instead of JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON that is not called so", respond(200, record, "Content-Type", "text/plain"), "200: the response is of another content type than JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a content type that is none", respond(200, record, "Content-Type", "private;;"), "200: the response does not say that it is JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"nothing", respond(200, ""), "200: the response is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"no content", respond(204, ""), "204: the response is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"half a record", respond(200, record[:200]), "200: the response is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"two records", respond(200, record+record), "200: the response is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON that is not UTF-8", respond(200, strings.Replace(record, "Ada", "\xc4da", 1)), "200: the response is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"null", respond(200, "null"), "200: the response is null" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a list", respond(200, "["+record+"]"), "200: the response is not a provider as the contract describes it" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON of another name", respond(200, record, "Content-Type", "text/json"), "200: the response is JSON of another content type than application/json" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON of a vendor", respond(200, record, "Content-Type", "application/vnd.example+json"), "200: the response is JSON of another content type than application/json" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"another type", respond(200, strings.Replace(record, `"notes":null`, `"notes":1`, 1)), "200: the response is not a provider as the contract describes it" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"another provider", respond(200, strings.Replace(record, providerID.String(), customerID.String(), 1)), "200: the response is not about the provider that was asked for" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"too much", respond(200, strings.Repeat(" ", client.MaxAnswer)+record), tooLarge + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a compression that nobody asked for", respond(200, record, "Content-Encoding", "br"), "200: the response is compressed, which was not asked for" + advice + unknown, []error{client.ErrOutcomeUnknown}},
	}...)

	const look = "; whether the record was created is not known: create it again with the IdempotencyKey of this Error"
	expect(create, []expectation{
		{"not found", respond(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"internal error", respond(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why" + look, []error{client.ErrOutcomeUnknown}},
		{"unavailable", respond(503, plain("SERVICE_UNAVAILABLE")), "503 SERVICE_UNAVAILABLE: Why.", []error{client.ErrUnavailable}},
		{"outcome unknown", respond(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why" + look, []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 503", respond(503, page, "Content-Type", "text/html"),
			"503: the response is a web page instead of JSON; something between this program and the API sent it; try again later" + look,
			[]error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"another success", respond(200, record), "200: the response has another status than the contract's for a success" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"a success that looks like an error", respond(202, plain("BAD_REQUEST")), "202: the response has another status than the contract's for a success" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"another customer", respond(201, strings.Replace(record, customerID.String(), providerID.String(), 1)), "201: the response is not about the provider that was asked for" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"null", respond(201, "null"), "201: the response is null" + advice + look, []error{client.ErrOutcomeUnknown}},
	}...)
	expect(remove, []expectation{
		{"not found", respond(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"outcome unknown", respond(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"nothing", respond(204, ""), "204: the response is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"no success", respond(200, `{"success":false,"message":"private"}`), "200: the response does not say that the provider is deleted" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"null", respond(200, "null"), "200: the response is null" + advice + unknown, []error{client.ErrOutcomeUnknown}},
	}...)
	for _, read := range []operation{get, providers, history} {
		expect(read, []expectation{
			{"not found", respond(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
			{"internal error", respond(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why.", nil},
			{"outcome unknown, which cannot be", respond(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable}},
			{"a proxy's 502", respond(502, page, "Content-Type", "text/html"),
				"502: the response is a web page instead of JSON; something between this program and the API sent it; try again later", []error{client.ErrUnavailable}},
			{"half a response", respond(200, read.body[:50]), "200: the response is not valid JSON" + advice, nil},
			{"another success", respond(201, read.body), "201: the response has another status than the contract's for a success" + advice, nil},
			{"too much", respond(200, strings.Repeat(" ", client.MaxAnswer)+read.body), tooLarge + advice, nil},
		}...)
	}
	for _, other := range []string{strings.Replace(record, providerID.String(), customerID.String(), 1), strings.Replace(record, customerID.String(), providerID.String(), 1)} {
		expect(get, expectation{"another provider", respond(200, other), "200: the response is not about the provider that was asked for" + advice, nil})
	}
	const noPage, strange = "200: the response is not a page as the contract describes it" + advice, "200: the response has something in it that was not asked for" + advice
	for _, walk := range []operation{providers, history} {
		expect(walk, []expectation{
			{"null", respond(200, "null"), "200: the response is null" + advice, nil},
			{"a list without a page", respond(200, "["+record+"]"), noPage, nil},
			{"a page without a list", respond(200, `{"data":null,"nextCursor":null}`), noPage, nil},
			{"another type", respond(200, `{"data":["private"],"nextCursor":null}`), noPage, nil},
			{"another type of cursor", respond(200, `{"data":[],"nextCursor":1}`), noPage, nil},
			{"empty items", respond(200, list("", "{}")), strange, nil},
			{"an empty cursor", respond(200, `{"data":[],"nextCursor":""}`), "200: the response leads back to a page that was there before" + advice, nil},
		}...)
	}
	expect(providers, expectation{"another customer's", respond(200, list("", record, strings.Replace(record, customerID.String(), providerID.String(), 1))), strange, nil})
}

func TestErrorDetails(t *testing.T) {
	c := serve(t, respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M","expected":"E","received":"R","code":"too_long"}]}`,
		"X-Request-Id", "r", "Retry-After", "7"))
	_, err := c.UpdateProvider(t.Context(), customerID, providerID, update)
	got := asError(t, err)
	want := client.Error{StatusCode: 422, Code: "VALIDATION_ERROR", Message: "Why.", RequestID: "r", RetryAfter: 7 * time.Second, Attempts: 1,
		Fields: []client.FieldError{{Path: []string{"npi"}, Message: "M", Expected: "E", Received: "R", Code: "too_long"}}}
	if g, w := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestRetryAfter(t *testing.T) {
	const date = "Wed, 17 Jun 2026 19:07:23 GMT"
	limited := func(retryAfter string) string {
		return fmt.Sprintf(`{"message":"Why.","code":"RATE_LIMIT_EXCEEDED"%s}`, retryAfter)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    time.Duration
	}{
		{"nowhere", respond(429, limited("")), 0},
		{"in the header", respond(429, limited(""), "Retry-After", "59"), 59 * time.Second},
		{"in the body", respond(429, limited(`,"retryAfter":60`)), time.Minute},
		{"in both, the longer", respond(429, limited(`,"retryAfter":60`), "Retry-After", "59"), time.Minute},
		{"in both, the longer, the other way round", respond(429, limited(`,"retryAfter":58`), "Retry-After", "59"), 59 * time.Second},
		{"on a page", respond(503, "<h1>Busy</h1>", "Content-Type", "text/html", "Retry-After", "5"), 5 * time.Second},
		{"as a date, by the server's clock", respond(503, "", "Date", date, "Retry-After", "Wed, 17 Jun 2026 19:07:33 GMT"), 10 * time.Second},
		{"as a date that is past", respond(503, "", "Date", date, "Retry-After", "Wed, 17 Jun 2026 19:00:00 GMT"), 0},
		{"as a fraction", respond(429, limited(`,"retryAfter":1.5`)), 1500 * time.Millisecond},
		{"as text in the body", respond(429, limited(`,"retryAfter":"60"`)), 0},
		{"as a word", respond(429, limited(""), "Retry-After", "soon"), 0},
		{"below 0", respond(429, limited(`,"retryAfter":-1`), "Retry-After", "-1"), 0},
		{"beyond all bounds", respond(429, limited(`,"retryAfter":1e300`), "Retry-After", "NaN"), 24 * time.Hour},
	}
	for _, test := range tests {
		_, err := serve(t, test.handler, client.WithoutRetries()).UpdateProvider(t.Context(), customerID, providerID, update)
		if got := asError(t, err).RetryAfter; got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRetryAfterByOwnClock(t *testing.T) {
	clock := newClock()
	later := clock.now.Add(10 * time.Second).UTC().Format(http.TimeFormat)
	_, err := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		respond(503, "", "Retry-After", later)(w, r)
	}, clock.option(), client.WithoutRetries()).UpdateProvider(t.Context(), customerID, providerID, update)
	if got := asError(t, err).RetryAfter; got <= 8*time.Second || got > 10*time.Second {
		t.Errorf("%v, want about 10s", got)
	}
}
