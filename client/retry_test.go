package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/client"
)

// asError returns the *Error that every failed call ends with.
func asError(t *testing.T, err error) *client.Error {
	t.Helper()
	failed, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("%v is no *client.Error", err)
	}
	return failed
}

// cut breaks the connection instead of answering.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutShort breaks the connection within the response.
func cutShort(w http.ResponseWriter, r *http.Request) {
	respond(200, record[:100], "Content-Length", "1000")(w, r)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestRetries(t *testing.T) {
	ok := respond(200, record)
	busy := respond(503, `{"message":"Busy.","code":"SERVICE_UNAVAILABLE"}`)
	perhaps := respond(503, `{"message":"Perhaps.","code":"OUTCOME_UNKNOWN"}`)
	badGateway := respond(502, "<h1>Bad Gateway</h1>", "Content-Type", "text/html")
	limited := respond(429, `{"message":"Wait.","code":"RATE_LIMIT_EXCEEDED","retryAfter":3}`)
	rejected := func(status int, code string) http.HandlerFunc {
		return respond(status, `{"message":"No.","code":"`+code+`"}`)
	}
	gone, stale := rejected(404, "NOT_FOUND"), rejected(412, "PRECONDITION_FAILED")
	unknown := client.ErrOutcomeUnknown

	anything := client.ProviderUpdate{Notes: client.Set("private words")}
	move := client.ProviderUpdate{CustomerID: &customerID}
	ifMatch := []client.CallOption{client.IfMatch(`"6"`)}
	ms := func(n ...time.Duration) []time.Duration {
		for i := range n {
			n[i] *= time.Millisecond
		}
		return n
	}
	const half = 125 // half of the first wait's bound, in milliseconds
	tests := []struct {
		name      string
		does      operation          // change if there is none
		responses []http.HandlerFunc // the last one is repeated
		update    client.ProviderUpdate
		call      []client.CallOption
		options   []client.Option
		waits     []time.Duration
		status    int // of the error; -1 for none
		kinds     []error
	}{
		{name: "success at once", responses: []http.HandlerFunc{ok}, status: -1},
		{name: "busy, then not", responses: []http.HandlerFunc{busy, ok}, waits: ms(half), status: -1},
		{name: "each kind of passing trouble", responses: []http.HandlerFunc{badGateway, respond(504, ""), cut, ok}, waits: ms(half, 2*half, 4*half), status: -1},
		{name: "a response that ends early", responses: []http.HandlerFunc{cutShort, ok}, waits: ms(half), status: -1},
		{name: "a wait asked for in the body", responses: []http.HandlerFunc{limited, ok}, waits: ms(3000 + half), status: -1},
		{name: "a wait asked for in the header", responses: []http.HandlerFunc{respond(503, "", "Retry-After", "2"), ok}, waits: ms(2000 + half), status: -1},
		{name: "a wait asked for until a date", status: -1, waits: ms(2000 + half),
			responses: []http.HandlerFunc{respond(503, "", "Date", "Wed, 17 Jun 2026 19:07:23 GMT", "Retry-After", "Wed, 17 Jun 2026 19:07:25 GMT"), ok}},
		{name: "no end of it", responses: []http.HandlerFunc{badGateway}, waits: ms(half, 2*half, 4*half), status: 502, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no end of it, with patience", responses: []http.HandlerFunc{badGateway}, options: []client.Option{client.WithRetries(8, time.Hour)},
			waits: ms(half, 2*half, 4*half, 8*half, 16*half, 32*half, 32*half), status: 502, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "switched off", responses: []http.HandlerFunc{limited}, options: []client.Option{client.WithoutRetries()}, status: 429, kinds: []error{client.ErrRateLimited}},
		{name: "no longer than elapsed", responses: []http.HandlerFunc{limited}, options: []client.Option{client.WithRetries(100, 10*time.Second)},
			waits: ms(3000+half, 3000+2*half, 3000+4*half), status: 429, kinds: []error{client.ErrRateLimited}},
		{name: "a wait that is too long is not begun", responses: []http.HandlerFunc{respond(429, "", "Retry-After", "60")}, status: 429, kinds: []error{client.ErrRateLimited}},
		{name: "the last attempt's error", responses: []http.HandlerFunc{limited, cut, limited, busy}, waits: ms(3000+half, 2*half, 3000+4*half), status: 503,
			kinds: []error{client.ErrUnavailable, unknown}},

		{name: "not for 400", responses: []http.HandlerFunc{rejected(400, "BAD_REQUEST")}, status: 400},
		{name: "not for 401", responses: []http.HandlerFunc{rejected(401, "UNAUTHORIZED")}, status: 401, kinds: []error{client.ErrUnauthorized}},
		{name: "not for 403", responses: []http.HandlerFunc{rejected(403, "FORBIDDEN")}, status: 403, kinds: []error{client.ErrForbidden}},
		{name: "not for 404", responses: []http.HandlerFunc{gone}, status: 404, kinds: []error{client.ErrNotFound}},
		{name: "not for 412", responses: []http.HandlerFunc{stale}, call: ifMatch, status: 412, kinds: []error{client.ErrPreconditionFailed}},
		{name: "not for 422", responses: []http.HandlerFunc{rejected(422, "VALIDATION_ERROR")}, status: 422, kinds: []error{client.ErrValidation}},
		{name: "not for 500", responses: []http.HandlerFunc{rejected(500, "INTERNAL_ERROR")}, status: 500, kinds: []error{unknown}},
		{name: "not for a page", responses: []http.HandlerFunc{respond(200, "<h1>Hello</h1>", "Content-Type", "text/html")}, status: 200, kinds: []error{unknown}},
		{name: "not for a redirect", responses: []http.HandlerFunc{respond(308, "", "Location", "/elsewhere")}, status: 308},

		{name: "with a condition", responses: []http.HandlerFunc{cut, ok}, call: ifMatch, waits: ms(half), status: -1},
		{name: "a condition rejected after a lost attempt may be our own doing", responses: []http.HandlerFunc{cut, stale}, call: ifMatch, waits: ms(half), status: 412, kinds: []error{unknown}},
		{name: "so may one after a 503", responses: []http.HandlerFunc{busy, limited, stale}, call: ifMatch, waits: ms(half, 3000+2*half), status: 412, kinds: []error{unknown}},
		{name: "not one after a 429", responses: []http.HandlerFunc{limited, stale}, call: ifMatch, waits: ms(3000 + half), status: 412, kinds: []error{client.ErrPreconditionFailed}},
		{name: "a change that was made, its response lost, is not made twice", responses: []http.HandlerFunc{cutShort, stale}, call: ifMatch, status: 200, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "a provider gone after a lost move may be our own doing", responses: []http.HandlerFunc{cut, gone}, update: move, waits: ms(half), status: 404, kinds: []error{unknown}},
		{name: "a provider gone after anything else is gone", responses: []http.HandlerFunc{cut, gone}, waits: ms(half), status: 404, kinds: []error{client.ErrNotFound}},
		{name: "a change that the API itself is unsure of is repeated", responses: []http.HandlerFunc{perhaps, ok}, waits: ms(half), status: -1},
		{name: "without end", responses: []http.HandlerFunc{perhaps}, waits: ms(half, 2*half, 4*half), status: 503, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "a rejection after a lost attempt", responses: []http.HandlerFunc{cut, rejected(401, "UNAUTHORIZED")}, waits: ms(half), status: 401, kinds: []error{client.ErrUnauthorized, unknown}},

		{name: "a creation that certainly made nothing is repeated", does: create, responses: []http.HandlerFunc{busy, limited, respond(201, record)}, waits: ms(half, 3000+2*half), status: -1},
		{name: "a creation limited by a proxy", does: create, responses: []http.HandlerFunc{respond(429, "<h1>Wait</h1>", "Content-Type", "text/html"), respond(201, record)}, waits: ms(half), status: -1},
		{name: "no creation after OUTCOME_UNKNOWN", does: create, responses: []http.HandlerFunc{perhaps}, status: 503, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no creation after a 503 of nobody's", does: create, responses: []http.HandlerFunc{respond(503, "")}, status: 503, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no creation after a 502", does: create, responses: []http.HandlerFunc{badGateway}, status: 502, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no creation after a 504", does: create, responses: []http.HandlerFunc{respond(504, "")}, status: 504, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no creation after a 500", does: create, responses: []http.HandlerFunc{rejected(500, "INTERNAL_ERROR")}, status: 500, kinds: []error{unknown}},
		{name: "no creation after a cut", does: create, responses: []http.HandlerFunc{cut}, status: 0, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "no creation after a response that ended early", does: create, responses: []http.HandlerFunc{cutShort}, status: 200, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "nor after a wait", does: create, responses: []http.HandlerFunc{busy, cut}, waits: ms(half), status: 0, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "a creation that is rejected after a wait", does: create, responses: []http.HandlerFunc{busy, rejected(422, "VALIDATION_ERROR")}, waits: ms(half), status: 422, kinds: []error{client.ErrValidation}},

		{name: "a read is repeated", does: get, responses: []http.HandlerFunc{cut, cutShort, perhaps, ok}, waits: ms(half, 2*half, 4*half), status: -1},
		{name: "a read leaves nothing open", does: get, responses: []http.HandlerFunc{cut}, waits: ms(half, 2*half, 4*half), status: 0, kinds: []error{client.ErrUnavailable}},
		{name: "a read that finds nothing after a lost attempt", does: get, responses: []http.HandlerFunc{cut, gone}, waits: ms(half), status: 404, kinds: []error{client.ErrNotFound}},
		{name: "a page is repeated", does: providers, responses: []http.HandlerFunc{cut, badGateway, respond(200, providers.body)}, waits: ms(half, 2*half), status: -1},

		{name: "a deletion is repeated", does: remove, responses: []http.HandlerFunc{badGateway, perhaps, respond(200, deleted)}, waits: ms(half, 2*half), status: -1},
		{name: "without end", does: remove, responses: []http.HandlerFunc{cut}, waits: ms(half, 2*half, 4*half), status: 0, kinds: []error{client.ErrUnavailable, unknown}},
		{name: "what is gone after a lost deletion is deleted", does: remove, responses: []http.HandlerFunc{cut, gone}, waits: ms(half), status: -1},
		{name: "so it is with a wait in between", does: remove, responses: []http.HandlerFunc{perhaps, limited, gone}, waits: ms(half, 3000+2*half), status: -1},
		{name: "so it is with a condition", does: remove, responses: []http.HandlerFunc{cutShort, gone}, call: ifMatch, waits: ms(half), status: -1},
		{name: "what was never there is not", does: remove, responses: []http.HandlerFunc{limited, gone}, waits: ms(3000 + half), status: 404, kinds: []error{client.ErrNotFound}},
		{name: "a page is no proof of it", does: remove, responses: []http.HandlerFunc{cut, respond(404, "<h1>Hm</h1>", "Content-Type", "text/html")}, waits: ms(half), status: 404, kinds: []error{unknown}},
		{name: "what another changed is still there", does: remove, responses: []http.HandlerFunc{cut, stale}, call: ifMatch, waits: ms(half), status: 412, kinds: []error{client.ErrPreconditionFailed}},
	}
	for _, test := range tests {
		t.Run(test.does.name+" "+test.name, func(t *testing.T) {
			t.Parallel()
			if test.does.call == nil {
				test.does.call = func(ctx context.Context, c *client.Client, options ...client.CallOption) error {
					if test.update == (client.ProviderUpdate{}) {
						test.update = anything
					}
					return oneOf(c.UpdateProvider(ctx, customerID, providerID, test.update, options...))
				}
			}
			var mu sync.Mutex
			var sent []string // what the requests have in common
			clock := newClock()
			server := serve
			if test.does.name == create.name {
				server = serveVendor
			}
			c := server(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				sent = append(sent, r.Header.Get("X-Request-Id")+r.Header.Get("If-Match")+r.Header.Get("X-Api-Key")+string(body))
				responder := test.responses[min(len(sent), len(test.responses))-1]
				mu.Unlock()
				responder(w, r)
			}, append([]client.Option{clock.option()}, test.options...)...)
			err := test.does.call(t.Context(), c, test.call...)
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(clock.waits, test.waits) {
				t.Errorf("waits %v, want %v", clock.waits, test.waits)
			}
			if len(sent) != len(test.waits)+1 || len(slices.Compact(sent)) != 1 {
				t.Errorf("%d attempts with %q, want %d with one", len(sent), slices.Compact(sent), len(test.waits)+1)
			}
			if test.status == -1 {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if failed := asError(t, err); failed.StatusCode != test.status || failed.Attempts != len(test.waits)+1 {
				t.Errorf("%+v, want status %d and %d attempts", failed, test.status, len(test.waits)+1)
			}
			wantKinds(t, err, test.kinds...)
		})
	}
}

func TestWaitsAreRandom(t *testing.T) {
	for _, test := range []struct {
		random float64
		want   time.Duration
	}{{0, time.Millisecond}, {0.25, 62500 * time.Microsecond}, {0.999, 249750 * time.Microsecond}} {
		clock := newClock()
		clock.random = test.random
		serve(t, respond(503, ""), clock.option(), client.WithRetries(2, time.Minute)).UpdateProvider(t.Context(), customerID, providerID, update)
		if !slices.Equal(clock.waits, []time.Duration{test.want}) {
			t.Errorf("waits %v, want %v", clock.waits, test.want)
		}
	}
}

func TestRetriesNeverWaitBeyondTheContext(t *testing.T) {
	clock := newClock()
	clock.now = clock.now.Add(time.Hour) // ahead of the real time, so that the deadline does not pass in tt
	c := serve(t, respond(503, "", "Retry-After", "8"), clock.option(), client.WithRetries(100, time.Hour))
	ctx, cancel := context.WithDeadline(t.Context(), clock.now.Add(20*time.Second))
	defer cancel()
	_, err := c.UpdateProvider(ctx, customerID, providerID, update)
	if len(clock.waits) != 2 {
		t.Errorf("waits %v, want two", clock.waits)
	}
	wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
}

func TestContextEnds(t *testing.T) {
	t.Run("before the call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := serve(t, respond(200, record)).UpdateProvider(ctx, customerID, providerID, update)
		wantKinds(t, err, context.Canceled)
		if want := "update provider: nothing was sent: the call's context had ended (context canceled) (request "; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s…", err, want)
		}
	})
	t.Run("while the server works", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		})
		_, err := c.UpdateProvider(ctx, customerID, providerID, update)
		wantKinds(t, err, context.Canceled, client.ErrOutcomeUnknown)
		if got := asError(t, err).Attempts; got != 1 {
			t.Errorf("%d attempts", got)
		}
	})
	t.Run("within the response", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			respond(200, record[:100])(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, client.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
			response, err := http.DefaultTransport.RoundTrip(r)
			cancel()
			return response, err
		})))
		_, err := c.UpdateProvider(ctx, customerID, providerID, update)
		wantKinds(t, err, context.Canceled, client.ErrOutcomeUnknown)
	})
	t.Run("during a wait", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := serve(t, respond(503, ""), client.WithAttemptHook(func(_ context.Context, a client.Attempt) { cancel() }))
		_, err := c.UpdateProvider(ctx, customerID, providerID, update)
		wantKinds(t, err, context.Canceled, client.ErrUnavailable, client.ErrOutcomeUnknown)
		if got := asError(t, err); got.Attempts != 1 || got.StatusCode != 503 {
			t.Errorf("%+v", got)
		}
	})
}

