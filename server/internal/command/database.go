package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/carecycle/provider-api/server/internal/writes"
)

// defaultDatabase is used if neither --database nor CARECYCLE_DATABASE names another.
const defaultDatabase = "data/carecycle.db"

// database is the value of --database: the path of a SQLite file, or the URL of a PostgreSQL database.
type database string

const databaseForms = "write the path of a SQLite file, or a PostgreSQL database as postgres://USER@HOST/DATABASE"

// keywords matches the other form that PostgreSQL's own programs take.
var keywords = regexp.MustCompile(`^\s*(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=`)

// UnmarshalText rejects what would otherwise become the name of a new file. The errors do not repeat the value, which may hold
// a password.
func (d *database) UnmarshalText(text []byte) error {
	*d = database(text)
	scheme, _, isURL := strings.Cut(string(text), "://")
	switch {
	case len(text) == 0:
		return errors.New("it is empty; " + databaseForms)
	case strings.TrimSpace(string(text)) != string(text):
		return errors.New("it begins or ends with a blank or a line break; " + databaseForms)
	case strings.ContainsAny(string(text), "\x00\r\n"):
		return errors.New("it contains a line break; " + databaseForms)
	case isURL && scheme != "postgres" && scheme != "postgresql":
		return errors.New("its scheme is unknown; " + databaseForms)
	case isURL:
		return nil
	case keywords.Match(text):
		return errors.New("it has PostgreSQL's keyword form; " + databaseForms)
	case string(text) == ":memory:", strings.HasPrefix(string(text), "file:"):
		return errors.New("it is a name of SQLite's, not of a file; " + databaseForms)
	}
	if info, err := os.Stat(string(text)); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is not a file; " + databaseForms)
	}
	return nil
}

// readDatabaseFile reads --database from --database-file.
func (c *commands) readDatabaseFile() error {
	if c.DatabaseFile == "" {
		return nil
	}
	if c.Database != defaultDatabase {
		return errors.New("--database and --database-file exclude each other; give one of them")
	}
	return c.Database.read("--database-file", c.DatabaseFile)
}

// read reads the database from the file that a flag names.
func (d *database) read(flag, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if err := d.UnmarshalText(bytes.TrimSpace(text)); err != nil {
		return fmt.Errorf("%s: what is in it cannot be used: %w", flag, err)
	}
	return nil
}

// latestURL returns the URL that --database-file has now, or nil if there is no such file.
func (c *commands) latestURL() func() (string, error) {
	if c.DatabaseFile == "" {
		return nil
	}
	return func() (string, error) {
		text, err := os.ReadFile(c.DatabaseFile)
		return string(bytes.TrimSpace(text)), err
	}
}

func (d database) isPostgres() bool { return strings.Contains(string(d), "://") }

// name returns what the log says about the database: the path of a file, or the hosts and the name of PostgreSQL's.
func (d database) name() string {
	if d.isPostgres() {
		return postgres.Name(string(d))
	}
	return string(d)
}

// store is what the commands need from a database.
type store interface {
	provider.Store
	apikey.Store
	account.Store
	usage.Store
	Ping(context.Context) error
	Close() error
}

// storeOptions are those of a store that is opened.
type storeOptions struct {
	writes  writes.Options
	patient bool                // wait for PostgreSQL if it is away
	waiting func(reason string) // called now and then while it cannot be opened yet; nil for a line on standard error
	finish  bool                // as that of [postgres.Options]
}

// withStore opens the store, calls f with it and closes it. The database must exist.
func (c *commands) withStore(ctx context.Context, f func(store) error) error {
	return c.openStore(ctx, storeOptions{}, true, f)
}

// withNewStore is withStore, but it creates a SQLite file that does not exist, and says so.
func (c *commands) withNewStore(ctx context.Context, o storeOptions, f func(store) error) error {
	if err := c.ensureDirectory(); err != nil {
		return err
	}
	_, err := os.Stat(string(c.Database))
	creates := errors.Is(err, fs.ErrNotExist) && !c.Database.isPostgres()
	return c.openStore(ctx, o, false, func(s store) error {
		if creates {
			fmt.Fprintf(c.std.err, program+": created the database %s\n", c.Database)
		}
		return f(s)
	})
}

// ensureDirectory creates the directory of the databases that have a default name.
func (c *commands) ensureDirectory() error {
	if c.Database != defaultDatabase && c.Database != demoDatabase {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(string(c.Database)), 0o700); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

func (c *commands) openStore(ctx context.Context, o storeOptions, mustExist bool, f func(store) error) (err error) {
	if o.waiting == nil {
		o.waiting = func(reason string) { fmt.Fprintf(c.std.err, program+": waiting for %s\n", reason) }
	}
	var s store
	if c.Database.isPostgres() {
		s, err = postgres.Open(ctx, string(c.Database), postgres.Options{Batch: o.writes, Patient: o.patient, Waiting: o.waiting, Latest: c.latestURL(), Finish: o.finish})
	} else {
		s, err = sqlite.Open(ctx, string(c.Database), sqlite.Options{Batch: o.writes, MustExist: mustExist})
	}
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	if c.entry.Operation != "" {
		defer c.completeEntry(context.WithoutCancel(ctx), s)
	}
	return f(s)
}
