package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

type organizationsCommand struct {
	List listOrganizations `cmd:"" help:"List all organizations, with the numbers that the log has."`
}

// Help implements [kong.HelpProvider].
func (organizationsCommand) Help() string { return exampleHelp("organizations list") }

type listOrganizations struct {
	JSON bool `help:"Write a JSON object a line."`
}

// Help implements [kong.HelpProvider].
func (listOrganizations) Help() string { return exampleHelp("organizations list --json") }

// Run writes a line for each organization.
func (l listOrganizations) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		organizations, err := s.ListOrganizations(ctx)
		if err != nil {
			return fmt.Errorf("list organizations: %w", err)
		}
		out := newList(std.out, l.JSON, "NUMBER\tNAME")
		for _, organization := range organizations {
			err := out.write(fmt.Sprintf("%d\t%q", organization.Number, organization.Name), map[string]any{"number": organization.Number, "name": organization.Name})
			if err != nil {
				return err
			}
		}
		return out.Flush()
	})
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
		err := provider.Export(ctx, s, string(l.Organization), func(customer uuid.UUID, record *provider.Provider) error {
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
		if provider.CodeOf(err) == provider.CodeNoOrganization {
			return fmt.Errorf("list customers: there is no organization %q in this database; check --organization and --database", l.Organization)
		}
		if err == nil {
			err = errors.Join(end(), out.Flush())
		}
		if err != nil {
			return fmt.Errorf("list customers: %w", err)
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
