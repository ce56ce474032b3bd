package command

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/transfer"
)

type exportCommand struct {
	Organization name `required:"" placeholder:"NAME" help:"The organization whose records are written."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (exportCommand) Help() string {
	return exampleHelp("export --organization acme")
}

// auditEntry implements [auditedCommand].
func (e exportCommand) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(e.Organization), Everything: true, Reason: string(e.Reason)}
}

func (e exportCommand) Run(ctx context.Context, c *commands, std streams) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves is an error to report, not the end of the process
	defer signal.Reset(syscall.SIGPIPE)
	return c.withStore(ctx, func(s store) error {
		number, _, err := provider.FindOrganization(ctx, s, string(e.Organization))
		if err != nil {
			return organizationError("export", e.Organization, err)
		}
		if err := transfer.Export(ctx, s, number, std.out); err != nil {
			return fmt.Errorf("export: %w; what was written is not complete", err)
		}
		return nil
	})
}
