package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storecopy"
)

type copyCommand struct {
	From     database `placeholder:"FILE|postgres://…" help:"The database that is copied, in the form of --database. No process may have it open."`
	FromFile string   `type:"path" placeholder:"FILE" help:"A file that holds what --from would, for a URL with a password."`
	To       database `placeholder:"FILE|postgres://…" help:"The database that becomes the copy: a new file, an empty database, or a copy that was interrupted."`
	ToFile   string   `type:"path" placeholder:"FILE" help:"A file that holds what --to would, for a URL with a password."`
}

// Help implements [kong.HelpProvider].
func (copyCommand) Help() string {
	return exampleHelp("copy --from data/carecycle.db --to postgres://user@db1/carecycle")
}

// auditEntry implements [auditedCommand].
func (copyCommand) auditEntry() audit.Entry { return audit.Entry{Everything: true} }

// Run copies and compares. It neither uses nor changes the database that --database names.
func (k copyCommand) Run(ctx context.Context, std streams) error {
	if err := errors.Join(readEnd("from", &k.From, k.FromFile), readEnd("to", &k.To, k.ToFile)); err != nil {
		return wrongUsage(fmt.Errorf("copy: %w", err))
	}
	if k.From == k.To {
		return wrongUsage(errors.New("copy: --from and --to name the same database"))
	}
	begin := time.Now()
	counts, err := k.copy(ctx, std)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	_, err = fmt.Fprintf(std.err, "copied and compared %s, %s, %s, %s with %s, and %s in %v\n",
		count(int(counts[schema.Organizations]), "organization"), count(int(counts[schema.APIKeys]), "API key"), count(int(counts[schema.Customers]), "customer"),
		count(int(counts[schema.Providers]), "record"), count(int(counts[schema.Events]), "version"), count(int(counts[schema.IdempotencyKeys]), "idempotency key"),
		time.Since(begin).Round(time.Millisecond))
	return err
}

// readEnd reads one of the two databases from its file, if it has one.
func readEnd(flag string, d *database, file string) error {
	switch {
	case file == "" && *d == "":
		return fmt.Errorf("--%s is missing; name a SQLite file, or the URL of a PostgreSQL database", flag)
	case file == "":
		return nil
	case *d != "":
		return fmt.Errorf("--%s and --%[1]s-file exclude each other; give one of them", flag)
	}
	return d.read("--"+flag+"-file", file)
}

func (k copyCommand) copy(ctx context.Context, std streams) (counts map[*schema.Table]int64, err error) {
	from, err := openSource(ctx, k.From)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	defer from.Close()
	to, err := openTarget(ctx, k.To, std)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	screen := &progress{out: std.err}
	defer screen.end()
	return storecopy.Copy(ctx, from, to, storecopy.Options{
		Begin: func(doing string, rows int64) {
			screen.end()
			screen.beginRows(doing, rows)
		},
		Progress: screen.add,
	})
}

func openSource(ctx context.Context, d database) (storecopy.Source, error) {
	if d.isPostgres() {
		return postgres.OpenCopySource(ctx, string(d))
	}
	return sqlite.OpenCopySource(ctx, string(d))
}

func openTarget(ctx context.Context, d database, std streams) (storecopy.Target, error) {
	if d.isPostgres() {
		return postgres.OpenCopyTarget(ctx, string(d), func(reason string) { fmt.Fprintf(std.err, program+": waiting for %s\n", reason) })
	}
	return sqlite.OpenCopyTarget(ctx, string(d))
}
