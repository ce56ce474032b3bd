// Command server is the program carecycle-server, which serves the careCycle customer provider API. It also creates API keys, and imports
// and exports records. `carecycle-server --help` lists its commands. The packages under internal do the work:
//
//   - command: the command line, which connects the other packages;
//   - api, validate, apikey: receive and check a request, with wire, docs and metrics for responses, and tracing;
//   - provider: the domain, which applies every change of a record;
//   - writes, batch, sqlite, postgres, schema: store it;
//   - transfer: the import and the export;
//   - audit: the audit trail;
//   - dashboard, account, usage: the pages for people, who may see them, and the counts that they show.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/carecycle/provider-api/server/internal/command"
)

func main() {
	memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup)) // unless GOMEMLIMIT is set; an error means that the container has no limit
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := command.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
