package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// field is a property of the request body.
type field struct {
	name     string
	kind     string // as messages name it
	limit    int    // in code points, 0 for none
	nullable bool
	enum     []string
}

// fields are those that the contract lists, in the documented page's order.
var fields = func() []field {
	fields := []field{{name: "customerId", kind: "a UUID"}}
	for _, p := range property.Table {
		kind := "a string"
		if p.Kind == property.BooleanKind {
			kind = "a boolean"
		}
		fields = append(fields, field{p.Name, kind, p.MaxLength, p.Nullable, p.Enum})
	}
	return fields
}()

// newValues has a value for every property, none of which a new record has.
func newValues(customer string) changes {
	values := changes{"customerId": customer}
	for _, p := range property.Table {
		values[p.Name] = sample(p, "new", true)
	}
	return values
}

// TestUpdateField sends every property in every state, at its limit and beyond, and in every wrong type.
func TestUpdateField(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	all := newValues(a.newRecord().customer)
	facts := []scenario{accepted("all", all), {name: "none", request: request{Body: `{}`}, status: http.StatusOK}}
	for _, f := range fields {
		others := maps.Clone(all)
		delete(others, f.name)
		facts = append(facts,
			accepted(f.name+"/absent", others),
			accepted(f.name+"/value", changes{f.name: all[f.name]}),
			f.null(),
		)
		facts = append(facts, f.lengths()...)
		facts = append(facts, f.wrongTypes()...)
	}
	a.runScenarios(t, facts)
}

// accepted changes a record to values that it does not have.
func accepted(name string, values changes) scenario {
	return scenario{name: name, request: request{Body: asJSON(values)}, status: http.StatusOK, changes: values}
}

func rejected(name, body string, fieldErrors ...fieldError) scenario {
	return scenario{name: name, request: request{Body: body}, status: http.StatusUnprocessableEntity, fieldErrors: fieldErrors}
}

func (f field) null() scenario {
	if f.nullable {
		return accepted(f.name+"/null", changes{f.name: nil})
	}
	return f.wrong("null", "null")
}

func (f field) wrong(received, value string) scenario {
	expected := f.kind
	if f.nullable {
		expected += " or null"
	}
	return rejected(f.name+"/"+received, `{"`+f.name+`":`+value+`}`, wrongType(f.name, expected, received))
}

func (f field) wrongTypes() []scenario {
	facts := []scenario{f.wrong("a number", "1"), f.wrong("an array", `["text"]`), f.wrong("an object", `{"text":true}`)}
	if f.kind == "a boolean" {
		return append(facts, f.wrong("a string", `"true"`))
	}
	return append(facts, f.wrong("a boolean", "true"))
}

// lengths are counted in code points, however many bytes they take and however they are written.
func (f field) lengths() []scenario {
	if f.limit == 0 {
		return nil
	}
	var facts []scenario
	for name, character := range map[string]string{"1 byte": "x", "4 bytes": "𝒳"} {
		most := strings.Repeat(character, f.limit)
		facts = append(facts,
			accepted(f.name+"/at the limit/"+name, changes{f.name: most}),
			rejected(f.name+"/over the limit/"+name, asJSON(changes{f.name: most + character}), tooLong(f.name, f.limit, f.limit+1)),
		)
	}
	escaped := accepted(f.name+"/at the limit/escaped", changes{f.name: strings.Repeat("𝒳", f.limit)})
	escaped.Body = `{"` + f.name + `":"` + strings.Repeat(`\ud835\udcb3`, f.limit) + `"}`
	return append(facts, escaped)
}

func TestUpdateProviderType(t *testing.T) {
	t.Parallel()
	facts := []scenario{{name: "the one it has", request: request{Body: `{"providerType":"Hospital"}`}, status: http.StatusOK}}
	for _, word := range []string{"Primary Care", "Specialist", "Pharmacy"} {
		facts = append(facts, accepted(word, changes{"providerType": word}))
	}
	for _, miss := range []string{
		"", "Hospitals", "Hospita", "PrimaryCare", "Primary  Care", "Primary\u00a0Care", "Primary-Care", "Clinic", "null", "0",
		"hospital", "HOSPITAL", "Primary care", " Hospital", "Hospital ", "Hospital\n", "\tHospital", "Hоspital", // the last has a Cyrillic о
	} {
		facts = append(facts, rejected(fmt.Sprintf("%q", miss), asJSON(changes{"providerType": miss}), notInEnum(property.Table[property.ProviderType])))
	}
	newServer(t).account("acme").runScenarios(t, facts)
}

