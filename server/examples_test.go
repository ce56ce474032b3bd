package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestErrorExamples sends, for each example of an error in the contract, a request that gets it.
func TestErrorExamples(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	reader := a.newKey("acme", "--permission", "providers:read")
	suspended := a.newKey("suspended")
	a.mustRun("", "organizations", "suspend", "suspended")
	limited := a.newKey("acme", "--rate-limit", "1")
	failed := func(err error) func(account) response {
		return func(a account) response {
			broken := serveFailing(a.t, func() error { return err })
			return broken.send(request{Path: pathOf(exampleID, exampleID), Body: `{}`})
		}
	}
	sent := func(request request) func(account) response {
		return func(a account) response { return a.send(request) }
	}
	requests := map[string]func(account) response{
		"BadRequest/body":                  sent(request{Path: r.path()}),
		"BadRequest/precondition":          sent(request{Path: r.path(), Body: `{}`, Header: http.Header{"If-Unmodified-Since": {"Thu, 26 Nov 2026 12:00:00 GMT"}}}),
		"BadRequest/idempotencyKey":        sent(request{Path: r.path(), Body: `{}`, Header: http.Header{"Idempotency-Key": {"a"}}}),
		"Unauthorized":                     sent(request{Path: r.path(), Body: `{}`, Key: "cc_"}),
		"Forbidden/permission":             sent(request{Path: r.path(), Body: `{}`, Key: reader}),
		"Forbidden/suspension":             sent(request{Path: r.path(), Body: `{}`, Key: suspended}),
		"NotFound/provider":                sent(request{Path: pathOf(r.customer, uuid.NewString()), Body: `{}`}),
		"NotFound/customer":                sent(request{Method: http.MethodGet, Path: providersOf(uuid.NewString())}),
		"PreconditionFailed/changed":       sent(request{Path: r.path(), Body: `{}`, Header: http.Header{"If-Match": {`"7"`}}}),
		"PreconditionFailed/unknown":       sent(request{Path: r.path(), Body: `{}`, Header: http.Header{"If-Match": {`"seven"`}}}),
		"PayloadTooLarge":                  sent(request{Path: r.path(), Body: strings.Repeat(" ", 64<<10) + `{}`}),
		"UnsupportedMediaType/creation":    sent(request{Method: http.MethodPost, Path: providersOf(r.customer), Body: `{}`, Header: http.Header{"Content-Type": {"text/plain"}}}),
		"UnsupportedMediaType/change":      sent(request{Path: r.path(), Body: `{}`, Header: http.Header{"Content-Type": {"text/plain"}}}),
		"ValidationFailed/tooLong":         sent(request{Path: r.path(), Body: `{"postalCode":"` + strings.Repeat("1", 23) + `"}`}),
		"ValidationFailed/unknownProperty": sent(request{Path: r.path(), Body: `{"Phone":"+1 555 0100"}`}),
		"ValidationFailed/unknownCustomer": sent(request{Path: r.path(), Body: `{"customerId":"` + uuid.NewString() + `"}`}),
		"ValidationFailed/keyReused": func(a account) response {
			a.once(r.customer, hospital, "a")
			return a.once(r.customer, `{"providerType":"Hospital"}`, "a")
		},
		"ValidationFailed/path":      sent(request{Path: pathOf("17", r.id), Body: `{}`}),
		"ValidationFailed/parameter": sent(request{Method: http.MethodGet, Path: providersOf(r.customer) + "?page=2"}),
		"RateLimitExceeded": func(a account) response {
			a.send(request{Path: r.path(), Body: `{}`, Key: limited})
			return a.send(request{Path: r.path(), Body: `{}`, Key: limited})
		},
		"InternalError":                  failed(provider.Internal(errors.New("broken"))),
		"ServiceUnavailable/unavailable": failed(provider.Unavailable(1, errors.New("down"))),
		"ServiceUnavailable/unknown":     failed(provider.OutcomeUnknown(errors.New("lost"))),
		"OtherError/path":                sent(request{Path: "/v1" + r.path(), Body: `{}`}),
		"OtherError/method":              sent(request{Method: http.MethodPut, Path: r.path(), Body: `{}`}),
		"RequestTimeout": func(a account) response {
			impatient := serveImpatient(a.t)
			c := impatient.connect()
			c.write("PATCH %s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", pathOf(exampleID, exampleID), impatient.key)
			return c.readResponse()
		},
	}
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for name, component := range doc.Components.Responses {
		media := component.Value.Content["application/json"]
		examples := map[string]any{}
		if media.Example != nil {
			examples[name] = media.Example
		}
		for key, example := range media.Examples {
			examples[name+"/"+key] = example.Value.Value
		}
		for name, want := range examples {
			get, known := requests[name]
			if !known {
				t.Errorf("no request of this test gets the example %s of the contract", name)
				continue
			}
			t.Run(name, func(t *testing.T) {
				var got any
				if err := json.Unmarshal([]byte(get(a.in(t)).Body), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("the example and the response (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestExamples sends each example of a body, and compares the examples of records with what the server returns.
func TestExamples(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	// An example has the ID of the page, whatever the record is.
	a.importLines("acme", `{"customerId":"`+exampleID+`","id":"`+exampleID+`","providerType":"Hospital"}`)
	item := doc.Paths.Value("/v2/customers/{id}/providers/{providerId}")
	list := doc.Paths.Value("/v2/customers/{id}/providers")
	for name, body := range bodies(item.Patch) {
		t.Run("change, "+name, func(t *testing.T) {
			got := a.in(t).send(request{Path: pathOf(exampleID, exampleID), Body: asJSON(body)})
			if got.Status != http.StatusOK {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			for property, want := range body {
				if diff := cmp.Diff(want, got.properties(t)[property]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", property, diff)
				}
			}
		})
	}
	a.send(request{Path: pathOf(exampleID, exampleID), Body: asJSON(bodies(item.Patch)["everything"])})
	for name, body := range bodies(list.Post) {
		t.Run("creation, "+name, func(t *testing.T) {
			if got := a.in(t).send(request{Method: http.MethodPost, Path: providersOf(exampleID), Body: asJSON(body)}); got.Status != http.StatusCreated {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
		})
	}
	for name, c := range map[string]struct {
		operation *openapi3.Operation
		status    string
		got       response
	}{
		"read":    {item.Get, "200", a.send(request{Method: http.MethodGet, Path: pathOf(exampleID, exampleID)})},
		"change":  {item.Patch, "200", a.send(request{Path: pathOf(exampleID, exampleID), Body: `{}`})},
		"create":  {list.Post, "201", a.send(request{Method: http.MethodPost, Path: providersOf(exampleID), Body: asJSON(bodies(list.Post)["example"])})},
		"list":    {list.Get, "200", a.send(request{Method: http.MethodGet, Path: providersOf(exampleID) + "?limit=1"})},
		"history": {doc.Paths.Value("/v2/customers/{id}/providers/{providerId}/history").Get, "200", a.send(request{Method: http.MethodGet, Path: pathOf(exampleID, exampleID) + "/history?limit=1"})},
		"delete":  {item.Delete, "200", a.send(request{Method: http.MethodDelete, Path: pathOf(exampleID, exampleID)})},
	} {
		t.Run(name, func(t *testing.T) {
			var got any
			if err := json.Unmarshal([]byte(c.got.Body), &got); err != nil {
				t.Fatal(err)
			}
			want := c.operation.Responses.Value(c.status).Value.Content["application/json"].Example
			if diff := cmp.Diff(shape(want), shape(got)); diff != "" {
				t.Errorf("the forms of the example and of the response (-want +got):\n%s", diff)
			}
		})
	}
}

// bodies returns the examples of an operation's body, by name; a single one is called example.
func bodies(operation *openapi3.Operation) map[string]map[string]any {
	media := operation.RequestBody.Value.Content["application/json"]
	found := map[string]map[string]any{}
	if body, ok := media.Example.(map[string]any); ok {
		found["example"] = body
	}
	for name, example := range media.Examples {
		found[name], _ = example.Value.Value.(map[string]any)
	}
	return found
}

// shape replaces texts that differ from one response to the next by their form.
func shape(value any) any {
	switch value := value.(type) {
	case map[string]any:
		form := map[string]any{}
		for name, member := range value {
			form[name] = shape(member)
			if name == "changes" || name == "etag" || name == "nextCursor" && member != nil {
				form[name] = name
			}
		}
		return form
	case []any:
		var form []any
		for _, item := range value {
			form = append(form, shape(item))
		}
		return form
	case string:
		switch {
		case uuid.Validate(value) == nil:
			return "UUID"
		case len(value) == len(exampleTime) && strings.HasSuffix(value, "Z"):
			return "time"
		case strings.HasPrefix(value, "key_"):
			return strings.Repeat("k", len(value))
		}
		return value
	case float64:
		return "number"
	}
	return value
}

const exampleTime = "2026-06-17T19:07:23.709Z"
