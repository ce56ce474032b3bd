package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/proxytest"
)

// TestCompressingProxy changes a record through a proxy that compresses responses, and weakens their ETags for that.
func TestCompressingProxy(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	through := proxytest.Nginx(t, a.url, "gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;")

	get, err := http.NewRequest(http.MethodGet, a.url+r.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	get.Header = http.Header{"X-Api-Key": {a.key}, "Accept-Encoding": {"gzip"}}
	response, err := through.Do(get)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	weak := response.Header.Get("ETag")
	if response.Header.Get("Content-Encoding") != "gzip" || weak != `W/"1"` {
		t.Fatalf("the proxy changed nothing: %v", response.Header)
	}
	patch, err := http.NewRequest(http.MethodPatch, a.url+r.path(), strings.NewReader(`{"city":"Berlin"}`))
	if err != nil {
		t.Fatal(err)
	}
	patch.Header = http.Header{"X-Api-Key": {a.key}, "Content-Type": {"application/json"}, "If-Match": {weak}}
	for _, want := range []int{http.StatusOK, http.StatusPreconditionFailed} {
		again := patch.Clone(t.Context())
		again.Body, _ = patch.GetBody()
		response, err := through.Do(again)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("PATCH with If-Match %s: %d, want %d", weak, response.StatusCode, want)
		}
	}

	c, err := client.New(a.key, client.WithBaseURL(a.url), client.WithHTTPClient(through))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	customer, id := r.ids()
	record, err := c.ModifyProvider(context.Background(), customer, id, func(*client.Record) (client.ProviderUpdate, error) {
		calls++
		return client.ProviderUpdate{City: client.Set("Hamburg")}, nil
	})
	if err != nil || record.ETag != `"3"` || calls != 1 {
		t.Errorf("ModifyProvider: %v after %d calls, want one", err, calls)
	}
}

// TestTrustedProxies has callers behind a proxy: each counts by its own address if the proxy is trusted, and only then.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags []string
		want  string // the address in the log
	}{
		"trusted":     {[]string{"--trusted-proxies", "127.0.0.0/8,::1/128"}, "203.0.113.7"},
		"not trusted": {nil, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, filepath.Join(t.TempDir(), "test.db"), c.flags...)
			path := pathOf(exampleID, exampleID)
			from := func(address string) response {
				// A caller can write the first address; the proxy adds the last.
				return s.send(request{Path: path, Key: apikey.Generate(), Body: `{}`, Header: http.Header{"X-Forwarded-For": {"198.51.100.1, " + address}}})
			}
			for range 20 {
				from("203.0.113.7")
			}
			if got := from("203.0.113.8"); (got.Status == http.StatusUnauthorized) != (len(c.flags) > 0) {
				t.Errorf("another caller after 20 wrong keys: %d", got.Status)
			}
			s.stop()
			if log := s.log.String(); !strings.Contains(log, `"remote":"`+c.want+`"`) || strings.Contains(log, "198.51.100.1") {
				t.Errorf("no request from %s, or one from an address that a caller wrote, in\n%s", c.want, log)
			}
		})
	}
}

// TestPathPrefix serves below a prefix, behind a proxy that passes paths on as they are and has another site at /.
func TestPathPrefix(t *testing.T) {
	t.Parallel()
	s := serve(t, filepath.Join(t.TempDir(), "test.db"), "--path-prefix", "/care/api")
	a := s.account("acme")
	r := a.newRecord()
	through := proxytest.Nginx(t, s.url, "} location = / { return 204;")
	get := func(path string) (int, string) {
		t.Helper()
		response, err := through.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	for path, want := range map[string]int{
		"/": 204, "/livez": 200, "/readyz": 200, "/care/api/livez": 404, "/care/api/readyz": 404,
		r.path(): 404, "/care/api" + r.path(): 401, "/care/api/care/api" + r.path(): 404, "/care/apis" + r.path(): 404, "/care%2Fapi" + r.path(): 404, "/c%61re/api" + r.path(): 401,
		"/docs": 404, "/openapi.yaml": 404, "/care/api/docs": 200, "/care/api": 404, "/care/api/": 404,
	} {
		if got, body := get(path); got != want || want == 404 && !strings.Contains(body, "PATH_NOT_FOUND") {
			t.Errorf("%s: %d %s, want %d", path, got, body, want)
		}
	}
	if _, document := get("/care/api/openapi.yaml"); !strings.Contains(document, "\nservers:\n  - url: /care/api\n    description: This server\n") {
		t.Error("the contract does not list this server first")
	}
	_, page := get("/care/api/docs")
	for _, link := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(page, -1) {
		if status, _ := get(link[1]); status != http.StatusOK {
			t.Errorf("%s, which the page links to: %d", link[1], status)
		}
	}

	c, err := client.New(a.key, client.WithBaseURL(s.url+"/care/api"), client.WithHTTPClient(through))
	if err != nil {
		t.Fatal(err)
	}
	customer, id := r.ids()
	if record, err := c.UpdateProvider(t.Context(), customer, id, client.ProviderUpdate{City: client.Set("Hamburg")}); err != nil || record.ETag != `"2"` {
		t.Errorf("a change by the client: %v", err)
	}
	created := a.send(request{Method: http.MethodPost, Path: "/care/api/v2/customers/" + r.customer + "/providers", Body: `{"providerType":"Hospital"}`})
	location := created.Header.Get("Location")
	if got := a.send(request{Method: http.MethodGet, Path: location}); !strings.HasPrefix(location, "/care/api/v2/") || got.Status != http.StatusOK {
		t.Errorf("created at %q: %d", location, got.Status)
	}
}

// TestWithoutDocs switches the page off, and not the contract.
func TestWithoutDocs(t *testing.T) {
	t.Parallel()
	s := serve(t, filepath.Join(t.TempDir(), "test.db"), "--docs", "off")
	for path, want := range map[string]int{"/docs": 404, "/docs/": 404, "/docs/style.css": 404, "/openapi.yaml": 200, "/openapi.json": 200} {
		if got, err := http.Get(s.url + path); err != nil || got.Body.Close() != nil || got.StatusCode != want {
			t.Errorf("%s: %v, %v, want %d", path, got, err, want)
		}
	}
}
