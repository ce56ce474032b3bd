package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
)

type keysCommand struct {
	Create createKey `cmd:"" help:"Create a key, and print it: it cannot be shown again."`
	List   listKeys  `cmd:"" help:"List keys, a line each, the ID first: of one organization or of every one, in one state or in any."`
	Rotate rotateKey `cmd:"" help:"Replace a key by a new one, and print that; the old one keeps working for the overlap."`
	Update updateKey `cmd:"" help:"Change the name or the limit of a key. Running servers follow within 5 seconds."`
	Revoke revokeKey `cmd:"" help:"End a key. Running servers refuse it within 5 seconds."`
	Remove removeKey `cmd:"" help:"Remove a key that has ended from the list, or all that ended before a day."`
}

// Help implements [kong.HelpProvider].
func (keysCommand) Help() string {
	return exampleHelp("keys create --organization acme --name billing")
}

type createKey struct {
	ownerFlags
	Name       name          `required:"" placeholder:"TEXT" help:"What the key is for."`
	Permission []string      `placeholder:"P" default:"${permissions}" enum:"${permissions}" help:"What the key may do: providers:read, providers:write. Default: both."`
	Expires    time.Duration `type:"days" placeholder:"14d" help:"How long the key works. Default: until it is revoked."`
	RateLimit  uint32        `default:"60" placeholder:"N" help:"Requests a minute; 0 for no limit. Default: 60."`
}

// Help implements [kong.HelpProvider].
func (createKey) Help() string {
	return exampleHelp("keys create --organization acme --name billing --permission providers:read --expires 90d")
}

// auditEntry implements [auditedCommand].
func (k createKey) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(k.Organization)}
}

func (k createKey) Run(ctx context.Context, c *commands, io streams) error {
	key := apikey.Key{Name: string(k.Name), RateLimit: int(k.RateLimit)}
	if len(k.Permission) == 0 {
		return errors.New("a key needs a permission; leave out --permission and CARECYCLE_PERMISSION for both")
	}
	for _, permission := range k.Permission {
		key.Permissions = append(key.Permissions, apikey.Permission(permission))
	}
	return printSecret(io, func(deliver apikey.Deliver) error {
		return c.withStore(ctx, func(s store) (err error) {
			if key.Organization, key.OrganizationName, err = k.ensure(ctx, s, io); err != nil {
				return fmt.Errorf("create key: %w", err)
			}
			named := func(secret string, key apikey.Key) error {
				c.entry.Key = key.ID
				return deliver(secret, key)
			}
			if err := apikey.Issue(ctx, s, key, k.Expires, named); err != nil {
				return fmt.Errorf("create key: %w", err)
			}
			return nil
		})
	})
}

// name is the name of an organization or a key, without blanks around it.
type name string

// UnmarshalText reads a flag's value.
func (n *name) UnmarshalText(text []byte) error {
	parsed, err := provider.ParseName(string(text))
	*n = name(parsed)
	return err
}

type listKeys struct {
	Organization name     `placeholder:"NAME" help:"The organization whose keys are listed. Default: every one."`
	State        []string `placeholder:"STATE" enum:"${states}" help:"The states of the keys that are listed: ${states}. Default: every one."`
	JSON         bool     `help:"Write a JSON object a line."`
}

// Help implements [kong.HelpProvider].
func (listKeys) Help() string {
	return exampleHelp("keys list --organization acme --state active,rotating")
}

// auditEntry implements [auditedCommand].
func (l listKeys) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(l.Organization)}
}

// Run writes a line for each key, as it reads them.
func (l listKeys) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) (err error) {
		var filter apikey.Filter
		if l.Organization != "" {
			if filter.Organization, _, err = provider.FindOrganization(ctx, s, string(l.Organization)); err != nil {
				return organizationError("list keys", l.Organization, err)
			}
		}
		for _, state := range l.State {
			filter.States = append(filter.States, apikey.State(state))
		}
		out := newList(io.out, l.JSON, "ID\tPREFIX\tORGANIZATION\tNAME\tPERMISSIONS\tLIMIT\tCREATED\tENDS\tUSED\tSTATE\tSUCCESSOR")
		err = apikey.Each(ctx, s, filter, func(key apikey.Key) error { return out.write(formatKey(key), keyObject(key)) })
		if err = cmp.Or(err, out.Flush()); err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		return nil
	})
}

// formatKey returns a line about a key, its ID first.
func formatKey(key apikey.Key) string {
	return strings.Join([]string{
		key.ID, key.Prefix + "…", strconv.Quote(key.OrganizationName), strconv.Quote(key.Name), joinPermissions(key.Permissions), formatLimit(key.RateLimit),
		formatTime(key.CreatedAt), formatTime(key.End()), formatTime(key.LastUsedAt), string(key.State()), cmp.Or(key.Successor, "-"),
	}, "\t")
}

func joinPermissions(permissions []apikey.Permission) string {
	return strings.ReplaceAll(apikey.JoinPermissions(permissions), " ", ",")
}

func joinStates() string {
	var names []string
	for _, state := range apikey.States() {
		names = append(names, string(state))
	}
	return strings.Join(names, ",")
}

func formatLimit(perMinute int) string {
	if perMinute == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%d/min", perMinute)
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateTime)
}

