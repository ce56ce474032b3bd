package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

const apiKey = "cc_0123456789secret"

var id = uuid.MustParse("3c90c3cc-0d44-4b50-8888-8dd25736052a")

const record = `{"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a","createdAt":"2026-06-17T19:07:23.709Z","updatedAt":null,
	"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","specialty":null,"providerName":"Dr. Ada Example",
	"practiceName":null,"npi":null,"phone":null,"fax":null,"email":null,"address":null,"address2":null,"city":null,"state":null,
	"postalCode":null,"isPrimaryProvider":true,"isActive":null,"notes":null}`

// serve returns a client of a server that answers with the handler, under a base path.
func serve(t *testing.T, handler http.HandlerFunc, options ...client.Option) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/base", handler))
	t.Cleanup(server.Close)
	c, err := client.New(apiKey, append([]client.Option{client.WithBaseURL(server.URL + "/base")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is a handler that always answers so; headers come in pairs.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestUpdateProviderSendsThreeStates(t *testing.T) {
	tests := []struct {
		name   string
		update client.ProviderUpdate
		body   string
	}{
		{"nothing", client.ProviderUpdate{}, `{}`},
		{"values", client.ProviderUpdate{Phone: client.Set("+1 555 0100"), IsActive: client.Set(false)}, `{"isActive":false,"phone":"+1 555 0100"}`},
		{"an empty text is a value", client.ProviderUpdate{Notes: client.Set("")}, `{"notes":""}`},
		{"null", client.ProviderUpdate{Phone: client.Clear[string](), IsActive: client.Clear[bool]()}, `{"isActive":null,"phone":null}`},
		{"what cannot be null", client.ProviderUpdate{CustomerID: &id, ProviderType: new(client.ProviderTypePharmacy)},
			`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Pharmacy"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got *http.Request
			var body []byte
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				body, _ = io.ReadAll(r.Body)
				answer(200, record, "ETag", `"7"`, "X-Request-Id", "request-1")(w, r)
			})
			r, err := c.UpdateProvider(t.Context(), id, id, test.update, client.IfMatch(`"6"`))
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != test.body {
				t.Errorf("body %s, want %s", body, test.body)
			}
			if want := fmt.Sprintf("PATCH /v2/customers/%s/providers/%s", id, id); got.Method+" "+got.URL.Path != want {
				t.Errorf("%s %s, want %s", got.Method, got.URL.Path, want)
			}
			for name, want := range map[string]string{"X-Api-Key": apiKey, "If-Match": `"6"`, "Content-Type": "application/json"} {
				if value := got.Header.Get(name); value != want {
					t.Errorf("header %s is %q, want %q", name, value, want)
				}
			}
			if r.ETag != `"7"` || r.RequestID != "request-1" || r.ID != id || *r.ProviderName != "Dr. Ada Example" || r.Phone != nil {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestFieldReadsBackWhatItWrites(t *testing.T) {
	for _, update := range []client.ProviderUpdate{{}, {Fax: client.Set("1")}, {Fax: client.Clear[string]()}} {
		text, err := json.Marshal(update)
		if err != nil {
			t.Fatal(err)
		}
		var back client.ProviderUpdate
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(back); string(again) != string(text) {
			t.Errorf("%s read back as %s", text, again)
		}
	}
}

func TestErrors(t *testing.T) {
	plain := func(code string) string { return fmt.Sprintf(`{"message":"Why.","code":%q}`, code) }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		is      error
		want    client.Error
	}{
		{"bad request", answer(400, plain("BAD_REQUEST")), nil, client.Error{StatusCode: 400, Code: "BAD_REQUEST", Message: "Why."}},
		{"unauthorized", answer(401, plain("UNAUTHORIZED")), client.ErrUnauthorized, client.Error{StatusCode: 401, Code: "UNAUTHORIZED", Message: "Why."}},
		{"forbidden", answer(403, plain("FORBIDDEN")), client.ErrForbidden, client.Error{StatusCode: 403, Code: "FORBIDDEN", Message: "Why."}},
		{"not found", answer(404, plain("NOT_FOUND"), "X-Request-Id", "r"), client.ErrNotFound, client.Error{StatusCode: 404, Code: "NOT_FOUND", Message: "Why.", RequestID: "r"}},
		{"precondition failed", answer(412, plain("PRECONDITION_FAILED")), client.ErrPreconditionFailed, client.Error{StatusCode: 412, Code: "PRECONDITION_FAILED", Message: "Why."}},
		{"validation", answer(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[{"path":["npi"],"message":"M","expected":"E","received":"R","code":"too_long"}]}`),
			client.ErrValidation, client.Error{StatusCode: 422, Code: "VALIDATION_ERROR", Message: "Why.",
				Fields: []client.FieldError{{Path: []string{"npi"}, Message: "M", Expected: "E", Received: "R", Code: "too_long"}}}},
		{"rate limited", answer(429, `{"message":"Why.","code":"RATE_LIMIT_EXCEEDED","retryAfter":60}`, "Retry-After", "59"),
			client.ErrRateLimited, client.Error{StatusCode: 429, Code: "RATE_LIMIT_EXCEEDED", Message: "Why.", RetryAfter: time.Minute}},
		{"unavailable", answer(503, plain("SERVICE_UNAVAILABLE"), "Retry-After", "5"), client.ErrUnavailable,
			client.Error{StatusCode: 503, Code: "SERVICE_UNAVAILABLE", Message: "Why.", RetryAfter: 5 * time.Second}},
		{"a proxy's page", answer(502, "<h1>Bad Gateway</h1>", "Content-Type", "text/html"), client.ErrUnavailable,
			client.Error{StatusCode: 502, Message: "the answer is not the API's JSON"}},
		{"a page where a record should be", answer(200, "<h1>Hello</h1>", "Content-Type", "text/html"), nil,
			client.Error{StatusCode: 200, Message: "the answer is not the API's JSON; check the base URL, and what stands between"}},
		{"an answer without end", answer(200, strings.Repeat(" ", 2<<20)), nil,
			client.Error{StatusCode: 200, Message: "the answer is not the API's JSON; check the base URL, and what stands between"}},
		{"a redirect", answer(307, "", "Location", "https://elsewhere.example"), nil, client.Error{StatusCode: 307, Message: "the answer is not the API's JSON"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := serve(t, test.handler).UpdateProvider(t.Context(), id, id, client.ProviderUpdate{})
			var got *client.Error
			if !errors.As(err, &got) {
				t.Fatalf("%v is no *client.Error", err)
			}
			if g, w := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", test.want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
			for _, kind := range []error{client.ErrUnauthorized, client.ErrForbidden, client.ErrNotFound, client.ErrPreconditionFailed, client.ErrValidation, client.ErrRateLimited, client.ErrUnavailable} {
				if errors.Is(err, kind) != (kind == test.is) {
					t.Errorf("errors.Is(err, %v) is %t", kind, errors.Is(err, kind))
				}
			}
		})
	}
}

func TestErrorsOfTheNetworkNameNeitherKeyNorCustomer(t *testing.T) {
	c, err := client.New(apiKey, client.WithBaseURL("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.UpdateProvider(t.Context(), id, id, client.ProviderUpdate{})
	if err == nil || strings.Contains(err.Error(), id.String()) || strings.Contains(err.Error(), apiKey) {
		t.Errorf("error %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.UpdateProvider(cancelled, id, id, client.ProviderUpdate{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	c := serve(t, answer(200, record))
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "secret") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestEditorsSeeRequestsWithoutTheKey(t *testing.T) {
	seen := http.Header{}
	c := serve(t, answer(200, record), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		seen = r.Header.Clone()
		return nil
	}))
	if _, err := c.UpdateProvider(t.Context(), id, id, client.ProviderUpdate{}); err != nil {
		t.Fatal(err)
	}
	if seen.Get("Content-Type") == "" || seen.Get("X-Api-Key") != "" {
		t.Errorf("the editor saw %v", seen)
	}
}

func TestNewRefusesWrongOptions(t *testing.T) {
	tests := []struct {
		name    string
		key     string
		options []client.Option
	}{
		{"no key", "", nil},
		{"a key of something else", "sk_123", nil},
		{"a key with a line break", "cc_123\n", nil},
		{"no scheme", apiKey, []client.Option{client.WithBaseURL("api.carecycle.ai")}},
		{"another scheme", apiKey, []client.Option{client.WithBaseURL("ftp://api.carecycle.ai")}},
		{"no host", apiKey, []client.Option{client.WithBaseURL("https://")}},
		{"a query", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai?x=1")}},
		{"a password", apiKey, []client.Option{client.WithBaseURL("https://user:password@api.carecycle.ai")}},
		{"no HTTP client", apiKey, []client.Option{client.WithHTTPClient(nil)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := client.New(test.key, test.options...); err == nil || strings.Contains(err.Error(), "password") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestDependencies keeps what a consumer has to download to a handful of modules, none of the server's.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	got = slices.Compact(got)
	want := []string{"github.com/apapsch/go-jsonmerge/v2", "github.com/carecycle/provider-api", "github.com/google/uuid", "github.com/oapi-codegen/runtime"}
	if !slices.Equal(got, want) {
		t.Errorf("modules %v, want %v", got, want)
	}
}
