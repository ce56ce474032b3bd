package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/carecycle/provider-api/server/internal/ndjson"
	"github.com/carecycle/provider-api/server/internal/validate"
)

type imports struct {
	File         string `arg:"" placeholder:"FILE|-" help:"The file to import, or - for standard input."`
	Organization name   `required:"" placeholder:"NAME" help:"The organization that the records belong to; made if there is none of that name."`
	SkipInvalid  bool   `help:"Import the valid lines although others are not. Without it, one invalid line keeps all from being imported."`
}

// maxReported is how many invalid lines are told one by one.
const maxReported = 100

func (i imports) Run(ctx context.Context, c *commands, std streams) error {
	doc, err := contract()
	if err != nil {
		return err
	}
	schema, err := validate.ImportLine(doc)
	if err != nil {
		return err
	}
	lines, err := i.open(std.in)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer lines.Close()

	reported := 0
	importer := &ndjson.Importer{Schema: schema, Invalid: func(line int, reason string) {
		if reported++; reported <= maxReported {
			fmt.Fprintf(std.err, "line %d: %s\n", line, reason)
		}
	}}
	if !i.SkipInvalid {
		checked, err := importer.Check(lines)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if checked.Invalid > 0 {
			return fmt.Errorf("import: %s, so nothing was imported; mend them, or import the others with --skip-invalid", invalidLines(checked.Invalid))
		}
		if _, err := lines.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}
	return with(ctx, c.Database, func(s store) error {
		importer.Store = s
		if importer.Organization, err = s.Organization(ctx, string(i.Organization)); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		result, err := importer.Import(ctx, lines)
		if err != nil {
			return fmt.Errorf("import: stopped after %d records: %w; run it again to complete it", result.Imported, err)
		}
		summary := fmt.Sprintf("imported %d records", result.Imported)
		if result.Invalid > 0 {
			summary += "; " + invalidLines(result.Invalid) + " and left out"
		}
		_, err = fmt.Fprintln(std.err, summary)
		return err
	})
}

func invalidLines(n int) string {
	text := fmt.Sprintf("%d lines are invalid", n)
	if n == 1 {
		text = "1 line is invalid"
	}
	if n > maxReported {
		text += fmt.Sprintf(" (the first %d are told above)", maxReported)
	}
	return text
}

// open opens what is to be imported so that it can be read twice: once to check all lines, once to import them.
func (i imports) open(stdin io.Reader) (*os.File, error) {
	if i.File != "-" {
		file, err := os.Open(i.File)
		if err != nil {
			return nil, err
		}
		if info, err := file.Stat(); err != nil || info.Mode().IsRegular() || info.IsDir() {
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
