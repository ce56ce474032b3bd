package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
)

func TestModifyProvider(t *testing.T) {
	rejected := func(status int, code string) http.HandlerFunc {
		return respond(status, `{"message":"No.","code":"`+code+`"}`)
	}
	read := func(version int) http.HandlerFunc { return respond(200, record, "ETag", fmt.Sprintf(`"%d"`, version)) }
	stale, changed, busy := rejected(412, "PRECONDITION_FAILED"), respond(200, record, "ETag", `"9"`), rejected(503, "SERVICE_UNAVAILABLE")
	own := errors.New("not today")
	const half = 125 * time.Millisecond
	tests := []struct {
		name      string
		responses []http.HandlerFunc
		returns   error // of the function; its update is empty if it is errNothing
		sent      string
		calls     int // of the function
		waits     []time.Duration
		etag      string // of the record that is returned
		text      string // of the error
		kinds     []error
	}{
		{name: "at once", responses: []http.HandlerFunc{read(7), changed}, sent: `GET, PATCH "7"`, calls: 1, etag: `"9"`},
		{name: "somebody was faster, twice", responses: []http.HandlerFunc{read(6), stale, read(7), stale, read(8), changed}, calls: 3,
			sent: `GET, PATCH "6", GET, PATCH "7", GET, PATCH "8"`, waits: []time.Duration{half, 2 * half}, etag: `"9"`},
		{name: "a weak ETag of a proxy", responses: []http.HandlerFunc{respond(200, record, "ETag", `W/"7"`), changed}, sent: `GET, PATCH "7"`, calls: 1, etag: `"9"`},
		{name: "an ETag that never matches", responses: []http.HandlerFunc{read(7), stale, read(7)}, sent: `GET, PATCH "7", GET`, calls: 1, waits: []time.Duration{half},
			text: "modify provider: the server rejects the ETag", kinds: []error{client.ErrETagNeverMatches}},
		{name: "an ETag that the server does not know", responses: []http.HandlerFunc{read(7), rejected(412, "UNKNOWN_ETAG")}, sent: `GET, PATCH "7"`, calls: 1,
			text: "modify provider: update provider: 412 UNKNOWN_ETAG: No.", kinds: []error{client.ErrPreconditionFailed}},
		{name: "nothing to change", responses: []http.HandlerFunc{read(7)}, returns: errNothing, sent: "GET", calls: 1, etag: `"7"`},
		{name: "an error of the function", responses: []http.HandlerFunc{read(7)}, returns: own, sent: "GET", calls: 1, text: "modify provider: not today"},
		{name: "a rejection of another's is not this one's", responses: []http.HandlerFunc{read(7)}, returns: &client.Error{StatusCode: 412, Code: "PRECONDITION_FAILED", Message: "Another."},
			sent: "GET", calls: 1, text: "modify provider: 412 PRECONDITION_FAILED: Another.", kinds: []error{client.ErrPreconditionFailed}},
		{name: "no versions", responses: []http.HandlerFunc{respond(200, record)}, sent: "GET", text: "modify provider: the server keeps no versions"},
		{name: "a version that is none", responses: []http.HandlerFunc{respond(200, record, "ETag", "7")}, sent: "GET", calls: 1, text: "modify provider: update provider: IfMatch needs the ETag"},
		{name: "not found", responses: []http.HandlerFunc{rejected(404, "NOT_FOUND")}, sent: "GET", text: "modify provider: get provider: 404 NOT_FOUND: No.", kinds: []error{client.ErrNotFound}},
		{name: "gone in between", responses: []http.HandlerFunc{read(7), stale, rejected(404, "NOT_FOUND")}, sent: `GET, PATCH "7", GET`, calls: 1, waits: []time.Duration{half},
			text: "modify provider: get provider: 404 NOT_FOUND: No.", kinds: []error{client.ErrNotFound}},
		{name: "rejected", responses: []http.HandlerFunc{read(7), rejected(422, "VALIDATION_ERROR")}, sent: `GET, PATCH "7"`, calls: 1,
			text: "modify provider: update provider: 422 VALIDATION_ERROR: No.", kinds: []error{client.ErrValidation}},
		{name: "a lost change is not made again", responses: []http.HandlerFunc{read(7), cut, stale}, sent: `GET, PATCH "7", PATCH "7"`, calls: 1, waits: []time.Duration{half},
			text: "modify provider: update provider: 412 PRECONDITION_FAILED: No. An earlier attempt of this call may have made the change.", kinds: []error{client.ErrOutcomeUnknown}},
		{name: "each call has attempts of its own", responses: []http.HandlerFunc{busy, read(7), busy, changed}, sent: `GET, GET, PATCH "7", PATCH "7"`, calls: 1,
			waits: []time.Duration{half, half}, etag: `"9"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var sent []string
			clock := newClock()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				mu.Lock()
				sent = append(sent, strings.TrimSpace(r.Method+" "+r.Header.Get("If-Match")))
				next := test.responses[len(sent)-1]
				mu.Unlock()
				next(w, r)
			}, clock.option())
			calls := 0
			got, err := c.ModifyProvider(t.Context(), customerID, providerID, func(current *client.Record) (client.ProviderUpdate, error) {
				calls++
				if current.ID != providerID || current.ETag == "" {
					t.Errorf("the function is given %+v", current)
				}
				switch test.returns {
				case errNothing:
					return client.ProviderUpdate{}, nil
				case nil:
					current.ETag = `"another"` // changes no condition
				}
				return update, test.returns
			})
			mu.Lock()
			defer mu.Unlock()
			if text := strings.Join(sent, ", "); text != test.sent {
				t.Errorf("sent %s, want %s", text, test.sent)
			}
			if calls != test.calls || !slices.Equal(clock.waits, test.waits) {
				t.Errorf("%d calls of the function and waits %v, want %d and %v", calls, clock.waits, test.calls, test.waits)
			}
			if test.text == "" {
				if err != nil || got.ETag != test.etag {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err == nil || got != nil || !strings.HasPrefix(err.Error(), test.text) {
				t.Fatalf("%+v and error %v, want %s", got, err, test.text)
			}
			wantKinds(t, err, test.kinds...)
			if test.returns != nil && !errors.Is(err, test.returns) {
				t.Errorf("the error is not the function's: %v", err)
			}
			if noVersions := test.name == "no versions"; errors.Is(err, client.ErrNoVersions) != noVersions {
				t.Errorf("errors.Is(err, ErrNoVersions) is %t", !noVersions)
			}
		})
	}
}

// errNothing stands for a function that has nothing to change.
var errNothing = errors.New("nothing")

// contested returns a handler of a record that changes between a read and a change.
func contested() http.HandlerFunc {
	var version atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			respond(200, record, "ETag", fmt.Sprintf(`"%d"`, version.Add(1)))(w, r)
			return
		}
		respond(412, `{"message":"No.","code":"PRECONDITION_FAILED"}`)(w, r)
	}
}

func TestModifyProviderEnds(t *testing.T) {
	t.Run("after ten times", func(t *testing.T) {
		calls := 0
		_, err := serve(t, contested(), client.WithRetries(1, time.Hour)).ModifyProvider(t.Context(), customerID, providerID, func(*client.Record) (client.ProviderUpdate, error) {
			calls++
			return update, nil
		})
		wantKinds(t, err, client.ErrPreconditionFailed)
		if calls != 10 {
			t.Errorf("%d calls", calls)
		}
	})
	t.Run("when a call has no more time", func(t *testing.T) {
		clock := newClock()
		_, err := serve(t, contested(), clock.option(), client.WithRetries(1, time.Second)).ModifyProvider(t.Context(), customerID, providerID, modify)
		wantKinds(t, err, client.ErrPreconditionFailed)
		if want := []time.Duration{125 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond}; !slices.Equal(clock.waits, want) {
			t.Errorf("waits %v, want %v", clock.waits, want)
		}
	})
	t.Run("when the context ends during a wait", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := serve(t, contested(), client.WithAttemptHook(func(_ context.Context, a client.Attempt) {
			if a.StatusCode == 412 {
				cancel()
			}
		})).ModifyProvider(ctx, customerID, providerID, modify)
		wantKinds(t, err, context.Canceled)
		if want := "modify provider: update provider: 412 PRECONDITION_FAILED: No.; the call's context ended"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s…", err, want)
		}
	})
	t.Run("without a function", func(t *testing.T) {
		if _, err := serve(t, contested()).ModifyProvider(t.Context(), customerID, providerID, nil); err == nil || !strings.Contains(err.Error(), "the function is nil") {
			t.Errorf("error %v", err)
		}
	})
}

func modify(*client.Record) (client.ProviderUpdate, error) { return update, nil }
