// Package pgtest gives tests real PostgreSQL databases. It runs a private server, which listens on a socket in a
// folder of its own and nowhere else, and which ends with the test process, however that ends.
//
// It uses PostgreSQL's programs as the system has them. Where there are none, tests are skipped, unless the
// environment has CI set: then they fail.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/jackc/pgx/v5"
)

// superuser is who owns the databases, and who the tests are.
const superuser = "postgres"

// shared is the server of New.
var shared struct {
	sync.Once
	server *Server
	err    error
}

// New returns the URL of an empty database for this test alone, on one server for all of the process, which does not
// wait for the disk.
func New(t testing.TB) string {
	t.Helper()
	shared.Do(func() { shared.server, shared.err = launch(Options{}) })
	check(t, shared.err)
	return shared.server.Database(t)
}

// Main runs the tests of a package and removes what New has made:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// Without it no process stays behind either, but the server's folder under /tmp does.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// Options say how a server differs from that of New.
type Options struct {
	// Durable has commits wait for the disk, as on a real server: for measurements, and for tests of durability.
	Durable bool

	// Settings are further lines of postgresql.conf: "max_connections=10".
	Settings []string
}

// Server is a PostgreSQL server that its test can stop and start.
type Server struct {
	programs string // the folder of initdb and postgres
	folder   string // holds the data, the socket and the log
	settings []string
	owner    *owner

	databases atomic.Int64
	process   *process // nil while it is stopped
}

// Start returns a running server for this test alone. It is removed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := launch(o)
	check(t, err)
	t.Cleanup(s.remove)
	return s
}

// Database returns the URL of an empty database for this test alone.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if err := s.administer("CREATE DATABASE " + name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { s.administer("DROP DATABASE " + name + " WITH (FORCE)") }) // fails if the test has stopped the server
	return s.url(name)
}

// Stop ends the server as a crash does: its clients lose their connections, what was committed stays.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Start starts the server again and returns when it can be used.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// check ends the test if there is no server.
func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errNotInstalled) && os.Getenv("CI") == "":
		t.Skipf("pgtest: %v", err)
	default:
		t.Fatalf("pgtest: %v", err)
	}
}

func (s *Server) url(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.folder}, "sslmode": {"disable"}}.Encode()}).String()
}

// administer runs a statement in the database that every server has.
func (s *Server) administer(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}
