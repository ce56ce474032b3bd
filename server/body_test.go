package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
)

// TestBody sends bodies that are no JSON object of known, distinct names.
func TestBody(t *testing.T) {
	t.Parallel()
	malformed := func(name, body, message string) scenario {
		return scenario{name: name, request: request{Body: body}, status: http.StatusBadRequest, body: problem("BAD_REQUEST", message)}
	}
	notJSON := func(name, body, where string) scenario {
		return malformed(name, body, "The body is not JSON: it has a syntax error after byte "+where+".")
	}
	cutShort := func(name, body string) scenario {
		return malformed(name, body, fmt.Sprintf("The body is not JSON: it ends too early after byte %d.", len(body)))
	}
	notUnicode := func(name, body, where string) scenario {
		return malformed(name, body, "The body is not JSON: it has text that is not Unicode after byte "+where+".")
	}
	const (
		empty   = "The body is empty; send a JSON object."
		follows = "The body must be one JSON value; something follows it."
		tooDeep = "The body nests deeper than 32 levels."
		utf16   = "The body is in UTF-16 or UTF-32; send UTF-8."
	)
	notObject := func(received string) fieldError {
		return fieldError{Path: []string{}, Code: "invalid_type", Message: "The body must be an object, not " + received + ".", Expected: "object", Received: withoutArticle(received)}
	}
	twice := func(name string) fieldError {
		return fieldError{Path: []string{name}, Code: "duplicate_property", Message: name + " is given more than once.", Expected: "one value", Received: "several values"}
	}
	nul := fieldError{
		Path: []string{"city"}, Code: "nul_character", Message: "city must not contain the character U+0000.",
		Expected: "text without U+0000", Received: "text with U+0000",
	}
	unprintable := fieldError{
		Path: []string{}, Code: "unknown_property", Message: "The body has a property whose name the contract does not know.",
		Expected: "the contract's properties", Received: "another property",
	}
	notText := func(received string) fieldError { return wrongType("city", "a string or null", received) }
	nested := func(levels int) string {
		return `{"city":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
	}

	newServer(t).account("acme").runScenarios(t, []scenario{
		malformed("empty", "", empty),
		malformed("spaces", " \t\r\n", empty),
		rejected("null", `null`, notObject("null")),
		rejected("array", `[]`, notObject("an array")),
		rejected("array of one", `[{"city":"x"}]`, notObject("an array")),
		rejected("string", `"{}"`, notObject("a string")),
		rejected("number", `0`, notObject("a number")),
		rejected("boolean", `true`, notObject("a boolean")),

		malformed("two values", `{"city":"x"} {"city":"x"}`, follows),
		malformed("two lines", "{\"city\":\"x\"}\n{}", follows),
		malformed("a value and text", `{"city":"x"}x`, follows),
		malformed("a value and a brace", `{"city":"x"}}`, follows),
		malformed("a value and a comma", `{"city":"x"},`, follows),
		malformed("a value and NUL", "{\"city\":\"x\"}\x00", follows),
		malformed("a value and a comment", `{"city":"x"} // x`, follows),
		cutShort("cut in a name", `{"ci`),
		cutShort("cut in a value", `{"city":"x`),
		cutShort("cut after a value", `{"city":"x"`),

		notJSON("text", `city=x&state=y`, "0"),
		malformed("byte order mark", "\ufeff{}", "The body begins with a byte order mark; send UTF-8 without one."),
		malformed("UTF-16, little-endian, with its mark", "\xff\xfe{\x00}\x00", utf16),
		malformed("UTF-16, big-endian, with its mark", "\xfe\xff\x00{\x00}", utf16),
		malformed("UTF-16, little-endian", "{\x00}\x00", utf16),
		malformed("UTF-16, big-endian", "\x00{\x00}", utf16),
		malformed("gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00", "The body is compressed with gzip; send it uncompressed."),
		notJSON("NUL", "\x00", "0"),
		notJSON("a comment before", "// x\n{}", "0"),
		notJSON("a comment within", `{/* x */}`, "1"),
		notJSON("single quotes", `{'city':'x'}`, "1"),
		notJSON("no quotes", `{city:"x"}`, "1"),
		notJSON("undefined", `{"city":undefined}`, "8, in city"),
		notJSON("not a number", `{"city":NaN}`, "8, in city"),
		notJSON("capitals", `{"city":NULL}`, "8, in city"),
		notJSON("a leading zero", `{"city":01}`, "9"),
		notJSON("a bare minus", `{"city":-}`, "9, in city"),
		notJSON("a trailing comma", `{"city":"x",}`, "11"),
		notJSON("no comma", `{"city":"x" "state":"y"}`, "12"),
		notJSON("no colon", `{"city" "x"}`, "8, in city"),
		notJSON("a name without a value", `{"city"}`, "7, in city"),
		notJSON("a raw line break", "{\"city\":\"a\nb\"}", "10, in city"),
		notJSON("a wrong escape", `{"city":"\x41"}`, "9, in city"),
		notUnicode("invalid UTF-8", "{\"city\":\"\xff\"}", "9, in city"),
		notUnicode("invalid UTF-8 in a name", "{\"\xff\":\"x\"}", "2"),
		notUnicode("overlong UTF-8", "{\"city\":\"\xc0\x80\"}", "9, in city"),
		notUnicode("a surrogate in UTF-8", "{\"city\":\"\xed\xa0\x80\"}", "9, in city"),
		notUnicode("a lone high surrogate", `{"city":"\ud800"}`, "9, in city"),
		notUnicode("a lone low surrogate", `{"city":"\udc00"}`, "9, in city"),
		notUnicode("surrogates the wrong way round", `{"city":"\udc00\ud800"}`, "9, in city"),

		rejected("32 levels", nested(32), notText("an array")),
		malformed("33 levels", nested(33), tooDeep),
		malformed("10,000 arrays", strings.Repeat("[", 10_000), tooDeep),
		malformed("10,000 objects", strings.Repeat(`{"a":`, 10_000), tooDeep),
		malformed("10,000 levels, closed", nested(10_000), tooDeep),

		rejected("a name twice", `{"city":"x","state":"y","city":"z"}`, twice("city")),
		rejected("a name twice, once escaped", `{"city":"x","\u0063ity":"z"}`, twice("city")),
		rejected("a name thrice", `{"city":"x","city":"x","city":"x"}`, twice("city"), twice("city")),
		rejected("a name twice, once null", `{"city":null,"city":1}`, twice("city")),
		rejected("an unknown name", `{"unheardOf":"x"}`, unknownProperty("unheardOf", "")),
		rejected("a name of the response", `{"id":"x","createdAt":"y"}`, unknownProperty("createdAt", ""), unknownProperty("id", "")),
		rejected("capitals", `{"CITY":"x"}`, unknownProperty("CITY", "city")),
		rejected("another case", `{"City":"x","providername":"x"}`, unknownProperty("City", "city"), unknownProperty("providername", "providerName")),
		rejected("snake and kebab", `{"postal_code":"x","postal-code":"x"}`, unknownProperty("postal-code", "postalCode"), unknownProperty("postal_code", "postalCode")),
		rejected("no name", `{"":"x"}`, unprintable),
		rejected("a name that may be a value", `{"Jane Doe":"x"}`, unprintable),
		rejected("a name with a space", `{"city ":"x"}`, unprintable),
		rejected("a name with NUL", `{"ci\u0000ty":"x"}`, unprintable),
		rejected("a name in Cyrillic", `{"сity":"x"}`, unprintable),
		rejected("a prototype", `{"__proto__":{"city":"x"}}`, unknownProperty("__proto__", "")),

		rejected("NUL", `{"city":"a\u0000b"}`, nul),
		rejected("NUL within", `{"city":["a\u0000b"]}`, notText("an array")),
		rejected("a huge number", `{"city":1e999}`, notText("a number")),
		rejected("a tiny number", `{"city":-1e-999}`, notText("a number")),
		rejected("a huge number for a boolean", `{"isActive":1e999}`, wrongType("isActive", "a boolean or null", "a number")),
		rejected("a number of 1000 digits", `{"city":`+strings.Repeat("9", 1000)+`}`, notText("a number")),

		{name: "spaces around", request: request{Body: "\r\n\t {\"city\" : \"x\"} \r\n\t"}, status: http.StatusOK, changes: changes{"city": "x"}},
		{name: "an escaped name", request: request{Body: `{"\u0063ity":"x"}`}, status: http.StatusOK, changes: changes{"city": "x"}},
		{name: "an escaped word", request: request{Body: `{"providerType":"\u0050harmacy"}`}, status: http.StatusOK, changes: changes{"providerType": "Pharmacy"}},
		{name: "chunked", request: request{Body: `{"city":"x"}`, Stream: true}, status: http.StatusOK, changes: changes{"city": "x"}},
	})
}

