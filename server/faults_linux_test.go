package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
)

// startServer starts the program on an empty SQLite database, with at most so many open files, and creates a record.
func startServer(t *testing.T, openFiles int) (a account, path string, pid int) {
	t.Helper()
	database := migrated(t, filepath.Join(t.TempDir(), "test.db"))
	p := program(t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	p.Path, p.Args = "/bin/sh", append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, openFiles)}, p.Args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	s := &server{t: t, database: database, log: p.stderr, transport: newTransport(t), asked: &sync.Map{}}
	s.url, s.admin = s.log.addresses(t, `"listening"`)
	a = s.account("acme")
	return a, a.newRecord().path(), p.Process.Pid
}

// TestFailingDisk has system calls of a running server fail, as a failing disk or a file server does. No change is acknowledged that
// is not on disk, and the server recovers without a restart.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is not installed; apt-get install strace")
		}
		t.Skip("this test has system calls fail with strace; apt-get install strace")
	}
	for name, c := range map[string]struct{ calls, code string }{
		"the log cannot be synced":  {"fsync,fdatasync:error=EIO", "OUTCOME_UNKNOWN"},
		"the file cannot be locked": {"fcntl:error=ENOLCK", "SERVICE_UNAVAILABLE"},
		"the disk is full":          {"pwrite64:error=ENOSPC", "SERVICE_UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, path, pid := startServer(t, 1000)
			change := func(city string) response { return a.send(request{Path: path, Body: `{"city":"` + city + `"}`}) }
			if got := change("before"); got.Status != http.StatusOK {
				t.Fatalf("before: %d %s", got.Status, got.Body)
			}

			output := newBuffer()
			tracer := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+strings.Split(c.calls, ":")[0], "-e", "inject="+c.calls, "-p", strconv.Itoa(pid))
			tracer.Stderr = output
			if err := tracer.Start(); err != nil {
				t.Fatal(err)
			}
			defer tracer.Process.Kill()
			await.State(t, "strace is attached", func() bool {
				if strings.Contains(output.String(), "not permitted") {
					if os.Getenv("CI") != "" {
						t.Fatal(output)
					}
					t.Skip("strace may not attach to a process; run this test as root")
				}
				return strings.Contains(output.String(), "attached")
			})
			if got := change("in between"); got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, c.code) {
				t.Errorf("a change: %d %s, want 503 with the code %s", got.Status, got.Body, c.code)
			}
			awaitStatus(t, http.StatusServiceUnavailable, func() response { return a.send(request{Method: http.MethodGet, Path: "/readyz"}) })

			if err := tracer.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			tracer.Wait()
			awaitStatus(t, http.StatusOK, func() response { return change("after") })
			awaitStatus(t, http.StatusOK, func() response { return a.send(request{Method: http.MethodGet, Path: "/readyz"}) })
		})
	}
}

// TestOpenFiles leaves a server without files: callers who are connected are served.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	a, path, _ := startServer(t, 60)
	if got := a.send(request{Path: path, Body: `{}`}); got.Status != http.StatusOK { // connects
		t.Fatalf("before: %d %s", got.Status, got.Body)
	}
	for range 100 {
		a.connect()
	}
	a.log.waitFor(t, "too many open files")
	for _, r := range []request{{Path: path, Body: `{"city":"x"}`}, {Method: http.MethodGet, Path: path}, {Method: http.MethodGet, Path: path + "/history"}} {
		if got := a.send(r); got.Status != http.StatusOK {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, got.Status, got.Body)
		}
	}
}