// TestUpdateText stores text as it was sent, to the character.
func TestUpdateText(t *testing.T) {
	t.Parallel()
	var facts []scenario
	for _, text := range []string{
		"", " ", "  both sides  ", "<b>&amp;</b>", `"quoted" \back\slash/`, "line\nline\r\n\ttab", "\u2028\u2029", "\u0001\u001f\u007f", "\ufeff",
		"\ufffd", "\U0010ffff", "e\u0301", "é", "👩🏽‍⚕️", "مرحبا", "null", "true", "'; DROP TABLE providers; --", "%00", `\u0000`,
	} {
		facts = append(facts, accepted(fmt.Sprintf("%q", text), changes{"notes": text}))
	}
	newServer(t).account("acme").runScenarios(t, facts)
}

// TestUpdateAllFaults lists every fieldError of a request, sorted by path, wherever in the request it is.
func TestUpdateAllFaults(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	wrong := map[string]any{"Phone": "x", "x y": "x", "unknown": nil}
	fieldErrors := []fieldError{
		{
			Path: []string{}, Code: "unknown_property", Message: "The body has a property whose name the contract does not know.",
			Expected: "the contract's properties", Received: "another property",
		},
		malformedIfMatch(), notUUID("id"), notUUID("providerId"), notUUID("customerId"), unknownProperty("Phone", "phone"), unknownProperty("unknown", ""),
	}
	wrong["customerId"] = "x"
	for _, p := range property.Table {
		wrong[p.Name] = strings.Repeat("x", p.MaxLength+1)
		switch {
		case p.Kind == property.BooleanKind:
			fieldErrors = append(fieldErrors, wrongType(p.Name, "a boolean or null", "a string"))
		case p.Enum != nil:
			fieldErrors = append(fieldErrors, notInEnum(p))
		default:
			fieldErrors = append(fieldErrors, tooLong(p.Name, p.MaxLength, p.MaxLength+1))
		}
	}
	slices.SortFunc(fieldErrors, func(a, b fieldError) int { return slices.Compare(a.Path, b.Path) })
	a.runScenarios(t, []scenario{
		{
			name:    "everywhere",
			request: request{Path: pathOf("1", "2"), Header: http.Header{"If-Match": {"x"}}, Body: asJSON(wrong)},
			status:  http.StatusUnprocessableEntity, fieldErrors: fieldErrors,
		},
		rejected("one among good ones", `{"city":"city","npi":1,"isActive":true}`, wrongType("npi", "a string or null", "a number")),
		rejected("a known customer does not come into it", asJSON(changes{"customerId": a.newRecord().customer, "city": 1}), wrongType("city", "a string or null", "a number")),
		rejected("an unknown customer comes after the form", asJSON(changes{"customerId": uuid.NewString(), "city": 1}), wrongType("city", "a string or null", "a number")),
	})
}

// TestUpdateNothing sends what the record has already: nothing changes and nothing is written.
func TestUpdateNothing(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	same := r.properties(nil)
	delete(same, "id")
	for name, body := range map[string]string{
		"no property": `{}`, "spaces": " {\r\n\t} ", "every property": asJSON(same), "one": `{"city":"old city"}`, "the customer": `{"customerId":"` + r.customer + `"}`,
		"the customer in capitals": `{"customerId":"` + strings.ToUpper(r.customer) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			a.compare("response", a.send(request{Path: r.path(), Body: body}), r.properties(nil), false)
		})
	}
	if events := a.history(r); len(events) != 1 {
		t.Errorf("%d events, want the import's alone: %+v", len(events), events)
	}
}

// history stops the server and returns what the database has of a record.
func (a account) history(r record) []provider.Event {
	a.t.Helper()
	a.stop()
	store, err := sqlite.Open(a.t.Context(), a.database, sqlite.Options{})
	if err != nil {
		a.t.Fatal(err)
	}
	defer store.Close()
	found, err := storetest.HistoryByID(a.t.Context(), store, uuid.MustParse(r.id))
	if err != nil {
		a.t.Fatal(err)
	}
	var events []provider.Event
	for _, event := range found {
		events = append(events, event.Event)
	}
	return events
}

