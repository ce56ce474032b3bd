package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/command"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// server is a running server with a database of its own, as its operator and its callers see it.
type server struct {
	t        testing.TB
	database string
	url      string // of the public listener
	admin    string // of the admin listener
	log      *buffer
	asked    *sync.Map  // the operations to which requests were sent, by operationId
	stop     func() int // as SIGTERM does; returns the exit code

	transport *http.Transport // of its callers, who close their connections when it stops
}

func newTransport(t testing.TB) *http.Transport {
	own := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(own.CloseIdleConnections)
	return own
}

// newServer serves an empty database until the test ends.
func newServer(t testing.TB) *server {
	t.Helper()
	return serve(t, filepath.Join(t.TempDir(), "test.db"))
}

func serve(t testing.TB, database string, flags ...string) *server {
	t.Helper()
	if _, err := os.Stat(database); err != nil && !strings.Contains(database, "://") {
		migrated(t, database)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{t: t, database: database, log: newBuffer(), transport: newTransport(t), asked: &sync.Map{}}
	exited := make(chan int, 1)
	go func() {
		exited <- command.Run(ctx, append([]string{"serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, flags...), nil, io.Discard, s.log)
	}()
	s.stop = sync.OnceValue(func() int { s.transport.CloseIdleConnections(); cancel(); return <-exited })
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("the server ended with exit code %d:\n%s", code, s.log)
		}
	})
	s.url, s.admin = s.log.addresses(t, `"listening"`)
	return s
}

// run runs another command on the server's database.
func (s *server) run(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return run(stdin, append(args, "--database", s.database)...)
}

// run runs a command. It leaves out what PostgreSQL's locks make it say on a busy machine.
func run(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = command.Run(context.Background(), args, strings.NewReader(stdin), &out, &err)
	return out.String(), waits.ReplaceAllString(err.String(), ""), code
}

var waits = regexp.MustCompile(`(?m)^carecycle-server: waiting for .*\n`)

func (s *server) mustRun(stdin string, args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run(stdin, args...)
	if code != 0 {
		s.t.Fatalf("%q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// newKey makes a key without a rate limit.
func (s *server) newKey(organization string, flags ...string) string {
	s.t.Helper()
	args := append([]string{"keys", "create", "--organization", organization, "--name", "test", "--rate-limit", "0"}, flags...)
	return strings.TrimSpace(s.mustRun("", args...))
}

// importLines imports records, each given as JSON.
func (s *server) importLines(organization string, lines ...string) {
	s.t.Helper()
	s.mustRun(strings.Join(lines, "\n"), "import", "-", "--organization", organization)
}

// client returns a client of the server with that key.
func (s *server) client(key string) *client.Client {
	s.t.Helper()
	c, err := client.New(key, client.WithBaseURL(s.url), client.WithTransport(s.transport), client.WithTimeout(await.Patience))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// request is what a test sends; a zero Method is PATCH, and a body is announced as JSON unless Header says otherwise.
type request struct {
	Method string
	Path   string
	Key    string
	Header http.Header
	Body   string
	Stream bool // send the body chunked, without its length
}

// response is what came back.
type response struct {
	Status int
	Header http.Header
	Body   string
}

// send sends a request and holds the response against the contract.
func (s *server) send(r request) response {
	s.t.Helper()
	a, err := s.try(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *server) try(r request) (response, error) {
	if r.Method == "" {
		r.Method = http.MethodPatch
	}
	var body io.Reader = strings.NewReader(r.Body)
	if r.Stream {
		body = io.MultiReader(body) // hides the length
	}
	sent, err := http.NewRequest(r.Method, s.url+r.Path, body)
	if err != nil {
		return response{}, err
	}
	sent.Header.Set("Content-Type", "application/json")
	if r.Key != "" {
		sent.Header.Set("x-api-key", r.Key)
	}
	for name, values := range r.Header {
		sent.Header[name] = values
	}
	received, err := s.transport.RoundTrip(sent)
	if err != nil {
		return response{}, err
	}
	defer received.Body.Close()
	text, err := io.ReadAll(received.Body)
	a := response{received.StatusCode, received.Header, string(text)}
	if err != nil {
		return a, err
	}
	operation, err := keepsContract(sent, a)
	s.asked.Store(operation, true)
	return a, err
}

// askedEverything fails if the test has sent no request to one of the contract's operations.
func (s *server) askedEverything() {
	s.t.Helper()
	doc, _, err := contract()
	if err != nil {
		s.t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if _, asked := s.asked.Load(operation.OperationID); !asked {
				s.t.Errorf("the table of %s has no request to %s %s, which the contract has", s.t.Name(), method, path)
			}
		}
	}
}

// connection is a connection to the public listener, for what http.NewRequest cannot say.
type connection struct {
	net.Conn
	t         testing.TB
	responses *bufio.Reader
}

func (s *server) connect() connection {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(await.Patience))
	return connection{c, s.t, bufio.NewReader(c)}
}

// write sends text as it is.
func (c connection) write(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// readResponse waits for a response.
func (c connection) readResponse() response {
	c.t.Helper()
	received, err := http.ReadResponse(c.responses, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(received.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response{received.StatusCode, received.Header, string(body)}
}

// keepsContract compares a response with openapi.yaml, by kin-openapi, and returns the operation that it belongs to. What
// the contract does not list by path belongs to none, and must at least be an error in the contract's form.
func keepsContract(sent *http.Request, a response) (operation string, err error) {
	doc, router, err := contract()
	if err != nil {
		return "", err
	}
	if a.Header.Get("X-Request-Id") == "" || a.Header.Get("Cache-Control") == "" {
		return "", fmt.Errorf("%s %s: headers are missing in %v", sent.Method, sent.URL.Path, a.Header)
	}
	plain := sent.Clone(context.Background())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "https", "api.carecycle.ai", "api.carecycle.ai"
	route, parameters, err := router.FindRoute(plain)
	below := err == nil && strings.Contains(route.Path, "{providerId}") && parameters["providerId"] == "" // the router takes nothing for a value
	if err == nil && !below {
		operation = route.Operation.OperationID
		err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: parameters, Route: route},
			Status:                 a.Status, Header: a.Header, Body: io.NopCloser(strings.NewReader(a.Body)),
			Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: true, SchemaValidationOptions: []openapi3.SchemaValidationOption{
				openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
			}},
		})
	} else if err = nil; a.Status >= 400 && sent.Method != http.MethodHead {
		var body any
		if err = json.Unmarshal([]byte(a.Body), &body); err == nil {
			err = doc.Components.Schemas["ErrorResponse"].Value.VisitJSON(body)
		}
	}
	if err != nil {
		return operation, fmt.Errorf("%s %s: the response %d breaks the contract: %w\n%s", sent.Method, sent.URL.Path, a.Status, err, a.Body)
	}
	return operation, nil
}

func contract() (*openapi3.T, routers.Router, error) {
	doc, err := document()
	if err != nil {
		return nil, nil, err
	}
	router, err := router()
	return doc, router, err
}

var document = sync.OnceValues(func() (*openapi3.T, error) {
	return gen.ReadContract(providerapi.Contract)
})

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// buffer is a log that a test can wait on.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and made again at each write
}

func newBuffer() *buffer { return &buffer{more: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.more)
	b.more = make(chan struct{})
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitFor returns the first line that has the text.
func (b *buffer) waitFor(t testing.TB, text string) string {
	t.Helper()
	patience := time.After(await.Patience)
	for {
		b.mu.Lock()
		more, lines := b.more, b.text.String()
		b.mu.Unlock()
		for scanner := bufio.NewScanner(strings.NewReader(lines)); scanner.Scan(); {
			if strings.Contains(scanner.Text(), text) {
				return scanner.Text()
			}
		}
		select {
		case <-more:
		case <-patience:
			t.Fatalf("no line with %q in:\n%s", text, lines)
		}
	}
}

// addresses returns the URLs of the listeners, from the first line that has the text.
func (b *buffer) addresses(t testing.TB, text string) (public, admin string) {
	t.Helper()
	var line struct{ Address, Admin string }
	if err := json.Unmarshal([]byte(b.waitFor(t, text)), &line); err != nil {
		t.Fatal(err)
	}
	return "http://" + line.Address, "http://" + line.Admin
}

func TestMain(m *testing.M) {
	// The commands read these; a developer's own must not change what is tested.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "CARECYCLE_") || strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	if os.Getenv(asProgram) != "" {
		main()
	}
	debug.SetGCPercent(400) // as serve does
	if _, err := document(); err != nil {
		fmt.Fprintln(os.Stderr, err) // once, and not in each test
		os.Exit(1)
	}
	pgtest.Main(m)
}
