package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/google/uuid"
)

// auditFile is the value of --audit: the path of a file, - or off.
type auditFile string

// UnmarshalText reads a flag's value.
func (a *auditFile) UnmarshalText(text []byte) error {
	*a = auditFile(text)
	if len(text) == 0 {
		return errors.New("it is empty; write the path of a file, - or off")
	}
	return nil
}

func (a auditFile) off() bool { return a == "" || a == "off" }

// open returns the trail. - stands for w.
func (a auditFile) open(w io.Writer, o audit.Options) (*audit.Trail, error) {
	if a == "-" {
		return audit.New(w, o), nil
	}
	trail, err := audit.Open(string(a), o)
	if err != nil {
		return nil, fmt.Errorf("--audit: %w", err)
	}
	return trail, nil
}

// auditedCommand is a command that reads or changes data or keys. A test rejects commands that neither implement it nor are listed there.
type auditedCommand interface {
	// auditEntry returns what the trail says of the command before it begins: the organization, the record or the key that it names, the
	// file, the reason, and whether it reads or changes everything. Run adds the rest to commands.entry.
	auditEntry() audit.Entry
}

// reasoned has the flag of commands that remove data or read much of it.
type reasoned struct {
	Reason reason `placeholder:"TEXT" help:"Why, for the audit trail; name no person."`
}

// reason is a text of one line.
type reason string

// UnmarshalText reads a flag's value.
func (r *reason) UnmarshalText(text []byte) error {
	var line name
	err := line.UnmarshalText(text)
	*r = reason(line)
	return err
}

// run runs the command that was parsed. If there is an audit trail, one line says that it begins, before it does anything, and another one
// how it ended.
func (c *commands) run(ctx context.Context, command *kong.Context) error {
	selected := command.Selected()
	audited, ok := selected.Target.Interface().(auditedCommand)
	if !ok || c.Audit.off() {
		return command.Run()
	}
	trail, err := c.Audit.open(c.std.err, audit.Options{ // standard output is for what the command prints
		Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer trail.Close() // its errors are reported below
	c.entry = audited.auditEntry()
	c.entry.Operation, c.entry.Operator, c.entry.Request = commandWords(selected)+harmless(selected), operator(), uuid.Must(uuid.NewV7()).String()
	c.entry.Outcome = audit.Started
	if err := trail.RecordDurably(ctx, c.entry); err != nil {
		return fmt.Errorf("nothing was done, as the audit trail cannot be written: %w", err)
	}
	err = command.Run()
	c.entry.Outcome = audit.Done
	if err != nil {
		c.entry.Outcome = audit.Failed
	}
	if auditErr := trail.RecordDurably(ctx, c.entry); auditErr != nil {
		err = errors.Join(err, fmt.Errorf("the audit trail says that this began, and lacks how it ended: %w", auditErr))
	}
	return err
}

// commandWords returns the words of a command, such as keys create.
func commandWords(node *kong.Node) string {
	return strings.TrimPrefix(node.FullPath(), program+" ")
}

// harmless returns the flag, if there is one, with which a command that changes something changes nothing.
func harmless(node *kong.Node) string {
	for _, flag := range node.Flags {
		if (flag.Name == "dry-run" || flag.Name == "status") && flag.Target.Bool() {
			return " --" + flag.Name
		}
	}
	return ""
}

// operator returns the user who runs the program and, with sudo, who that is.
func operator() string {
	name := "user " + strconv.Itoa(os.Getuid())
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		return sudo + " as " + name
	}
	return name
}

// completeEntry adds the organization that a command was about, as far as the entry tells. An error is the command's to report.
func (c *commands) completeEntry(ctx context.Context, s store) {
	e := &c.entry
	switch {
	case e.Organization != 0: // which may be gone by now
	case e.OrganizationName != "":
		e.Organization, _ = s.FindOrganization(ctx, e.OrganizationName)
	case e.Key != "":
		key, _ := s.KeyByID(ctx, e.Key)
		e.Organization, e.OrganizationName = key.Organization, key.OrganizationName
	case len(e.Records) == 1:
		if owners, _ := s.Owners(ctx, e.Records[0]); len(owners) == 1 {
			e.Organization, e.OrganizationName = owners[0].Organization, owners[0].Name
		}
	}
}
