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
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
)

type historyCommand struct {
	Show    showHistory    `cmd:"" default:"withargs" help:"Show what was done to a provider, also a deleted one, with the values."`
	Archive archiveHistory `cmd:"" help:"Move events that are older than a date from the database to a file. The latest event of each provider stays."`
}

// Help implements [kong.HelpProvider].
func (historyCommand) Help() string {
	return exampleHelp("history 3c90c3cc-0d44-4b50-8888-8dd25736052a")
}

type showHistory struct {
	ID   uuid.UUID `arg:"" name:"provider-id" placeholder:"PROVIDER-ID" help:"The ID of a provider."`
	JSON bool      `help:"Write a JSON object a line for each event: the name of the organization, and the event as the API has it."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (showHistory) Help() string {
	return exampleHelp("history show 3c90c3cc-0d44-4b50-8888-8dd25736052a --json")
}

// auditEntry implements [auditedCommand].
func (h showHistory) auditEntry() audit.Entry {
	return audit.Entry{Records: []uuid.UUID{h.ID}, Reason: string(h.Reason)}
}

func (h showHistory) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		buffered := bufio.NewWriter(std.out)
		var out eventWriter = &eventTable{out: buffered}
		if h.JSON {
			out = &eventLines{out: buffered}
		}
		events := 0
		err := provider.HistoryByID(ctx, s, h.ID, func(event *provider.OrganizationEvent) error {
			events++
			return out.write(event)
		})
		if err == nil {
			err = errors.Join(out.end(), buffered.Flush())
		}
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if events == 0 {
			return fmt.Errorf("history: no provider has or had the ID %s in this database; check the ID and --database", h.ID)
		}
		return nil
	})
}

// eventWriter is a form of the history.
type eventWriter interface {
	write(*provider.OrganizationEvent) error
	end() error
}

// eventLines writes events as JSON, one on each line.
type eventLines struct {
	out  io.Writer
	line []byte
}

func (l *eventLines) write(event *provider.OrganizationEvent) (err error) {
	if l.line, err = wire.AppendOrganizationEvent(l.line[:0], event); err == nil {
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
	table  *tabwriter.Writer
	events int // so far
}

func (t *eventTable) write(event *provider.OrganizationEvent) error {
	if t.events%tableSection == 0 {
		if err := t.end(); err != nil {
			return err
		}
		t.table = tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t.table, "TIME\tORGANIZATION\tVERSION\tACTION\tBY\tREQUEST\tCHANGES")
	}
	t.events++
	fmt.Fprintf(t.table, "%s\t%q\t%d\t%s\t%s\t%s\t", event.At.Format(wire.TimeFormat), event.Organization, event.Version, event.Action,
		cmp.Or(event.By.KeyID, "operator"), cmp.Or(event.By.RequestID, "-"))
	for n, change := range event.Changes {
		if n > 0 {
			fmt.Fprint(t.table, "\n\t\t\t\t\t\t")
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
