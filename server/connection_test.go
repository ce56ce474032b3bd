package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestFraming sends requests whose end a proxy could see elsewhere. What follows them on the connection is never a request.
func TestFraming(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	for name, c := range map[string]struct {
		headers, body string
		status        int
	}{
		"a length next to chunks":        {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", http.StatusOK},
		"chunks":                         {"Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", http.StatusOK},
		"two lengths":                    {"Content-Length: 2\r\nContent-Length: 3\r\n", "{}", http.StatusBadRequest},
		"a length that is no number":     {"Content-Length: +2\r\n", "{}", http.StatusBadRequest},
		"another encoding":               {"Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", http.StatusNotImplemented},
		"a blank before the colon":       {"Transfer-Encoding : chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", http.StatusBadRequest},
		"a chunk size that is no number": {"Transfer-Encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := a.in(t).connect()
			c2.write("PATCH %s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\n%s\r\n%sGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
				path, a.key, c.headers, c.body)
			if got := c2.readResponse(); got.Status != c.status {
				t.Errorf("got %d %s, want %d", got.Status, got.Body, c.status)
			}
			if rest, err := io.ReadAll(c2.responses); len(rest) > 0 {
				t.Errorf("another response: %s, %v", rest, err)
			}
		})
	}
}

// TestSlowHeaders sends a request that never becomes complete. The server ends the connection.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	c := newServer(t).connect()
	c.write("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	if text, err := io.ReadAll(c); err != nil || strings.Contains(string(text), "200") {
		t.Errorf("got %q, %v; want the end of the connection", text, err)
	}
}

// TestSlowReader requests more than the connection can hold and reads nothing. The server ends the connection.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	customer := uuid.NewString()
	var lines []string
	for range 100 {
		lines = append(lines, asJSON(changes{"customerId": customer, "id": uuid.NewString(), "providerType": "Hospital", "notes": strings.Repeat("x", 1000)}))
	}
	a.importLines("acme", lines...)
	c := a.connect()
	for {
		_, err := fmt.Fprintf(c, "GET %s?limit=100 HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\n\r\n", providersOf(customer), a.key)
		if errors.Is(err, os.ErrDeadlineExceeded) { // the connection's own
			t.Fatal("the server waits for a caller that does not read")
		}
		if err != nil {
			return
		}
	}
}
