package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

type keysCommand struct {
	Create createKey `cmd:"" help:"Create a key, and print it: it cannot be shown again."`
	List   listKeys  `cmd:"" help:"List the keys of one organization, or of every one, a line each, the ID first."`
	Rotate rotateKey `cmd:"" help:"Replace a key by a new one, and print that; the old one keeps working for the overlap."`
	Revoke revokeKey `cmd:"" help:"End a key. Running servers refuse it within 5 seconds."`
}

// Help implements [kong.HelpProvider].
func (keysCommand) Help() string {
	return exampleHelp("keys create --organization acme --name billing")
}

type createKey struct {
	Organization name          `required:"" placeholder:"NAME" help:"The organization that the key belongs to; created, and reported, if there is none of that name."`
	Name         name          `required:"" placeholder:"TEXT" help:"What the key is for."`
	Permission   []string      `placeholder:"P" default:"${permissions}" enum:"${permissions}" help:"What the key may do: providers:read, providers:write. Default: both."`
	Expires      time.Duration `type:"days" placeholder:"14d" help:"How long the key works. Default: until it is revoked."`
	RateLimit    uint32        `default:"60" placeholder:"N" help:"Requests a minute; 0 for no limit. Default: 60."`
}

// Help implements [kong.HelpProvider].
func (createKey) Help() string {
	return exampleHelp("keys create --organization acme --name billing --permission providers:read --expires 90d")
}

func (k createKey) Run(ctx context.Context, c *commands, io streams) error {
	key := apikey.Key{OrganizationName: string(k.Organization), Name: string(k.Name), RateLimit: int(k.RateLimit)}
	if len(k.Permission) == 0 {
		return errors.New("a key needs a permission; leave out --permission and CARECYCLE_PERMISSION for both")
	}
	for _, permission := range k.Permission {
		key.Permissions = append(key.Permissions, apikey.Permission(permission))
	}
	return c.withStore(ctx, func(s store) (err error) {
		if key.Organization, err = ensureOrganization(ctx, s, k.Organization, io); err != nil {
			return fmt.Errorf("create key: %w", err)
		}
		secret, key, err := apikey.Create(ctx, s, key, k.Expires)
		if err != nil {
			return fmt.Errorf("create key: %w", err)
		}
		return printSecret(ctx, s, io, secret, key)
	})
}

// name is the name of an organization or a key, without blanks around it.
type name string

// UnmarshalText reads a flag's value. It rejects a name that would disturb a list.
func (n *name) UnmarshalText(text []byte) error {
	text = bytes.TrimSpace(text)
	*n = name(text)
	if len(text) == 0 || utf8.RuneCount(text) > 100 || bytes.ContainsFunc(text, unicode.IsControl) || !utf8.Valid(text) {
		return errors.New("it must be 1 to 100 printable characters")
	}
	return nil
}

// printSecret prints a new key. If that fails, nobody has the key, so it is revoked.
func printSecret(ctx context.Context, s store, io streams, secret string, key apikey.Key) error {
	fmt.Fprintf(io.err, "created %s\nkeep the key, it cannot be shown again:\n", formatKey(key))
	_, err := fmt.Fprintln(io.out, secret)
	if err == nil {
		return nil
	}
	if revokeErr := s.RevokeKey(context.WithoutCancel(ctx), key.ID, 0); revokeErr != nil {
		return fmt.Errorf("the key could not be printed (%w), nor revoked (%w); revoke %s", err, revokeErr, key.ID)
	}
	return fmt.Errorf("the key could not be printed, and was revoked: %w", err)
}

// formatKey returns a line about a key, its ID first.
func formatKey(key apikey.Key) string {
	limit := "no limit"
	if key.RateLimit > 0 {
		limit = fmt.Sprintf("%d/min", key.RateLimit)
	}
	state := "active"
	switch {
	case key.Active(key.ReadAt) && !key.RevokedAt.IsZero():
		state = "revoked from " + key.RevokedAt.Format(time.DateTime)
	case key.Active(key.ReadAt):
	case key.Revoked, !key.RevokedAt.IsZero() && !key.ReadAt.Before(key.RevokedAt):
		state = "revoked"
	default:
		state = "expired"
	}
	return strings.Join([]string{
		key.ID, key.Prefix + "…", fmt.Sprintf("%q", key.OrganizationName), fmt.Sprintf("%q", key.Name), joinPermissions(key.Permissions), limit,
		"created " + formatTime(key.CreatedAt), "expires " + formatTime(key.ExpiresAt), "used " + formatTime(key.LastUsedAt), state,
	}, "\t")
}

func joinPermissions(permissions []apikey.Permission) string {
	return strings.ReplaceAll(apikey.JoinPermissions(permissions), " ", ",")
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateTime)
}

type listKeys struct {
	Organization name `placeholder:"NAME" help:"The organization whose keys are listed. Default: every one."`
}

// Help implements [kong.HelpProvider].
func (listKeys) Help() string { return exampleHelp("keys list --organization acme") }

func (l listKeys) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		const page = 500
		var last apikey.Key
		for {
			keys, err := s.ListKeys(ctx, last, page)
			if err != nil {
				return fmt.Errorf("list keys: %w", err)
			}
			for _, last = range keys {
				if l.Organization != "" && last.OrganizationName != string(l.Organization) {
					continue
				}
				if _, err := fmt.Fprintln(io.out, formatKey(last)); err != nil {
					return err
				}
			}
			if len(keys) < page {
				return nil
			}
		}
	})
}

type rotateKey struct {
	ID      string        `arg:"" help:"The ID of the key, key_…"`
	Overlap time.Duration `type:"days" default:"24h" placeholder:"24h" help:"How long the old key keeps working. Default: 24h."`
}

// Help implements [kong.HelpProvider].
func (rotateKey) Help() string {
	return exampleHelp("keys rotate key_2Jk4vT9xQmZa --overlap 24h")
}

func (r rotateKey) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		secret, key, err := apikey.Rotate(ctx, s, r.ID, r.Overlap)
		if err != nil {
			return keyError("rotate key", err)
		}
		return printSecret(ctx, s, io, secret, key)
	})
}

type revokeKey struct {
	ID string `arg:"" help:"The ID of the key, key_…"`
}

// Help implements [kong.HelpProvider].
func (revokeKey) Help() string {
	return exampleHelp("keys revoke key_2Jk4vT9xQmZa")
}

func (r revokeKey) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		if err := s.RevokeKey(ctx, r.ID, 0); err != nil {
			return keyError("revoke key", err)
		}
		_, err := fmt.Fprintln(io.err, "revoked; running servers refuse the key within 5 seconds")
		return err
	})
}

// keyError does not repeat the ID: it may be a key that was pasted in its place.
func keyError(doing string, err error) error {
	if errors.Is(err, apikey.ErrNotFound) {
		return fmt.Errorf("%s: there is no key of that ID; IDs begin with key_ and are listed by keys list", doing)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