// TestBodyCutShort sends every beginning of a body.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	body := ` {"city":"é\u00e9\ud83d\ude00","isActive":true,"fax":null,"npi":[-1.5e+3,{"a":[]}]} `
	var facts []scenario
	for n := range strings.LastIndex(body, "}") + 1 {
		facts = append(facts, scenario{name: fmt.Sprint(n), request: request{Body: body[:n]}, status: http.StatusBadRequest})
	}
	newServer(t).account("acme").runScenarios(t, append(facts, rejected("whole", body, wrongType("npi", "a string or null", "an array"))))
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	sized := func(name string, size int, stream bool) scenario {
		body := `{"city":"x"}`
		body += strings.Repeat(" ", size-len(body))
		if size <= limit {
			return scenario{name: name, request: request{Body: body, Stream: stream}, status: http.StatusOK, changes: changes{"city": "x"}}
		}
		tooLarge := problem("PAYLOAD_TOO_LARGE", "The body is larger than 65536 bytes.")
		return scenario{name: name, request: request{Body: body, Stream: stream}, status: http.StatusRequestEntityTooLarge, body: tooLarge}
	}
	newServer(t).account("acme").runScenarios(t, []scenario{
		sized("at the limit", limit, false),
		sized("at the limit, chunked", limit, true),
		sized("a byte over", limit+1, false),
		sized("a byte over, chunked", limit+1, true),
		sized("a megabyte", 1<<20, false),
		sized("a megabyte, chunked", 1<<20, true),
	})
}