// keyObject returns a key for a program.
func keyObject(key apikey.Key) map[string]any {
	object := map[string]any{
		"id": key.ID, "prefix": key.Prefix, "organization": key.OrganizationName, "name": key.Name, "permissions": key.Permissions,
		"rateLimit": key.RateLimit, "state": key.State(), "successor": nil,
	}
	if key.Successor != "" {
		object["successor"] = key.Successor
	}
	for name, at := range map[string]time.Time{"createdAt": key.CreatedAt, "expiresAt": key.ExpiresAt, "revokedAt": key.RevokedAt, "lastUsedAt": key.LastUsedAt} {
		object[name] = nil
		if !at.IsZero() {
			object[name] = at.UTC().Format("2006-01-02T15:04:05.000Z")
		}
	}
	return object
}

type rotateKey struct {
	ID      string        `arg:"" help:"The ID of the key, key_…"`
	Overlap time.Duration `type:"days" default:"24h" placeholder:"24h" help:"How long the old key keeps working. Default: 24h."`
}

// Help implements [kong.HelpProvider].
func (rotateKey) Help() string {
	return exampleHelp("keys rotate key_2Jk4vT9xQmZa --overlap 24h")
}

// auditEntry implements [auditedCommand].
func (r rotateKey) auditEntry() audit.Entry { return audit.Entry{Key: loggableID(r.ID)} }

func (r rotateKey) Run(ctx context.Context, c *commands, io streams) error {
	return printSecret(io, func(deliver apikey.Deliver) error {
		named := func(secret string, key apikey.Key) error {
			c.entry.NewKey = key.ID
			return deliver(secret, key)
		}
		return c.withStore(ctx, func(s store) error { return keyError("rotate key", apikey.Rotate(ctx, s, r.ID, r.Overlap, named)) })
	})
}

type updateKey struct {
	ID        string  `arg:"" help:"The ID of the key, key_…"`
	Name      *name   `placeholder:"TEXT" help:"What the key is for."`
	RateLimit *uint32 `placeholder:"N" help:"Requests a minute; 0 for no limit."`
}

// Help implements [kong.HelpProvider].
func (updateKey) Help() string { return exampleHelp("keys update key_2Jk4vT9xQmZa --rate-limit 600") }

// auditEntry implements [auditedCommand].
func (u updateKey) auditEntry() audit.Entry { return audit.Entry{Key: loggableID(u.ID)} }

func (u updateKey) Run(ctx context.Context, c *commands, io streams) error {
	var update apikey.Update
	if u.Name != nil {
		update.Name = new(string(*u.Name))
	}
	if u.RateLimit != nil {
		update.RateLimit = new(int(*u.RateLimit))
	}
	if update == (apikey.Update{}) {
		return wrongUsage(errors.New("update key: nothing to change; give --name, --rate-limit, or both"))
	}
	return c.withStore(ctx, func(s store) error {
		err := s.UpdateKey(ctx, u.ID, update)
		if err != nil {
			return keyError("update key", err)
		}
		key, err := s.KeyByID(ctx, u.ID)
		if err != nil {
			return keyError("update key", err)
		}
		_, err = fmt.Fprintf(io.err, "updated to %q, %s; running servers follow within 5 seconds\n", key.Name, formatLimit(key.RateLimit))
		return err
	})
}

type revokeKey struct {
	ID string `arg:"" help:"The ID of the key, key_…"`
}

// Help implements [kong.HelpProvider].
func (revokeKey) Help() string {
	return exampleHelp("keys revoke key_2Jk4vT9xQmZa")
}

// auditEntry implements [auditedCommand].
func (r revokeKey) auditEntry() audit.Entry { return audit.Entry{Key: loggableID(r.ID)} }

func (r revokeKey) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		if err := s.RevokeKey(ctx, r.ID, 0); err != nil {
			return keyError("revoke key", err)
		}
		_, err := fmt.Fprintln(io.err, "revoked; running servers refuse the key within 5 seconds")
		return err
	})
}

type removeKey struct {
	ID          string `arg:"" optional:"" help:"The ID of a key that has ended, key_…"`
	EndedBefore date   `placeholder:"DATE" help:"Remove all keys that were revoked or expired before this day, such as 2026-01-31, UTC."`
}

// Help implements [kong.HelpProvider].
func (removeKey) Help() string { return exampleHelp("keys remove --ended-before 2026-01-01") }

// auditEntry implements [auditedCommand].
func (r removeKey) auditEntry() audit.Entry { return audit.Entry{Key: loggableID(r.ID)} }

func (r removeKey) Run(ctx context.Context, c *commands, io streams) error {
	before := time.Time(r.EndedBefore)
	if (r.ID == "") == before.IsZero() {
		return wrongUsage(errors.New("remove key: give either the ID of a key or --ended-before"))
	}
	return c.withStore(ctx, func(s store) (err error) {
		removed := 1
		if r.ID != "" {
			err = apikey.Remove(ctx, s, r.ID)
		} else {
			removed, err = apikey.RemoveEnded(ctx, s, before)
			c.entry.Count = removed
		}
		if err != nil {
			return keyError("remove key", err)
		}
		_, err = fmt.Fprintf(io.err, "removed %s\n", count(removed, "key"))
		return err
	})
}

// loggableID returns the ID of a key or a user, or nothing if it may be a key that was pasted in its place.
func loggableID(id string) string {
	if apikey.IsID(id) || account.IsID(id) {
		return id
	}
	return ""
}

// keyError adds to an error about a key what the operator can do. It does not repeat the ID: it may be a key that was pasted in
// its place.
func keyError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, apikey.ErrNotFound) {
		return fmt.Errorf("%s: there is no key of that ID; IDs begin with key_ and are listed by keys list", doing)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
