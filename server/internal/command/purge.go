package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

type purgeCommand struct {
	Provider     purgeProvider     `cmd:"" default:"withargs" help:"Remove the values of a deleted provider, with its history."`
	Customer     purgeCustomer     `cmd:"" help:"Remove the values of all providers of a customer, with their history, and the customer."`
	Organization purgeOrganization `cmd:"" help:"Remove an organization and all that belongs to it: customers, providers, history and keys."`
}

// Help implements [kong.HelpProvider].
func (purgeCommand) Help() string {
	return exampleHelp("purge 3c90c3cc-0d44-4b50-8888-8dd25736052a")
}

type purgeProvider struct {
	ID           uuid.UUID `arg:"" name:"provider-id" placeholder:"PROVIDER-ID" help:"The ID of a provider that is deleted."`
	Organization name      `placeholder:"NAME" help:"The organization that it belonged to, if several have the ID."`
	reasoned
}

// auditEntry implements [auditedCommand].
func (p purgeProvider) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(p.Organization), Records: []uuid.UUID{p.ID}, Reason: string(p.Reason)}
}

// Help implements [kong.HelpProvider].
func (purgeProvider) Help() string {
	return exampleHelp("purge provider 3c90c3cc-0d44-4b50-8888-8dd25736052a")
}

// Run removes everything but the IDs, the version and the times of a provider.
func (p purgeProvider) Run(ctx context.Context, c *commands, std streams) error {
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
		err = provider.PurgeProvider(ctx, s, owners[0].Organization, p.ID)
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

// erasure has the flags of a command that purges much.
type erasure struct {
	reasoned
	DryRun bool `help:"Say what would be removed, and remove nothing."`
	Yes    bool `help:"Do not ask for confirmation. Without a terminal, it is needed."`
}

// Validate implements [kong.Validatable].
func (e erasure) Validate() error {
	if e.Reason == "" {
		return errors.New("missing flags: --reason=TEXT")
	}
	return nil
}

// confirm says what would be removed, and returns whether to do so. A person types the name of it.
func (e erasure) confirm(std streams, what, typed string, count provider.PurgeCount) (bool, error) {
	total := count.Existing + count.Deleted
	fmt.Fprintf(std.err, "%s: %s (%d of them deleted) with up to %s\n", what, count64(total, "provider"), count.Deleted, count64(count.Versions, "event"))
	switch {
	case e.DryRun:
		_, err := fmt.Fprintln(std.err, "nothing was removed")
		return false, err
	case e.Yes:
		return true, nil
	case !isTerminal(std.in) || !isTerminal(std.err):
		return false, wrongUsage(errors.New("purge: there is no terminal to ask for confirmation on; check this with --dry-run, and then add --yes"))
	}
	fmt.Fprintf(std.err, "This cannot be undone. Type %s to remove it: ", typed)
	line, err := bufio.NewReader(std.in).ReadString('\n')
	if strings.TrimSpace(line) != typed || err != nil {
		return false, errors.New("purge: it was not confirmed, and nothing was removed")
	}
	return true, nil
}

func count64(n int64, what string) string { return count(int(n), what) }

type purgeCustomer struct {
	ID              uuid.UUID `arg:"" name:"customer-id" placeholder:"CUSTOMER-ID" help:"The ID of the customer."`
	Organization    name      `required:"" placeholder:"NAME" help:"The organization that the customer belongs to."`
	IncludeExisting bool      `help:"Also purge the providers that are not deleted."`
	erasure
}

// auditEntry implements [auditedCommand].
func (p purgeCustomer) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(p.Organization), Customer: &p.ID, Everything: true, Reason: string(p.Reason)}
}

// Help implements [kong.HelpProvider].
func (purgeCustomer) Help() string {
	return exampleHelp(`purge customer 3c90c3cc-0d44-4b50-8888-8dd25736052a --organization acme --reason ticket-4711 --dry-run`)
}

