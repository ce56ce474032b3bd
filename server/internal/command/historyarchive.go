package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
)

type archiveHistory struct {
	Before date   `required:"" placeholder:"DATE" help:"The first day whose events stay, such as 2026-01-31, in UTC."`
	File   string `arg:"" placeholder:"FILE" help:"The file to write, in the form of history --json. It must not exist."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (archiveHistory) Help() string {
	return exampleHelp("history archive --before 2026-01-01 events-2025.ndjson")
}

// date is midnight of a day, UTC.
type date time.Time

// UnmarshalText reads a flag's value.
func (d *date) UnmarshalText(text []byte) error {
	day, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return errors.New("it is no date; write it as 2026-01-31")
	}
	if day.After(time.Now()) {
		return errors.New("it is in the future")
	}
	*d = date(day)
	return nil
}

// auditEntry implements [auditedCommand].
func (a archiveHistory) auditEntry() audit.Entry {
	return audit.Entry{Everything: true, File: a.File, Reason: string(a.Reason)}
}

func (a archiveHistory) Run(ctx context.Context, c *commands, std streams) error {
	return c.withStore(ctx, func(s store) error {
		file, err := os.OpenFile(a.File, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // it has values of records
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("archive: the file %s exists, and was left as it is; name another one", a.File)
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		out := &archiveFile{file: file}
		events, err := provider.Archive(ctx, s, time.Time(a.Before), out.save)
		c.entry.Count = events
		err = errors.Join(err, file.Close())
		if out.size == 0 {
			err = errors.Join(err, os.Remove(a.File))
		}
		switch {
		case err != nil && events > 0:
			return fmt.Errorf("archive: %w; %s has the %s that were removed so far: run it again with another file", err, a.File, count(events, "event"))
		case err != nil:
			return fmt.Errorf("archive: %w; nothing was removed", err)
		case events == 0:
			_, err = fmt.Fprintf(std.err, "there is no event before %s to archive; no file was written\n", time.Time(a.Before).Format(time.DateOnly))
			return err
		}
		_, err = fmt.Fprintf(std.err, "moved %s to %s\n", count(events, "event"), a.File)
		return err
	})
}

// archiveFile is a file that events are moved to.
type archiveFile struct {
	file *os.File
	size int64
}

// save returns once the events are on disk, and were read from there again.
func (a *archiveFile) save(events []provider.OrganizationEvent) error {
	var lines []byte
	for i := range events {
		line, err := wire.AppendOrganizationEvent(nil, &events[i])
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := a.file.WriteAt(lines, a.size); err != nil {
		return err
	}
	if err := a.file.Sync(); err != nil {
		return err
	}
	written := make([]byte, len(lines))
	if _, err := a.file.ReadAt(written, a.size); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(written, lines) {
		return errors.New("the file does not hold what was written")
	}
	a.size += int64(len(lines))
	return nil
}
