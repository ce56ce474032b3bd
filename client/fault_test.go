package client_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/client"
)

var tooLarge = fmt.Sprintf("200: the response is larger than %d bytes", client.MaxAnswer)

// misbehave returns the base URL of a server that reads each request to its end and then does what it likes with the
// connection, which is closed when that returns.
func misbehave(t *testing.T, with func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { readThen(connection, with) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
	return "http://" + listener.Addr().String()
}

// readThen reads a request to its end, calls with and closes the connection.
func readThen(connection net.Conn, with func(net.Conn)) {
	defer connection.Close()
	if request, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
		io.Copy(io.Discard, request.Body)
		with(connection)
	}
}

// misbehaveInBubble returns a transport to a server like that of misbehave, over connections in memory. In a synctest
// bubble no time passes while client or server is busy, so that a timeout ends only when both wait.
func misbehaveInBubble(with func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go readThen(far, with)
		return near, nil
	}}
}

// refusing returns an address that refuses connections until the test ends. A connection uses the port, so that no other
// program can listen on it.
func refusing(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection.LocalAddr().String()
}

// write returns what sends a text and closes the connection.
func write(text string) func(net.Conn) {
	return func(connection net.Conn) { io.WriteString(connection, text) }
}

// thenReset returns what sends a text and resets the connection, as a server does that dies.
func thenReset(text string) func(net.Conn) {
	return func(connection net.Conn) {
		io.WriteString(connection, text)
		connection.(*net.TCPConn).SetLinger(0)
	}
}

// thenHang returns what sends a text and then nothing, until the client hangs up.
func thenHang(text string) func(net.Conn) {
	return func(connection net.Conn) {
		io.WriteString(connection, text)
		connection.Read(make([]byte, 1))
	}
}

// withoutEnd returns what sends a text and then another for as long as the client listens.
func withoutEnd(text, more string) func(net.Conn) {
	return func(connection net.Conn) {
		io.WriteString(connection, text)
		for {
			if _, err := io.WriteString(connection, more); err != nil {
				return
			}
		}
	}
}

