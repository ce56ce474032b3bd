package command

import (
	"context"
	"fmt"
	"runtime/debug"
)

type migrate struct{}

// Run does no more than open the store, which migrates it.
func (migrate) Run(ctx context.Context, c *commands, io streams) error {
	return with(ctx, c.Database, func(store) error {
		_, err := fmt.Fprintln(io.err, "the schema is up to date")
		return err
	})
}

type version struct{}

func (version) Run(io streams) error {
	_, err := fmt.Fprintln(io.out, programVersion())
	return err
}

// programVersion is the module's version, the commit it was built from where that is known, and Go's version.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			text += " " + setting.Value
		}
	}
	return text + " " + info.GoVersion
}
