// Command server serves the careCycle customer provider API, and makes the keys and imports the records that it
// serves. `server --help` lists what it can do; the work is done in the packages under internal:
//
//   - command: the command line; it wires the others together;
//   - api, validate, apikey, wire, docs, metrics: a request's way in, in this order;
//   - provider: the domain; every record is changed by it, whichever way the change came;
//   - batch, sqlite, postgres: the way to the disk;
//   - ndjson: the import and the export.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/carecycle/provider-api/server/internal/command"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a tenth less of the processor for a request, for some tens of MiB
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := command.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
