package postgres

import (
	"context"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// failures remembers for each connection which statement has failed: neither the server nor the driver says which of a batch it was.
type failures struct{}

var _ pgx.BatchTracer = failures{}

// The keys of a connection's data: its last single statement, and the one that has failed.
const (
	lastStatement = "carecycle.statement"
	failure       = "carecycle.failure"
)

// TraceQueryStart implements [pgx.QueryTracer].
func (failures) TraceQueryStart(ctx context.Context, c *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	c.PgConn().CustomData()[lastStatement] = data.SQL
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (failures) TraceQueryEnd(_ context.Context, c *pgx.Conn, data pgx.TraceQueryEndData) {
	if data.Err != nil {
		statement, _ := c.PgConn().CustomData()[lastStatement].(string)
		remember(c, statement)
	}
}

// TraceBatchStart implements [pgx.BatchTracer].
func (failures) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (failures) TraceBatchQuery(_ context.Context, c *pgx.Conn, data pgx.TraceBatchQueryData) {
	if data.Err != nil {
		remember(c, data.SQL)
	}
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (failures) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// remember keeps the first statement that fails, which is the cause of further failures.
func remember(c *pgx.Conn, statement string) {
	if known := c.PgConn().CustomData(); known[failure] == nil {
		known[failure] = statement
	}
}

func forgetFailure(c *pgx.Conn) { delete(c.PgConn().CustomData(), failure) }

// failedStatement names the statement that has failed since forgetFailure; it returns "" if none has.
func failedStatement(c *pgx.Conn) string {
	statement, _ := c.PgConn().CustomData()[failure].(string)
	return statementName(statement)
}

var table = regexp.MustCompile(`\b(?:FROM|INTO|UPDATE) (api_keys|customers|idempotency_keys|organizations|provider_events|providers|write_probes)\b`)

// statementName returns the verb of a statement and its first table, such as "INSERT provider_events". It holds nothing else of it.
func statementName(statement string) string {
	fields := strings.Fields(statement)
	if len(fields) == 0 {
		return ""
	}
	if match := table.FindStringSubmatch(statement); match != nil {
		return fields[0] + " " + match[1]
	}
	return fields[0]
}
