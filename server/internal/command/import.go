package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/transfer"
)

type importCommand struct {
	File string `arg:"" placeholder:"FILE|-" help:"The file to import, or - for standard input."`
	ownerFlags
	SkipInvalid bool `help:"Import the valid lines although others are not. Without it, one invalid line keeps all from being imported."`
}

// Help implements [kong.HelpProvider].
func (importCommand) Help() string {
	return exampleHelp("import docs/example.ndjson --organization acme")
}

// maxReported is how many invalid lines are reported one by one.
const maxReported = 100

// auditEntry implements [auditedCommand].
func (i importCommand) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(i.Organization), File: i.File}
}

func (i importCommand) Run(ctx context.Context, c *commands, std streams) error {
	doc, err := contract()
	if err != nil {
		return err
	}
	importer, err := transfer.NewImporter(doc)
	if err != nil {
		return err
	}
	lines, err := i.open(std.in)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer lines.Close()

	screen := &progress{out: std.err}
	reported := 0
	importer.Progress = func(_ int, bytes int64) { screen.reach(bytes) }
	importer.Invalid = func(line int, reason string) {
		if reported++; reported <= maxReported {
			screen.printf("line %d: %s\n", line, reason)
		}
	}
	return c.withNewStore(ctx, storeOptions{}, func(s store) error { // which fails before a long check, rather than after it
		if err := i.check(ctx, importer, lines, screen); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		importer.Store = s
		if importer.Organization, _, err = i.ensure(ctx, s, std); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		screen.beginFile("importing", lines)
		result, err := importer.Import(ctx, lines)
		screen.end()
		c.entry.Count = result.Records.Records()
		if err != nil {
			return fmt.Errorf("import: stopped after %s: %w; run it again to complete it", count(result.Records.Records(), "record"), err)
		}
		_, err = fmt.Fprintln(std.err, summary(result))
		return err
	})
}

// check checks all lines, unless invalid ones are to be skipped.
func (i importCommand) check(ctx context.Context, importer *transfer.Importer, lines *os.File, screen *progress) error {
	if i.SkipInvalid {
		return nil
	}
	screen.beginFile("checking", lines)
	defer screen.end()
	checked, err := importer.Check(ctx, lines)
	if err == nil && checked.Invalid > 0 {
		err = fmt.Errorf("%s, so nothing was imported; fix them, or import the others with --skip-invalid", invalidLines(checked.Invalid))
	}
	return err
}

func summary(result transfer.Result) string {
	records := result.Records
	text := "imported " + count(records.Records(), "record")
	if records.Records() > 0 {
		text += fmt.Sprintf(": %d new, %d changed, %d unchanged", records.Created, records.Changed, records.Unchanged)
	}
	if result.Customers > 0 {
		text += "; " + count(result.Customers, "line") + " with a customer alone"
	}
	if result.Invalid > 0 {
		text += "; skipped " + count(result.Invalid, "invalid line")
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func invalidLines(n int) string {
	text := fmt.Sprintf("%d lines are invalid", n)
	if n == 1 {
		text = "1 line is invalid"
	}
	if n > maxReported {
		text += fmt.Sprintf(" (the first %d are reported above)", maxReported)
	}
	return text
}

// open opens what is to be imported so that it can be read twice: once to check all lines, once to import them.
func (i importCommand) open(stdin io.Reader) (*os.File, error) {
	if i.File != "-" {
		file, err := os.Open(i.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s; check its name, or use - for standard input", i.File)
		}
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory; name a file in it, or use - for standard input", i.File)
		}
		if err != nil || info.Mode().IsRegular() {
			return file, err
		}
		defer file.Close() // a pipe
		stdin = file
	}
	spool, err := os.CreateTemp("", "import-*.ndjson") // readable for this user alone
	if err != nil {
		return nil, err
	}
	err = os.Remove(spool.Name()) // the open file stays usable, and nothing stays behind
	if err == nil {
		_, err = io.Copy(spool, stdin)
	}
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return spool, nil
}
