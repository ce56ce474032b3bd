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

// required are the parameters of a session on which the meaning or the durability of data depends. They are verified on every
// connection.
var required = map[string]string{
	"client_encoding":             "UTF8",
	"standard_conforming_strings": "on",
	"synchronous_commit":          "on", // a commit is on disk before it is acknowledged
	"TimeZone":                    "UTC",
}

// tuning are the other parameters of a session.
var tuning = map[string]string{
	"application_name":                    "carecycle",
	"lock_timeout":                        milliseconds(lockTimeout),
	"statement_timeout":                   milliseconds(statementTimeout),
	"idle_in_transaction_session_timeout": milliseconds(attemptTimeout), // in case this process freezes while it holds locks
	// Statements are planned once for each connection. They find rows by key, and must still do so if they were planned when
	// the tables were empty.
	"plan_cache_mode": "force_generic_plan",
	"enable_seqscan":  "off",
	"enable_sort":     "off", // of more than a page; an incremental sort is another thing
	"jit":             "off", // the cost of an unavoidable scan or sort would trigger it
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// configureSession sets the parameters of a connection and verifies them. They are no startup parameters, as poolers reject
// those that they do not know. tables is the schema of the tables, quoted, or empty while it is not known.
func configureSession(ctx context.Context, c *pgx.Conn, tables string) error {
	parameters := maps.Clone(tuning)
	maps.Copy(parameters, required)
	if tables != "" {
		parameters["search_path"] = tables // whatever the user's is by now
	}
	names := slices.Sorted(maps.Keys(parameters))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = parameters[name]
	}
	rows, err := c.Query(ctx, "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS parameters (name, value)", names, values)
	if err != nil {
		return err
	}
	if _, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	return verifySession(ctx, c)
}

// verifySession fails if a connection lacks a required parameter, or cannot write.
func verifySession(ctx context.Context, c *pgx.Conn) error {
	names := append(slices.Sorted(maps.Keys(required)), "transaction_read_only")
	rows, err := c.Query(ctx, "SELECT current_setting(unnest($1::text[]))", names)
	if err != nil {
		return err
	}
	settings, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for i, name := range names {
		switch want, is := required[name]; {
		case !is && settings[i] == "on":
			return readOnly
		case is && settings[i] != want:
			return startError(fmt.Sprintf("a connection has %s = %s instead of %s; remove what overrides it, such as a proxy", name, settings[i], want))
		}
	}
	return nil
}