// TestSystemClock goes by the clock that programs have, which synctest lets run ahead.
func TestSystemClock(t *testing.T) {
	busy := client.WithTransport(transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"5"}}, Body: http.NoBody}, nil
	}))
	t.Run("waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c, err := client.New(apiKey, busy)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.UpdateProvider(t.Context(), customerID, providerID, update)
			wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
			if took := time.Since(start); took < 15*time.Second || took > 15*time.Second+1750*time.Millisecond {
				t.Errorf("three waits of 5s and some took %v", took)
			}
		})
	})
	t.Run("stops waiting when the context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c, err := client.New(apiKey, busy)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err = c.UpdateProvider(ctx, customerID, providerID, update)
			wantKinds(t, err, context.Canceled, client.ErrUnavailable, client.ErrOutcomeUnknown)
			if took := time.Since(start); took != time.Second {
				t.Errorf("it took %v, want 1s", took)
			}
		})
	})
}

// TestRepeatedCreation loses responses: the creation is sent again, with the same key.
func TestRepeatedCreation(t *testing.T) {
	perhaps := respond(503, `{"message":"Perhaps.","code":"OUTCOME_UNKNOWN"}`)
	for name, test := range map[string]struct {
		responses []http.HandlerFunc
		options   []client.CallOption
		key       string // of all requests; any if empty
		text      string // of the error; empty for none
	}{
		"cut":                 {[]http.HandlerFunc{cut, respond(201, record)}, nil, "", ""},
		"cut short":           {[]http.HandlerFunc{cutShort, respond(201, record)}, nil, "", ""},
		"of unknown outcome":  {[]http.HandlerFunc{perhaps, respond(502, ""), respond(201, record)}, nil, "", ""},
		"the program's key":   {[]http.HandlerFunc{cut, respond(201, record)}, []client.CallOption{client.IdempotencyKey(`invoice "7" \`)}, `"invoice \"7\" \\"`, ""},
		"without end":         {[]http.HandlerFunc{perhaps}, nil, "", "503 OUTCOME_UNKNOWN: Perhaps; whether the record was created is not known: create it again with the IdempotencyKey of this Error"},
		"a key used before":   {[]http.HandlerFunc{respond(422, `{"message":"Why.","code":"IDEMPOTENCY_KEY_REUSED","errors":[]}`)}, nil, "", "422 IDEMPOTENCY_KEY_REUSED: Why."},
		"certainly no effect": {[]http.HandlerFunc{respond(503, `{"message":"Busy.","code":"SERVICE_UNAVAILABLE"}`)}, nil, "", "503 SERVICE_UNAVAILABLE: Busy."},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var keys []string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				mu.Lock()
				keys = append(keys, r.Header.Get("Idempotency-Key"))
				responder := test.responses[min(len(keys), len(test.responses))-1]
				mu.Unlock()
				responder(w, r)
			})
			_, err := c.CreateProvider(t.Context(), customerID, creation, test.options...)
			mu.Lock()
			defer mu.Unlock()
			if all := slices.Compact(slices.Clone(keys)); len(all) != 1 || len(all[0]) < 3 || test.key != "" && all[0] != test.key {
				t.Errorf("keys %q", keys)
			}
			if test.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			failed := asError(t, err)
			if got := strings.TrimPrefix(err.Error(), "create provider: "); !strings.HasPrefix(got, test.text) || `"`+failed.IdempotencyKey+`"` != keys[0] {
				t.Errorf("got %s with the key %s, want %s", got, failed.IdempotencyKey, test.text)
			}
			if errors.Is(err, client.ErrIdempotencyKeyReused) != (name == "a key used before") || errors.Is(err, client.ErrValidation) {
				t.Errorf("the kind of %v", err)
			}
		})
	}
}

// Each creation has a key of its own, and the vendor's none: net/http itself repeats a request that has one.
func TestIdempotencyKeys(t *testing.T) {
	keys := map[string]bool{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		keys[r.Header.Get("Idempotency-Key")] = true
		respond(201, record)(w, r)
	}
	c := serve(t, handler)
	for range 3 {
		if _, err := c.CreateProvider(t.Context(), customerID, creation); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 3 || keys[""] {
		t.Errorf("keys of three creations: %v", keys)
	}
	clear(keys)
	if _, err := serveVendor(t, handler).CreateProvider(t.Context(), customerID, creation); err != nil || !keys[""] {
		t.Errorf("the vendor's: %v, %v", keys, err)
	}
}
