package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
)

// shortDirectory returns a directory for a socket, whose path is at most 100 characters long.
func shortDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

// TestUnixSocket serves on a socket, and replaces one that a killed server has left.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	directory := shortDirectory(t)
	path := filepath.Join(directory, "api.sock")
	through := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(through.CloseIdleConnections)
	get := func(from string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		if from != "" {
			request.Header.Set("X-Forwarded-For", from)
		}
		response, err := through.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	serve := func() process {
		p := start(t, directory, "serve", "--addr", "unix:"+path, "--admin-addr", "off")
		p.stderr.waitFor(t, `"listening"`)
		return p
	}
	first := serve()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	get("203.0.113.9")
	get("")
	await.State(t, "the callers' addresses are in the log", func() bool {
		return strings.Contains(first.stderr.String(), `"remote":"203.0.113.9"`) && strings.Contains(first.stderr.String(), `"remote":"127.0.0.1"`)
	})
	_, stderr, code := run("", "serve", "--addr", "unix:"+path, "--admin-addr", "off", "--database", filepath.Join(directory, "other.db"))
	if want := "carecycle-server: --addr unix:" + path + " is in use by another program; stop that, or choose another path\n"; code != 1 || !strings.HasSuffix(stderr, want) {
		t.Errorf("a second server: exit code %d, %s", code, stderr)
	}
	through.CloseIdleConnections()
	first.Process.Kill()
	first.Wait()
	second := serve()
	get("")
	through.CloseIdleConnections()
	second.end(t, syscall.SIGTERM)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	if _, stderr, code := run("", "serve", "--addr", "unix:api.sock"); code != 2 || !strings.Contains(stderr, "a socket must have an absolute path") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