// TestUpdateHistory finds each change in the database, with who made it, under which name, and from what to what.
func TestUpdateHistory(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r, other := a.newRecord(), a.newRecord()
	key := a.keyID(a.key)
	var requests []string
	for _, body := range []string{
		`{"phone":null,"isActive":true,"city":"old city"}`,
		`{}`,
		`{"phone":"","providerType":"Specialist"}`,
		`{"customerId":"` + other.customer + `"}`,
	} {
		got := a.send(request{Path: r.path(), Body: body})
		got.properties(t)
		requests = append(requests, got.Header.Get("X-Request-Id"))
	}
	moved := pathOf(other.customer, r.id)
	a.send(request{Path: moved, Body: `{"phone":1}`})
	a.send(request{Path: moved, Body: `{"phone":"1"}`, Header: http.Header{"If-Match": {`"1"`}}})

	updated := func(version int64, request string, changes ...provider.Change) provider.Event {
		by := provider.Actor{KeyID: key, RequestID: request}
		return provider.Event{ProviderID: uuid.MustParse(r.id), Version: version, Action: provider.Updated, By: by, Changes: changes}
	}
	events := a.history(r)
	want := []provider.Event{
		events[0],
		updated(2, requests[0], provider.Change{Field: "phone", From: property.Text("old phone"), To: property.Null}, provider.Change{Field: "isActive", From: property.Boolean(false), To: property.Boolean(true)}),
		updated(3, requests[2], provider.Change{Field: "providerType", From: property.Text("Hospital"), To: property.Text("Specialist")}, provider.Change{Field: "phone", From: property.Null, To: property.Text("")}),
		updated(4, requests[3], provider.Change{Field: "customerId", From: property.Text(r.customer), To: property.Text(other.customer)}),
	}
	if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(provider.Event{}, "At"), cmp.AllowUnexported(property.Value{})); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if created := events[0]; created.Action != provider.Created || created.Version != 1 || created.By != (provider.Actor{}) || len(created.Changes) != len(fields) {
		t.Errorf("the import's event is %+v", created)
	}
	for i := range events[1:] {
		if events[i+1].At.Before(events[i].At) {
			t.Errorf("event %d is older than the one before it", i+1)
		}
	}
}

// TestUpdateByClient goes through the three states of a property with the client.
func TestUpdateByClient(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r, c, ctx := a.newRecord(), a.client(a.key), context.Background()
	customer, id := r.ids()

	set, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{Phone: client.Set("+1 555 0100"), IsActive: client.Set(true)})
	if err != nil {
		t.Fatal(err)
	}
	if *set.Phone != "+1 555 0100" || !*set.IsActive || *set.City != "old city" || set.ETag != `"2"` {
		t.Errorf("after a value: %+v", set)
	}
	cleared, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{Phone: client.Clear[string](), IsActive: client.Clear[bool]()})
	if err != nil {
		t.Fatal(err)
	}
	if cleared.Phone != nil || cleared.IsActive != nil || *cleared.City != "old city" || cleared.ETag != `"3"` {
		t.Errorf("after null: %+v", cleared)
	}
	untouched, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cleared, untouched, cmpopts.IgnoreFields(client.Record{}, "RequestID")); diff != "" {
		t.Errorf("after nothing (-before +after):\n%s", diff)
	}
}

// TestUpdateMove moves a provider to another customer, where it is then found, and nowhere else.
func TestUpdateMove(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r, c, ctx := a.newRecord(), a.client(a.key), context.Background()
	from, id := r.ids()
	to, _ := a.newRecord().ids()
	move := func(from, to client.CustomerID) (*client.Record, error) {
		return c.UpdateProvider(ctx, from, id, client.ProviderUpdate{CustomerID: &to})
	}

	moved, err := move(from, to)
	if err != nil || moved.CustomerID != to || moved.ID != id || *moved.City != "old city" || moved.ETag != `"2"` {
		t.Fatalf("moved: %+v, %v", moved, err)
	}
	if _, err := move(from, to); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("under the old path: %v, want not found", err)
	}
	if _, err := move(to, client.CustomerID(uuid.New())); !errors.Is(err, client.ErrValidation) {
		t.Errorf("to an unknown customer: %v, want a rejection", err)
	}
	if same, err := move(to, to); err != nil || same.ETag != `"2"` {
		t.Errorf("to where it is: %+v, %v", same, err)
	}
	if back, err := move(to, from); err != nil || back.CustomerID != from || back.ETag != `"3"` {
		t.Errorf("moved back: %+v, %v", back, err)
	}
	a.runScenarios(t, []scenario{
		rejected("unknown customer", asJSON(changes{"customerId": uuid.New(), "city": "x"}), unknownCustomer()),
		rejected("the nil UUID", asJSON(changes{"customerId": uuid.Nil}), unknownCustomer()),
	})
}
