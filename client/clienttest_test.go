package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/client/clienttest"
	"github.com/google/go-cmp/cmp"
)

// TestInMemory has the API of package clienttest pass the tests that the server passes.
func TestInMemory(t *testing.T) {
	t.Parallel()
	api := clienttest.New(t)
	patient := client.WithTimeout(time.Hour)
	testAPI(t, testedAPI{
		func(options ...client.Option) *client.Client {
			return api.Client(append([]client.Option{patient}, options...)...)
		},
		func() (client.CustomerID, client.ProviderID) {
			customer := api.NewCustomer()
			record, err := api.Client(patient).CreateProvider(t.Context(), customer, client.ProviderCreate{ProviderType: client.ProviderTypeHospital, City: new("Old Town")})
			if err != nil {
				t.Fatal(err)
			}
			return customer, record.ID
		},
	})
}

// TestInMemoryRejectsWhatTheServerRejects sends requests that break the contract, or come close, to both, and compares status, code, the
// paths and codes of the errors, and the methods allowed.
func TestInMemoryRejectsWhatTheServerRejects(t *testing.T) {
	t.Parallel()
	server, memory := startServer(t), clienttest.New(t)
	serverCustomer, serverID := server.importRecord()
	memoryCustomer := memory.NewCustomer()
	made, err := memory.Client().CreateProvider(t.Context(), memoryCustomer, client.ProviderCreate{ProviderType: client.ProviderTypeHospital})
	if err != nil {
		t.Fatal(err)
	}
	serverKey := server.newKey()
	for _, test := range []struct{ method, path, body, header string }{
		{"PATCH", "/{providerId}", `{"npi":"` + strings.Repeat("1", 51) + `"}`, ""},
		{"PATCH", "/{providerId}", `{"notes":"` + strings.Repeat("ü", 1001) + `","city":1,"isActive":"yes"}`, ""},
		{"PATCH", "/{providerId}", `{"providerType":"Dentist"}`, ""},
		{"PATCH", "/{providerId}", `{"providerType":null}`, ""},
		{"PATCH", "/{providerId}", `{"customerId":"me"}`, ""},
		{"PATCH", "/{providerId}", `{"customerId":null}`, ""},
		{"PATCH", "/{providerId}", `{"PHONE":"1"}`, ""},
		{"PATCH", "/{providerId}", `{"id":"1"}`, ""},
		{"PATCH", "/{providerId}", `{"city":"a\u0000b"}`, ""},
		{"PATCH", "/{providerId}", `[]`, ""},
		{"PATCH", "/{providerId}", `{`, ""},
		{"PATCH", "/{providerId}", `{}`, "If-Match: nothing"},
		{"PATCH", "/{providerId}", `{}`, `If-Match: "9"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: "nine"`},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: text/plain"},
		{"PATCH", "/{providerId}", `{"notes":"` + strings.Repeat("1", 70_000) + `"}`, ""},
		{"PATCH", "/me", `{}`, ""},
		{"POST", "", `{}`, ""},
		{"POST", "", `{"providerType":"Hospital","customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a"}`, ""},
		{"GET", "?limit=0", "", ""},
		{"GET", "?limit=101", "", ""},
		{"GET", "?limit=ten", "", ""},
		{"GET", "?isActive=perhaps", "", ""},
		{"GET", "?providerType=Dentist", "", ""},
		{"GET", "?cursor=x", "", ""},
		{"GET", "?city=x", "", ""},
		{"GET", "/{providerId}/history?cursor=x", "", ""},
		{"GET", "/7d5f2a9e-91c1-4d0e-9b52-1f3f0f7f6c11", "", ""},
		{"GET", "/{providerId}", "", "X-Api-Key: cc_other"},
		{"PUT", "", `{}`, ""},
		{"PATCH", "", `{}`, ""},
		{"POST", "/{providerId}", `{}`, ""},
		{"DELETE", "/{providerId}/history", "", ""},
		{"PUT", "/{providerId}/history", "", "X-Api-Key: cc_other"},
		{"BREW", "/{providerId}", "", ""},
		{"OPTIONS", "/{providerId}", "", ""},
		{"HEAD", "", "", ""},
		{"HEAD", "/{providerId}", "", ""},
		{"HEAD", "/{providerId}", "", "X-Api-Key: cc_other"},
		{"HEAD", "/7d5f2a9e-91c1-4d0e-9b52-1f3f0f7f6c11", "", ""},
		{"PUT", "/{providerId}/other", "", ""},
		{"GET", "/", "", ""},
		{"GET", "/{providerId}/", "", ""},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: application/merge-patch+json"},
		{"PATCH", "/{providerId}", `{"city":1}`, "Content-Type: application/merge-patch+json; charset=UTF-8"},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: application/json; charset=utf-8"},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: application/json; charset=latin1"},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: application/jsonx"},
		{"PATCH", "/{providerId}", `{}`, "Content-Type: "},
		{"PATCH", "/{providerId}", `{}`, "Content-Encoding: gzip"},
		{"PATCH", "/{providerId}", `{}`, "Content-Encoding: identity"},
		{"POST", "", `{"providerType":"Hospital"}`, "Content-Type: application/merge-patch+json"},
		{"PATCH", "/{providerId}", `{}`, "Idempotency-Key: k"},
		{"DELETE", "/{providerId}", "", "Idempotency-Key: k"},
		{"GET", "/{providerId}", "", "Idempotency-Key: k"},
		{"GET", "", "", "Idempotency-Key: k"},
		{"POST", "", `{"providerType":"Hospital"}`, "Idempotency-Key: two words"},
		{"POST", "", `{"providerType":"Hospital"}`, `Idempotency-Key: "two words"`},
		{"POST", "", `{"providerType":"Pharmacy"}`, `Idempotency-Key: "two words"`},
		{"POST", "", `{"providerType":"Hospital"}`, `Idempotency-Key: one`},
		{"POST", "", `{"providerType":"Pharmacy"}`, `Idempotency-Key: "one"`},
		{"POST", "", `{"providerType":"Hospital"}`, `If-None-Match: *`},
		{"POST", "", `{"providerType":"Hospital"}`, `If-Match: "1"`},
		{"GET", "/{providerId}", "", `If-Match: "1"`},
		{"GET", "/{providerId}", "", `If-None-Match: W/"1"`},
		{"GET", "/{providerId}", "", `If-None-Match: "1-gzip", "9"`},
		{"GET", "/{providerId}", "", `If-None-Match: "11"`},
		{"GET", "/{providerId}", "", "If-None-Match: nothing"},
		{"GET", "/{providerId}", "", "If-Modified-Since: Thu, 26 Nov 2026 12:00:00 GMT"},
		{"GET", "", "", `If-None-Match: "1"`},
		{"GET", "/{providerId}/history", "", `If-None-Match: "1"`},
		{"PATCH", "/{providerId}", `{}`, `If-None-Match: "1"`},
		{"PATCH", "/{providerId}", `{}`, "If-Unmodified-Since: Thu, 26 Nov 2026 12:00:00 GMT"},
		{"PATCH", "/{providerId}", `{`, `If-Range: "1"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: W/"1"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: "1-gzip"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: "9", "1"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: x"1"`},
		{"PATCH", "/{providerId}", `{}`, `If-Match: "a"1"`},
		{"DELETE", "/{providerId}", "", `If-Match: "9"`},
		{"DELETE", "/{providerId}", "", "If-Unmodified-Since: Thu, 26 Nov 2026 12:00:00 GMT"},
		{"PATCH", "/{providerId}?x=1", `{}`, ""},
		{"GET", "/{providerId}?x=1", "", ""},
		{"GET", "?x=%zz", "", ""},
		{"GET", "?limit=5&limit=6", "", ""},
		{"GET", "?city=x&limit=0", "", ""},
		{"PATCH", "/{providerId}", ``, ""},
		{"PATCH", "/{providerId}", `null`, ""},
		{"PATCH", "/{providerId}", `{} {}`, ""},
		{"PATCH", "/{providerId}", "{\"city\":\"\xff\"}", ""},
		{"PATCH", "/me", `{"city":1}`, "If-Match: nothing"},
	} {
		send := func(url, key string, customer client.CustomerID, id client.ProviderID) string {
			request, err := http.NewRequestWithContext(t.Context(), test.method, url+"/v2/customers/"+customer.String()+"/providers"+strings.ReplaceAll(test.path, "{providerId}", id.String()), strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Api-Key", key)
			request.Header.Set("Content-Type", "application/json")
			if name, value, ok := strings.Cut(test.header, ": "); ok {
				request.Header.Set(name, value)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			var told client.ValidationErrorResponse
			if err := json.Unmarshal(body, &told); response.StatusCode >= 400 && test.method != "HEAD" && (err != nil || told.Message == "") {
				t.Errorf("%d: %s", response.StatusCode, body)
			}
			var fields []string
			for _, field := range told.Errors {
				fields = append(fields, fmt.Sprint(field.Path, " ", field.Code))
			}
			slices.Sort(fields)
			allowed := strings.Split(response.Header.Get("Allow"), ", ")
			slices.Sort(allowed)
			return fmt.Sprint(response.StatusCode, " ", told.Code, " ", fields, " ", allowed)
		}
		want, got := send(server.url, serverKey, serverCustomer, serverID), send(memory.URL, clienttest.Key, memoryCustomer, made.ID)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s %.60s %s (-server +clienttest):\n%s", test.method, test.path, test.body, test.header, diff)
		}
	}
}

