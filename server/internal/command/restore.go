package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type restoreCommand struct {
	Src   string `arg:"" placeholder:"SRC" help:"The file that backup has written."`
	Force bool   `help:"Replace the database if it exists. What it has is lost."`
}

// Help implements [kong.HelpProvider].
func (restoreCommand) Help() string {
	return exampleHelp("restore /backups/carecycle-2026-06-17.db --force")
}

// Run copies the backup. Whatever opens the database next migrates it.
func (r restoreCommand) Run(ctx context.Context, c *commands, std streams) error {
	if c.Database.isPostgres() {
		return wrongUsage(errors.New("restore: this database is PostgreSQL's; use pg_restore"))
	}
	if err := c.ensureDirectory(); err != nil {
		return err
	}
	return copyDatabase("restored", std, func(progress func(copied, total int64)) (sqlite.Copied, error) {
		copied, err := sqlite.Restore(ctx, string(c.Database), r.Src, sqlite.CopyOptions{Replace: r.Force, Progress: progress})
		if err != nil {
			return copied, fmt.Errorf("restore: %w", err)
		}
		return copied, nil
	})
}
