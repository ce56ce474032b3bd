package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type verifyCommand struct{}

// Help implements [kong.HelpProvider].
func (verifyCommand) Help() string { return exampleHelp("verify") }

// auditEntry implements [auditedCommand].
func (verifyCommand) auditEntry() audit.Entry { return audit.Entry{} }

// Run writes a line for each problem to standard output.
func (verifyCommand) Run(ctx context.Context, c *commands, std streams) error {
	out, problems := bufio.NewWriter(std.out), 0
	verified, err := c.verify(ctx, func(p provider.Problem) {
		problems++
		fmt.Fprintln(out, p)
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	read := count(int(verified.Records), "record") + " with " + count(int(verified.Versions), "version")
	if problems > 0 {
		return &exitError{fmt.Errorf("verify: found %s in %s; keep a copy of the database, and restore a backup that verify finds nothing in", count(problems, "problem"), read), Damaged}
	}
	_, err = fmt.Fprintf(std.err, "verified %s, and found nothing wrong\n", read)
	return err
}

func (c *commands) verify(ctx context.Context, report func(provider.Problem)) (verified provider.Verified, err error) {
	if !c.Database.isPostgres() {
		return sqlite.Verify(ctx, string(c.Database), report)
	}
	err = c.withStore(ctx, func(s store) (err error) {
		verified, err = s.(*postgres.Store).Verify(ctx, report)
		return err
	})
	return verified, err
}
