package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
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

// preferred are the other parameters of a session.
var preferred = map[string]string{
	"application_name":                    "carecycle",
	"lock_timeout":                        milliseconds(lockTimeout),
	"statement_timeout":                   milliseconds(statementTimeout),
	"idle_in_transaction_session_timeout": milliseconds(attemptTimeout), // in case this process freezes while it holds locks
	// Statements are planned once for each connection. They find rows by key, and must still do so if they were planned when
	// the tables were empty.
	"plan_cache_mode": "force_generic_plan",
	"enable_seqscan":  "off",
	"jit":             "off", // the cost of an unavoidable scan would trigger it
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// startError says why a connection, or the database, cannot be used. It holds no value of the URL but its user.
type startError string

// Error returns the text.
func (e startError) Error() string { return string(e) }

// configureSession sets the parameters of a connection and verifies them. They are no startup parameters, as poolers reject
// those that they do not know. tables is the schema of the tables, quoted, or empty while it is not known.
func configureSession(ctx context.Context, c *pgx.Conn, tables string) error {
	parameters := maps.Clone(preferred)
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

// checkDatabase fails if the database cannot be used, whatever its schema.
func checkDatabase(ctx context.Context, config *pgx.ConnConfig) error {
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c, err := pgx.ConnectConfig(limited, config.Copy())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if encoding := c.PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
		return startError(fmt.Sprintf("its encoding is %s, which cannot store every text; create a database with createdb --encoding=UTF8 --template=template0", encoding))
	}
	if err := checkPooling(limited, c, config); err != nil {
		return err
	}
	if err := configureSession(limited, c, ""); err != nil {
		return err
	}
	if err := checkSchema(limited, c, config); err != nil {
		return err
	}
	return checkPrivileges(limited, c)
}

// checkSchema fails if the tables are in a schema that is not on the search path of this user: an empty set of tables would be created
// next to them. A search_path in the URL is taken as meant.
func checkSchema(ctx context.Context, c *pgx.Conn, config *pgx.ConnConfig) error {
	if _, set := config.RuntimeParams["search_path"]; set {
		return nil
	}
	rows, err := c.Query(ctx, `SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
		WHERE relname = $1 AND to_regclass($1) IS NULL ORDER BY 1`, schema.VersionTable)
	if err != nil {
		return err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(schemas) == 0 {
		return err
	}
	return startError("its tables are in the schema " + strings.Join(schemas, ", ") + ", which this user's search_path does not find; add search_path=" +
		schemas[0] + " to the parameters of the URL, or the name of another schema to create tables in, and check the user's privilege USAGE")
}

var errPooling = startError("a pooler in front of the server lends connections for a transaction or a statement; set its pool_mode to session")

// checkPooling fails if a pooler gives a session's connection to another session between transactions: settings, prepared
// statements and the lock of a migration would be another session's.
func checkPooling(ctx context.Context, one *pgx.Conn, config *pgx.ConnConfig) error {
	first, err := backend(ctx, one)
	if err != nil || first == strconv.FormatUint(uint64(one.PgConn().PID()), 10) {
		return err // the server itself, which said its process at the start
	}
	other, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	for range 5 { // other sessions can be quicker
		if _, err := other.PgConn().Exec(ctx, "BEGIN").ReadAll(); err != nil {
			if causeOf(err) == protocolViolation { // PgBouncer's response to BEGIN when it lends connections for a statement
				return errPooling
			}
			return err
		}
		second, err := backend(ctx, other)
		if err != nil {
			return err
		}
		again, err := backend(ctx, one)
		if err != nil {
			return err
		}
		if again != first || second == first {
			return errPooling
		}
		if _, err := other.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// backend returns the ID of the server's process behind a connection. It prepares no statement.
func backend(ctx context.Context, c *pgx.Conn) (string, error) {
	results, err := c.PgConn().Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}

// privileges are what a user that serves needs on each table.
var privileges = []struct{ table, privileges string }{
	{"api_keys", "SELECT, INSERT, UPDATE"},
	{"customers", "SELECT, INSERT, UPDATE"},
	{"organizations", "SELECT, INSERT"},
	{"provider_events", "SELECT, INSERT"},
	{"providers", "SELECT, INSERT, UPDATE"},
	{"write_probes", "SELECT, INSERT, UPDATE"},
	{schema.VersionTable, "SELECT"},
}

// checkPrivileges fails if tables exist that the user may not use.
func checkPrivileges(ctx context.Context, c *pgx.Conn) error {
	var tables, wanted []string
	for _, p := range privileges {
		for privilege := range strings.SplitSeq(p.privileges, ", ") {
			tables, wanted = append(tables, p.table), append(wanted, privilege)
		}
	}
	rows, err := c.Query(ctx, `SELECT DISTINCT name FROM unnest($1::text[], $2::text[]) AS wanted (name, privilege)
		WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)`, tables, wanted)
	if err != nil {
		return err
	}
	lacking, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(lacking) == 0 {
		return err
	}
	var user string
	if err := c.QueryRow(ctx, "SELECT quote_ident(current_user)").Scan(&user); err != nil {
		return err
	}
	var grants []string
	for _, p := range privileges {
		if slices.Contains(lacking, p.table) {
			grants = append(grants, fmt.Sprintf("GRANT %s ON %s TO %s;", p.privileges, p.table, user))
		}
	}
	return startError("this user lacks privileges; as the owner of the tables, run " + strings.Join(grants, " "))
}
