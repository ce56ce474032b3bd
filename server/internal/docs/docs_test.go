package docs_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func TestAnswers(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	for _, tt := range []struct {
		method, path string
		status       int
		contentType  string
		cacheControl string
	}{
		{"GET", "/openapi.yaml", 200, "application/yaml", "no-cache"},
		{"HEAD", "/openapi.yaml", 200, "application/yaml", "no-cache"},
		{"GET", "/openapi.json", 200, "application/json", "no-cache"},
		{"HEAD", "/openapi.json", 200, "application/json", "no-cache"},
		{"GET", "/docs", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/docs/", 200, "text/html; charset=utf-8", "no-cache"},
		{"HEAD", "/docs", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/docs/reference.js", 200, "text/javascript; charset=utf-8", "no-cache"},
		{"HEAD", "/docs/style.css", 200, "text/css; charset=utf-8", "no-cache"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			resp, body := do(t, tt.method, url+tt.path, nil)
			if resp.StatusCode != tt.status {
				t.Errorf("status: got %d, want %d", resp.StatusCode, tt.status)
			}
			if got := resp.Header.Get("Content-Type"); got != tt.contentType {
				t.Errorf("Content-Type: got %q, want %q", got, tt.contentType)
			}
			if got := resp.Header.Get("Cache-Control"); got != tt.cacheControl {
				t.Errorf("Cache-Control: got %q, want %q", got, tt.cacheControl)
			}
			if tt.method == http.MethodHead && body != "" {
				t.Errorf("body of HEAD: got %d bytes, want none", len(body))
			}
		})
	}
}

func TestYAMLIsTheContractFromHere(t *testing.T) {
	_, body := get(t, newServer(t, providerapi.Contract)+"/openapi.yaml")
	want := strings.Replace(string(providerapi.Contract), "\nservers:\n", "\nservers:\n  - url: /\n    description: This server\n", 1)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("/openapi.yaml (-want +got):\n%s", diff)
	}
}

func TestJSONIsTheContractFromHere(t *testing.T) {
	_, body := get(t, newServer(t, providerapi.Contract)+"/openapi.json")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("/openapi.json: %v", err)
	}

	var contract any
	if err := yaml.Unmarshal(providerapi.Contract, &contract); err != nil {
		t.Fatal(err)
	}
	throughJSON, err := json.Marshal(contract) // so that numbers have one type on both sides
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(throughJSON, &want); err != nil {
		t.Fatal(err)
	}
	want["servers"] = append([]any{map[string]any{"url": "/", "description": "This server"}}, want["servers"].([]any)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/openapi.json (-want +got):\n%s", diff)
	}
}

func TestJSONKeepsOrderAndTypes(t *testing.T) {
	_, got := get(t, newServer(t, []byte(`
info: {title: T}
servers:
- url: https://example.com
z: ['1', 1, 1.5, true, null, <string>, "2026-06-17T19:07:23.709Z"]
a: {'200': {}, b: []}
`))+"/openapi.json")
	want := `{
  "info": {
    "title": "T"
  },
  "servers": [
    {
      "url": "/",
      "description": "This server"
    },
    {
      "url": "https://example.com"
    }
  ],
  "z": [
    "1",
    1,
    1.5,
    true,
    null,
    "<string>",
    "2026-06-17T19:07:23.709Z"
  ],
  "a": {
    "200": {},
    "b": []
  }
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/openapi.json (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct{ name, contract, want string }{
		{"nothing", "", "read the contract: it is not a YAML mapping"},
		{"a list", "[]", "read the contract: it is not a YAML mapping"},
		{"no servers", "openapi: 3.0.3", "read the contract: it has no list of servers in block style"},
		{"an empty list of servers", "servers: []", "read the contract: it has no list of servers in block style"},
		{"an alias", "servers:\n- url: /v2\nx: &a 1\ny: *a", "convert the contract to JSON: line 4: an alias; use $ref"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := docs.New([]byte(tt.contract), docs.Options{}); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	for _, path := range []string{"/openapi.yaml", "/openapi.json", "/docs", "/docs/reference.js"} {
		tags := map[string]bool{}
		for _, coding := range []string{"gzip", "identity"} {
			first, _ := do(t, "GET", url+path, http.Header{"Accept-Encoding": {coding}})
			tag := first.Header.Get("ETag")
			tags[tag] = true
			resp, body := do(t, "GET", url+path, http.Header{"Accept-Encoding": {coding}, "If-None-Match": {tag}})
			if resp.StatusCode != http.StatusNotModified || body != "" {
				t.Errorf("%s with its ETag: got %d and %d bytes, want 304 and none", path, resp.StatusCode, len(body))
			}
		}
		if len(tags) != 2 {
			t.Errorf("%s: compressed or not, the ETag is %v", path, tags)
		}
	}
}

func TestCompressedForThoseWhoTakeIt(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	for accept, want := range map[string]string{
		"gzip": "gzip", "br, gzip;q=0.5": "gzip", "deflate,gzip ; q=1": "gzip",
		"identity": "", "br": "", "gzip;q=0": "", "gzip; q=0.0, br": "", "x-gzip-not": "",
	} {
		resp, body := do(t, "GET", url+"/docs", http.Header{"Accept-Encoding": {accept}})
		if got := resp.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, got, want)
		}
		if want == "gzip" {
			r, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		if !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("Accept-Encoding %q: the page is not complete", accept)
		}
	}
}

// TestPageIsLight adds up what a browser loads. A page of Swagger UI has four times as much.
func TestPageIsLight(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	_, page := get(t, url+"/docs")
	paths := []string{"/docs"}
	for _, r := range regexp.MustCompile(`<(?:link|script)[^>]* (?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, r[1])
	}
	total := 0
	for _, path := range paths {
		_, body := do(t, "GET", url+path, http.Header{"Accept-Encoding": {"gzip"}})
		total += len(body)
	}
	if total > 100<<10 {
		t.Errorf("got %d bytes, want 100 KB at most: %v", total, paths)
	}
}