func compress(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func TestFaults(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	const zipped = head + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
	const unknown = "; whether the change was made is not known"
	const advice = "; check the base URL, and what stands between this program and the API" + unknown
	const hidden = "the HTTP client failed; why is in the Err of this Error, whose text may name a customer"
	lost := []error{client.ErrUnavailable, client.ErrOutcomeUnknown}
	tests := []struct {
		name     string
		server   func(net.Conn)
		text     string
		kinds    []error
		attempts int // of 2
		cause    error
	}{
		{"no response", write(""), "no response: the connection was cut" + unknown, lost, 2, io.EOF},
		{"a reset instead of a response", thenReset(""), "no response: the connection was cut" + unknown, lost, 2, nil},
		{"half a header", write(head), "no response: the connection was cut" + unknown, lost, 2, io.ErrUnexpectedEOF},
		{"a reset within the response", thenReset(head + "Content-Length: 1000\r\n\r\n{\"id\":"), "200: the response ended early after 6 bytes: the connection was cut" + unknown, lost, 2, nil},
		{"a truncated response", write(head + "Content-Length: 1000\r\n\r\n{\"id\":"), "200: the response ended early after 6 bytes: the connection was cut" + unknown, lost, 2, io.ErrUnexpectedEOF},
		{"a truncated response in chunks", write(head + "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"id\":\r\n"), "200: the response ended early after 6 bytes: the connection was cut" + unknown, lost, 2, io.ErrUnexpectedEOF},
		{"a truncated error", write("HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"message\":"), "422: the response ended early after 11 bytes: the connection was cut", []error{client.ErrUnavailable}, 2, io.ErrUnexpectedEOF},
		{"truncated, and its end called so", write(head + "Connection: close\r\n\r\n" + record[:100]), "200: the response is not valid JSON" + advice, []error{client.ErrOutcomeUnknown}, 1, nil},
		{"an endless response", withoutEnd(head+"\r\n", strings.Repeat(" ", 1<<16)), tooLarge + advice, []error{client.ErrOutcomeUnknown}, 1, nil},
		{"an endless header", withoutEnd(head, "X-Private: private words\r\n"), "no response: " + hidden + unknown, lost, 2, nil},
		{"no HTTP", write("private words\r\n\r\n"), "no response: the server does not speak HTTP; check the base URL" + unknown, []error{client.ErrOutcomeUnknown}, 1, nil},
		{"a redirect to nowhere", write("HTTP/1.1 302 Found\r\nLocation: ://private\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), "no response: " + hidden + unknown, lost, 2, nil},
		{"a slow server", thenHang(""), "no response: 500ms were not enough; WithTimeout gives an attempt more time" + unknown, lost, 2, os.ErrDeadlineExceeded},
		{"a slow response", thenHang(head + "Content-Length: 1000\r\n\r\n{\"id\":"), "200: the response ended early after 6 bytes: 500ms were not enough; WithTimeout gives an attempt more time" + unknown, lost, 2, os.ErrDeadlineExceeded},
		{"gzip, truncated", write(zipped + compress(record)[:50]), "200: the response ended early after ", lost, 2, io.ErrUnexpectedEOF},
		{"gzip that is none", write(zipped + record), "200: the response ended early after 0 bytes: " + hidden + unknown, lost, 2, gzip.ErrHeader},
		{"gzip that grows", write(zipped + compress(strings.Repeat(" ", 2*client.MaxAnswer))), tooLarge + advice, []error{client.ErrOutcomeUnknown}, 1, nil},
	}
	for _, test := range tests {
		for _, does := range []operation{change, create, get} {
			kinds, text, attempts := test.kinds, test.text, test.attempts
			switch open := slices.Contains(kinds, client.ErrOutcomeUnknown); {
			case does.method == "POST" && open:
				text = strings.Replace(text, unknown, "; whether the record was created is not known: create it again with the IdempotencyKey of this Error", 1)
			case does.method == "GET": // changes nothing
				text = strings.Replace(text, unknown, "", 1)
				kinds = slices.DeleteFunc(slices.Clone(kinds), func(kind error) bool { return kind == client.ErrOutcomeUnknown })
			}
			t.Run(does.name+" "+test.name, func(t *testing.T) {
				t.Parallel()
				var err error
				if errors.Is(test.cause, os.ErrDeadlineExceeded) {
					err = outOfTime(t, does, test.server, attempts)
				} else {
					own := http.DefaultTransport.(*http.Transport).Clone()
					own.MaxResponseHeaderBytes = 1 << 16
					t.Cleanup(own.CloseIdleConnections)
					err = does.call(t.Context(), newClient(t, misbehave(t, test.server), client.WithTransport(own), client.WithRetries(2, time.Hour)))
				}
				if err == nil {
					t.Fatal("no error")
				}
				if got := strings.TrimPrefix(err.Error(), does.name+": "); !strings.HasPrefix(got, text) {
					t.Errorf("got  %s\nwant %s", got, text)
				}
				wantKinds(t, err, kinds...)
				if got := asError(t, err).Attempts; got != attempts {
					t.Errorf("%d attempts, want %d", got, attempts)
				}
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Errorf("the cause is %v, want %v", errors.Unwrap(asError(t, err)), test.cause)
				}
			})
		}
	}
}

// outOfTime calls a server that lets each attempt wait until its timeout, and expects the call to take no longer.
func outOfTime(t *testing.T, does operation, server func(net.Conn), attempts int) (err error) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 500 * time.Millisecond
		c := newClient(t, "http://api.example", client.WithTransport(misbehaveInBubble(server)), client.WithRetries(2, time.Hour), client.WithTimeout(timeout))
		start := time.Now()
		err = does.call(t.Context(), c)
		if took, want := time.Since(start), time.Duration(attempts)*timeout; took != want {
			t.Errorf("%d attempts of %v took %v", attempts, timeout, took)
		}
	})
	return err
}

// TestHTTP2 has the errors that look different in HTTP/2, where one of many streams ends and the connection stays.
func TestHTTP2(t *testing.T) {
	for name, test := range map[string]struct {
		server http.HandlerFunc
		text   string
	}{
		"no response":          {cut, "no response: the connection was cut"},
		"a truncated response": {cutShort, "200: the response ended early after 100 bytes: the connection was cut"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("the request came by %s", r.Proto)
				}
				test.server(w, r)
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			_, err := newClient(t, server.URL, client.WithTransport(server.Client().Transport)).UpdateProvider(t.Context(), customerID, providerID, update)
			wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
			if got := strings.TrimPrefix(err.Error(), "update provider: "); !strings.HasPrefix(got, test.text) || asError(t, err).Attempts != client.DefaultAttempts {
				t.Errorf("got  %s\nwant %s", got, test.text)
			}
		})
	}
}

