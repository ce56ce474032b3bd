package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

// examples builds the programs in examples, once for all tests, and returns the directory.
var examples = sync.OnceValues(func() (string, error) {
	directory := filepath.Join(programs, "examples") + string(filepath.Separator)
	build := exec.Command("go", "build", "-o", directory, "./examples/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build ./examples: %w\n%s", err, out)
	}
	return directory, nil
})

// example runs one of the programs and returns its outputs.
func example(t *testing.T, name, baseURL, key, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	directory, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), directory+name, append([]string{"--url", baseURL}, args...)...)
	cmd.Env = append(os.Environ(), "CARECYCLE_API_KEY="+key)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	err = cmd.Run()
	return out.String(), errors.String(), err
}

// TestExampleSync has 64 workers change more records than the key may in a minute, at once.
func TestExampleSync(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const records, perMinute = 640, 600
	customer := uuid.New()
	var imports, changes strings.Builder
	for n := range records {
		id := uuid.New()
		fmt.Fprintf(&imports, `{"customerId":%q,"id":%q,"providerType":"Hospital","phone":"old"}`+"\n", customer, id)
		fmt.Fprintf(&changes, `{"customerId":%q,"providerId":%q,"set":{"city":"Town %d","phone":null}}`+"\n", customer, id, n)
	}
	s.run(imports.String(), "import", "-", "--organization", "acme")
	key := s.newKey("--rate-limit", fmt.Sprint(perMinute))
	_, stderr, err := example(t, "sync", s.url, key, changes.String(), "--workers", "64")
	if err != nil || stderr != fmt.Sprintf("sync: %d providers are as the file says; 0 lines failed\n", records) {
		t.Errorf("%v: %s", err, stderr)
	}
	changed := 0
	for record, err := range s.client(s.newKey()).Providers(t.Context(), client.CustomerID(customer), client.ProviderFilter{PageSize: 100}) {
		if err != nil {
			t.Fatal(err)
		}
		if record.City != nil && record.Phone == nil && record.ETag == `"2"` {
			changed++
		}
	}
	if changed != records {
		t.Errorf("%d of %d records are changed", changed, records)
	}

	_, stderr, err = example(t, "sync", s.url, s.newKey(), `{"customerId":"private"}`+"\n"+changes.String()[:100]+"\n"+strings.Split(changes.String(), "\n")[0])
	want := "sync: line 1: not a change in the form of this command's documentation\n"
	if err == nil || !strings.Contains(stderr, want) || !strings.HasSuffix(stderr, "sync: 1 providers are as the file says; 2 lines failed\n") || strings.Contains(stderr, "private") {
		t.Errorf("%v: %s", err, stderr)
	}
}

// TestExampleEdit has a person confirm a change, while another one is faster.
func TestExampleEdit(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	key := s.newKey()
	customer, id := s.importRecord()
	// The first change arrives after another.
	var changes atomic.Int32
	target, _ := url.Parse(s.url)
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && changes.Add(1) == 1 {
			if _, err := s.client(key).UpdateProvider(t.Context(), customer, id, client.ProviderUpdate{City: client.Set("New Town")}); err != nil {
				t.Error(err)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	stdout, stderr, err := example(t, "edit", between.URL, key, "y\ny\n", customer.String(), id.String(), `{"phone":"+1 555 0100"}`)
	if err != nil || strings.Count(stdout, "Make it?") != 2 || !strings.Contains(stdout, "Somebody else has changed the record.") ||
		!strings.HasSuffix(stdout, "Changed:\n{\n  \"phone\": \"+1 555 0100\"\n}\n") {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
	if record, err := s.client(key).GetProvider(t.Context(), customer, id); err != nil || *record.City != "New Town" || *record.Phone != "+1 555 0100" || record.ETag != `"3"` {
		t.Errorf("%+v, %v", record, err)
	}
	stdout, _, err = example(t, "edit", s.url, key, "n\n", customer.String(), id.String(), `{"phone":null}`)
	if err != nil || !strings.HasSuffix(stdout, "Nothing was changed.\n") {
		t.Errorf("%v: %s", err, stdout)
	}
	if _, stderr, err := example(t, "edit", s.url, key, "", customer.String(), customer.String(), `{}`); err == nil || stderr != "edit: the customer has no such provider\n" {
		t.Errorf("%v: %s", err, stderr)
	}
}

// TestExampleExport cuts an export within a page, and goes on with it.
func TestExampleExport(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	key := s.newKey()
	const records = 450 // five pages
	customer := uuid.New()
	var imports strings.Builder
	for range records {
		fmt.Fprintf(&imports, `{"customerId":%q,"id":%q,"providerType":"Hospital"}`+"\n", customer, uuid.New())
	}
	s.run(imports.String(), "import", "-", "--organization", "acme")
	var pages atomic.Int32
	target, _ := url.Parse(s.url)
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages.Add(1) == 3 { // for good, as a program that is killed does not retry
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	path := filepath.Join(t.TempDir(), "providers.ndjson")
	_, stderr, err := example(t, "export", between.URL, key, "", customer.String(), path)
	if err == nil || !strings.HasPrefix(stderr, "export: after 200 records: ") {
		t.Errorf("%v: %s", err, stderr)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, `{"id": half of a record`)
	file.Close()
	_, stderr, err = example(t, "export", s.url, key, "", customer.String(), path)
	if err != nil || stderr != "export: 250 records\n" {
		t.Errorf("%v: %s", err, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[client.ProviderID]bool{}
	for lines := json.NewDecoder(bytes.NewReader(text)); lines.More(); {
		var p client.Provider
		if err := lines.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen[p.ID] = true
	}
	if lines := bytes.Count(text, []byte("\n")); len(seen) != records || lines != records {
		t.Errorf("%d records in %d lines, want %d", len(seen), lines, records)
	}
	if _, err := os.Stat(path + ".state"); !os.IsNotExist(err) {
		t.Errorf("the state is left: %v", err)
	}
}