// TestPageHasAllOfTheContract looks for everything that the contract names, and follows every link in the page.
func TestPageHasAllOfTheContract(t *testing.T) {
	_, page := get(t, newServer(t, providerapi.Contract)+"/docs")
	var contract map[string]any
	if err := yaml.Unmarshal(providerapi.Contract, &contract); err != nil {
		t.Fatal(err)
	}
	text, seen := html.UnescapeString(page), 0
	delete(contract, "tags")
	delete(contract["components"].(map[string]any), "headers") // their names there are not those of the headers
	var check func(key string, v any)
	want := func(wanted string) {
		if seen++; !strings.Contains(text, wanted) {
			t.Errorf("the page lacks %s", wanted)
		}
	}
	check = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, child := range v {
				if key == "properties" || key == "headers" {
					want("<code>" + name + "</code>")
				}
				check(name, child)
			}
		case []any:
			for _, child := range v {
				if text, ok := child.(string); ok && key == "enum" {
					want(text)
				}
				check("", child)
			}
		case string:
			switch key {
			case "operationId":
				want(`<section id="` + v + `"`)
			case "name", "summary", "x-required-permission":
				want(v)
			}
		case int:
			if strings.HasPrefix(key, "m") { // maxLength, minimum and the like
				want(fmt.Sprint(" ", v, "</span>"))
			}
		}
	}
	check("", contract)
	if seen < 200 {
		t.Errorf("only %d texts were looked for", seen)
	}

	ids := map[string]int{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[id[1]]++; ids[id[1]] > 1 {
			t.Errorf("two elements have the ID %s", id[1])
		}
	}
	for _, link := range regexp.MustCompile(` (?:href="#|for="|data-copy=")([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[link[1]] == 0 {
			t.Errorf("the link to #%s leads nowhere", link[1])
		}
	}
}

// TestCommandIsQuoted looks for the command of an example with a quotation mark of the shell.
func TestCommandIsQuoted(t *testing.T) {
	contract := strings.ReplaceAll(string(providerapi.Contract), "providerName: <string>", "providerName: O'Neill")
	_, page := get(t, newServer(t, []byte(contract))+"/docs")
	quoted := 0
	for _, command := range regexp.MustCompile(`(?s)<pre id="[a-zA-Z]+\.command">(.*?)</pre>`).FindAllStringSubmatch(page, -1) {
		text := html.UnescapeString(command[1])
		if strings.Contains(text, "O'Neill") {
			t.Errorf("the command is not quoted:\n%s", text)
		}
		quoted += strings.Count(text, `O'\''Neill`)
	}
	if quoted == 0 {
		t.Error("no command has the example")
	}
}

func TestPageLoadsFromItsOwnServerOnly(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	resp, page := get(t, url+"/docs")

	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := resp.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("Content-Security-Policy: got %q, want %q", got, want)
	}
	if !strings.Contains(page, "<title>careCycle customer providers</title>") {
		t.Errorf("the title is not the contract's: %s", page)
	}

	references := regexp.MustCompile(` (?:src|href)="(/[^"]*|https?:[^"]*)"`).FindAllStringSubmatch(page, -1)
	references = slices.DeleteFunc(references, func(r []string) bool { return strings.HasPrefix(r[1], "https://github.com/") }) // the contract's links
	if len(references) != 7 {
		t.Errorf("references: got %d, want 7 (icon, style sheet, two scripts, itself, the contract twice): %v", len(references), references)
	}
	for _, r := range references {
		if !regexp.MustCompile(`^/[^/]`).MatchString(r[1]) {
			t.Errorf("reference %s: leaves the server", r[1])
			continue
		}
		resp, body := get(t, url+r[1])
		if resp.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: got %d and %d bytes, want 200 and a body", r[1], resp.StatusCode, len(body))
		}
		if !strings.HasSuffix(r[1], ".css") {
			continue
		}
		if u := regexp.MustCompile(`url\(|@import`).FindString(body); u != "" {
			t.Errorf("%s loads something, with %s", r[1], u)
		}
	}
}

// newServer serves the docs of a contract and returns its URL.
func newServer(t *testing.T, contract []byte) string {
	t.Helper()
	s := httptest.NewServer(newMux(t, contract, docs.Options{}))
	t.Cleanup(s.Close)
	return s.URL
}

func newMux(t *testing.T, contract []byte, o docs.Options) *http.ServeMux {
	t.Helper()
	pages, err := docs.New(contract, o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, page := range pages {
		if strings.HasSuffix(path, "/") {
			path += "{$}" // and nothing below it
		}
		mux.Handle("GET "+path, page)
	}
	return mux
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return do(t, "GET", url, nil)
}

func do(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the response of %s %s: %v", method, url, err)
	}
	return resp, string(body)
}
