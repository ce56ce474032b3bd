// Package proxytest puts real proxies in front of a server under test: nginx in front of the API, PgBouncer in front of a
// database. Where a program is not installed, the test is skipped, unless the environment variable CI is set: then it fails.
package proxytest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/child"
)

// Nginx starts nginx in front of a server with these directives of a location, and returns a client whose requests to any
// host go through it.
func Nginx(t testing.TB, upstream, directives string) *http.Client {
	t.Helper()
	return NginxWith(t, func(_, address string) string {
		return fmt.Sprintf("server { listen %s; location / { proxy_pass %s; proxy_http_version 1.1; %s } }", address, upstream, directives)
	})
}

// NginxWith starts nginx with the servers that configure returns for an address to listen at, and returns a client whose requests to
// any host go through it, whatever its certificate. nginx can read what configure writes to the directory.
func NginxWith(t testing.TB, configure func(directory, address string) (servers string)) *http.Client {
	t.Helper()
	program := find(t, "nginx", "nginx-light")
	directory := newDirectory(t)
	socket := filepath.Join(directory, "http")
	write(t, filepath.Join(directory, "nginx.conf"), fmt.Sprintf(`
		daemon off;
		pid pid;
		error_log stderr;
		events {}
		http {
			access_log off;
			client_body_temp_path body;
			proxy_temp_path proxy;
			fastcgi_temp_path fastcgi;
			uwsgi_temp_path uwsgi;
			scgi_temp_path scgi;
			%s
		}`, configure(directory, "unix:"+socket)))
	run(t, program, socket, "-p", directory, "-c", "nginx.conf", "-e", "stderr")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// PgBouncer starts PgBouncer in front of the database of a URL, and returns the URL of the database behind it. mode is its
// pool_mode: session, transaction or statement.
func PgBouncer(t testing.TB, database, mode string) string {
	t.Helper()
	program := find(t, "pgbouncer", "pgbouncer")
	directory := newDirectory(t)
	behind, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	configuration := fmt.Sprintf(`
[databases]
* = host=%s port=5432 user=%s
[pgbouncer]
unix_socket_dir = %s
listen_port = 5432
auth_type = any
pool_mode = %s
`, behind.Query().Get("host"), behind.User.Username(), directory, mode)
	write(t, filepath.Join(directory, "pgbouncer.ini"), configuration)
	run(t, program, filepath.Join(directory, ".s.PGSQL.5432"), filepath.Join(directory, "pgbouncer.ini"))
	query := behind.Query()
	query.Set("host", directory)
	behind.RawQuery = query.Encode()
	return behind.String()
}

// find returns the path of a program.
func find(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, directory := range []string{"", "/usr/sbin/"} { // Debian keeps these out of most users' PATH
		if program, err := exec.LookPath(directory + name); err == nil {
			return program
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed; apt-get install %s", name, debianPackage)
	}
	t.Skipf("%s is not installed; apt-get install %s", name, debianPackage)
	return ""
}

// newDirectory returns a directory with a path that is short enough for a socket, which other users can write to.
func newDirectory(t testing.TB) string {
	t.Helper()
	directory, err := os.MkdirTemp("/tmp", "proxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o777); err != nil {
		t.Fatal(err)
	}
	return directory
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run starts a program and returns when it listens on the socket. The program ends with the test.
func run(t testing.TB, program, socket string, arguments ...string) {
	t.Helper()
	user, err := child.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	c := user.Command(program, arguments...)
	log := filepath.Join(filepath.Dir(socket), "log")
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	c.Stdout, c.Stderr = output, output
	exited, err := child.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		<-exited
	})
	await.State(t, program+" listens", func() bool {
		select {
		case <-exited:
			text, _ := os.ReadFile(log)
			t.Fatalf("%s does not start:\n%s", program, text)
		default:
		}
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
