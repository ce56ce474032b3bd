package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

type organizationsCommand struct {
	List    listOrganizations   `cmd:"" help:"List all organizations: the number that the log has, the state, and how many keys have not ended."`
	Rename  renameOrganization  `cmd:"" help:"Give an organization another name. Its records and keys stay as they are."`
	Suspend suspendOrganization `cmd:"" help:"Refuse the keys of an organization, within 5 seconds, until it is resumed. Its records and keys stay as they are."`
	Resume  resumeOrganization  `cmd:"" help:"Accept the keys of a suspended organization again."`
}

// Help implements [kong.HelpProvider].
func (organizationsCommand) Help() string { return exampleHelp("organizations list") }

type listOrganizations struct {
	JSON bool `help:"Write a JSON object a line."`
}

// Help implements [kong.HelpProvider].
func (listOrganizations) Help() string { return exampleHelp("organizations list --json") }

// auditEntry implements [auditedCommand].
func (listOrganizations) auditEntry() audit.Entry { return audit.Entry{} }

// Run writes a line for each organization.
func (l listOrganizations) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		organizations, err := s.ListOrganizations(ctx)
		if err != nil {
			return fmt.Errorf("list organizations: %w", err)
		}
		keys, err := apikey.CountActive(ctx, s)
		if err != nil {
			return fmt.Errorf("list organizations: %w", err)
		}
		out := newList(std.out, l.JSON, "NUMBER\tNAME\tSTATE\tACTIVE KEYS")
		for _, o := range organizations {
			state := apikey.Active
			if o.Suspended {
				state = apikey.Suspended
			}
			err := out.write(fmt.Sprintf("%d\t%q\t%s\t%d", o.Number, o.Name, state, keys[o.Number]),
				map[string]any{"number": o.Number, "name": o.Name, "state": state, "activeKeys": keys[o.Number]})
			if err != nil {
				return err
			}
		}
		return out.Flush()
	})
}

type renameOrganization struct {
	Old name `arg:"" placeholder:"OLD" help:"The name that it has."`
	New name `arg:"" placeholder:"NEW" help:"The name that it gets."`
}

// Help implements [kong.HelpProvider].
func (renameOrganization) Help() string {
	return exampleHelp("organizations rename acme acme-health")
}

// auditEntry implements [auditedCommand].
func (r renameOrganization) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(r.Old), NewName: string(r.New)}
}

func (r renameOrganization) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		number, _, err := provider.FindOrganization(ctx, s, string(r.Old))
		if err != nil {
			return organizationError("rename organization", r.Old, err)
		}
		renamed, err := provider.RenameOrganization(ctx, s, number, string(r.New))
		if err != nil {
			return organizationError("rename organization", r.Old, err)
		}
		c.entry.Organization, c.entry.NewName = number, renamed
		_, err = fmt.Fprintf(std.err, "renamed the organization to %q; change the commands that run by themselves\n", renamed)
		return err
	})
}

type suspendOrganization struct {
	Name name `arg:"" placeholder:"NAME" help:"The organization."`
}

// Help implements [kong.HelpProvider].
func (suspendOrganization) Help() string { return exampleHelp("organizations suspend acme") }

// auditEntry implements [auditedCommand].
func (o suspendOrganization) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(o.Name)}
}

func (o suspendOrganization) Run(ctx context.Context, c *commands, std streams) error {
	return c.suspend(ctx, o.Name, true, "suspended; running servers refuse its keys within 5 seconds")
}

type resumeOrganization struct {
	Name name `arg:"" placeholder:"NAME" help:"The organization."`
}

// Help implements [kong.HelpProvider].
func (resumeOrganization) Help() string { return exampleHelp("organizations resume acme") }

// auditEntry implements [auditedCommand].
func (o resumeOrganization) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(o.Name)}
}

func (o resumeOrganization) Run(ctx context.Context, c *commands, std streams) error {
	return c.suspend(ctx, o.Name, false, "resumed; running servers accept its keys within 5 seconds")
}

