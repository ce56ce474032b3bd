package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/carecycle/provider-api/client"
)

// FuzzAnswer lets a server respond with anything to any operation, each page of a list included. Whatever it is, the client
// returns the record or the items that were asked for, or an *Error whose text is one short line that quotes the body
// only where the body is an error of the contract's form.
func FuzzAnswer(f *testing.F) {
	const rejection = `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M","expected":"E","received":"R","code":"too_long"},{}],"retryAfter":60}`
	for _, status := range []int{200, 201, 204, 307, 404, 412, 422, 429, 500, 503} {
		for _, body := range []string{record, deleted, list("", record), list(cursor, record, record), list(cursor, entry), list("", "{}"), rejection, "", "null", "{", `{"message":1,"errors":2,"retryAfter":"3"}`, "<html>" + strings.Repeat("x", 1000)} {
			f.Add(status, "application/json", "", "5", []byte(body))
		}
	}
	f.Add(200, "text/html; charset=utf-8", "", "", []byte("<h1>Hello</h1>"))
	f.Add(200, "application/json; charset=\"", "gzip", "Wed, 17 Jun 2026 19:07:25 GMT", []byte(record))
	f.Add(200, "application/json", "", "", []byte(strings.ReplaceAll(record, "null", `"\ud800"`)))
	f.Add(200, "application/json", `"key";q=60;w=60`, `"key";r=0;t=60, "x";r=;;=,`, []byte(list(cursor, record)))
	f.Add(400, "application/json", "", "-1", []byte(`{"code":"`+strings.Repeat("C", 500)+`","message":"\u2028\u0000`+strings.Repeat("é", 500)+`"}`))

	f.Fuzz(func(t *testing.T, status int, contentType, encoding, retryAfter string, body []byte) {
		respond := client.WithTransport(transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{
				"Content-Type": {contentType}, "Content-Encoding": {encoding}, "Retry-After": {retryAfter}, "X-Request-Id": {retryAfter}, "Etag": {encoding},
				"Ratelimit": {retryAfter}, "Ratelimit-Policy": {encoding},
			}}, nil
		}))
		for _, operation := range operations {
			c, err := client.New(apiKey, respond, client.WithoutRetries())
			if err != nil {
				t.Fatal(err)
			}
			err = operation.call(t.Context(), c)
			if err == nil {
				if status != operation.status || contentType == "" {
					t.Fatalf("%s: a success with status %d and content type %q", operation.name, status, contentType)
				}
				continue
			}
			checkError(t, err, body)
			if operation.method == "GET" && errors.Is(err, client.ErrOutcomeUnknown) {
				t.Errorf("the outcome of a read is unknown: %v", err)
			}
		}
	})
}

// checkError holds the error of a call that got this body against what FuzzAnswer promises.
func checkError(t *testing.T, err error, body []byte) {
	t.Helper()
	failed, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("%v is no *client.Error", err)
	}
	text := err.Error()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the error is not fit to be printed: %q", text)
	}
	if failed.RetryAfter < 0 {
		t.Errorf("wait %v", failed.RetryAfter)
	}
	most := 400 // characters of the whole text
	if failed.Code != "" {
		most = 400 + 6*310 // the message and five errors
	} else if quote := quoted(failed.Message, body, 30); quote != "" {
		t.Errorf("the error quotes the body, %q: %s", quote, text)
	}
	if n := utf8.RuneCountInString(text); n > most {
		t.Errorf("the error has %d characters, want at most %d: %s", n, most, text)
	}
}

// quoted returns a run of n bytes of the text that is in the body, too; "" for none.
func quoted(text string, body []byte, n int) string {
	for ; len(text) >= n; text = text[1:] {
		if bytes.Contains(body, []byte(text[:n])) {
			return text[:n]
		}
	}
	return ""
}
