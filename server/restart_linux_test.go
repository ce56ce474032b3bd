package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/proxytest"
)

// TestRestartBehindNginx restarts one of two servers after the other, behind nginx as it is documented: no request fails. nginx does not
// know whether a server is ready; it tries to connect. On one machine, servers can share a SQLite file.
func TestRestartBehindNginx(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		restartBehindNginx(t, filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		restartBehindNginx(t, postgrestest.New(t))
	})
}

func restartBehindNginx(t *testing.T, database string) {
	t.Helper()
	a := account{server: &server{t: t, database: database}}
	a.mustRun("", "migrate")
	a.organization, a.key = "acme", a.newKey("acme")
	path := a.newRecord().path()

	// Nothing else uses these addresses, so that a server gets its port again.
	addresses := []string{fmt.Sprintf("127.77.%d.%d:0", rand.IntN(256), 1+rand.IntN(254)), fmt.Sprintf("127.78.%d.%d:0", rand.IntN(256), 1+rand.IntN(254))}
	serve := func(n int) process {
		p := start(t, t.TempDir(), "serve", "--database", database, "--addr", addresses[n], "--admin-addr", "off", "--trusted-proxies", "127.0.0.0/8")
		url, _ := p.stderr.addresses(t, `"listening"`)
		addresses[n] = strings.TrimPrefix(url, "http://")
		return p
	}
	servers := []process{serve(0), serve(1)}
	through := proxytest.NginxWith(t, func(directory, address string) string { return documentedNginx(t, directory, address, addresses) })

	var responses atomic.Int64
	var ended atomic.Bool
	var callers sync.WaitGroup
	defer func() { ended.Store(true); callers.Wait() }()
	for range 4 {
		callers.Go(func() {
			for n := 0; !ended.Load() && !t.Failed(); n++ {
				method, body := http.MethodGet, io.Reader(nil)
				if n%2 == 0 {
					method, body = http.MethodPatch, strings.NewReader(fmt.Sprintf(`{"city": "%d"}`, rand.Int()))
				}
				r, err := http.NewRequest(method, "https://localhost"+path, body)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header = http.Header{"X-Api-Key": {a.key}, "Content-Type": {"application/json"}}
				response, err := through.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %s", method, response.StatusCode, text)
				}
				responses.Add(1)
				time.Sleep(5 * time.Millisecond) // leaves the processors to the servers that start
			}
		})
	}
	for n, p := range servers {
		before := responses.Load()
		await.State(t, "callers get responses", func() bool { return t.Failed() || responses.Load() > before+100 })
		p.end(t, syscall.SIGTERM)
		serve(n)
	}
}

// documentedNginx returns the configuration of nginx that is shipped, with addresses of this machine and a new certificate.
func documentedNginx(t *testing.T, directory, address string, servers []string) string {
	t.Helper()
	cert, key := filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")
	writeCertificate(t, cert, key, 1)
	shipped, err := os.ReadFile("deploy/nginx.conf")
	if err := errors.Join(err, os.Chmod(cert, 0o644), os.Chmod(key, 0o644)); err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for old, replacement := range map[string]string{
		"/etc/nginx/tls/cert.pem": cert, "/etc/nginx/tls/key.pem": key, "listen 443 ": "listen " + address + " ",
		"10.0.0.11:8080": servers[0], "10.0.0.12:8080": servers[1],
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("deploy/nginx.conf has no %q, or several", old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	return text
}
