package client_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// consume runs go in testdata/consumer, a module of its own, as somebody does whose module cache has all it needs.
func consume(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("testdata", "consumer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOPROXY=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s\nIf go.mod has changed: cd client/testdata/consumer && go mod tidy", strings.Join(args, " "), err, &stderr)
	}
	return string(stdout)
}

// TestConsumer builds a program that imports the client, and runs it.
func TestConsumer(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "billing")
	consume(t, "build", "-o", program, ".")

	responses := []http.HandlerFunc{
		respond(503, `{"message":"The server is busy.","code":"SERVICE_UNAVAILABLE"}`),
		respond(200, record, "ETag", `"7"`),
		respond(200, list(cursor, record, record)),
		respond(200, list("", record)),
		respond(404, `{"message":"This customer has no such provider.","code":"NOT_FOUND"}`),
	}
	bodies := make(chan string, len(responses))
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if got := r.Header.Get("X-Api-Key") + " " + r.UserAgent(); !strings.HasPrefix(got, apiKey+" billing/1.0 carecycle-provider-api/") {
			t.Errorf("key and user agent are %s", got)
		}
		bodies <- string(body)
		responses[asked.Add(1)-1](w, r)
	}))
	t.Cleanup(server.Close)
	run := func() (stdout, stderr string, code int) {
		cmd := exec.CommandContext(t.Context(), program, server.URL, customerID.String(), providerID.String())
		cmd.Env = append(os.Environ(), "CARECYCLE_API_KEY="+apiKey)
		var out, err bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &err
		cmd.Run()
		if strings.Contains(out.String()+err.String(), "secret") {
			t.Errorf("the key is printed:\n%s%s", &out, &err)
		}
		return out.String(), err.String(), cmd.ProcessState.ExitCode()
	}

	stdout, stderr, code := run()
	if code != 0 || stdout != "Dr. Ada Example 2026 \"7\" 3\n" {
		t.Errorf("exit code %d, output %q, log:\n%s", code, stdout, stderr)
	}
	for _, line := range []string{"attempt=1 status=503", "attempt=2 status=200"} {
		if !strings.Contains(stderr, line) {
			t.Errorf("no %q in the log:\n%s", line, stderr)
		}
	}
	const body = `{"fax":null,"phone":"+1 555 0100","providerType":"Pharmacy"}`
	for range 2 {
		if got := <-bodies; got != body {
			t.Errorf("it sent %s, want %s", got, body)
		}
	}
	if _, stderr, code = run(); code != 1 || !strings.HasSuffix(stderr, "billing: no such provider\n") {
		t.Errorf("no such provider: exit code %d, log:\n%s", code, stderr)
	}
}

// TestConsumerNeedsAHandfulOfModules keeps the server's dependencies out of what consumers compile, and out of what
// their go.mod comes to list. (`go list -m all` has more: it names all that this module's go.mod names, though
// none of it is downloaded.)
func TestConsumerNeedsAHandfulOfModules(t *testing.T) {
	t.Parallel()
	want := []string{
		"github.com/apapsch/go-jsonmerge/v2", // of oapi-codegen/runtime
		"github.com/carecycle/provider-api",
		"github.com/google/uuid",
		"github.com/oapi-codegen/runtime",
	}
	compiled := strings.Fields(consume(t, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "."))
	slices.Sort(compiled)
	if compiled = slices.Compact(compiled); !slices.Equal(compiled, want) {
		t.Errorf("compiled are %v, want %v", compiled, want)
	}

	var file struct{ Require []struct{ Path string } }
	if err := json.Unmarshal([]byte(consume(t, "mod", "edit", "-json")), &file); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, module := range file.Require {
		listed = append(listed, module.Path)
	}
	slices.Sort(listed)
	if !slices.Equal(listed, want) {
		t.Errorf("go.mod lists %v, want %v", listed, want)
	}

	const own = "github.com/carecycle/provider-api/"
	for _, path := range strings.Fields(consume(t, "list", "-deps", ".")) {
		if strings.HasPrefix(path, own) && path != own+"client" {
			t.Errorf("the client imports %s", path)
		}
	}
}
