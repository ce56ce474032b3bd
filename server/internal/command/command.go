// Package command is the program's command line: serve, keys, users, organizations, customers, import, export, history, purge, backup,
// restore, copy, verify, status, audit, migrate, version. Each command opens the store that --database names, does its work with the other
// packages, and closes it.
//
// To add a command, write a type with a Run method in a file of its own, and add a field of that type to commands: its name is
// the command's, its help tag is in --help, each of its flags gets an environment variable, and its method Help has an example. Its method
// auditEntry says what the audit trail holds of it.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/getkin/kin-openapi/openapi3"
)

// Exit codes.
const (
	Done    = 0
	Failure = 1 // one line on standard error says what and what to do
	Usage   = 2 // wrong usage
	Damaged = 3 // verify has found problems
	Due     = 4 // status, or migrate --status, has found something for the operator to do
)

// program is the program's documented name. It does not follow the name of the file, so that messages are the same everywhere.
const program = "carecycle-server"

type commands struct {
	Version kong.VersionFlag `env:"-" help:"Print the version, and exit."`

	Database     database `default:"${database}" placeholder:"FILE|postgres://…" help:"A SQLite file, or the URL of a PostgreSQL database. Default: ${database}."`
	DatabaseFile string   `type:"path" placeholder:"FILE" help:"A file that holds what --database would, for a URL with a password."`

	Audit auditFile `default:"off" placeholder:"FILE|-|off" help:"Where to record who reads and changes what. Default: off."`

	Serve         serveCommand         `cmd:"" help:"Serve the API."`
	Keys          keysCommand          `cmd:"" help:"Create, list, rotate, update, revoke and remove API keys."`
	Users         usersCommand         `cmd:"" help:"Create and list the people who use the dashboard, and set what they may do."`
	Organizations organizationsCommand `cmd:"" help:"List, rename, suspend and resume organizations."`
	Customers     customersCommand     `cmd:"" help:"List the customers of an organization."`
	Import        importCommand        `cmd:"" help:"Import providers from NDJSON, one JSON object a line."`
	Export        exportCommand        `cmd:"" help:"Write an organization's providers as NDJSON, in import's format, to standard output."`
	History       historyCommand       `cmd:"" help:"Show what was done to a provider, by a key, or in an organization, or move old events to a file."`
	Backup        backupCommand        `cmd:"" help:"Write a copy of a SQLite database, which can be in use, to a file."`
	Restore       restoreCommand       `cmd:"" help:"Put a backup in the place of a SQLite database that no process has open."`
	Copy          copyCommand          `cmd:"" help:"Copy a whole database to an empty one, such as from SQLite to PostgreSQL, and compare the two."`
	Verify        verifyCommand        `cmd:"" help:"Read all of a database, which can be in use, and report what is wrong with it."`
	Status        statusCommand        `cmd:"" help:"Show the state of a database, which can be in use: schema, sizes, last backup, keys that end."`
	Purge         purgeCommand         `cmd:"" help:"Remove the values of a deleted provider, of a customer or of an organization for good, with their history."`
	AuditTrail    auditCommand         `cmd:"" name:"audit" help:"Search an audit trail."`
	Migrate       migrateCommand       `cmd:"" help:"Bring the database's schema up to date, and do nothing else; or say what that would do."`
	Completion    completionCommand    `cmd:"" help:"Print a script for a shell, which then completes commands and flags."`
	Complete      completeCommand      `cmd:"" hidden:""`
	Man           manCommand           `cmd:"" help:"Print the manual page."`
	PrintVersion  versionCommand       `cmd:"" name:"version" help:"Print the version."`

	std   streams
	entry audit.Entry  // the last line of the command in the audit trail; commands add what they find out
	flags []*kong.Flag // of the command, and of the program
}

// streams are the standard streams of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Run runs the command that the arguments name, until it is done or ctx is, and returns the exit code. Every flag can
// be given as an environment variable instead: --rate-limit as CARECYCLE_RATE_LIMIT.
//
// Without arguments it shows the help.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	type exit int
	defer func() {
		if e := recover(); e != nil {
			asked, ok := e.(exit)
			if !ok {
				panic(e)
			}
			code = int(asked)
		}
	}()
	var c commands
	parser := newParser(&c, kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exit(code)) })) // --help, --version
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		message := variableValue.ReplaceAllString(err.Error(), "$1)")
		message = noValue.ReplaceAllString(message, "a value is missing")
		message = noUUID.ReplaceAllString(message, "it must be a UUID, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a")
		fmt.Fprintf(stderr, "%s: %s; see %s --help\n", program, message, misused(err))
		return Usage
	}
	if err := c.readDatabaseFile(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return Usage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	c.std, c.flags = streams{stdin, stdout, stderr}, command.Flags()
	command.Bind(&c, c.std)
	if err := c.run(ctx, command); err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", program, strings.ReplaceAll(err.Error(), "\n", "; "))
		if coded, ok := errors.AsType[*exitError](err); ok {
			return coded.code
		}
		return Failure
	}
	return Done
}

// newParser returns the parser of the command line, which fills c.
func newParser(c *commands, options ...kong.Option) *kong.Kong {
	return kong.Must(c, append(options,
		kong.Name(program),
		kong.Description("The careCycle customer provider API: a durable store of providers, and the keys to it."),
		kong.Vars{
			"database": defaultDatabase, "permissions": joinPermissions(apikey.Permissions()), "states": joinStates(), "version": versionLine(), "levels": logLevels,
		},
		kong.DefaultEnvars("CARECYCLE"),
		kong.UsageOnError(),
		kong.NamedMapper("days", kong.MapperFunc(mapDays)),
	)...)
}

// misused returns the command whose help says more about an error of the command line.
func misused(err error) string {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		if node := parse.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return program
}

// exampleHelp returns the end of a command's help. The line begins with the command's name; a test parses it.
func exampleHelp(line string) string { return "Example:\n\n    " + program + " " + line }

// variableValue matches what kong appends to the error of an environment variable: its name, and its value, which may be a secret.
var variableValue = regexp.MustCompile(`(?s)(\(from envar \w+)=".*"\)`)

// Errors that are put into other words: of a flag at the end of the line whose value is missing, and of an ID.
var (
	noValue = regexp.MustCompile(`expected \w+ value but got "EOL" \(<EOL>\)`)
	noUUID  = regexp.MustCompile(`invalid UUID (length: \d+|format)`)
)

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

func wrongUsage(err error) error { return &exitError{err, Usage} }

// contract returns openapi.yaml, which is read once. Nothing changes it.
var contract = sync.OnceValues(func() (*openapi3.T, error) { return gen.ReadContract(providerapi.Contract) })

// mapDays reads a duration that may count days: 14d, 24h, 90m.
func mapDays(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	duration, err := time.ParseDuration(text)
	if days, found := strings.CutSuffix(text, "d"); found {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16) // at most 89 years: a Duration holds 292
		duration = time.Duration(n) * 24 * time.Hour
	}
	useless := duration == 0 && ctx.Value.Name == "expires" // and would be taken for never
	if err != nil || duration < 0 || useless {
		return fmt.Errorf("%q is no duration; write 14d, 24h or 90m", text)
	}
	target.SetInt(int64(duration))
	return nil
}
