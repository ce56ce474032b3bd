package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The errors of a path.
var (
	providerNotFound = problem("NOT_FOUND", "This customer has no such provider.")
	pathNotFound     = problem("PATH_NOT_FOUND", "The API has no such path; check the base URL and the path. The paths are listed in openapi.yaml.")
	methodNotAllowed = problem("METHOD_NOT_ALLOWED", "This path does not support this method; the header Allow lists the methods that it supports.")
)

const exampleID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

// TestUUID sends every form of a UUID in each of the three places that take one. The good ones are of version 1 to 8
// (RFC 9562), nil or max, in any case.
func TestUUID(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	good := []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}
	bad := []string{
		"3c90c3cc-0d44-0b50-8888-8dd25736052a", "3c90c3cc-0d44-9b50-8888-8dd25736052a", "3c90c3cc-0d44-ab50-8888-8dd25736052a", // versions
		"3c90c3cc-0d44-4b50-0888-8dd25736052a", "3c90c3cc-0d44-4b50-7888-8dd25736052a", "3c90c3cc-0d44-4b50-c888-8dd25736052a", // variants
		"00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-fffffffffffe",
		"{" + exampleID + "}", "urn:uuid:" + exampleID, "URN:UUID:" + exampleID, strings.ReplaceAll(exampleID, "-", ""),
		exampleID[:35], exampleID + "0", exampleID[1:], " " + exampleID, exampleID + " ", exampleID + "\n",
		"3c90c3cc 0d44 4b50 8888 8dd25736052a", "3c90c3cc_0d44_4b50_8888_8dd25736052a", "3c90c3cc0-d44-4b50-8888-8dd25736052a",
		"3c90c3cg-0d44-4b50-8888-8dd25736052a", "３c90c3cc-0d44-4b50-8888-8dd25736052a", "3c90c3cc–0d44–4b50–8888–8dd25736052a",
		"%33c90c3cc-0d44-4b50-8888-8dd25736052a", "null", "undefined", "0", ":id", "{id}", "*", "PATCH",
	}
	for version := 1; version <= 8; version++ {
		good = append(good, fmt.Sprintf("3c90c3cc-0d44-%db50-8888-8dd25736052a", version))
	}
	for _, variant := range "9ab" {
		good = append(good, fmt.Sprintf("3c90c3cc-0d44-4b50-%c888-8dd25736052a", variant))
	}

	var facts []scenario
	for _, id := range good {
		a.importLines("acme", asJSON(record{id, id}.properties(nil)))
		for _, form := range []string{id, strings.ToUpper(id)} {
			facts = append(facts, scenario{name: "good in the body/" + form, request: request{Body: asJSON(changes{"customerId": form})}, status: http.StatusOK, changes: changes{"customerId": id}})
			t.Run("good in the path/"+form, func(t *testing.T) {
				a := a.in(t)
				a.compare("response", a.send(request{Path: pathOf(form, form), Body: `{}`}), record{id, id}.properties(nil), false)
			})
		}
	}
	for _, form := range bad {
		escaped := url.PathEscape(form)
		facts = append(facts,
			rejected("bad in the body/"+form, asJSON(changes{"customerId": form}), notUUID("customerId")),
			scenario{name: "bad customer/" + form, request: request{Path: pathOf(escaped, exampleID), Body: `{}`}, status: 422, fieldErrors: []fieldError{notUUID("id")}},
			scenario{name: "bad provider/" + form, request: request{Path: pathOf(exampleID, escaped), Body: `{}`}, status: 422, fieldErrors: []fieldError{notUUID("providerId")}},
		)
	}
	a.runScenarios(t, append(facts, rejected("bad in the body/empty", `{"customerId":""}`, notUUID("customerId"))))
}

// TestPath sends other paths than the contract's, and the contract's written otherwise.
func TestPath(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	path := r.path()
	empty := fieldError{Path: []string{"id"}, Code: "invalid_uuid", Message: "id must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a.", Expected: "UUID", Received: "something else"}
	at := func(path string, status int, body string, fieldErrors ...fieldError) scenario {
		return scenario{name: path, request: request{Path: path, Body: `{}`}, status: status, body: body, fieldErrors: fieldErrors}
	}
	a.runScenarios(t, []scenario{
		at("/", 404, pathNotFound),
		at("/v2", 404, pathNotFound),
		at("/v2/customers/"+r.customer, 404, pathNotFound),
		at("/v2/customers/"+r.customer+"/providers", 405, methodNotAllowed),
		at(path+"/history/", 404, pathNotFound),
		at("/v2/customers/"+r.customer+"/providers/", 404, pathNotFound),
		at("/v2/customers//providers/"+r.id, 422, "", empty),
		at(path+"/", 404, pathNotFound),
		at(path+"//", 404, pathNotFound),
		at(path+"/more", 404, pathNotFound),
		at(path+"%2F", 404, pathNotFound),
		at(path+"%2Fmore", 404, pathNotFound),
		at(path+"%252F", 422, "", notUUID("providerId")),
		at(path+"%00", 422, "", notUUID("providerId")),
		at(path+"%0A", 422, "", notUUID("providerId")),
		at(path+";v=1", 422, "", notUUID("providerId")),
		at("/"+path, 404, pathNotFound),
		at("/v2/../v2"+path[3:], 404, pathNotFound),
		at("/v1"+path[3:], 404, pathNotFound),
		at("/V2"+path[3:], 404, pathNotFound),
		at(strings.Replace(path, "customers", "Customers", 1), 404, pathNotFound),
		at(pathOf(r.id, r.customer), 404, providerNotFound),
	})

	for _, same := range []string{
		path + "?", path + "?a=b&c", path + "?" + strings.Repeat("x", 1000), path + "#fragment",
		strings.ReplaceAll(path, "-", "%2D"), strings.Replace(path, "customers", "%63ustomers", 1), pathOf(r.customer, percentEncoded(r.id)),
	} {
		t.Run(same, func(t *testing.T) {
			a := a.in(t)
			a.compare("response", a.send(request{Path: same, Body: `{}`}), r.properties(nil), false)
		})
	}
}

