// Package pgtest gives tests real PostgreSQL databases, on private servers of package pgserver. If PostgreSQL is not installed,
// tests are skipped, unless the environment variable CI is set: then they fail.
package pgtest

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgserver"
)

// shared is the server of New and NewCopy, and template the database that NewCopy copies.
var shared, template struct {
	sync.Once
	server *pgserver.Server
	url    string
	err    error
}

// New returns the URL of an empty database for this test alone. All tests of the process share one server, which does not
// wait for the disk.
func New(t testing.TB) string {
	t.Helper()
	return sharedServer(t).Database(t)
}

func sharedServer(t testing.TB) *Server {
	t.Helper()
	shared.Do(func() { shared.server, shared.err = pgserver.Start(pgserver.Options{}) })
	check(t, shared.err)
	return &Server{shared.server}
}

// NewCopy returns the URL of a copy of a database for this test alone, on the server of New. fill fills the original, once in a process; it
// leaves no connection to it.
func NewCopy(t testing.TB, fill func(url string) error) string {
	t.Helper()
	s := sharedServer(t)
	template.Do(func() {
		if template.url, template.err = s.server.CreateDatabase(); template.err == nil {
			template.err = fill(template.url)
		}
	})
	database, err := "", template.err
	if err == nil {
		database, err = s.server.CloneDatabase(template.url)
	}
	return s.untilEnd(t, database, err)
}

// Main runs the tests of a package and then removes the server of New:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// Without it no process stays behind either, but the server's directory in /tmp does.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Remove()
	}
	os.Exit(code)
}

// Server is a PostgreSQL server that its test can stop and start.
type Server struct{ server *pgserver.Server }

// Start returns a running server for this test alone. It is removed when the test ends.
func Start(t testing.TB, o pgserver.Options) *Server {
	t.Helper()
	s, err := pgserver.Start(o)
	check(t, err)
	t.Cleanup(s.Remove)
	return &Server{s}
}

// Database returns the URL of an empty database for this test alone.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	database, err := s.server.CreateDatabase()
	return s.untilEnd(t, database, err)
}

// untilEnd removes a new database when the test ends.
func (s *Server) untilEnd(t testing.TB, database string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { s.server.DropDatabase(database) }) // fails if the test has stopped the server
	return database
}

// Stop ends the server as a crash does: its clients lose their connections, and committed changes stay.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.server.Stop(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Start starts the server again and returns when it can be used.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.server.Restart(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Demote makes the server a standby, and returns when it can be read.
func (s *Server) Demote(t testing.TB) {
	t.Helper()
	if err := s.server.Demote(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Log returns what the server has logged.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := s.server.Log()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return text
}

// check ends the test if there is no server.
func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") == "":
		t.Skipf("pgtest: %v", err)
	default:
		t.Fatalf("pgtest: %v", err)
	}
}
