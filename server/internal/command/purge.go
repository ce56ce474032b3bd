package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

type purgeCommand struct {
	ID           uuid.UUID `arg:"" name:"provider-id" placeholder:"PROVIDER-ID" help:"The ID of a provider that is deleted."`
	Organization name      `placeholder:"NAME" help:"The organization that it belonged to, if several have the ID."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (purgeCommand) Help() string {
	return exampleHelp("purge 3c90c3cc-0d44-4b50-8888-8dd25736052a")
}

// auditEntry implements [auditedCommand].
func (p purgeCommand) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(p.Organization), Records: []uuid.UUID{p.ID}, Reason: string(p.Reason)}
}

// Run removes everything but the IDs, the version and the times of a provider.
func (p purgeCommand) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		owners, err := s.Owners(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		if p.Organization != "" {
			number, _, err := provider.FindOrganization(ctx, s, string(p.Organization))
			if err != nil && provider.CodeOf(err) != provider.CodeNoOrganization {
				return fmt.Errorf("purge: %w", err)
			}
			owners = slices.DeleteFunc(owners, func(o provider.Owner) bool { return o.Organization != number })
		}
		switch {
		case len(owners) == 0 && p.Organization != "":
			return fmt.Errorf("purge: the organization %q has and had no provider with the ID %s; check both, and --database", p.Organization, p.ID)
		case len(owners) == 0:
			return fmt.Errorf("purge: no provider has or had the ID %s in this database; check the ID and --database", p.ID)
		case len(owners) > 1:
			return fmt.Errorf("purge: %d organizations have the ID %s; name one with --organization", len(owners), p.ID)
		}
		err = s.Purge(ctx, owners[0].Organization, p.ID)
		if errors.Is(err, provider.ErrNotDeleted) {
			return fmt.Errorf("purge: the provider %s of the organization %q is not deleted; delete it with the API first", p.ID, owners[0].Name)
		}
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		_, err = fmt.Fprintf(std.err, "purged the provider %s of the organization %q\n", p.ID, owners[0].Name)
		return err
	})
}
