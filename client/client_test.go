package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

const apiKey = "cc_0123456789secret"

// The IDs of customer and provider differ, so that tests see which one goes where.
var (
	customerID = client.CustomerID(uuid.MustParse("3c90c3cc-0d44-4b50-8888-8dd25736052a"))
	providerID = client.ProviderID(uuid.MustParse("7d5f2a9e-91c1-4d0e-9b52-1f3f0f7f6c11"))
)

const record = `{"id":"7d5f2a9e-91c1-4d0e-9b52-1f3f0f7f6c11","createdAt":"2026-06-17T19:07:23.709Z","updatedAt":null,
	"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","specialty":null,"providerName":"Dr. Ada Example",
	"practiceName":null,"npi":null,"phone":null,"fax":null,"email":null,"address":null,"address2":null,"city":null,"state":null,
	"postalCode":null,"isPrimaryProvider":true,"isActive":null,"notes":null}`

// update is sent where it does not matter what is sent. Its text must not come back in any error.
var update = client.ProviderUpdate{Notes: client.Set("private words")}

// creation is update's like for CreateProvider.
var creation = client.ProviderCreate{ProviderType: client.ProviderTypePrimaryCare, Notes: new("private words")}

const (
	deleted = `{"success":true,"message":"The provider was deleted."}`
	cursor  = "AAABl3-X2-08kMPMDURLUIiI3SVzYFIq"
	entry   = `{"version":2,"at":"2026-06-18T08:30:00.000Z","action":"updated","keyId":"7jQ2mX9c","requestId":null,"changes":[{"field":"phone","from":"+1 555 0100","to":null}]}`
)

// operation is one that the client has, called where it does not matter with what.
type operation struct {
	name, method, route string
	call                func(context.Context, *client.Client, ...client.CallOption) error
	status              int // of a success
	body                string
}

const route = "/v2/customers/{id}/providers"

var (
	create = operation{"create provider", "POST", route, func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return oneOf(c.CreateProvider(ctx, customerID, creation, options...))
	}, 201, record}
	get = operation{"get provider", "GET", route + "/{providerId}", func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return oneOf(c.GetProvider(ctx, customerID, providerID, options...))
	}, 200, record}
	change = operation{"update provider", "PATCH", route + "/{providerId}", func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return oneOf(c.UpdateProvider(ctx, customerID, providerID, update, options...))
	}, 200, record}
	remove = operation{"delete provider", "DELETE", route + "/{providerId}", func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return c.DeleteProvider(ctx, customerID, providerID, options...)
	}, 200, deleted}
	providers = operation{"list providers", "GET", route, func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return lastOf(c.Providers(ctx, customerID, client.ProviderFilter{}, options...))
	}, 200, list("", record)}
	history = operation{"list provider history", "GET", route + "/{providerId}/history", func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
		return lastOf(c.ProviderHistory(ctx, customerID, providerID, options...))
	}, 200, list("", entry)}

	operations = []operation{create, get, change, remove, providers, history}
)

