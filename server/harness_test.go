package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// account is an organization on a server, with a key that has no rate limit.
type account struct {
	*server
	organization, key string
}

func (s *server) account(organization string) account {
	s.t.Helper()
	return account{s, organization, s.newKey(organization)}
}

// in returns the account for use in a subtest.
func (a account) in(t testing.TB) account {
	s := *a.server
	s.t = t
	a.server = &s
	return a
}

// send sends a request with the account's key, unless its Header says otherwise.
func (a account) send(r request) response {
	a.t.Helper()
	if r.Key == "" {
		r.Key = a.key
	}
	return a.server.send(r)
}

// record is a provider that newRecords made.
type record struct{ customer, id string }

func pathOf(customer, id string) string { return "/v2/customers/" + customer + "/providers/" + id }

func (r record) path() string { return pathOf(r.customer, r.id) }

// ids returns the IDs as the client has them.
func (r record) ids() (client.CustomerID, client.ProviderID) {
	return client.CustomerID(uuid.MustParse(r.customer)), client.ProviderID(uuid.MustParse(r.id))
}

// imported are the properties that newRecords gives each record, in addition to its IDs.
var imported = func() map[string]any {
	values := map[string]any{}
	for _, p := range property.Table {
		values[p.Name] = sample(p, "old", false)
	}
	values["providerType"] = "Hospital"
	return values
}()

// sample returns a value of a property: a text that begins with a word, the boolean, or one of the enum's.
func sample(p property.Description, word string, flag bool) any {
	switch {
	case p.Kind == property.BooleanKind:
		return flag
	case p.Enum != nil && flag:
		return p.Enum[len(p.Enum)-1]
	case p.Enum != nil:
		return p.Enum[0]
	}
	text := word + " " + p.Name
	return text[:min(len(text), p.MaxLength)]
}

// newRecords imports n records, each under a customer of its own.
func (a account) newRecords(n int) []record {
	a.t.Helper()
	records, lines := make([]record, n), make([]string, n)
	for i := range records {
		records[i] = record{uuid.NewString(), uuid.NewString()}
		line, err := json.Marshal(records[i].properties(nil))
		if err != nil {
			a.t.Fatal(err)
		}
		lines[i] = string(line)
	}
	a.importLines(a.organization, lines...)
	return records
}

func (a account) newRecord() record {
	a.t.Helper()
	return a.newRecords(1)[0]
}

// properties are the record's own but for the changes, without its times.
func (r record) properties(changes map[string]any) map[string]any {
	properties := map[string]any{"id": r.id, "customerId": r.customer}
	maps.Copy(properties, imported)
	maps.Copy(properties, changes)
	return properties
}

// scenario is one line of a table: a request, and how it must be responded to.
type scenario struct {
	name        string
	request     // without a Path it goes to a record of its own
	status      int
	changes     changes      // with 200: what becomes of the record; nil: nothing, and nothing is written
	body        string       // exactly; "" for any, and with fieldErrors
	fieldErrors []fieldError // exactly, with 422
}

type (
	changes    = map[string]any
	fieldError = client.FieldError
)

// runScenarios sends the requests of the facts, each in a subtest, and compares the responses, and what the records are afterwards.
func (a account) runScenarios(t *testing.T, facts []scenario) {
	t.Helper()
	records := a.newRecords(len(facts))
	for i, f := range facts {
		t.Run(f.name, func(t *testing.T) { a.in(t).holdOne(f, records[i]) })
	}
}

