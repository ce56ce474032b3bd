package command

import (
	"context"
	"fmt"
)

type migrateCommand struct{}

// Help implements [kong.HelpProvider].
func (migrateCommand) Help() string { return exampleHelp("migrate") }

// Run does no more than open the store, which migrates it.
func (migrateCommand) Run(ctx context.Context, c *commands, io streams) error {
	return c.withNewStore(ctx, storeOptions{}, func(store) error {
		_, err := fmt.Fprintln(io.err, "the schema is up to date")
		return err
	})
}
