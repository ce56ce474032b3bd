package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/client"
)

const requestID = "0198f3a2-6c1d-7b7e-9d5c-2f4b8a1e6c3d"

// TestCallOptions gives each option to each operation: either the request has what it asks for, or nothing is sent.
func TestCallOptions(t *testing.T) {
	for name, test := range map[string]struct {
		option       client.CallOption
		operations   []operation // that have it
		header, want string
	}{
		"IfMatch":        {client.IfMatch(`"7"`), []operation{change, remove}, "If-Match", `"7"`},
		"IfNoneMatch":    {client.IfNoneMatch(`"7"`), []operation{get}, "If-None-Match", `"7"`},
		"PageSize":       {client.PageSize(7), []operation{history}, "", ""},
		"Cursor":         {client.Cursor("3"), []operation{history}, "", ""},
		"RequestID":      {client.RequestID(requestID), operations, "X-Request-Id", requestID},
		"Header":         {client.Header("X-Tenant", "north"), operations, "X-Tenant", "north"},
		"WithTimeout":    {client.WithTimeout(time.Hour), operations, "", ""},
		"WithRetries":    {client.WithRetries(1, time.Hour), operations, "", ""},
		"WithoutRetries": {client.WithoutRetries(), operations, "", ""},
	} {
		for _, o := range operations {
			t.Run(name+", "+o.name, func(t *testing.T) {
				sent := false
				err := o.call(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) {
					sent = true
					if got := r.Header.Get(test.header); test.header != "" && got != test.want {
						t.Errorf("%s is %q", test.header, got)
					}
					respond(o.status, o.body)(w, r)
				}), test.option)
				if has := slices.ContainsFunc(test.operations, func(other operation) bool { return other.name == o.name }); has != (err == nil) || has != sent {
					t.Errorf("sent: %t, and %v", sent, err)
				}
			})
		}
	}
}

func TestCallOptionsThatCannotBeMeant(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for want, option := range map[string]client.CallOption{
		"RequestID must be a UUID":                     client.RequestID("private words"),
		"RequestID must be a UUID of 36 characters":    client.RequestID("urn:uuid:" + requestID),
		"Header: the name must be letters":             client.Header("X Tenant", "private"),
		"and the value printable ASCII":                client.Header("X-Tenant", "private\nX-Other: y"),
		"IfNoneMatch needs the ETag of a record":       client.IfNoneMatch(""),
		"WithTimeout: the timeout must be more than 0": client.WithTimeout(0),
		"WithRetries: attempts and elapsed must":       client.WithRetries(0, time.Hour),
		"an option of the call is nil":                 nil,
	} {
		_, err := c.GetProvider(t.Context(), customerID, providerID, option)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "private") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err := c.ModifyProvider(t.Context(), customerID, providerID, func(*client.Record) (client.ProviderUpdate, error) {
		return update, nil
	}, client.IfMatch("*"))
	if err == nil || err.Error() != "modify provider: IfMatch is for an update or a deletion" {
		t.Errorf("ModifyProvider: %v", err)
	}
}

// TestHeaderThatTheClientSets tries to set headers that would have no effect, or break the call.
func TestHeaderThatTheClientSets(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for name, instead := range map[string]string{
		"x-api-key":         "X-Api-Key cannot be set; give New the key",
		"user-agent":        "User-Agent cannot be set; use WithUserAgent, an option of New",
		"Accept":            "Accept cannot be set; the client reads JSON only",
		"accept-encoding":   "Accept-Encoding cannot be set; the transport requests gzip itself",
		"Content-Type":      "Content-Type cannot be set; the client sends JSON only",
		"Content-Encoding":  "Content-Encoding cannot be set; the client sends the body as it is",
		"Host":              "Host cannot be set; use WithBaseURL",
		"If-Match":          "If-Match cannot be set; use IfMatch",
		"If-None-Match":     "If-None-Match cannot be set; use IfNoneMatch",
		"Idempotency-Key":   "Idempotency-Key cannot be set; use IdempotencyKey",
		"X-Request-ID":      "X-Request-Id cannot be set; use RequestID",
		"Connection":        "Connection cannot be set; it belongs to the connection; use WithTransport",
		"Trailer":           "Trailer cannot be set; it belongs to the connection; use WithTransport",
		"Transfer-Encoding": "Transfer-Encoding cannot be set; it belongs to the connection; use WithTransport",
	} {
		_, err := c.GetProvider(t.Context(), customerID, providerID, client.Header(name, "private"))
		if want := "get provider: Header: " + instead; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// TestLimitsOfACall gives one call less time and fewer attempts than the Client has.
func TestLimitsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPaced(t, misbehaveInBubble(thenHang("")), client.WithBaseURL("http://api.example"), client.WithTimeout(time.Hour), client.WithRetries(5, 24*time.Hour))
		start := time.Now()
		_, err := c.GetProvider(t.Context(), customerID, providerID, client.WithTimeout(time.Second), client.WithoutRetries())
		if took := time.Since(start); took != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) || asError(t, err).Attempts != 1 {
			t.Errorf("after %v: %v", took, err)
		}
		start = time.Now()
		err = lastOf(c.Providers(t.Context(), customerID, client.ProviderFilter{}, client.WithTimeout(time.Second), client.WithRetries(2, time.Minute)))
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Second || asError(t, err).Attempts != 2 {
			t.Errorf("a list, after %v: %v", took, err)
		}
		start = time.Now()
		_, err = c.ModifyProvider(t.Context(), customerID, providerID, func(*client.Record) (client.ProviderUpdate, error) {
			return update, nil
		}, client.WithTimeout(time.Second), client.WithoutRetries())
		if took := time.Since(start); took != time.Second || asError(t, err).Attempts != 1 {
			t.Errorf("a modification, after %v: %v", took, err)
		}
	})
}

func TestIfNoneMatch(t *testing.T) {
	var attempts []client.Attempt
	hook := client.WithAttemptHook(func(_ context.Context, a client.Attempt) { attempts = append(attempts, a) })
	c := serve(t, respond(304, "", "ETag", `"7"`), hook)
	record, err := c.GetProvider(t.Context(), customerID, providerID, client.IfNoneMatch(`"7"`))
	if record != nil || len(attempts) != 1 || attempts[0].StatusCode != 304 {
		t.Errorf("record %v, attempts %+v", record, attempts)
	}
	wantKinds(t, err, client.ErrNotModified)

	_, err = c.GetProvider(t.Context(), customerID, providerID) // which nobody asked for
	if wantKinds(t, err); err == nil || errors.Is(err, client.ErrNotModified) {
		t.Errorf("a 304 without a condition: %v", err)
	}
}
