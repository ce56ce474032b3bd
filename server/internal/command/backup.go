package command

import (
	"context"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type backupCommand struct {
	Dest  string `arg:"" placeholder:"DEST" help:"The file to write. Its directory must exist."`
	Force bool   `help:"Replace DEST if it exists."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (backupCommand) Help() string {
	return exampleHelp("backup /backups/carecycle-2026-06-17.db")
}

// auditEntry implements [auditedCommand].
func (b backupCommand) auditEntry() audit.Entry {
	return audit.Entry{Everything: true, File: b.Dest, Reason: string(b.Reason)}
}

// Run copies the database. It does not migrate it, so that a backup can be made before an upgrade.
func (b backupCommand) Run(ctx context.Context, c *commands, std streams) error {
	return c.copyDatabase("backup", "pg_dump", "backed up", std, func(progress func(copied, total int64)) (sqlite.Copied, error) {
		copied, err := sqlite.Backup(ctx, string(c.Database), b.Dest, sqlite.CopyOptions{Replace: b.Force, Progress: progress})
		if err == nil && copied.Unrecorded != nil {
			fmt.Fprintf(std.err, program+": the backup is complete, but status and the metrics will not show it: %v\n", copied.Unrecorded)
		}
		return copied, err
	})
}

// copyDatabase runs a command that copies a SQLite database, shows the progress, and then what is in the copy. postgres is the program that
// does the same for PostgreSQL.
func (c *commands) copyDatabase(command, postgres, done string, std streams, run func(progress func(copied, total int64)) (sqlite.Copied, error)) error {
	if c.Database.isPostgres() {
		return wrongUsage(fmt.Errorf("%s: this database is PostgreSQL's; use %s", command, postgres))
	}
	begin, screen := time.Now(), &progress{out: std.err}
	copied, err := run(func(bytes, total int64) {
		if screen.size == 0 {
			screen.beginSize("copying", total)
		}
		screen.reach(bytes)
		if bytes == total {
			screen.end()
		}
	})
	screen.end()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	_, err = fmt.Fprintf(std.err, "%s %s with %s: %s in %v\n", done, count(int(copied.Records), "record"), count(int(copied.Versions), "version"),
		count(int(copied.Bytes), "byte"), time.Since(begin).Round(time.Millisecond))
	return err
}
