package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type backupCommand struct {
	Dest  string `arg:"" placeholder:"DEST" help:"The file to write. Its directory must exist."`
	Force bool   `help:"Replace DEST if it exists."`
}

// Help implements [kong.HelpProvider].
func (backupCommand) Help() string {
	return exampleHelp("backup /backups/carecycle-2026-06-17.db")
}

// Run copies the database. It does not migrate it, so that a backup can be made before an upgrade.
func (b backupCommand) Run(ctx context.Context, c *commands, std streams) error {
	if c.Database.isPostgres() {
		return wrongUsage(errors.New("backup: this database is PostgreSQL's; use pg_dump"))
	}
	return copyDatabase("backed up", std, func(progress func(copied, total int64)) (sqlite.Copied, error) {
		copied, err := sqlite.Backup(ctx, string(c.Database), b.Dest, sqlite.CopyOptions{Replace: b.Force, Progress: progress})
		if err != nil {
			return copied, fmt.Errorf("backup: %w", err)
		}
		return copied, nil
	})
}

// copyDatabase shows the progress of a copy, and then what is in it.
func copyDatabase(what string, std streams, run func(progress func(copied, total int64)) (sqlite.Copied, error)) error {
	begin, screen, shown := time.Now(), &progress{out: std.err}, int64(0)
	copied, err := run(func(done, total int64) {
		if shown == 0 {
			screen.beginSize("copying", total)
		}
		screen.add(done - shown)
		shown = done
		if done == total {
			screen.end()
		}
	})
	screen.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.err, "%s %s with %s: %s in %v\n", what, count(int(copied.Records), "record"), count(int(copied.Versions), "version"),
		count(int(copied.Bytes), "byte"), time.Since(begin).Round(time.Millisecond))
	return err
}
