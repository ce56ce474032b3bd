package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The errors that are answered for a path.
var (
	noSuchProvider = problem("NOT_FOUND", "This customer has no such provider.")
	noSuchPath     = problem("PATH_NOT_FOUND", "The API has no such path; check the base URL and the path. The paths are listed at /docs.")
	noSuchMethod   = problem("METHOD_NOT_ALLOWED", "This path does not support this method; the header Allow lists the methods that it supports.")
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

	var facts []fact
	for _, id := range good {
		a.importLines("acme", asJSON(record{id, id}.properties(nil)))
		for _, form := range []string{id, strings.ToUpper(id)} {
			facts = append(facts, fact{name: "good in the body/" + form, request: request{Body: asJSON(changes{"customerId": form})}, status: http.StatusOK, changes: changes{"customerId": id}})
			t.Run("good in the path/"+form, func(t *testing.T) {
				a := a.in(t)
				a.compare("answer", a.send(request{Path: pathOf(form, form), Body: `{}`}), record{id, id}.properties(nil), false)
			})
		}
	}
	for _, form := range bad {
		escaped := url.PathEscape(form)
		facts = append(facts,
			refused("bad in the body/"+form, asJSON(changes{"customerId": form}), notUUID("customerId")),
			fact{name: "bad customer/" + form, request: request{Path: pathOf(escaped, exampleID), Body: `{}`}, status: 422, faults: []fault{notUUID("id")}},
			fact{name: "bad provider/" + form, request: request{Path: pathOf(exampleID, escaped), Body: `{}`}, status: 422, faults: []fault{notUUID("providerId")}},
		)
	}
	a.hold(t, append(facts, refused("bad in the body/empty", `{"customerId":""}`, notUUID("customerId"))))
}

// TestPath sends other paths than the contract's, and the contract's written otherwise.
func TestPath(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	path := r.path()
	empty := fault{Path: []string{"id"}, Code: "invalid_uuid", Message: "id must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a.", Expected: "UUID", Received: "something else"}
	at := func(path string, status int, body string, faults ...fault) fact {
		return fact{name: path, request: request{Path: path, Body: `{}`}, status: status, body: body, faults: faults}
	}
	a.hold(t, []fact{
		at("/", 404, noSuchPath),
		at("/v2", 404, noSuchPath),
		at("/v2/customers/"+r.customer, 404, noSuchPath),
		at("/v2/customers/"+r.customer+"/providers", 405, noSuchMethod),
		at(path+"/history/", 404, noSuchPath),
		at("/v2/customers/"+r.customer+"/providers/", 404, noSuchPath),
		at("/v2/customers//providers/"+r.id, 422, "", empty),
		at(path+"/", 404, noSuchPath),
		at(path+"//", 404, noSuchPath),
		at(path+"/more", 404, noSuchPath),
		at(path+"%2F", 404, noSuchPath),
		at(path+"%2Fmore", 404, noSuchPath),
		at(path+"%252F", 422, "", notUUID("providerId")),
		at(path+"%00", 422, "", notUUID("providerId")),
		at(path+"%0A", 422, "", notUUID("providerId")),
		at(path+";v=1", 422, "", notUUID("providerId")),
		at("/"+path, 404, noSuchPath),
		at("/v2/../v2"+path[3:], 404, noSuchPath),
		at("/v1"+path[3:], 404, noSuchPath),
		at("/V2"+path[3:], 404, noSuchPath),
		at(strings.Replace(path, "customers", "Customers", 1), 404, noSuchPath),
		at(pathOf(r.id, r.customer), 404, noSuchProvider),
	})

	for _, same := range []string{
		path + "?", path + "?a=b&c", path + "?" + strings.Repeat("x", 1000), path + "#fragment",
		strings.ReplaceAll(path, "-", "%2D"), strings.Replace(path, "customers", "%63ustomers", 1), pathOf(r.customer, percentEncoded(r.id)),
	} {
		t.Run(same, func(t *testing.T) {
			a := a.in(t)
			a.compare("answer", a.send(request{Path: same, Body: `{}`}), r.properties(nil), false)
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
	for _, fact := range []struct {
		method, path string
		status       int
		allow, body  string
	}{
		{"HEAD", path, 200, "", ""},
		{"HEAD", list, 200, "", ""},
		{"HEAD", path + "/history", 200, "", ""},
		{"HEAD", pathOf(r.id, r.customer), 404, "", ""},
		{"POST", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"PUT", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"TRACE", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"CONNECT", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"patch", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"WHATEVER", path, 405, "OPTIONS, DELETE, GET, HEAD, PATCH", noSuchMethod},
		{"OPTIONS", path, 204, "OPTIONS, DELETE, GET, HEAD, PATCH", ""},
		{"PATCH", list, 405, "OPTIONS, GET, HEAD, POST", noSuchMethod},
		{"DELETE", list, 405, "OPTIONS, GET, HEAD, POST", noSuchMethod},
		{"OPTIONS", list, 204, "OPTIONS, GET, HEAD, POST", ""},
		{"DELETE", path + "/history", 405, "OPTIONS, GET, HEAD", noSuchMethod},
		{"OPTIONS", path + "/history", 204, "OPTIONS, GET, HEAD", ""},
		{"PATCH", "/livez", 405, "OPTIONS, GET, HEAD", noSuchMethod},
		{"PATCH", "/docs", 405, "OPTIONS, GET, HEAD", noSuchMethod},
		{"POST", "/openapi.yaml", 405, "OPTIONS, GET, HEAD", noSuchMethod},
		{"GET", "/livez", 200, "", `{"status":"ok"}` + "\n"},
		{"GET", "/readyz", 200, "", `{"status":"ok"}` + "\n"},
		{"HEAD", "/readyz", 200, "", ""},
		{"GET", "/", 404, "", noSuchPath},
		{"HEAD", "/", 404, "", ""},
		{"OPTIONS", "/", 404, "", noSuchPath},
		{"GET", "/metrics", 404, "", noSuchPath},
		{"GET", "/debug/pprof/", 404, "", noSuchPath},
		{"GET", path + "/more", 404, "", noSuchPath},
	} {
		t.Run(fact.method+" "+fact.path, func(t *testing.T) {
			got := a.in(t).send(request{Method: fact.method, Path: fact.path, Body: `{}`})
			if allow := got.Header.Get("Allow"); got.Status != fact.status || allow != fact.allow || got.Body != fact.body {
				t.Errorf("got  %d, Allow %q, %s\nwant %d, Allow %q, %s", got.Status, allow, got.Body, fact.status, fact.allow, fact.body)
			}
		})
	}
}

// TestServerPath asks about the server as a whole, which net/http would answer in its own way.
func TestServerPath(t *testing.T) {
	t.Parallel()
	c := newServer(t).connect()
	c.say("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := c.hear(); got.Status != http.StatusNotFound || got.Body != noSuchPath || got.Header.Get("X-Request-Id") == "" {
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
	c.say("PATCH %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"/"+strings.ReplaceAll(path[1:], "/", "%2F"), s.newKey("acme"))
	if a := c.hear(); a.Status != http.StatusNotFound {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
}