func TestFaultsOfClienttest(t *testing.T) {
	api := clienttest.New(t)
	customer := api.NewCustomer()
	made, err := api.Client().CreateProvider(t.Context(), customer, creation)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		faults   []clienttest.Fault
		attempts int
		kinds    []error
	}{
		"none":            {nil, 1, nil},
		"a lost request":  {[]clienttest.Fault{clienttest.LoseRequest}, 2, nil},
		"a lost response": {[]clienttest.Fault{clienttest.LoseResponse}, 2, nil},
		"a bad day":       {[]clienttest.Fault{clienttest.Unavailable, clienttest.BadGateway, clienttest.Delay(0)}, 3, nil},
		"down":            {slices.Repeat([]clienttest.Fault{clienttest.Unavailable}, 4), 4, []error{client.ErrUnavailable, client.ErrOutcomeUnknown}},
		"limited":         {[]clienttest.Fault{clienttest.RateLimited(time.Hour)}, 1, []error{client.ErrRateLimited}},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0
			c := api.Client(newClock().option(), client.WithTimeout(time.Hour), client.WithAttemptHook(func(context.Context, client.Attempt) { attempts++ }))
			api.Inject(test.faults...)
			_, err := c.UpdateProvider(t.Context(), customer, made.ID, update)
			if attempts != test.attempts {
				t.Errorf("%d attempts, want %d", attempts, test.attempts)
			}
			for _, kind := range test.kinds {
				if !errors.Is(err, kind) {
					t.Errorf("%v is not %v", err, kind)
				}
			}
			if len(test.kinds) == 0 && err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("created once", func(t *testing.T) {
		c, customer := api.Client(newClock().option()), api.NewCustomer()
		api.Inject(clienttest.LoseResponse, clienttest.LoseResponse)
		if _, err := c.CreateProvider(t.Context(), customer, creation); err != nil {
			t.Fatal(err)
		}
		records := 0
		for _, err := range c.Providers(t.Context(), customer, client.ProviderFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			records++
		}
		if records != 1 {
			t.Errorf("%d records", records)
		}
	})
	t.Run("changed by another", func(t *testing.T) {
		c := api.Client()
		another := clienttest.Before(func() {
			if _, err := c.UpdateProvider(t.Context(), customer, made.ID, client.ProviderUpdate{City: client.Set("New Town")}); err != nil {
				t.Error(err)
			}
		})
		api.Inject(clienttest.Delay(0), another) // the read, and then the change
		decisions := 0
		record, err := c.ModifyProvider(t.Context(), customer, made.ID, func(current *client.Record) (client.ProviderUpdate, error) {
			decisions++
			return client.ProviderUpdate{Notes: client.Set("decided")}, nil
		})
		if err != nil || decisions != 2 || *record.City != "New Town" || *record.Notes != "decided" {
			t.Errorf("%+v, %v after %d decisions", record, err, decisions)
		}
	})
}