func (a account) holdOne(f scenario, r record) {
	a.t.Helper()
	if f.Path == "" {
		f.Path = r.path()
	}
	if f.fieldErrors != nil {
		f.body = rejection(f.fieldErrors)
	}
	got := a.send(f.request)
	if got.Status != f.status || f.body != "" && got.Body != f.body {
		a.t.Errorf("got  %d %s\nwant %d %s", got.Status, got.Body, f.status, f.body)
	}
	want := r.properties(f.changes)
	if got.Status == http.StatusOK {
		a.compare("response", got, want, len(f.changes) > 0)
	}
	stored := a.send(request{Path: pathOf(want["customerId"].(string), r.id), Body: `{}`})
	a.compare("record", stored, want, len(f.changes) > 0)
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// compare compares the response of a success with the properties of a record that was changed once or not at all.
func (a account) compare(what string, got response, want map[string]any, changed bool) {
	a.t.Helper()
	properties := got.properties(a.t)
	created, _ := properties["createdAt"].(string)
	updated, _ := properties["updatedAt"].(string)
	etag := `"1"`
	if changed {
		etag = `"2"`
	}
	if !timestamp.MatchString(created) || !timestamp.MatchString(updated) || updated < created || !changed && updated != created {
		a.t.Errorf("%s: created at %q, updated at %q", what, created, updated)
	}
	if tag := got.Header.Get("ETag"); tag != etag {
		a.t.Errorf("%s: ETag %s, want %s", what, tag, etag)
	}
	delete(properties, "createdAt")
	delete(properties, "updatedAt")
	if diff := cmp.Diff(want, properties); diff != "" {
		a.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// properties returns the record in the response of a success.
func (a response) properties(t testing.TB) map[string]any {
	t.Helper()
	var properties map[string]any
	if err := json.Unmarshal([]byte(a.Body), &properties); err != nil || a.Status/100 != 2 {
		t.Fatalf("got %d %s, want a record", a.Status, a.Body)
	}
	return properties
}

// problem is the body of an error that has no fieldErrors.
func problem(code, message string) string {
	return asJSON(client.ErrorResponse{Code: code, Message: message})
}

// rejection is the body of a 422 with these fieldErrors, in this order.
func rejection(fieldErrors []fieldError) string {
	message := fmt.Sprintf("The request has %d errors; all are listed.", len(fieldErrors))
	if len(fieldErrors) == 1 {
		message = "The request has an error: " + fieldErrors[0].Message
	}
	return asJSON(client.ValidationErrorResponse{Code: "VALIDATION_ERROR", Message: message, Errors: fieldErrors})
}

// asJSON is a value of plain data as JSON, without the escapes for HTML.
func asJSON(v any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(text.String())
}

// The fieldErrors that several tables have.

// wrongType is told of a property that must be "a string or null", say, and was sent as "an array".
func wrongType(name, expected, received string) fieldError {
	return fieldError{
		Path: []string{name}, Code: "invalid_type", Message: name + " must be " + expected + ", not " + received + ".",
		Expected: withoutArticle(expected), Received: withoutArticle(received),
	}
}

func withoutArticle(noun string) string {
	return strings.TrimPrefix(strings.TrimPrefix(noun, "a "), "an ")
}

func tooLong(name string, limit, length int) fieldError {
	most, has := fmt.Sprintf("at most %d characters", limit), fmt.Sprintf("%d characters", length)
	return fieldError{Path: []string{name}, Code: "too_long", Message: name + " must have " + most + "; it has " + has + ".", Expected: most, Received: has}
}

func notUUID(name string) fieldError {
	return fieldError{
		Path: []string{name}, Code: "invalid_uuid", Message: name + " must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a.",
		Expected: "UUID", Received: "another string",
	}
}

func notInEnum(p property.Description) fieldError {
	words := fmt.Sprintf("one of %q", p.Enum[0])
	for _, word := range p.Enum[1:] {
		words += fmt.Sprintf(", %q", word)
	}
	if p.Nullable {
		words += ", or null"
	}
	return fieldError{Path: []string{p.Name}, Code: "invalid_enum_value", Message: p.Name + " must be " + words + ".", Expected: words, Received: "another string"}
}

func unknownCustomer() fieldError {
	return fieldError{
		Path: []string{"customerId"}, Code: "unknown_customer", Message: "customerId must be an existing customer.",
		Expected: "the ID of an existing customer", Received: "another UUID",
	}
}

// unknownProperty is told of a name that the contract does not list; hint is what it may have been meant to be.
func unknownProperty(name, hint string) fieldError {
	message := name + " is not a property of the contract"
	if hint != "" {
		message += "; did you mean " + hint
	}
	return fieldError{Path: []string{name}, Code: "unknown_property", Message: message + ".", Expected: "the contract's properties", Received: "another property"}
}