func (c *commands) suspend(ctx context.Context, organization name, suspended bool, done string) error {
	return c.withStore(ctx, func(s store) error {
		number, _, err := provider.FindOrganization(ctx, s, string(organization))
		if err == nil {
			err = s.SuspendOrganization(ctx, number, suspended)
		}
		if err != nil {
			return organizationError("change organization", organization, err)
		}
		_, err = fmt.Fprintln(c.std.err, done)
		return err
	})
}

// ownerFlags name the organization that gets a key or records.
type ownerFlags struct {
	Organization    name `required:"" placeholder:"NAME" help:"The organization that it belongs to; created, and reported, if there is none of that name."`
	NewOrganization bool `help:"Create the organization although its name looks like that of another one."`
}

// ensure returns the number and the name of the organization. It reports one that it creates, as the name may be misspelled.
func (o ownerFlags) ensure(ctx context.Context, s store, std streams) (number int64, name string, _ error) {
	number, name, created, err := provider.EnsureOrganization(ctx, s, string(o.Organization), o.NewOrganization)
	if confusable, ok := errors.AsType[*provider.ConfusableError](err); ok {
		return 0, "", fmt.Errorf("there is no organization %q, but %q, which looks the same; correct --organization, or add --new-organization to create another one", o.Organization, confusable.Existing)
	}
	if created {
		fmt.Fprintf(std.err, program+": created the organization %q, as there was none of that name\n", name)
	}
	return number, name, err
}

// organizationError adds to an error about an organization what the operator can do.
func organizationError(doing string, organization name, err error) error {
	return fmt.Errorf("%s: %w", doing, explainOrganization(organization, err))
}

func explainOrganization(organization name, err error) error {
	if provider.CodeOf(err) == provider.CodeNoOrganization {
		return fmt.Errorf("there is no organization %q in this database; check the name and --database", organization)
	}
	return err
}

type customersCommand struct {
	List listCustomers `cmd:"" help:"List the customers of an organization, and how many providers each has."`
}

// Help implements [kong.HelpProvider].
func (customersCommand) Help() string { return exampleHelp("customers list --organization acme") }

type listCustomers struct {
	Organization name `required:"" placeholder:"NAME" help:"The organization whose customers are listed."`
	JSON         bool `help:"Write a JSON object a line."`
}

// Help implements [kong.HelpProvider].
func (listCustomers) Help() string { return exampleHelp("customers list --organization acme") }

// auditEntry implements [auditedCommand].
func (l listCustomers) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(l.Organization)}
}

// Run writes a line for each customer, in the order of their IDs.
func (l listCustomers) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		out := newList(std.out, l.JSON, "CUSTOMER\tPROVIDERS")
		var current *uuid.UUID
		providers := 0
		end := func() error {
			if current == nil {
				return nil
			}
			return out.write(fmt.Sprintf("%s\t%d", current, providers), map[string]any{"customerId": current, "providers": providers})
		}
		number, _, err := provider.FindOrganization(ctx, s, string(l.Organization))
		if err != nil {
			return organizationError("list customers", l.Organization, err)
		}
		err = provider.Export(ctx, s, number, func(customer uuid.UUID, record *provider.Provider) error {
			if current == nil || *current != customer {
				if err := end(); err != nil {
					return err
				}
				current, providers = &customer, 0
			}
			if record != nil {
				providers++
			}
			return nil
		})
		if err == nil {
			err = errors.Join(end(), out.Flush())
		}
		if err != nil {
			return organizationError("list customers", l.Organization, err)
		}
		return nil
	})
}

// list writes lines for a person, below a header, or JSON objects for a program.
type list struct {
	*bufio.Writer
	json   bool
	header string // until it is written
}

func newList(w io.Writer, json bool, header string) *list {
	return &list{Writer: bufio.NewWriter(w), json: json, header: header}
}

func (l *list) write(line string, object map[string]any) error {
	if l.json {
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(l, "%s\n", text)
		return err
	}
	if l.header != "" {
		fmt.Fprintln(l, l.header) // an error comes again at the end
		l.header = ""
	}
	_, err := fmt.Fprintln(l, line)
	return err
}
