//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgtest"
)

// activate starts the program as systemd does, with sockets that stay open when it ends.
func activate(t *testing.T, directory string, sockets []*os.File, args ...string) process {
	t.Helper()
	p := program(directory, args...)
	shell := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0]}, args...)...)
	shell.Dir, shell.Env, shell.Stdout, shell.Stderr = p.Dir, append(p.Env, fmt.Sprint("LISTEN_FDS=", len(sockets))), p.Stdout, p.Stderr
	shell.ExtraFiles = sockets
	p.Cmd = shell
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() }) // fail if it has ended already
	return p
}

// socketOf listens, and returns the socket as a file.
func socketOf(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	file, err := listener.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, listener.Addr()
}

// TestSocketActivation restarts a server whose socket stays open, and moves it to PostgreSQL. Callers who connect at any time, each by a
// new connection, get their response.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	a := account{server: &server{t: t, database: filepath.Join(directory, "test.db")}}
	a.mustRun("", "migrate")
	a.organization, a.key = "acme", a.newKey("acme")
	path := a.newRecord().path()
	socket, address := socketOf(t, "tcp", "127.0.0.1:0")
	serve := func(database string) process {
		return activate(t, directory, []*os.File{socket}, "serve", "--database", database, "--addr", "systemd", "--admin-addr", "off")
	}
	get, err := http.NewRequest(http.MethodGet, "http://"+address.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	get.Header.Set("x-api-key", a.key)

	var responses atomic.Int64
	var ended atomic.Bool
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			transport := &http.Transport{DisableKeepAlives: true}
			for !ended.Load() && !t.Failed() {
				response, err := transport.RoundTrip(get)
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("status %d", response.StatusCode)
				}
				responses.Add(1)
			}
		})
	}
	busy := func() {
		before := responses.Load()
		await.State(t, "callers get responses", func() bool { return t.Failed() || responses.Load() > before+20 })
	}
	p := serve(a.database)
	busy()
	p.end(t, syscall.SIGTERM)
	early, err := net.Dial("tcp", address.String()) // while no server runs
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := get.Write(early); err != nil {
		t.Fatal(err)
	}
	p = serve(a.database)
	if response, err := http.ReadResponse(bufio.NewReader(early), get); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("a request from before the start: %v, %v", response, err)
	}
	busy()
	t.Run("move", func(t *testing.T) {
		postgres := pgtest.New(t)
		p.end(t, syscall.SIGTERM)
		if _, stderr, code := run("", "copy", "--from", a.database, "--to", postgres); code != 0 {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		serve(postgres)
		busy()
		ended.Store(true) // before the database is removed
		callers.Wait()
	})
	ended.Store(true)
	callers.Wait()
}

// TestSocketActivationForms passes other sockets than one for TCP.
func TestSocketActivationForms(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	one, _ := socketOf(t, "tcp", "127.0.0.1:0")
	two, _ := socketOf(t, "tcp", "127.0.0.1:0")
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	for want, sockets := range map[string][]*os.File{
		"no socket was passed; start the server by its .socket unit":             nil,
		"one stream socket is needed; write one line ListenStream= to the":       {one, two},
		"one stream socket is needed; write one line ListenStream= to the .sock": {pipe},
	} {
		p := activate(t, directory, sockets, "serve", "--addr", "systemd", "--admin-addr", "off")
		p.Wait()
		if code := p.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.stderr.String(), "carecycle-server: --addr systemd: "+want) {
			t.Errorf("%d sockets: exit code %d, %s", len(sockets), code, p.stderr)
		}
	}
	path := filepath.Join(shortDirectory(t), "api.sock")
	socket, _ := socketOf(t, "unix", path)
	p := activate(t, directory, []*os.File{socket}, "serve", "--addr", "systemd", "--admin-addr", "off")
	p.stderr.waitFor(t, `"listening"`)
	p.end(t, syscall.SIGTERM)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket, which systemd still has, was removed: %v", err)
	}
}
