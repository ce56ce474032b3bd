package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
)

// newAPI stands in for the API: it responds with these, one request after another, and with the record from then on.
func newAPI(responses ...http.HandlerFunc) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := respond(200, record, "ETag", `"7"`)
		if len(responses) > 0 {
			next, responses = responses[0], responses[1:]
		}
		next(w, r)
	}))
}

func Example() {
	api := newAPI()
	defer api.Close()

	c, err := client.New("cc_your_key", client.WithBaseURL(api.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{
		ProviderName: client.Set("Dr. Ada Example"), // a value
		Fax:          client.Clear[string](),        // null
	}) // everything else stays as it is
	switch {
	case errors.Is(err, client.ErrNotFound):
		fmt.Println("the customer has no such provider")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(*record.ProviderName, record.ProviderType, record.ETag)
	}
	// Output: Dr. Ada Example Primary Care "7"
}

func ExampleNew() {
	_, err := client.New("cc_your_key",
		client.WithBaseURL("https://api.carecycle.ai"),
		client.WithTimeout(5*time.Second),
		client.WithRetries(3, time.Minute),
		client.WithUserAgent("billing/1.4"),
	)
	fmt.Println(err)

	_, err = client.New("from another service")
	fmt.Println(err)
	// Output:
	// <nil>
	// client: the API key must begin with cc_ and have no spaces; is it the right one, and whole?
}

func ExampleClient_UpdateProvider() {
	api := newAPI(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, string(body))
		respond(200, record)(w, r)
	})
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	record, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{
		ProviderType: new(client.ProviderTypeSpecialist), // never null
		Phone:        client.Set("+1 555 0100"),
		Fax:          client.Clear[string](),
		IsActive:     client.Set(true),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if record.Specialty == nil {
		fmt.Println("no specialty is known")
	}
	// Output:
	// PATCH {"fax":null,"isActive":true,"phone":"+1 555 0100","providerType":"Specialist"}
	// no specialty is known
}

func ExampleClient_CreateProvider() {
	api := newAPI(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, string(body))
		respond(201, record, "ETag", `"1"`)(w, r)
	})
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	made, err := c.CreateProvider(context.Background(), customerID, client.ProviderCreate{
		ProviderType: client.ProviderTypePrimaryCare,
		ProviderName: new("Dr. Ada Example"),
	})
	switch {
	case errors.Is(err, client.ErrOutcomeUnknown):
		fmt.Println("create it again with client.IdempotencyKey and the key of the *client.Error: that creates no second record")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(made.ID, made.ETag)
	}
	// Output:
	// POST {"providerName":"Dr. Ada Example","providerType":"Primary Care"}
	// 7d5f2a9e-91c1-4d0e-9b52-1f3f0f7f6c11 "1"
}

func ExampleClient_GetProvider() {
	api := newAPI()
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	record, err := c.GetProvider(context.Background(), customerID, providerID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*record.ProviderName, record.ETag)
	// Output: Dr. Ada Example "7"
}

