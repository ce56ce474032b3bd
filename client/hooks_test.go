package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

func TestEditors(t *testing.T) {
	t.Run("see each request without the key, then and later", func(t *testing.T) {
		var seen []*http.Request
		c := serve(t, respond(503, ""), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			seen = append(seen, r)
			return nil
		}))
		c.UpdateProvider(t.Context(), customerID, providerID, update)
		if len(seen) != client.DefaultAttempts {
			t.Errorf("%d requests seen, want %d", len(seen), client.DefaultAttempts)
		}
		for _, r := range seen {
			if r.Header.Get("Content-Type") == "" || r.Header.Get("X-Api-Key") != "" {
				t.Errorf("headers %v", r.Header)
			}
		}
	})
	t.Run("can refuse", func(t *testing.T) {
		rejection := errors.New("not today")
		c := serve(t, respond(200, record), client.WithRequestEditorFn(func(context.Context, *http.Request) error { return rejection }))
		_, err := c.UpdateProvider(t.Context(), customerID, providerID, update)
		if !errors.Is(err, rejection) || err.Error() != "update provider: request editor: not today" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cannot send the key elsewhere", func(t *testing.T) {
		for _, elsewhere := range []string{"http://elsewhere.example", "https://api.example"} {
			c := newClient(t, "http://api.example", client.WithRequestEditorFn(func(_ context.Context, r *http.Request) (err error) {
				r.URL, err = r.URL.Parse(elsewhere)
				return err
			}), client.WithTransport(transport(func(*http.Request) (*http.Response, error) {
				t.Error("the request was sent")
				return nil, io.EOF
			})))
			if _, err := c.UpdateProvider(t.Context(), customerID, providerID, update); err == nil || !strings.Contains(err.Error(), "changed the host") {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestAttemptHook(t *testing.T) {
	type key struct{}
	var got []client.Attempt
	hook := func(ctx context.Context, a client.Attempt) {
		if ctx.Value(key{}) != "the call's" {
			t.Error("the hook has another context")
		}
		got = append(got, a)
	}
	responses := []http.HandlerFunc{respond(503, `{"message":"Busy.","code":"SERVICE_UNAVAILABLE"}`), respond(200, record, "X-Request-Id", "the server's")}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { responses[len(got)](w, r) }, client.WithAttemptHook(hook))
	if _, err := c.UpdateProvider(context.WithValue(t.Context(), key{}, "the call's"), customerID, providerID, update); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d attempts, want 2", len(got))
	}
	first, second := got[0], got[1]
	if _, err := uuid.Parse(first.RequestID); err != nil {
		t.Errorf("the request is called %q", first.RequestID)
	}
	if !errors.Is(first.Err, client.ErrUnavailable) {
		t.Errorf("the first attempt's error is %v", first.Err)
	}
	first.RequestID, first.Host, first.Err, second.Host = "", "", nil, ""
	const route = route + "/{providerId}"
	if want := (client.Attempt{Method: "PATCH", Route: route, Number: 1, StatusCode: 503, Wait: 125 * time.Millisecond}); first != want {
		t.Errorf("got  %+v\nwant %+v", first, want)
	}
	if want := (client.Attempt{Method: "PATCH", Route: route, Number: 2, StatusCode: 200, RequestID: "the server's"}); second != want {
		t.Errorf("got  %+v\nwant %+v", second, want)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, customerID.String()) || strings.Contains(text, providerID.String()) || strings.Contains(text, "private") {
		t.Errorf("the attempts name an ID or a value: %s", text)
	}
}

// TestAttemptHookOfEachOperation holds the routes together with the requests, and finds no ID in either attempt.
func TestAttemptHookOfEachOperation(t *testing.T) {
	for _, operation := range operations {
		t.Run(operation.name, func(t *testing.T) {
			var got []client.Attempt
			responses := []http.HandlerFunc{respond(429, ""), respond(operation.status, operation.body)}
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path := strings.NewReplacer("{id}", customerID.String(), "{providerId}", providerID.String()).Replace(operation.route)
				if r.Method != operation.method || r.URL.Path != path {
					t.Errorf("%s %s, want %s %s", r.Method, r.URL.Path, operation.method, path)
				}
				responses[len(got)](w, r)
			}, client.WithAttemptHook(func(_ context.Context, a client.Attempt) { got = append(got, a) }))
			if err := operation.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || got[0].Err == nil || got[1].Err != nil || got[1].StatusCode != operation.status || got[0].RequestID != got[1].RequestID {
				t.Errorf("attempts %+v", got)
			}
			for _, a := range got {
				if a.Method != operation.method || a.Route != operation.route {
					t.Errorf("%s %s, want %s %s", a.Method, a.Route, operation.method, operation.route)
				}
			}
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, customerID.String()) || strings.Contains(text, providerID.String()) || strings.Contains(text, "private") {
				t.Errorf("the attempts name an ID or a value: %s", text)
			}
		})
	}
}
