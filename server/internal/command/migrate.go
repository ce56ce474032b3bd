package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type migrateCommand struct {
	Status bool `xor:"migrate" help:"List the migrations instead, applied and due, and change nothing. The exit code is 4 if one is due."`
	DryRun bool `xor:"migrate" help:"List the migrations that are due instead, and try them in a transaction that is rolled back."`
	Finish bool `xor:"migrate" help:"With PostgreSQL, after a rolling upgrade: say that no server of an older version runs any more, so that new events take the form that needs less room."`
}

// Help implements [kong.HelpProvider].
func (migrateCommand) Help() string { return exampleHelp("migrate --status") }

// auditEntry implements [auditedCommand].
func (migrateCommand) auditEntry() audit.Entry { return audit.Entry{} }

// Run does no more than open the store, which migrates it, unless a flag asks for a list.
func (m migrateCommand) Run(ctx context.Context, c *commands, io streams) error {
	if m.Status || m.DryRun {
		return m.list(ctx, c, io)
	}
	return c.withNewStore(ctx, storeOptions{finish: m.Finish}, func(store) error { return upToDate(io) })
}

func upToDate(io streams) error {
	_, err := fmt.Fprintln(io.err, "the schema is up to date")
	return err
}

// list writes a line for each migration: all of them for --status, those that are due for --dry-run.
func (m migrateCommand) list(ctx context.Context, c *commands, io streams) error {
	all, err := c.migrations(ctx, m.DryRun)
	if err != nil {
		return err
	}
	out, due := bufio.NewWriter(io.out), 0
	for _, one := range all {
		if one.Due() {
			due++
		}
		if one.Due() || m.Status {
			fmt.Fprintf(out, "%s\t%s\n", one.Name, m.state(one))
		}
	}
	err = out.Flush()
	switch {
	case err != nil:
		return err
	case due == 0:
		return upToDate(io)
	case m.Status:
		return &exitError{errors.New(count(due, "migration") + " to apply; run migrate"), Due}
	}
	return nil
}

func (m migrateCommand) state(one schema.Migration) string {
	switch {
	case !one.Due():
		return "applied " + one.AppliedAt.Format(time.RFC3339)
	case m.Status:
		return "due"
	case one.Tried:
		return "tried and rolled back"
	case one.Alone:
		return "not tried: it cannot run in a transaction"
	}
	return "not tried: it follows one that was not"
}

func (c *commands) migrations(ctx context.Context, try bool) ([]schema.Migration, error) {
	if c.Database.isPostgres() {
		return postgres.Migrations(ctx, string(c.Database), postgres.Options{Latest: c.latestURL()}, try)
	}
	return sqlite.Migrations(ctx, string(c.Database), try)
}
