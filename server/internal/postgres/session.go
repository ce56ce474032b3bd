package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// required are the parameters of a session on which the meaning or the durability of data depends. They are set on every
// connection, and verified: a role, a database or a proxy can override them.
var required = map[string]string{
	"client_encoding":             "UTF8",
	"standard_conforming_strings": "on",
	"synchronous_commit":          "on", // a commit is on disk before it is acknowledged
	"TimeZone":                    "UTC",
}

// configureSessions sets the parameters of every connection.
func configureSessions(parameters map[string]string) {
	maps.Copy(parameters, required)
	parameters["application_name"] = "carecycle"
	parameters["lock_timeout"] = milliseconds(lockTimeout)
	parameters["statement_timeout"] = milliseconds(statementTimeout)
	parameters["idle_in_transaction_session_timeout"] = milliseconds(attemptTimeout) // in case this process freezes while it holds locks
	// Statements are planned once for each connection. They find rows by key, and must still do so if they were planned when
	// the tables were empty.
	parameters["plan_cache_mode"] = "force_generic_plan"
	parameters["enable_seqscan"] = "off"
	parameters["jit"] = "off" // the cost of an unavoidable scan would trigger it
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// verifySession fails if a connection lacks a required parameter.
func verifySession(ctx context.Context, c *pgx.Conn) error {
	names := slices.Sorted(maps.Keys(required))
	rows, err := c.Query(ctx, "SELECT current_setting(unnest($1::text[]))", names)
	if err != nil {
		return err
	}
	settings, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for i, name := range names {
		if settings[i] != required[name] {
			return sessionError(fmt.Sprintf("a connection has %s = %s instead of %s; remove what overrides it, such as ALTER ROLE … SET or a proxy", name, settings[i], required[name]))
		}
	}
	return nil
}

// sessionError says which parameter of a connection is wrong.
type sessionError string

// Error returns the text.
func (e sessionError) Error() string { return string(e) }

// checkEncoding fails if the database cannot store every text unchanged.
func checkEncoding(ctx context.Context, config *pgx.ConnConfig) error {
	c, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if encoding := c.PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
		return fmt.Errorf("its encoding is %s, which cannot store every text; create a database with createdb --encoding=UTF8 --template=template0", encoding)
	}
	return nil
}
