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
		{"bad request", answer(400, plain("BAD_REQUEST")), "400 BAD_REQUEST: Why.", nil},
		{"unauthorized", answer(401, plain("UNAUTHORIZED")), "401 UNAUTHORIZED: Why.", []error{client.ErrUnauthorized}},
		{"forbidden", answer(403, plain("FORBIDDEN")), "403 FORBIDDEN: Why.", []error{client.ErrForbidden}},
		{"not found", answer(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"precondition failed", answer(412, plain("PRECONDITION_FAILED")), "412 PRECONDITION_FAILED: Why.", []error{client.ErrPreconditionFailed}},
		{"too large", answer(413, plain("PAYLOAD_TOO_LARGE")), "413 PAYLOAD_TOO_LARGE: Why.", nil},
		{"validation", answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M.","expected":"E","received":"R","code":"too_long"}]}`),
			"422 VALIDATION_ERROR: Why.", []error{client.ErrValidation}},
		{"validation, two faults", answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"message":"M."},{"message":"N."}]}`),
			"422 VALIDATION_ERROR: Why. M. N.", []error{client.ErrValidation}},
		{"validation, many faults", answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[`+strings.Repeat(`{"message":"M."},`, 16)+`{}]}`),
			"422 VALIDATION_ERROR: Why. M. M. M. M. M. And 12 more.", []error{client.ErrValidation}},
		{"validation, faults of another form", answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":{"npi":"private"}}`),
			"422 VALIDATION_ERROR: Why.", []error{client.ErrValidation}},
		{"rate limited", answer(429, `{"message":"Why.","code":"RATE_LIMIT_EXCEEDED","retryAfter":60}`), "429 RATE_LIMIT_EXCEEDED: Why.", []error{client.ErrRateLimited}},
		{"internal error", answer(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why.", []error{client.ErrOutcomeUnknown}},
		{"unavailable", answer(503, plain("SERVICE_UNAVAILABLE")), "503 SERVICE_UNAVAILABLE: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"outcome unknown", answer(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a long message of two lines", answer(400, `{"message":"Why.\n`+strings.Repeat("x", 400)+`","code":"BAD_REQUEST"}`),
			"400 BAD_REQUEST: Why. " + strings.Repeat("x", 295) + "…", nil},
		{"more properties than the contract has", answer(404, `{"message":"Why.","code":"NOT_FOUND","hint":1}`), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},

		{"a proxy's 502", answer(502, page, "Content-Type", "text/html"),
			"502: the answer is a web page instead of JSON; something between this program and the API gave it; try again later" + unknown,
			[]error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 429", answer(429, page, "Content-Type", "text/html"),
			"429: the answer is a web page instead of JSON; something between this program and the API gave it; try again later", []error{client.ErrRateLimited}},
		{"a gateway's 403", answer(403, `{"message":"private"}`), "403: the answer is not an error as the contract describes it" + advice, nil},
		{"a 404 of another site", answer(404, page, "Content-Type", "text/html; charset=utf-8"), "404: the answer is a web page instead of JSON" + advice, nil},
		{"a 412 of nobody", answer(412, "", "Content-Type", "text/plain"), "412: the answer is empty" + advice, nil},
		{"a 500 that is no JSON", answer(500, "{private", "Content-Type", "application/json"), "500: the answer is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a redirect", answer(307, "", "Location", "https://elsewhere.example/private"),
			"307: the answer is a redirect, which is not followed because the key would go along" + advice, nil},

		{"a page instead of a record", answer(200, page, "Content-Type", "text/html"), "200: the answer is a web page instead of JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON that is not called so", answer(200, record, "Content-Type", "text/plain"), "200: the answer is of another content type than JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a content type that is none", answer(200, record, "Content-Type", "private;;"), "200: the answer does not say that it is JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"nothing", answer(200, ""), "200: the answer is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"no content", answer(204, ""), "204: the answer is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"half a record", answer(200, record[:200]), "200: the answer is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"two records", answer(200, record+record), "200: the answer is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"JSON that is not UTF-8", answer(200, strings.Replace(record, "Ada", "\xc4da", 1)), "200: the answer is not valid JSON" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"null", answer(200, "null"), "200: the answer is not about the provider that was asked for" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a list", answer(200, "["+record+"]"), "200: the answer is not a provider as the contract describes it" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"another type", answer(200, strings.Replace(record, `"notes":null`, `"notes":1`, 1)), "200: the answer is not a provider as the contract describes it" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"another provider", answer(200, strings.Replace(record, providerID.String(), customerID.String(), 1)), "200: the answer is not about the provider that was asked for" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"too much", answer(200, strings.Repeat(" ", client.MaxAnswer)+record), tooLarge + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"a compression that nobody asked for", answer(200, record, "Content-Encoding", "br"), "200: the answer is compressed, which was not asked for" + advice + unknown, []error{client.ErrOutcomeUnknown}},
	}...)

	const look = "; whether the record was made is not known: look for it before you make it again"
	expect(create, []expectation{
		{"not found", answer(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"internal error", answer(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why" + look, []error{client.ErrOutcomeUnknown}},
		{"unavailable", answer(503, plain("SERVICE_UNAVAILABLE")), "503 SERVICE_UNAVAILABLE: Why.", []error{client.ErrUnavailable}},
		{"outcome unknown", answer(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why" + look, []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"a proxy's 503", answer(503, page, "Content-Type", "text/html"),
			"503: the answer is a web page instead of JSON; something between this program and the API gave it; try again later" + look,
			[]error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"another success", answer(200, record), "200: the answer has another status than the contract's for a success" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"a success that looks like an error", answer(202, plain("BAD_REQUEST")), "202: the answer has another status than the contract's for a success" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"another customer", answer(201, strings.Replace(record, customerID.String(), providerID.String(), 1)), "201: the answer is not about the provider that was asked for" + advice + look, []error{client.ErrOutcomeUnknown}},
		{"null", answer(201, "null"), "201: the answer is not about the provider that was asked for" + advice + look, []error{client.ErrOutcomeUnknown}},
	}...)
	expect(remove, []expectation{
		{"not found", answer(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
		{"outcome unknown", answer(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		{"nothing", answer(204, ""), "204: the answer is empty" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"no success", answer(200, `{"success":false,"message":"private"}`), "200: the answer does not say that the provider is deleted" + advice + unknown, []error{client.ErrOutcomeUnknown}},
		{"null", answer(200, "null"), "200: the answer does not say that the provider is deleted" + advice + unknown, []error{client.ErrOutcomeUnknown}},
	}...)
	for _, read := range []operation{get, providers, history} {
		expect(read, []expectation{
			{"not found", answer(404, plain("NOT_FOUND")), "404 NOT_FOUND: Why.", []error{client.ErrNotFound}},
			{"internal error", answer(500, plain("INTERNAL_ERROR")), "500 INTERNAL_ERROR: Why.", nil},
			{"outcome unknown, which cannot be", answer(503, plain("OUTCOME_UNKNOWN")), "503 OUTCOME_UNKNOWN: Why.", []error{client.ErrUnavailable}},
			{"a proxy's 502", answer(502, page, "Content-Type", "text/html"),
				"502: the answer is a web page instead of JSON; something between this program and the API gave it; try again later", []error{client.ErrUnavailable}},
			{"half an answer", answer(200, read.body[:50]), "200: the answer is not valid JSON" + advice, nil},
			{"another success", answer(201, read.body), "201: the answer has another status than the contract's for a success" + advice, nil},
			{"too much", answer(200, strings.Repeat(" ", client.MaxAnswer)+read.body), tooLarge + advice, nil},
		}...)
	}
	for _, other := range []string{strings.Replace(record, providerID.String(), customerID.String(), 1), strings.Replace(record, customerID.String(), providerID.String(), 1)} {
		expect(get, expectation{"another provider", answer(200, other), "200: the answer is not about the provider that was asked for" + advice, nil})
	}
	const noPage, strange = "200: the answer is not a page as the contract describes it" + advice, "200: the answer has something in it that was not asked for" + advice
	for _, walk := range []operation{providers, history} {
		expect(walk, []expectation{
			{"null", answer(200, "null"), noPage, nil},
			{"a list without a page", answer(200, "["+record+"]"), noPage, nil},
			{"a page without a list", answer(200, `{"data":null,"nextCursor":null}`), noPage, nil},
			{"another type", answer(200, `{"data":["private"],"nextCursor":null}`), noPage, nil},
			{"another type of cursor", answer(200, `{"data":[],"nextCursor":1}`), noPage, nil},
			{"empty items", answer(200, list("", "{}")), strange, nil},
			{"an empty cursor", answer(200, `{"data":[],"nextCursor":""}`), "200: the answer leads back to a page that was there before" + advice, nil},
		}...)
	}
	expect(providers, expectation{"another customer's", answer(200, list("", record, strings.Replace(record, customerID.String(), providerID.String(), 1))), strange, nil})
}

func TestErrorDetails(t *testing.T) {
	c := serve(t, answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M","expected":"E","received":"R","code":"too_long"}]}`,
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
		{"nowhere", answer(429, limited("")), 0},
		{"in the header", answer(429, limited(""), "Retry-After", "59"), 59 * time.Second},
		{"in the body", answer(429, limited(`,"retryAfter":60`)), time.Minute},
		{"in both, the longer", answer(429, limited(`,"retryAfter":60`), "Retry-After", "59"), time.Minute},
		{"in both, the longer, the other way round", answer(429, limited(`,"retryAfter":58`), "Retry-After", "59"), 59 * time.Second},
		{"on a page", answer(503, "<h1>Busy</h1>", "Content-Type", "text/html", "Retry-After", "5"), 5 * time.Second},
		{"as a date, by the server's clock", answer(503, "", "Date", date, "Retry-After", "Wed, 17 Jun 2026 19:07:33 GMT"), 10 * time.Second},
		{"as a date that is past", answer(503, "", "Date", date, "Retry-After", "Wed, 17 Jun 2026 19:00:00 GMT"), 0},
		{"as a fraction", answer(429, limited(`,"retryAfter":1.5`)), 1500 * time.Millisecond},
		{"as text in the body", answer(429, limited(`,"retryAfter":"60"`)), 0},
		{"as a word", answer(429, limited(""), "Retry-After", "soon"), 0},
		{"below 0", answer(429, limited(`,"retryAfter":-1`), "Retry-After", "-1"), 0},
		{"beyond all bounds", answer(429, limited(`,"retryAfter":1e300`), "Retry-After", "NaN"), 24 * time.Hour},
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
		answer(503, "", "Retry-After", later)(w, r)
	}, clock.option(), client.WithoutRetries()).UpdateProvider(t.Context(), customerID, providerID, update)
	if got := asError(t, err).RetryAfter; got <= 8*time.Second || got > 10*time.Second {
		t.Errorf("%v, want about 10s", got)
	}
}
