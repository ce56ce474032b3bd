package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/jackc/pgx/v5"
)

// checkDatabase fails if the database cannot be used, whatever its schema. The last error is [schema.ErrIncompleteCopy].
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
	if err := checkPrivileges(limited, c); err != nil {
		return err
	}
	return checkComplete(limited, c)
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
	{"idempotency_keys", "SELECT, INSERT, UPDATE, DELETE"}, // UPDATE to lock rows
	{"invitations", "SELECT, INSERT, UPDATE, DELETE"},
	{"memberships", "SELECT, INSERT, UPDATE, DELETE"},
	{"organizations", "SELECT, INSERT, UPDATE"},
	{"property_names", "SELECT, INSERT"},
	{"provider_events", "SELECT, INSERT"},
	{"providers", "SELECT, INSERT, UPDATE"},
	{"purged_customers", "SELECT, DELETE"}, // an import opens them
	{"rate_buckets", "SELECT, INSERT, UPDATE"},
	{"recovery_codes", "SELECT, INSERT, DELETE"},
	{"sessions", "SELECT, INSERT, UPDATE, DELETE"},
	{"usage", "SELECT, INSERT, UPDATE, DELETE"},
	{"users", "SELECT, INSERT, UPDATE"},
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