func TestNewRefusesWhatCannotBeRight(t *testing.T) {
	tests := []struct {
		name    string
		key     string
		options []client.Option
		want    string
	}{
		{"no key", "", nil, "the API key must begin with cc_"},
		{"a key of something else", "sk_password", nil, "the API key must begin with cc_"},
		{"a key with a line break", "cc_password\n", nil, "have no spaces"},
		{"a key beyond ASCII", "cc_pässword", nil, "have no spaces"},
		{"a base URL without a scheme", apiKey, []client.Option{client.WithBaseURL("api.carecycle.ai")}, "WithBaseURL"},
		{"another scheme", apiKey, []client.Option{client.WithBaseURL("ftp://api.carecycle.ai")}, "WithBaseURL"},
		{"no host", apiKey, []client.Option{client.WithBaseURL("https://")}, "WithBaseURL"},
		{"a port alone", apiKey, []client.Option{client.WithBaseURL("https://:443")}, "WithBaseURL"},
		{"a query", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai?password")}, "WithBaseURL"},
		{"an empty query", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai?")}, "WithBaseURL"},
		{"a fragment", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai#password")}, "WithBaseURL"},
		{"a password", apiKey, []client.Option{client.WithBaseURL("https://user:password@api.carecycle.ai")}, "WithBaseURL"},
		{"a blank in the path", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai/v2 ")}, "WithBaseURL"},
		{"a blank in front", apiKey, []client.Option{client.WithBaseURL(" https://api.carecycle.ai")}, "WithBaseURL"},
		{"an escaped blank", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai/%20")}, "WithBaseURL"},
		{"a line break", apiKey, []client.Option{client.WithBaseURL("https://api.carecycle.ai\n")}, "WithBaseURL"},
		{"a base URL that is none", apiKey, []client.Option{client.WithBaseURL("https://password\x7f")}, "WithBaseURL"},
		{"no HTTP client", apiKey, []client.Option{client.WithHTTPClient(nil)}, "WithHTTPClient"},
		{"a nil *http.Client", apiKey, []client.Option{client.WithHTTPClient((*http.Client)(nil))}, "WithHTTPClient"},
		{"no transport", apiKey, []client.Option{client.WithTransport(nil)}, "WithTransport"},
		{"a transport and an HTTP client", apiKey, []client.Option{client.WithTransport(http.DefaultTransport), client.WithHTTPClient(&http.Client{})}, "exclude each other"},
		{"no time", apiKey, []client.Option{client.WithTimeout(0)}, "WithTimeout"},
		{"less than no time", apiKey, []client.Option{client.WithTimeout(-time.Second)}, "WithTimeout"},
		{"no attempts", apiKey, []client.Option{client.WithRetries(0, time.Minute)}, "WithRetries"},
		{"attempts within no time", apiKey, []client.Option{client.WithRetries(3, 0)}, "WithRetries"},
		{"no user agent", apiKey, []client.Option{client.WithUserAgent(" ")}, "WithUserAgent"},
		{"a user agent of two lines", apiKey, []client.Option{client.WithUserAgent("a\r\nb: password")}, "WithUserAgent"},
		{"no editor", apiKey, []client.Option{client.WithRequestEditorFn(nil)}, "WithRequestEditorFn"},
		{"no hook", apiKey, []client.Option{client.WithAttemptHook(nil)}, "WithAttemptHook"},
		{"no option", apiKey, []client.Option{nil}, "an option is nil"},
		{"no generated option", apiKey, []client.Option{client.ClientOption(nil)}, "an option is nil"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := client.New(test.key, test.options...)
			if err == nil || c != nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if text := err.Error(); strings.Contains(text, "password") || strings.Contains(text, "secret") {
				t.Errorf("the error repeats what was given: %s", text)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct{ base, want string }{
		{"https://api.example", "https://api.example/v2/customers/"},
		{"https://api.example/", "https://api.example/v2/customers/"},
		{"http://api.example:8080", "http://api.example:8080/v2/customers/"},
		{"http://[::1]:8080/", "http://[::1]:8080/v2/customers/"},
		{"https://api.example/proxy/carecycle", "https://api.example/proxy/carecycle/v2/customers/"},
		{"https://api.example/proxy/carecycle//", "https://api.example/proxy/carecycle/v2/customers/"},
		{"https://api.example/a%2Fb/", "https://api.example/a%2Fb/v2/customers/"},
	}
	for _, test := range tests {
		var got string
		c := newClient(t, test.base, client.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return nil, io.EOF
		})), client.WithoutRetries())
		c.UpdateProvider(t.Context(), customerID, providerID, update)
		if want := fmt.Sprintf("%s%s/providers/%s", test.want, customerID, providerID); got != want {
			t.Errorf("%s leads to %s, want %s", test.base, got, want)
		}
	}
}

func TestWaysToSend(t *testing.T) {
	responded := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(record))}, nil
	}
	for name, option := range map[string]client.Option{
		"WithTransport":                  client.WithTransport(transport(responded)),
		"WithHTTPClient, a *http.Client": client.WithHTTPClient(&http.Client{Transport: transport(responded)}),
		"WithHTTPClient, another":        client.WithHTTPClient(doer(responded)),
	} {
		if _, err := newClient(t, "https://api.example", option).UpdateProvider(t.Context(), customerID, providerID, update); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	mute := func(*http.Request) (*http.Response, error) { return nil, nil }
	_, err := newClient(t, "https://api.example", client.WithHTTPClient(doer(mute)), client.WithoutRetries()).UpdateProvider(t.Context(), customerID, providerID, update)
	if !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("neither response nor error: %v", err)
	}
	bodiless := func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil }
	_, err = newClient(t, "https://api.example", client.WithHTTPClient(doer(bodiless))).UpdateProvider(t.Context(), customerID, providerID, update)
	if err == nil || !strings.Contains(err.Error(), "the response is empty") {
		t.Errorf("a response without a body: %v", err)
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	note := func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		respond(200, record)(w, r)
	}
	tests := []struct {
		name    string
		options []client.Option
		want    map[string]string
	}{
		{"by default", nil, map[string]string{
			"X-Api-Key": apiKey, "User-Agent": "carecycle-provider-api/devel", "Accept": "application/json", "Content-Type": "application/json"}},
		{"with a user agent", []client.Option{client.WithUserAgent("billing/1.4")}, map[string]string{"User-Agent": "billing/1.4 carecycle-provider-api/devel"}},
		{"an editor's have precedence, the key's excepted", []client.Option{client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("X-Request-Id", "an editor's")
			r.Header.Set("User-Agent", "an editor's")
			r.Header.Set("X-Api-Key", "an editor's")
			return nil
		})}, map[string]string{"X-Request-Id": "an editor's", "User-Agent": "an editor's", "X-Api-Key": apiKey}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			record, err := serve(t, note, test.options...).UpdateProvider(t.Context(), customerID, providerID, update)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range test.want {
				if value := got.Get(name); value != want {
					t.Errorf("%s is %q, want %q", name, value, want)
				}
			}
			if id := got.Get("X-Request-Id"); id == "" || record.RequestID != id {
				t.Errorf("the request is called %q, the record says %q", id, record.RequestID)
			}
		})
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	c := serve(t, respond(200, record))
	generated := client.Generated(c)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{c, *c, generated, *generated, generated.Client} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "secret") || strings.Contains(text, fmt.Sprintf("%x", "secret")) {
				t.Errorf("%s of a %T prints %s", format, value, text)
			}
		}
	}
}

