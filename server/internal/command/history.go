package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
)

type historyCommand struct {
	Show    showHistory    `cmd:"" default:"withargs" help:"Show what was done, with the values: to a provider, also a deleted one, or by a key, to a customer's providers, in an organization, at a time."`
	Archive archiveHistory `cmd:"" help:"Move events that are older than a date from the database to a file. The latest event of each provider stays."`
}

// Help implements [kong.HelpProvider].
func (historyCommand) Help() string {
	return exampleHelp("history 3c90c3cc-0d44-4b50-8888-8dd25736052a")
}

type showHistory struct {
	ID           *uuid.UUID `arg:"" optional:"" name:"provider-id" placeholder:"PROVIDER-ID" help:"The ID of a provider: its events are shown, the oldest first. Without it, the latest of those of all is the first."`
	Key          string     `placeholder:"KEY-ID" help:"Only what was done with this key, or by this user of the dashboard, usr_…"`
	Customer     *uuid.UUID `placeholder:"CUSTOMER-ID" help:"Only what was done to providers that this customer has, or had when they were deleted."`
	Organization name       `placeholder:"NAME" help:"Only what was done in this organization."`
	Since        instant    `placeholder:"TIME" help:"Only from this time on, such as 2026-01-31 or 2026-01-31T19:00:00Z."`
	Until        end        `placeholder:"TIME" help:"Only before this time, or until the end of this day."`
	JSON         bool       `help:"Write a JSON object a line for each event: the name of the organization, and the event as the API has it; without PROVIDER-ID also customerId and providerId."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (showHistory) Help() string {
	return exampleHelp("history show --key key_2Jk4vT9xQmZa --since 2026-01-31 --json")
}

// auditEntry implements [auditedCommand]. Without a provider's ID, the events can be those of any record.
func (h showHistory) auditEntry() audit.Entry {
	e := audit.Entry{Reason: string(h.Reason), OrganizationName: string(h.Organization), Customer: h.Customer, Key: loggableID(h.Key), Everything: h.ID == nil}
	if h.ID != nil {
		e.Records = []uuid.UUID{*h.ID}
	}
	return e
}

// instant is a time, or midnight of a day, UTC.
type instant time.Time

// UnmarshalText reads a flag's value.
func (i *instant) UnmarshalText(text []byte) error { return i.parse(text, 0) }

// parse reads a time, or a day, to which it adds days.
func (i *instant) parse(text []byte, days int) error {
	if day, err := time.Parse(time.DateOnly, string(text)); err == nil {
		*i = instant(day.AddDate(0, 0, days))
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("it is no time; write it as 2026-01-31 or 2026-01-31T19:00:00Z")
	}
	*i = instant(at)
	return nil
}

// end is a time, or the end of a day, UTC.
type end instant

// UnmarshalText reads a flag's value.
func (e *end) UnmarshalText(text []byte) error { return (*instant)(e).parse(text, 1) }

// query returns what the flags select.
func (h showHistory) query() provider.ActivityQuery {
	return provider.ActivityQuery{CustomerID: h.Customer, KeyID: h.Key, Since: time.Time(h.Since), Until: time.Time(h.Until)}
}

// Validate checks what the flags mean together.
func (h showHistory) Validate() error {
	switch {
	case h.ID != nil && h.Customer != nil:
		return errors.New("--customer is for the history of many providers; leave it or the provider's ID out")
	case h.ID == nil && h.Organization == "" && h.query() == (provider.ActivityQuery{}):
		return errors.New("name a provider, or what to look for: --key, --customer, --organization, --since, --until")
	}
	return nil
}

// Run writes the events.
func (h showHistory) Run(ctx context.Context, c *commands, std streams) error {
	q := h.query()
	return c.withStore(ctx, func(s store) (err error) {
		if h.Organization != "" {
			if q.Organization, _, err = provider.FindOrganization(ctx, s, string(h.Organization)); err != nil {
				return organizationError("history", h.Organization, err)
			}
		}
		buffered := bufio.NewWriter(std.out)
		var out eventWriter = &eventTable{out: buffered, many: h.ID == nil}
		if h.JSON {
			out = &eventLines{out: buffered, many: h.ID == nil}
		}
		found, err := h.each(ctx, s, q, out.write)
		if err == nil {
			err = errors.Join(out.end(), buffered.Flush())
		}
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if !found {
			return fmt.Errorf("history: no provider has or had the ID %s in this database; check the ID and --database", h.ID)
		}
		return nil
	})
}

// each calls f for each event, and reports whether there is anything that can have events.
func (h *showHistory) each(ctx context.Context, s store, q provider.ActivityQuery, f func(*provider.ActivityEvent) error) (found bool, _ error) {
	if h.ID == nil {
		return true, provider.EachActivity(ctx, s, q, f)
	}
	err := provider.HistoryByID(ctx, s, *h.ID, func(event *provider.OrganizationEvent) error {
		found = true
		if !q.Matches(&event.Event) || h.Organization != "" && event.Organization != string(h.Organization) {
			return nil
		}
		return f(&provider.ActivityEvent{OrganizationEvent: *event})
	})
	return found, err
}

// eventWriter is a form of the history.
type eventWriter interface {
	write(*provider.ActivityEvent) error
	end() error
}

// eventLines writes events as JSON, one on each line.
type eventLines struct {
	out  io.Writer
	many bool // events of many records
	line []byte
}

func (l *eventLines) write(event *provider.ActivityEvent) (err error) {
	if l.many {
		l.line, err = wire.AppendActivityEvent(l.line[:0], event)
	} else {
		l.line, err = wire.AppendOrganizationEvent(l.line[:0], &event.OrganizationEvent)
	}
	if err == nil {
		_, err = fmt.Fprintf(l.out, "%s\n", escapeForTerminal(l.line))
	}
	return err
}

func (l *eventLines) end() error { return nil }

// tableSection is how many events have columns of the same width.
const tableSection = 1000

// eventTable writes an event a line, and a further line for each further property that it changed.
type eventTable struct {
	out    io.Writer
	many   bool // events of many records
	table  *tabwriter.Writer
	events int // so far
}

func (t *eventTable) write(event *provider.ActivityEvent) error {
	header, ids, blank := "", "", ""
	if t.many {
		header, ids, blank = "CUSTOMER\tPROVIDER\t", fmt.Sprintf("%s\t%s\t", event.CustomerID, event.ProviderID), "\t\t"
	}
	if t.events%tableSection == 0 {
		if err := t.end(); err != nil {
			return err
		}
		t.table = tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t.table, "TIME\tORGANIZATION\t"+header+"VERSION\tACTION\tBY\tREQUEST\tCHANGES")
	}
	t.events++
	fmt.Fprintf(t.table, "%s\t%q\t%s%d\t%s\t%s\t%s\t", event.At.Format(wire.TimeFormat), event.Organization, ids, event.Version, event.Action,
		cmp.Or(event.By.KeyID, "operator"), cmp.Or(event.By.RequestID, "-"))
	for n, change := range event.Changes {
		if n > 0 {
			fmt.Fprint(t.table, "\n\t\t\t\t\t\t"+blank)
		}
		fmt.Fprintf(t.table, "%s: %s → %s", change.Field, formatValue(change.From), formatValue(change.To))
	}
	fmt.Fprintln(t.table)
	return nil
}

func (t *eventTable) end() error {
	if t.table == nil {
		return nil
	}
	return t.table.Flush()
}

// formatValue quotes text, so that no value reaches the terminal as a command to it.
func formatValue(value property.Value) string {
	if text, ok := value.Text(); ok {
		return strconv.Quote(text)
	}
	if flag, ok := value.Boolean(); ok {
		return strconv.FormatBool(flag)
	}
	return "null"
}

// escapeForTerminal escapes what a terminal may take for a command and JSON leaves as it is: DEL, the C1 controls, and the
// characters that turn the direction of text.
func escapeForTerminal(line []byte) []byte {
	var text []byte
	for _, r := range string(line) {
		if strconv.IsPrint(r) {
			text = utf8.AppendRune(text, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			text = fmt.Appendf(text, `\u%04x`, unit)
		}
	}
	return text
}