// TestCreateProviderIsSentOnce has a connection that was used before, to the vendor: over one, net/http repeats some requests itself.
func TestCreateProviderIsSentOnce(t *testing.T) {
	var arrived atomic.Int32
	c := serveVendor(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			respond(200, record)(w, r)
			return
		}
		arrived.Add(1)
		cut(w, r)
	})
	if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateProvider(t.Context(), customerID, creation)
	wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
	if n := arrived.Load(); n != 1 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestGzipIsUnderstood(t *testing.T) {
	c := newClient(t, misbehave(t, write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"+compress(record))))
	if record, err := c.UpdateProvider(t.Context(), customerID, providerID, update); err != nil || record.ID != providerID {
		t.Errorf("%+v, %v", record, err)
	}
}

func TestNoConnection(t *testing.T) {
	address := refusing(t)
	for _, operation := range operations {
		err := operation.call(t.Context(), newClient(t, "http://"+address))
		wantKinds(t, err, client.ErrUnavailable) // and the outcome is known: nothing was sent
		want := operation.name + ": no response: dial tcp " + address + ": connect: connection refused; check the base URL and the network"
		if !strings.HasPrefix(err.Error(), want) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got  %v\nwant %s…", err, want)
		}
		got := asError(t, err)
		if got.Attempts != client.DefaultAttempts {
			t.Errorf("%d attempts", got.Attempts)
		}
		if strings.Contains(got.Err.Error(), customerID.String()) {
			t.Errorf("its cause has the URL: %v", got.Err)
		}
	}
}

// TestNoConnectionInTime has a network that swallows what is sent to it.
func TestNoConnectionInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over) // net/http keeps dialing after the request has ended
		silent := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-over
			return nil, io.EOF
		}}
		for _, operation := range operations {
			start := time.Now()
			err := operation.call(t.Context(), newClient(t, "http://api.example", client.WithTransport(silent), client.WithTimeout(50*time.Millisecond)))
			wantKinds(t, err, client.ErrUnavailable) // and the outcome is known: nothing was sent
			if !errors.Is(err, os.ErrDeadlineExceeded) || asError(t, err).Attempts != client.DefaultAttempts {
				t.Errorf("error %v", err)
			}
			if took, want := time.Since(start), client.DefaultAttempts*50*time.Millisecond; took != want {
				t.Errorf("%s took %v, want %v", operation.name, took, want)
			}
		}
	})
}

// TestOtherTransports has errors that tell nothing of how far the request came, and hold what must not be told.
func TestOtherTransports(t *testing.T) {
	private := errors.New("breaker open for /v2/customers/" + customerID.String())
	c := newClient(t, "http://api.example", client.WithTransport(transport(func(*http.Request) (*http.Response, error) { return nil, private })))
	_, err := c.UpdateProvider(t.Context(), customerID, providerID, update)
	wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
	if !errors.Is(err, private) {
		t.Errorf("the cause is %v", errors.Unwrap(asError(t, err)))
	}
	_, err = c.CreateProvider(t.Context(), customerID, creation)
	wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
	if got := asError(t, err).Attempts; got != client.DefaultAttempts {
		t.Errorf("%d attempts to create", got)
	}
}

func TestTimeoutOfTheHTTPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		impatient := &http.Client{Transport: misbehaveInBubble(thenHang("")), Timeout: 50 * time.Millisecond}
		start := time.Now()
		_, err := newClient(t, "http://api.example", client.WithHTTPClient(impatient), client.WithoutRetries()).UpdateProvider(t.Context(), customerID, providerID, update)
		wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
		if !strings.Contains(err.Error(), "the HTTP client's own timeout was not enough") || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != impatient.Timeout {
			t.Errorf("it took %v, want %v", took, impatient.Timeout)
		}
	})
}

// TestTLS has the errors of a connection that was never made: nothing can have come of the request, and repeating it
// would not help.
func TestTLS(t *testing.T) {
	unread := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request arrived") })
	secure := httptest.NewUnstartedServer(unread)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(unread)
	t.Cleanup(plain.Close)

	tests := []struct{ name, base, text string }{
		{"a certificate of nobody's", secure.URL, "no response: tls: failed to verify certificate: x509: certificate signed by unknown authority; check the base URL"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "no response: the server does not speak TLS; check the base URL"},
	}
	for _, test := range tests {
		for _, operation := range operations {
			err := operation.call(t.Context(), newClient(t, test.base))
			wantKinds(t, err)
			if got := strings.TrimPrefix(err.Error(), operation.name+": "); !strings.HasPrefix(got, test.text) || asError(t, err).Attempts != 1 {
				t.Errorf("%s %s:\ngot  %s\nwant %s", operation.name, test.name, got, test.text)
			}
		}
	}
	trusting := secure.Client().Transport.(*http.Transport).Clone()
	trusting.TLSClientConfig = &tls.Config{RootCAs: trusting.TLSClientConfig.RootCAs, ServerName: "example.com"}
	secure.Config.Handler = respond(200, record)
	if _, err := newClient(t, secure.URL, client.WithTransport(trusting)).UpdateProvider(t.Context(), customerID, providerID, update); err != nil {
		t.Errorf("a transport that knows the certificate: %v", err)
	}
}

// TestRedirects looks for the key where it must not arrive.
func TestRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s arrived elsewhere, with key %q", r.Method, r.URL, r.Header.Get("X-Api-Key"))
	}))
	t.Cleanup(elsewhere.Close)
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, options := range map[string][]client.Option{"as it is": nil, "with an HTTP client that follows": {client.WithHTTPClient(follow)}} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				_, err := serve(t, respond(status, "", "Location", elsewhere.URL), options...).UpdateProvider(t.Context(), customerID, providerID, update)
				wantKinds(t, err)
				if got := asError(t, err); got.StatusCode != status || !strings.Contains(got.Message, "redirect") {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}
