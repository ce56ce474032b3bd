// Package pgserver runs a private PostgreSQL server, for tests (see package pgtest) and for the benchmark. The server listens
// on a socket in a directory of its own and nowhere else, and ends with this process, however that ends.
//
// It uses the PostgreSQL programs that are installed on the machine.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/child"
	"github.com/jackc/pgx/v5"
)

// superuser owns the databases; anyone who has a URL acts as this user.
const superuser = "postgres"

// patience bounds the wait for the server: many times what a busy machine needs.
const patience = time.Minute

// ErrNotInstalled means that the machine has no PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed; apt-get install postgresql")

// Options configure a server. The zero value is a server that does not wait for the disk.
type Options struct {
	// Durable makes commits wait for the disk, as on a real server: for measurements, and for tests of durability.
	Durable bool

	// Settings are further lines of postgresql.conf: "max_connections=10".
	Settings []string
}

// Server is a PostgreSQL server. Its methods must not be called at the same time, except for CreateDatabase.
type Server struct {
	programs  string // the directory of initdb and postgres
	directory string // holds the data, the socket and the log
	settings  []string
	owner     child.User

	databases atomic.Int64
	process   *process // nil while it is stopped
}

// CreateDatabase creates an empty database and returns its URL.
func (s *Server) CreateDatabase() (string, error) {
	name := fmt.Sprintf("database%d", s.databases.Add(1))
	if err := s.Execute("CREATE DATABASE " + name); err != nil {
		return "", err
	}
	return s.url(name), nil
}

// CloneDatabase creates a copy of a database that nobody uses, and returns its URL.
func (s *Server) CloneDatabase(database string) (string, error) {
	name := fmt.Sprintf("database%d", s.databases.Add(1))
	if err := s.Execute("CREATE DATABASE " + name + " TEMPLATE " + nameOf(database)); err != nil {
		return "", err
	}
	return s.url(name), nil
}

// DropDatabase ends the connections to a database and removes it.
func (s *Server) DropDatabase(database string) error {
	return s.Execute("DROP DATABASE " + nameOf(database) + " WITH (FORCE)")
}

// Execute runs a statement in the database postgres, which every server has.
func (s *Server) Execute(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}

func (s *Server) url(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.directory}, "sslmode": {"disable"}}.Encode()}).String()
}

// nameOf returns the name of the database of a URL.
func nameOf(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}