// percentEncoded writes every byte as %xx, which means the same (RFC 3986, 6.2.2.2).
func percentEncoded(text string) string {
	var encoded strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&encoded, "%%%02x", b)
	}
	return encoded.String()
}

func TestMethod(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	path, list := r.path(), providersOf(r.customer)
	for _, tt := range []struct {
		method, path string
		status       int
		allow, body  string
	}{
		{"HEAD", path, 200, "", ""},
		{"HEAD", list, 200, "", ""},
		{"HEAD", path + "/history", 200, "", ""},
		{"HEAD", pathOf(r.id, r.customer), 404, "", ""},
		{"POST", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"PUT", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"TRACE", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"CONNECT", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"patch", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"WHATEVER", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", methodNotAllowed},
		{"OPTIONS", path, 204, "OPTIONS, DELETE, GET, HEAD, PATCH", ""},
		{"PATCH", list, 405, "OPTIONS, GET, HEAD, POST", methodNotAllowed},
		{"DELETE", list, 405, "OPTIONS, GET, HEAD, POST", methodNotAllowed},
		{"OPTIONS", list, 204, "OPTIONS, GET, HEAD, POST", ""},
		{"DELETE", path + "/history", 405, "OPTIONS, GET, HEAD", methodNotAllowed},
		{"OPTIONS", path + "/history", 204, "OPTIONS, GET, HEAD", ""},
		{"PATCH", "/livez", 405, "OPTIONS, GET, HEAD", methodNotAllowed},
		{"PATCH", "/docs", 405, "OPTIONS, GET, HEAD", methodNotAllowed},
		{"DELETE", "/docs/style.css", 405, "OPTIONS, GET, HEAD", methodNotAllowed},
		{"GET", "/docs/oauth2-redirect.html", 404, "", pathNotFound},
		{"GET", "/docs/embed.go", 404, "", pathNotFound},
		{"POST", "/docs/nothing", 404, "", pathNotFound},
		{"GET", "/openapi.yml", 404, "", pathNotFound},
		{"POST", "/openapi.yaml", 405, "OPTIONS, GET, HEAD", methodNotAllowed},
		{"GET", "/livez", 200, "", `{"status":"ok"}` + "\n"},
		{"GET", "/readyz", 200, "", `{"status":"ok"}` + "\n"},
		{"HEAD", "/readyz", 200, "", ""},
		{"GET", "/", 404, "", pathNotFound},
		{"HEAD", "/", 404, "", ""},
		{"OPTIONS", "/", 404, "", pathNotFound},
		{"GET", "/metrics", 404, "", pathNotFound},
		{"GET", "/debug/pprof/", 404, "", pathNotFound},
		{"GET", path + "/more", 404, "", pathNotFound},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			got := a.in(t).send(request{Method: tt.method, Path: tt.path, Body: `{}`})
			if allow := got.Header.Get("Allow"); got.Status != tt.status || allow != tt.allow || got.Body != tt.body {
				t.Errorf("got  %d, Allow %q, %s\nwant %d, Allow %q, %s", got.Status, allow, got.Body, tt.status, tt.allow, tt.body)
			}
		})
	}
}

// TestServerPath asks about the server as a whole, to which net/http would respond in its own way.
func TestServerPath(t *testing.T) {
	t.Parallel()
	c := newServer(t).connect()
	c.write("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := c.readResponse(); got.Status != http.StatusNotFound || got.Body != pathNotFound || got.Header.Get("X-Request-Id") == "" {
		t.Errorf("got %d %v %s", got.Status, got.Header, got.Body)
	}
}

func TestEncodedSlashIsNoSlash(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const id = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	s.importLines("acme", `{"id": "`+id+`", "customerId": "`+id+`", "providerType": "Hospital"}`)
	path := "/v2/customers/" + id + "/providers/" + id
	c := s.connect()
	c.write("PATCH %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"/"+strings.ReplaceAll(path[1:], "/", "%2F"), s.newKey("acme"))
	if a := c.readResponse(); a.Status != http.StatusNotFound {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
}