// TestBodyBrokenOff ends a connection in the middle of a body.
func TestBodyBrokenOff(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	for name, rest := range map[string]string{"with a length": "Content-Length: 100\r\n\r\n{}", "chunked": "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"} {
		c := a.connect()
		c.write("PATCH %s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\n%s", r.path(), a.key, rest)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.readResponse(), problem("BAD_REQUEST", "The body did not arrive whole."); got.Status != http.StatusBadRequest || got.Body != want {
			t.Errorf("%s: got %d %s, want %s", name, got.Status, got.Body, want)
		}
	}
}

// TestBodyOfFaults gets a list that is bounded.
func TestBodyOfFaults(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	unknown := map[string]int{}
	for n := range 2000 {
		unknown[fmt.Sprintf("unknown%d", n)] = n
	}
	for name, body := range map[string]string{
		"unknown names":   asJSON(unknown),
		"duplicate names": "{" + strings.Repeat(`"city":"x",`, 2000) + `"city":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := a.in(t).send(request{Path: path, Body: body})
			var told client.ValidationErrorResponse
			if err := json.Unmarshal([]byte(got.Body), &told); err != nil {
				t.Fatal(err)
			}
			sorted := slices.IsSortedFunc(told.Errors, func(a, b fieldError) int { return slices.Compare(a.Path, b.Path) })
			const message = "The request has more than 100 errors; the first 100 are listed."
			if got.Status != http.StatusUnprocessableEntity || told.Message != message || len(told.Errors) != 100 || !sorted || len(got.Body) > 32<<10 {
				t.Errorf("got %d with %d errors, sorted: %t, in %d bytes: %s", got.Status, len(told.Errors), sorted, len(got.Body), told.Message)
			}
		})
	}
}

func TestContentType(t *testing.T) {
	t.Parallel()
	update := changes{"city": "x"}
	taken := func(header string, lines ...string) scenario {
		f := accepted(fmt.Sprintf("%s %q", header, lines), update)
		f.Header = http.Header{header: lines}
		return f
	}
	rejected := func(message, header string, lines ...string) scenario {
		f := taken(header, lines...)
		f.status, f.changes, f.body = http.StatusUnsupportedMediaType, nil, problem("UNSUPPORTED_MEDIA_TYPE", message)
		return f
	}
	const (
		announce = "Send the body as JSON in UTF-8, with the header Content-Type: application/json or application/merge-patch+json."
		encoded  = "Send the body uncompressed, without the header Content-Encoding."
	)
	newServer(t).account("acme").runScenarios(t, []scenario{
		taken("Content-Type", "application/json"),
		taken("Content-Type", "application/json; charset=utf-8"),
		taken("Content-Type", "application/json;charset=UTF-8"),
		taken("Content-Type", `application/json; charset="utf-8"`),
		taken("Content-Type", "Application/JSON"),
		taken("Content-Type", "application/json; profile=x"),
		taken("Content-Type", "application/json; charset=utf8"),
		taken("Content-Type", "application/merge-patch+json"),
		taken("Content-Type", "application/merge-patch+json; charset=utf-8"),
		taken("Content-Encoding", "identity"),

		rejected(announce, "Content-Type"),
		rejected(announce, "Content-Type", ""),
		rejected(announce, "Content-Type", "text/plain"),
		rejected(announce, "Content-Type", "application/json; charset=latin1"),
		rejected(announce, "Content-Type", "application/json; charset=utf-16"),
		rejected(announce, "Content-Type", "application/json; charset="),
		rejected(announce, "Content-Type", "application/json", "application/json"),
		rejected(announce, "Content-Type", "application/json", "text/plain"),
		rejected(announce, "Content-Type", "application/json, application/json"),
		rejected(announce, "Content-Type", "application/jsonx"),
		rejected(announce, "Content-Type", "application/problem+json"),
		rejected(announce, "Content-Type", "application/x-www-form-urlencoded"),
		rejected(announce, "Content-Type", "multipart/form-data; boundary=x"),
		rejected(announce, "Content-Type", "*/*"),
		rejected(announce, "Content-Type", "json"),
		rejected(announce, "Content-Type", ";"),
		rejected(encoded, "Content-Encoding", "gzip"),
		rejected(encoded, "Content-Encoding", "deflate, gzip"),
		rejected(encoded, "Content-Encoding", "br"),
	})
}