func ExampleClient_DeleteProvider() {
	// The response to the first attempt is lost on the way. The second one finds nothing: the provider is gone.
	api := newAPI(respond(502, ""), respond(404, `{"message":"This customer has no such provider.","code":"NOT_FOUND"}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	err := c.DeleteProvider(context.Background(), customerID, providerID, client.IfMatch(`"7"`))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleClient_Providers() {
	api := newAPI(respond(200, `{"data":[`+record+`,`+record+`],"nextCursor":"AAABl3-X2-08kMPMDURLUIiI3SVzYFIq"}`), respond(200, `{"data":[`+record+`],"nextCursor":null}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	filter := client.ProviderFilter{ProviderType: new(client.ProviderTypePrimaryCare), PageSize: 2}
	for provider, err := range c.Providers(context.Background(), customerID, filter) {
		if err != nil {
			fmt.Println(err)
			return // the walk is over
		}
		fmt.Println(*provider.ProviderName)
	}
	// Output:
	// Dr. Ada Example
	// Dr. Ada Example
	// Dr. Ada Example
}

func ExampleClient_ProviderHistory() {
	api := newAPI(respond(200, `{"data":[`+entry+`],"nextCursor":null}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	for entry, err := range c.ProviderHistory(context.Background(), customerID, providerID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		at, _ := entry.Time()
		fmt.Println(at.Format(time.DateOnly), entry.Action)
		for _, change := range entry.Changes {
			fmt.Println(change.Field, "from", change.From, "to", change.To)
		}
	}
	// Output:
	// 2026-06-18 updated
	// phone from +1 555 0100 to <nil>
}

func ExampleClient_ModifyProvider() {
	api := newAPI(
		respond(200, record, "ETag", `"6"`),
		respond(412, `{"message":"The provider has changed.","code":"PRECONDITION_FAILED"}`), // somebody is faster
		respond(200, record, "ETag", `"7"`),
		respond(200, record, "ETag", `"8"`),
	)
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	record, err := c.ModifyProvider(context.Background(), customerID, providerID, func(current *client.Record) (client.ProviderUpdate, error) {
		fmt.Println("deciding on", current.ETag)
		name := strings.ToUpper(*current.ProviderName)
		if name == *current.ProviderName {
			return client.ProviderUpdate{}, nil // nothing to change
		}
		return client.ProviderUpdate{ProviderName: client.Set(name)}, nil
	})
	switch {
	case errors.Is(err, client.ErrOutcomeUnknown):
		fmt.Println("read the record, and see whether the change is there")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("changed to", record.ETag)
	}
	// Output:
	// deciding on "6"
	// deciding on "7"
	// changed to "8"
}

func ExampleHistoryEntry_Time() {
	e := client.HistoryEntry{At: "2026-06-17T19:07:23.709Z"}
	if at, ok := e.Time(); ok {
		fmt.Println(at.Format(time.DateOnly))
	}
	// Output: 2026-06-17
}

func ExampleIfMatch() {
	api := newAPI(respond(200, record, "ETag", `"7"`), respond(412, `{"message":"The provider has changed.","code":"PRECONDITION_FAILED"}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))
	ctx := context.Background()

	read, err := c.GetProvider(ctx, customerID, providerID)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{Notes: client.Set("Call in the morning.")}, client.IfMatch(read.ETag))
	switch {
	case errors.Is(err, client.ErrPreconditionFailed):
		fmt.Println("somebody was faster; nothing was changed")
	case errors.Is(err, client.ErrOutcomeUnknown):
		fmt.Println("read the record, and see whether the note is there")
	}
	// Output: somebody was faster; nothing was changed
}

func ExampleSet() {
	update := client.ProviderUpdate{Phone: client.Set("+1 555 0100"), Notes: client.Set("")}
	fmt.Println(update.Phone.IsZero(), update.Fax.IsZero())
	fmt.Println(update.Notes == client.Clear[string]()) // the empty text is a value
	// Output:
	// false true
	// false
}

func ExampleClear() {
	update := client.ProviderUpdate{Phone: client.Clear[string](), IsPrimaryProvider: client.Clear[bool]()}
	fmt.Println(update.Phone.IsZero(), update.Fax.IsZero())
	// Output: false true
}

func ExampleProvider_UpdatedTime() {
	p := client.Provider{UpdatedAt: new("2026-06-17T19:07:23.709Z")}
	if at, ok := p.UpdatedTime(); ok {
		fmt.Println(at.Format(time.DateOnly))
	}
	fmt.Println(*p.UpdatedAt)
	// Output:
	// 2026-06-17
	// 2026-06-17T19:07:23.709Z
}

func ExampleProvider_CreatedTime() {
	var p client.Provider
	_, ok := p.CreatedTime() // the API does not say
	fmt.Println(ok)
	// Output: false
}

func ExampleProviderType() {
	for _, kind := range []client.ProviderType{client.ProviderTypePrimaryCare, "Dentist"} {
		fmt.Println(kind, kind.Valid())
	}
	// Output:
	// Primary Care true
	// Dentist false
}

func ExampleError() {
	api := newAPI(respond(422, `{"message": "The request has 2 errors; all are listed.", "code": "VALIDATION_ERROR", "errors": [
		{"path": ["npi"], "message": "npi must have at most 50 characters; it has 60 characters.", "expected": "at most 50 characters", "received": "60 characters", "code": "too_long"},
		{"path": ["state"], "message": "state must be text.", "expected": "string", "received": "number", "code": "invalid_type"}
	]}`, "X-Request-Id", "0198f3a2-6c1d-7b7e-9d5c-2f4b8a1e6c3d"))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	_, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{NPI: client.Set(strings.Repeat("1", 60))})
	if e, ok := errors.AsType[*client.Error](err); ok && errors.Is(err, client.ErrValidation) {
		fmt.Println(e.StatusCode, e.Code, e.RequestID)
		for _, field := range e.Fields {
			fmt.Println(field.Path, field.Code, field.Message)
		}
	}
	// Output:
	// 422 VALIDATION_ERROR 0198f3a2-6c1d-7b7e-9d5c-2f4b8a1e6c3d
	// [npi] too_long npi must have at most 50 characters; it has 60 characters.
	// [state] invalid_type state must be text.
}

func ExampleError_retryAfter() {
	api := newAPI(respond(429, `{"message":"Too many requests.","code":"RATE_LIMIT_EXCEEDED","retryAfter":60}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL))

	_, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{})
	if e, ok := errors.AsType[*client.Error](err); ok && errors.Is(err, client.ErrRateLimited) {
		fmt.Println("again in", e.RetryAfter) // longer than the call would wait by itself
	}
	// Output: again in 1m0s
}
