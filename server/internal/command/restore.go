package command

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type restoreCommand struct {
	Src   string `arg:"" placeholder:"SRC" help:"The file that backup has written."`
	Force bool   `help:"Replace the database if it exists. What it has is lost."`
	reasoned
}

// Help implements [kong.HelpProvider].
func (restoreCommand) Help() string {
	return exampleHelp("restore /backups/carecycle-2026-06-17.db --force")
}

// auditEntry implements [auditedCommand].
func (r restoreCommand) auditEntry() audit.Entry {
	return audit.Entry{Everything: true, File: r.Src, Reason: string(r.Reason)}
}

// Run copies the backup. Whatever opens the database next migrates it.
func (r restoreCommand) Run(ctx context.Context, c *commands, std streams) error {
	return c.copyDatabase("restore", "pg_restore", "restored", std, func(progress func(copied, total int64)) (sqlite.Copied, error) {
		if err := c.ensureDirectory(); err != nil {
			return sqlite.Copied{}, err
		}
		return sqlite.Restore(ctx, string(c.Database), r.Src, sqlite.CopyOptions{Replace: r.Force, Progress: progress})
	})
}
