package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func providersOf(customer string) string { return "/v2/customers/" + customer + "/providers" }

// create makes a provider of a customer.
func (a account) create(customer string, values changes) record {
	a.t.Helper()
	got := a.send(request{Method: "POST", Path: providersOf(customer), Body: asJSON(values)})
	if got.Status != http.StatusCreated {
		a.t.Fatalf("create: %d %s", got.Status, got.Body)
	}
	return record{customer, got.properties(a.t)["id"].(string)}
}

// TestLife follows one provider from its birth to its end, and beyond.
func TestLife(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := a.newRecord().customer

	born := a.send(request{Method: "POST", Path: providersOf(customer), Body: `{"providerType":"Pharmacy","city":"<&>","isActive":true,"notes":null}`})
	id, _ := born.properties(t)["id"].(string)
	path := pathOf(customer, id)
	if location := born.Header.Get("Location"); born.Status != http.StatusCreated || location != path {
		t.Fatalf("create: %d, Location %s, want %s", born.Status, location, path)
	}
	want := changes{"id": id, "customerId": customer, "providerType": "Pharmacy", "city": "<&>", "isActive": true}
	for name := range imported {
		if _, given := want[name]; !given {
			want[name] = nil
		}
	}
	a.compare("the new provider", born, want, false)
	get := func(etags ...string) response {
		return a.send(request{Method: "GET", Path: path, Header: http.Header{"If-None-Match": etags}})
	}
	if got := get(); got.Body != born.Body {
		t.Errorf("read:   %s\nwanted: %s", got.Body, born.Body)
	}
	for _, etag := range []string{`"1"`, `W/"1"`, `*`, `"7", "1"`} {
		if got := get(etag); got.Status != http.StatusNotModified || got.Body != "" || got.Header.Get("ETag") != `"1"` {
			t.Errorf("If-None-Match %s: %d %q, ETag %s", etag, got.Status, got.Body, got.Header.Get("ETag"))
		}
	}
	changed := a.send(request{Path: path, Body: `{"city":null,"isActive":false}`})
	if got := get(`"1"`); got.Body != changed.Body || got.Header.Get("ETag") != `"2"` {
		t.Errorf("read after the change: %d %s, want %s", got.Status, got.Body, changed.Body)
	}

	drop := func(header http.Header) response {
		return a.send(request{Method: "DELETE", Path: path, Header: header})
	}
	if got := drop(http.Header{"If-Match": {`"1"`}}); got.Status != http.StatusPreconditionFailed {
		t.Errorf("delete another version: %d %s", got.Status, got.Body)
	}
	if got := drop(http.Header{"If-Match": {`"2"`}}); got.Body != `{"message":"The provider was deleted.","success":true}` {
		t.Errorf("delete: %d %s", got.Status, got.Body)
	}
	for _, r := range []request{
		{Method: "GET", Path: path}, {Path: path, Body: `{}`}, {Path: path, Body: `{}`, Header: http.Header{"If-Match": {`"3"`}}},
		{Method: "DELETE", Path: path}, {Method: "GET", Path: path + "/history"},
	} {
		if got := a.send(r); got.Body != providerNotFound {
			t.Errorf("%s after the deletion: %d %s", r.Method, got.Status, got.Body)
		}
	}
	if got := a.list(customer, "limit=100"); len(got) != 1 {
		t.Errorf("the list has %v, want the other provider alone", got)
	}
	events := strings.Count(a.mustRun("", "history", id, "--json"), `"action"`)
	if events != 3 {
		t.Errorf("the operator sees %d events, want the creation, the change and the deletion", events)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := a.newRecord().customer
	required := fieldError{Path: []string{"providerType"}, Code: "required", Message: "providerType is required.", Expected: "string", Received: "nothing"}
	unknown := func(name string) fieldError {
		return fieldError{Path: []string{name}, Code: "unknown_property", Message: name + " is not a property of the contract.", Expected: "the contract's properties", Received: "another property"}
	}
	for _, f := range []struct {
		name, customer, body string
		status               int
		want                 string // "" for any
	}{
		{"all values", customer, asJSON(imported), 201, ""},
		{"no type", customer, `{"city":"x"}`, 422, rejection([]fieldError{required})},
		{"a customer in the body", customer, `{"providerType":"Hospital","customerId":"` + customer + `"}`, 422, rejection([]fieldError{unknown("customerId")})},
		{"an id", customer, `{"providerType":"Hospital","id":"` + exampleID + `"}`, 422, rejection([]fieldError{unknown("id")})},
		{"a null type", customer, `{"providerType":null}`, 422, ""},
		{"twice", customer, `{"providerType":"Hospital","providerType":"Hospital"}`, 422, ""},
		{"too long", customer, asJSON(changes{"providerType": "Hospital", "postalCode": strings.Repeat("x", 21)}), 422, ""},
		{"no body", customer, ``, 400, ""},
		{"no such customer", uuid.NewString(), `{"providerType":"Hospital"}`, 404, noSuchCustomer},
		{"a customer that is none", "x", `{"providerType":"Hospital"}`, 422, rejection([]fieldError{notUUID("id")})},
	} {
		t.Run(f.name, func(t *testing.T) {
			got := a.in(t).send(request{Method: "POST", Path: providersOf(f.customer), Body: f.body})
			if got.Status != f.status || f.want != "" && got.Body != f.want {
				t.Errorf("got  %d %s\nwant %d %s", got.Status, got.Body, f.status, f.want)
			}
		})
	}
	if got := len(a.list(customer, "")); got != 2 {
		t.Errorf("the customer has %d providers, want the imported one and the one that was made", got)
	}
}

var noSuchCustomer = problem("NOT_FOUND", "There is no such customer.")

// page is a page of a list.
type page struct {
	Data       []changes
	NextCursor *string
}

func (a account) page(path, query string) page {
	a.t.Helper()
	got := a.send(request{Method: "GET", Path: path + "?" + query})
	var p page
	if err := json.Unmarshal([]byte(got.Body), &p); err != nil || got.Status != http.StatusOK {
		a.t.Fatalf("%s?%s: %d %s", path, query, got.Status, got.Body)
	}
	return p
}

// list returns the IDs of all pages.
func (a account) list(customer, query string) (ids []string) {
	a.t.Helper()
	for cursor := ""; ; {
		p := a.page(providersOf(customer), query+cursor)
		for _, one := range p.Data {
			ids = append(ids, one["id"].(string))
		}
		if p.NextCursor == nil {
			return ids
		}
		cursor = "&cursor=" + *p.NextCursor
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	other := a.newRecord()
	customer := a.newRecord().customer
	a.send(request{Method: "DELETE", Path: pathOf(customer, a.list(customer, "")[0])})
	if got := a.send(request{Method: "GET", Path: providersOf(customer)}); got.Body != `{"data":[],"nextCursor":null}` {
		t.Errorf("a customer without providers: %d %s", got.Status, got.Body)
	}
	var all, active, clinics []string // the newest first
	for n := range 7 {
		values := changes{"providerType": "Pharmacy", "isActive": n%2 == 0}
		if n > 4 {
			values = changes{"providerType": "Hospital"}
		}
		id := a.create(customer, values).id
		all = append([]string{id}, all...)
		if values["isActive"] == true {
			active = append([]string{id}, active...)
		}
		if n > 4 {
			clinics = append([]string{id}, clinics...)
		}
	}
	for query, want := range map[string][]string{
		"":                                    all,
		"limit=1":                             all,
		"limit=3":                             all,
		"limit=7":                             all,
		"limit=100":                           all,
		"isActive=true":                       active,
		"isActive=true&limit=2":               active,
		"providerType=Hospital":               clinics,
		"providerType=Hospital&limit=1":       clinics,
		"providerType=Hospital&isActive=true": nil,
		"providerType=Primary%20Care":         nil,
	} {
		if diff := cmp.Diff(want, a.list(customer, query)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}

	a.send(request{Path: pathOf(customer, all[3]), Body: asJSON(changes{"customerId": other.customer})})
	if got := a.list(other.customer, ""); len(got) != 2 || got[0] != all[3] {
		t.Errorf("the list that it moved to has %v, want %s first", got, all[3])
	}
	if got := a.list(customer, ""); len(got) != 6 {
		t.Errorf("the list that it left has %d, want 6", len(got))
	}
	if got := a.send(request{Method: "GET", Path: providersOf(uuid.NewString())}); got.Body != noSuchCustomer {
		t.Errorf("no such customer: %d %s", got.Status, got.Body)
	}
}

// TestQuery sends what is wrong in a query. Nothing of it is guessed.
func TestQuery(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	list, history := providersOf(r.customer), r.path()+"/history"
	bad := func(name, code, message, expected, received string) []fieldError {
		return []fieldError{{Path: []string{name}, Code: code, Message: name + " " + message + ".", Expected: expected, Received: received}}
	}
	limit := bad("limit", "out_of_range", "must be an integer from 1 to 100", "integer from 1 to 100", "another integer")
	number := bad("limit", "invalid_type", "must be an integer", "integer", "something else")
	unknown := bad("is_active", "unknown_parameter", "is not a query parameter of this operation", "the contract's parameters", "another parameter")
	cursor := bad("cursor", "invalid_format", "must be the nextCursor of a page", "the nextCursor of a page", "another string")
	for _, f := range []struct {
		path        string
		fieldErrors []fieldError
	}{
		{list + "?limit=0", limit},
		{list + "?limit=101", limit},
		{list + "?limit=-1", limit},
		{list + "?limit=", number},
		{list + "?limit=x", number},
		{list + "?limit=1.5", number},
		{list + "?limit=05", number},
		{list + "?limit=%2B5", number},
		{list + "?limit=1&limit=2", bad("limit", "duplicate_parameter", "must be given once", "one value", "several values")},
		{list + "?is_active=true", unknown},
		{list + "?isActive=maybe", bad("isActive", "invalid_type", "must be a boolean", "boolean", "something else")},
		{list + "?isActive=1", bad("isActive", "invalid_type", "must be a boolean", "boolean", "something else")},
		{list + "?isActive=True", bad("isActive", "invalid_type", "must be a boolean", "boolean", "something else")},
		{list + "?cursor=x", cursor},
		{list + "?cursor=" + strings.Repeat("_", 33), cursor},
		{list + "?cursor=2", cursor},
		{history + "?cursor=0", cursor},
		{history + "?cursor=" + strings.Repeat("_", 32), cursor},
		{history + "?limit=0", limit},
		{history + "?is_active=true", unknown},
	} {
		t.Run(f.path[len("/v2/customers/"+r.customer):], func(t *testing.T) {
			got := a.in(t).send(request{Method: "GET", Path: f.path})
			if want := rejection(f.fieldErrors); got.Body != want {
				t.Errorf("got  %d %s\nwant %s", got.Status, got.Body, want)
			}
		})
	}
	for path, want := range map[string]int{
		list + "?providerType=hospital":                      http.StatusUnprocessableEntity,
		list + "?providerType=":                              http.StatusUnprocessableEntity,
		list + "?limit=%zz":                                  http.StatusBadRequest,
		list + "?limit=1;x":                                  http.StatusBadRequest,
		list + "?%00=1":                                      http.StatusUnprocessableEntity,
		list + "?cursor=" + strings.Repeat("_", 32):          http.StatusOK, // made up: a place in the list like another
		list + "?cursor=" + strings.Repeat("A", 32):          http.StatusOK,
		history + "?cursor=" + strings.Repeat("9", 18):       http.StatusOK,
		list + "?cursor=" + strings.Repeat("%5F", 32) + "&x": http.StatusUnprocessableEntity,
	} {
		if got := a.send(request{Method: "GET", Path: path}); got.Status != want {
			t.Errorf("%s: %d %s, want %d", path, got.Status, got.Body, want)
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	elsewhere := a.newRecord().customer
	r := a.newRecord()
	made := a.create(r.customer, changes{"providerType": "Hospital"})
	const requestID = "0198f3a26c1d7b7e9d5c2f4b8a1e6c3d" // as nginx writes it
	for n := range 3 {
		a.send(request{Path: made.path(), Body: asJSON(changes{"city": fmt.Sprint("city ", n), "isActive": true}), Header: http.Header{"X-Request-Id": {requestID}}})
	}
	moved := pathOf(elsewhere, made.id) + "/history"
	a.send(request{Path: made.path(), Body: asJSON(changes{"customerId": elsewhere})})
	if got := a.send(request{Method: "GET", Path: made.path() + "/history"}); got.Body != providerNotFound {
		t.Errorf("under the customer that it left: %d %s", got.Status, got.Body)
	}

	whole := a.page(moved, "").Data
	var versions []any
	for _, entry := range whole {
		versions = append(versions, entry["version"])
	}
	if diff := cmp.Diff([]any{5.0, 4.0, 3.0, 2.0, 1.0}, versions); diff != "" {
		t.Fatalf("versions (-want +got):\n%s", diff)
	}
	keyID := a.keyID(a.key)
	second := whole[3]
	if at, _ := second["at"].(string); !timestamp.MatchString(at) {
		t.Errorf("at is %q", at)
	}
	delete(second, "at")
	want := changes{"version": 2.0, "action": "updated", "keyId": keyID, "requestId": requestID, "changes": []any{
		changes{"field": "city", "from": nil, "to": "city 0"}, changes{"field": "isActive", "from": nil, "to": true},
	}}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("an entry (-want +got):\n%s", diff)
	}
	if got := a.page(r.path()+"/history", "").Data; len(got) != 1 || got[0]["keyId"] != nil || got[0]["requestId"] != nil || got[0]["action"] != "created" {
		t.Errorf("of an imported provider: %v", got)
	}

	for limit := 1; limit <= 6; limit++ {
		var paged []any
		for query := fmt.Sprint("limit=", limit); query != ""; {
			p := a.page(moved, query)
			for _, entry := range p.Data {
				paged = append(paged, entry["version"])
			}
			query = ""
			if p.NextCursor != nil {
				query = fmt.Sprintf("limit=%d&cursor=%s", limit, *p.NextCursor)
			}
		}
		if diff := cmp.Diff(versions, paged); diff != "" {
			t.Errorf("in pages of %d (-whole +paged):\n%s", limit, diff)
		}
	}
}
