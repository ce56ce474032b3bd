package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
)

type historyCommand struct {
	ID   uuid.UUID `arg:"" name:"provider-id" placeholder:"PROVIDER-ID" help:"The ID of a provider."`
	JSON bool      `help:"Write a JSON object a line for each event: the name of the organization, and the event as the API has it."`
}

func (h historyCommand) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		events, err := s.HistoryByID(ctx, h.ID)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if len(events) == 0 {
			return fmt.Errorf("history: no provider has or had the ID %s in this database; check the ID and --database", h.ID)
		}
		if h.JSON {
			return writeEvents(std.out, events)
		}
		return writeTable(std.out, events)
	})
}

func writeEvents(out io.Writer, events []provider.OrganizationEvent) error {
	var line []byte
	for i := range events {
		var err error
		if line, err = wire.AppendOrganizationEvent(line[:0], &events[i]); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", escapeForTerminal(line)); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes an event a line, and a further line for each further property that it changed.
func writeTable(out io.Writer, events []provider.OrganizationEvent) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tORGANIZATION\tVERSION\tACTION\tBY\tREQUEST\tCHANGES")
	for _, event := range events {
		fmt.Fprintf(table, "%s\t%q\t%d\t%s\t%s\t%s\t", event.At.Format(wire.TimeFormat), event.Organization, event.Version, event.Action,
			cmp.Or(event.By.KeyID, "operator"), cmp.Or(event.By.RequestID, "-"))
		for n, change := range event.Changes {
			if n > 0 {
				fmt.Fprint(table, "\n\t\t\t\t\t\t")
			}
			fmt.Fprintf(table, "%s: %s → %s", change.Field, formatValue(change.From), formatValue(change.To))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
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
