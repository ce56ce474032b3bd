package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/google/uuid"
)

type auditCommand struct {
	Search searchAudit `cmd:"" help:"Print the lines of an audit trail that match all flags given."`
}

// Help implements [kong.HelpProvider].
func (auditCommand) Help() string {
	return exampleHelp("audit search audit.log --record 3c90c3cc-0d44-4b50-8888-8dd25736052a --since 2026-05-01 --until 2026-05-31")
}

type searchAudit struct {
	Files        []string   `arg:"" name:"file" placeholder:"FILE" help:"The files to search, in this order. They can be compressed by gzip."`
	Record       *uuid.UUID `placeholder:"ID" help:"A provider. Lines about everything that an organization has match, too."`
	Customer     *uuid.UUID `placeholder:"ID" help:"A customer."`
	Key          string     `placeholder:"ID" help:"A key, key_…, or a user of the dashboard, usr_…"`
	Operation    string     `placeholder:"TEXT" help:"What was done: an operationId of the contract, the words of a command, or what a person did in the dashboard, such as 'dashboard export'."`
	Organization name       `placeholder:"NAME" help:"The organization that the lines are about."`
	Since        instant    `placeholder:"TIME" help:"The first day, such as 2026-05-01, UTC, or a time, such as 2026-05-01T19:00:00Z."`
	Until        end        `placeholder:"TIME" help:"The last day, UTC, or a time."`
	JSON         bool       `help:"Print the lines as they are."`
}

// Help implements [kong.HelpProvider].
func (searchAudit) Help() string {
	return exampleHelp("audit search audit.log-* audit.log --record 3c90c3cc-0d44-4b50-8888-8dd25736052a --since 2026-05-01")
}

// Run prints a line for each that matches, its fields separated by tabs. Then it says what was searched, as the time of a search can be one
// that the files do not have.
func (a searchAudit) Run(ctx context.Context, _ *commands, std streams) error {
	out, damaged := bufio.NewWriter(std.out), 0
	filter, searched, found := a.filter(), 0, 0
	var first, last string // times
	if !a.JSON {
		fmt.Fprintln(out, "TIME\tWHO\tORGANIZATION\tOPERATION\tCUSTOMER\tRECORDS\tOUTCOME\tCLIENT\tREQUEST\tREASON")
	}
	for _, path := range a.Files {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("search the audit trail: %w", err)
		}
		n, err := audit.Read(file, func(line []byte, e *audit.Entry) error {
			if searched++; first == "" || e.Time < first {
				first = e.Time
			}
			last = max(last, e.Time)
			if !filter.Matches(e) {
				return ctx.Err()
			}
			found++
			text := string(escapeForTerminal(line))
			if !a.JSON {
				text = formatEntry(e)
			}
			_, err := fmt.Fprintln(out, text)
			return cmp.Or(err, ctx.Err())
		})
		file.Close()
		if err != nil {
			return errors.Join(fmt.Errorf("search the audit trail: read %s: %w", path, err), out.Flush())
		}
		damaged += n
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if damaged > 0 {
		return fmt.Errorf("search the audit trail: %s cannot be read, and may be among those that you look for", count(damaged, "line"))
	}
	_, err := fmt.Fprintf(std.err, "found %d of %s in %s, from %s to %s\n", found, count(searched, "line"), count(len(a.Files), "file"), cmp.Or(first, "-"), cmp.Or(last, "-"))
	return err
}

func (a searchAudit) filter() audit.Filter {
	return audit.Filter{
		Record: a.Record, Customer: a.Customer, Key: a.Key, Operation: a.Operation, Organization: string(a.Organization),
		Since: time.Time(a.Since), Until: time.Time(a.Until),
	}
}

// formatEntry returns the time of an entry, who it was, in which organization, what they did, to what, how it ended, and from where.
func formatEntry(e *audit.Entry) string {
	customer, records, outcome := "", strconv.Itoa(e.Count), e.Outcome
	if e.Customer != nil {
		customer = e.Customer.String()
	}
	switch {
	case e.Everything:
		records = "everything"
	case len(e.Records) == 1:
		records = e.Records[0].String()
	}
	if e.Status != 0 {
		outcome = strings.TrimSpace(strconv.Itoa(e.Status) + " " + e.Code)
	}
	organization := quote(e.OrganizationName)
	if e.NewName != "" {
		organization += " -> " + quote(e.NewName)
	}
	fields := []string{e.Time, cmp.Or(e.Operator, e.Key), organization, e.Operation, customer, records, outcome, e.Client, e.Request, quote(e.Reason)}
	for i, field := range fields {
		fields[i] = cmp.Or(string(escapeForTerminal([]byte(field))), "-")
	}
	return strings.Join(fields, "\t")
}

// quote quotes a text that is not empty.
func quote(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}