// TestConcurrentUse is for the race detector: many goroutines share a client whose every second attempt fails.
func TestConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	attempts := map[string]int{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		attempts[r.Header.Get("X-Request-Id")]++
		failing := attempts[r.Header.Get("X-Request-Id")] == 1
		mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if failing {
			respond(503, "")(w, r)
			return
		}
		notes := strings.TrimSuffix(strings.TrimPrefix(string(body), `{"notes":`), "}")
		respond(200, strings.Replace(record, `"notes":null`, `"notes":`+notes, 1))(w, r)
	}, client.WithAttemptHook(func(context.Context, client.Attempt) {}))
	var group sync.WaitGroup
	for n := range 30 { // as many as may be repeated
		group.Go(func() {
			want := fmt.Sprint(n)
			record, err := c.UpdateProvider(t.Context(), customerID, providerID, client.ProviderUpdate{Notes: client.Set(want)})
			if err != nil || *record.Notes != want {
				t.Errorf("%+v, %v", record, err)
			}
		})
	}
	group.Wait()
	for id, n := range attempts {
		if n != 2 {
			t.Errorf("%d attempts are called %s", n, id)
		}
	}
}

// kinds are all that errors.Is may be asked for.
var kinds = []error{
	client.ErrUnauthorized, client.ErrForbidden, client.ErrNotFound, client.ErrPreconditionFailed, client.ErrValidation,
	client.ErrRateLimited, client.ErrUnavailable, client.ErrOutcomeUnknown, context.Canceled, context.DeadlineExceeded,
}