// Run leaves of the customer's providers their IDs, their versions and their times, and nothing of the customer that a caller sees.
func (p purgeCustomer) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		number, _, err := provider.FindOrganization(ctx, s, string(p.Organization))
		if err != nil {
			return organizationError("purge", p.Organization, err)
		}
		counted, err := s.CountPurge(ctx, number, &p.ID)
		if provider.CodeOf(err) == provider.CodeNoCustomer {
			return fmt.Errorf("purge: the organization %q has no customer with the ID %s; check both, and --database", p.Organization, p.ID)
		}
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		what := fmt.Sprintf("the customer %s of the organization %q", p.ID, p.Organization)
		if counted.Existing > 0 && !p.IncludeExisting && !p.DryRun {
			return fmt.Errorf("purge: %s has %s not deleted; delete them with the API, or add --include-existing", what, exist(counted.Existing))
		}
		confirmed, err := p.confirm(std, what, p.ID.String(), counted)
		if err != nil || !confirmed {
			return err
		}
		records, err := runPurge(std, counted, func(add func(int)) error { return provider.PurgeCustomer(ctx, s, number, p.ID, add) })
		c.entry.Count = records
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.err, "purged %s with %s\n", what, count(records, "provider"))
		return err
	})
}

func exist(n int64) string {
	if n == 1 {
		return "1 provider that is"
	}
	return fmt.Sprintf("%d providers that are", n)
}

type purgeOrganization struct {
	Name       name `arg:"" placeholder:"NAME" help:"The name of the organization."`
	RevokeKeys bool `help:"Revoke its working keys first. Without it, an organization with such keys is left as it is."`
	erasure
}

// auditEntry implements [auditedCommand].
func (p purgeOrganization) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(p.Name), Everything: true, Reason: string(p.Reason)}
}

// Help implements [kong.HelpProvider].
func (purgeOrganization) Help() string {
	return exampleHelp(`purge organization acme --reason ticket-4712 --dry-run`)
}

// Run removes all that there is of an organization.
func (p purgeOrganization) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		number, _, err := provider.FindOrganization(ctx, s, string(p.Name))
		if err != nil {
			return organizationError("purge", p.Name, err)
		}
		c.entry.Organization = number
		keys, err := workingKeys(ctx, s, number)
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		if len(keys) > 0 && !p.RevokeKeys && !p.DryRun {
			return fmt.Errorf("purge: the organization %q has %s that can be used; revoke them, or add --revoke-keys", p.Name, count(len(keys), "key"))
		}
		counted, err := s.CountPurge(ctx, number, nil)
		if err != nil {
			return fmt.Errorf("purge: %w", err)
		}
		what := fmt.Sprintf("the organization %q with %s", p.Name, count64(counted.Customers, "customer"))
		confirmed, err := p.confirm(std, fmt.Sprintf("%s and %s that can be used", what, count(len(keys), "key")), string(p.Name), counted)
		if err != nil || !confirmed {
			return err
		}
		for _, id := range keys {
			if err := s.RevokeKey(ctx, id, 0); err != nil {
				return fmt.Errorf("purge: revoke a key: %w", err)
			}
		}
		records, err := runPurge(std, counted, func(add func(int)) error { return provider.PurgeOrganization(ctx, s, number, add) })
		c.entry.Count = records
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.err, "purged the organization %q with %s\n", p.Name, count(records, "provider"))
		return err
	})
}

// runPurge shows the progress of a purge, and returns how many records it has purged.
func runPurge(std streams, counted provider.PurgeCount, purge func(add func(records int)) error) (records int, _ error) {
	screen := &progress{out: std.err}
	screen.beginRows("purging", counted.Existing+counted.Deleted)
	err := purge(func(n int) {
		records += n
		screen.add(int64(n))
	})
	screen.end()
	if err != nil {
		return records, fmt.Errorf("purge: stopped after %s: %w; run it again to complete it", count(records, "provider"), err)
	}
	return records, nil
}

// workingKeys returns the IDs of the keys of an organization that are neither expired nor revoked.
func workingKeys(ctx context.Context, s store, organization int64) (ids []string, _ error) {
	filter := apikey.Filter{Organization: organization, States: []apikey.State{apikey.Active, apikey.Rotating, apikey.Suspended}}
	err := apikey.Each(ctx, s, filter, func(key apikey.Key) error {
		ids = append(ids, key.ID)
		return nil
	})
	return ids, err
}
