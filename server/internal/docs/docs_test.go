package docs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
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
		{"HEAD", "/docs/swagger-ui-bundle.js", 200, "application/javascript", "no-cache"},
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
		{"no servers", "openapi: 3.0.3", "read the contract: it lists no servers, each on lines of its own"},
		{"an empty list of servers", "servers: []", "read the contract: it lists no servers, each on lines of its own"},
		{"an alias", "servers:\n- url: /v2\nx: &a 1\ny: *a", "convert the contract to JSON: line 6: an alias; use $ref"},
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
	for _, path := range []string{"/openapi.yaml", "/openapi.json", "/docs", "/docs/swagger.js", "/docs/swagger-ui-bundle.js"} {
		first, _ := get(t, url+path)
		resp, body := do(t, "GET", url+path, http.Header{"If-None-Match": {first.Header.Get("ETag")}})
		if resp.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s with its ETag: got %d and %d bytes, want 304 and none", path, resp.StatusCode, len(body))
		}
	}
}

func TestPageLoadsFromItsOwnServerOnly(t *testing.T) {
	url := newServer(t, providerapi.Contract)
	resp, page := get(t, url+"/docs")

	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := resp.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("Content-Security-Policy: got %q, want %q", got, want)
	}
	if !strings.Contains(page, "<title>careCycle customer providers</title>") {
		t.Errorf("the title is not the contract's: %s", page)
	}

	references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(references) != 6 {
		t.Errorf("references: got %d, want 6 (favicon, two style sheets, two scripts, the contract): %v", len(references), references)
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
		for _, u := range regexp.MustCompile(`(?:url\(|@import)\s*["']?([^"')]*)`).FindAllStringSubmatch(body, -1) {
			if !strings.HasPrefix(u[1], "data:") {
				t.Errorf("%s loads %s, want nothing but data: URLs", r[1], u[1])
			}
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
