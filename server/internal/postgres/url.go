package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var errURL = errors.New("the URL cannot be read; it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE, and characters other than letters and digits in the password are written as %XX")

// parse reads a URL. latest returns it as it is when a connection is opened. The driver's errors are not repeated, since part of the password can be in them.
func parse(dsn string, latest func() (string, error)) (*pgxpool.Config, error) {
	parts, err := url.Parse(dsn)
	if err != nil || parts.User == nil && strings.Contains(dsn, "@") || strings.Count(authority(dsn), "@") > 1 {
		return nil, errURL // a character of the password has a meaning in URLs
	}
	parameters, err := url.ParseQuery(parts.RawQuery)
	if err != nil {
		return nil, errURL
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, parseError(parts, parameters)
	}
	if !parameters.Has("pool_max_conns") {
		config.MaxConns = defaultConns
	}
	config.MaxConnLifetimeJitter = config.MaxConnLifetime / 10
	c := config.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if len(hosts(c)) > 1 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { // the password may come from a file, which may change
		if dsn, err := latest(); err == nil {
			if now, err := pgxpool.ParseConfig(dsn); err == nil {
				c.User, c.Password = now.ConnConfig.User, now.ConnConfig.Password
			}
		}
		return nil
	}
	return config, nil
}

// Name returns the hosts and the name of a URL's database, such as db1:5432,db2:5432/carecycle, and nothing else of the URL.
func Name(dsn string) string {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "PostgreSQL"
	}
	return databaseName(config)
}

// authority is what a URL has between the scheme and the path: user, password and hosts.
func authority(dsn string) string {
	_, rest, _ := strings.Cut(dsn, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// parameterForms has the form of parameters of the URL, by name.
var parameterForms = map[string]string{
	"connect_timeout":      "a number of seconds",
	"pool_max_conns":       "a number from 1",
	"pool_min_conns":       "a number from 0",
	"port":                 "a number from 1 to 65535",
	"sslcert":              "a file with a certificate; it comes with sslkey",
	"sslkey":               "a file with a private key; it comes with sslcert",
	"sslmode":              "disable, allow, prefer, require, verify-ca or verify-full",
	"sslrootcert":          "a file with the certificates of authorities",
	"target_session_attrs": "any, read-write, read-only, primary, standby or prefer-standby",
}

// parseError finds what keeps the driver from reading a URL that the standard library can read. It names it, without its value.
func parseError(parts *url.URL, parameters url.Values) error {
	for host := range strings.SplitSeq(parts.Host, ",") {
		if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') && !isPort(host[i+1:]) {
			return errors.New("a port of the URL must be " + parameterForms["port"])
		}
	}
	bare := url.URL{Scheme: "postgres", Host: "localhost", Path: "/"}
	if _, err := pgxpool.ParseConfig(bare.String()); err != nil {
		return fmt.Errorf("an environment variable has no valid value for a connection: one of %s", strings.Join(environment(), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		alone := bare
		pair := url.Values{name: parameters[name]}
		if name == "sslcert" || name == "sslkey" {
			pair = url.Values{"sslcert": parameters["sslcert"], "sslkey": parameters["sslkey"], "sslpassword": parameters["sslpassword"]}
		}
		alone.RawQuery = pair.Encode()
		if _, err := pgxpool.ParseConfig(alone.String()); err == nil {
			continue
		}
		if form, known := parameterForms[name]; known {
			return fmt.Errorf("the parameter %s of the URL must be %s", name, form)
		}
		return fmt.Errorf("the parameter %s of the URL has no valid value", name)
	}
	return errURL
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && port > 0
}

// environment returns the names of the environment variables that can be the driver's.
func environment() (names []string) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
