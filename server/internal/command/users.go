package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
)

type usersCommand struct {
	Create       createUser   `cmd:"" help:"Create a user of the dashboard, and print a link to choose a password with."`
	List         listUsers    `cmd:"" help:"List the users, a line each, the email address first."`
	Link         linkUser     `cmd:"" help:"Print a new link to choose a password with, for a user who has forgotten it."`
	ResetTwoStep resetTwoStep `cmd:"" help:"Turn off two-step sign-in for a user who has lost the phone and the recovery codes, and end the user's sessions."`
	ResetOpenID  resetOpenID  `cmd:"" name:"reset-openid" help:"Forget who a user is to the OpenID Connect issuer, for a person who has a new account there."`
	Role         roleUser     `cmd:"" help:"Set a user's role in an organization, or print a link to join it."`
	Disable      disableUser  `cmd:"" help:"Disable a user, and end the user's sessions."`
	Enable       enableUser   `cmd:"" help:"Enable a user who was disabled."`
}

// Help implements [kong.HelpProvider].
func (usersCommand) Help() string {
	return exampleHelp("users create ada@example.com --organization acme --role developer")
}

// dashboardURL is where the links to the dashboard lead.
type dashboardURL struct {
	URL string `name:"url" default:"http://localhost:9090" placeholder:"URL" help:"Where people reach the dashboard. Default: http://localhost:9090."`
}

func (d dashboardURL) print(io streams, token string) error {
	fmt.Fprintf(io.err, "the link works once, within %d hours:\n", int(account.LinkLifetime.Hours()))
	_, err := fmt.Fprintln(io.out, linkURL(d.URL, token))
	return err
}

func linkURL(url, token string) string {
	return strings.TrimSuffix(url, "/") + dashboardPath + "/links/" + token
}

type createUser struct {
	Email        string `arg:"" help:"The address that the user signs in with. Nothing is sent to it."`
	Operator     bool   `help:"The user may do everything, in every organization."`
	Organization name   `placeholder:"NAME" help:"The organization that the user belongs to."`
	Role         string `default:"viewer" enum:"viewer,developer,owner" placeholder:"ROLE" help:"What the user may do there: viewer sees records and keys, developer changes them too, owner invites people too. Default: viewer."`
	dashboardURL
}

// Help implements [kong.HelpProvider].
func (createUser) Help() string {
	return exampleHelp("users create ada@example.com --organization acme --role developer --url https://dashboard.example.com")
}

// Validate checks what the flags mean together.
func (u createUser) Validate() error {
	if u.Operator == (u.Organization != "") {
		return errors.New("give either --operator, or --organization with --role")
	}
	return nil
}

// auditEntry implements [auditedCommand].
func (u createUser) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(u.Organization)}
}

func (u createUser) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		created := account.User{Email: u.Email, Operator: u.Operator}
		if !u.Operator {
			number, _, err := provider.FindOrganization(ctx, s, string(u.Organization))
			if err != nil {
				return organizationError("create user", u.Organization, err)
			}
			created.Memberships = []account.Membership{{Organization: number, Role: account.Role(u.Role)}}
		}
		token, created, err := account.Invite(ctx, s, created)
		if err != nil {
			return userError("create user", err)
		}
		c.entry.Key = created.ID
		fmt.Fprintf(io.err, "created the user %s\n", created.ID)
		return u.print(io, token)
	})
}

// userError says what to do about an error. It does not repeat the address.
func userError(doing string, err error) error {
	switch {
	case errors.Is(err, account.ErrEmailTaken):
		return fmt.Errorf("%s: there is a user with that email address; users role changes what the user may do. Another organization may have invited someone else with it, so send the link of users link to the address first", doing)
	case errors.Is(err, account.ErrNotFound):
		return fmt.Errorf("%s: there is no user with that email address; users list shows those there are", doing)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

type listUsers struct{}

// Help implements [kong.HelpProvider].
func (listUsers) Help() string { return exampleHelp("users list") }

// auditEntry implements [auditedCommand].
func (listUsers) auditEntry() audit.Entry { return audit.Entry{} }

func (listUsers) Run(ctx context.Context, c *commands, io streams) error {
	return c.withStore(ctx, func(s store) error {
		const page = 500
		for after := ""; ; {
			users, err := s.ListUsers(ctx, 0, after, page)
			if err != nil {
				return fmt.Errorf("list users: %w", err)
			}
			for _, u := range users {
				after = u.Email
				if _, err := fmt.Fprintln(io.out, formatUser(u)); err != nil {
					return err
				}
			}
			if len(users) < page {
				return nil
			}
		}
	})
}

func formatUser(u account.User) string {
	state := "active"
	switch {
	case u.Disabled:
		state = "disabled"
	case u.PasswordHash == "" && u.SignedInAt.IsZero():
		state = "invited"
	}
	var roles []string
	if u.Operator {
		roles = append(roles, "operator")
	}
	for _, m := range u.Memberships {
		roles = append(roles, fmt.Sprintf("%s of %q", m.Role, m.OrganizationName))
	}
	twoStep := "two-step off"
	if u.TwoStep {
		twoStep = "two-step on"
	}
	return strings.Join([]string{u.Email, u.ID, state, strings.Join(roles, ", "), "signed in " + formatTime(u.SignedInAt), twoStep}, "\t")
}

// userArgument names a user.
type userArgument struct {
	Email string `arg:"" help:"The user's email address."`
}

// auditEntry implements [auditedCommand].
func (userArgument) auditEntry() audit.Entry { return audit.Entry{} }

// withUser calls f with the user.
func (a userArgument) withUser(ctx context.Context, c *commands, doing string, f func(store, account.User) error) error {
	return c.withStore(ctx, func(s store) error {
		u, err := account.FindByEmail(ctx, s, a.Email)
		if err == nil {
			c.entry.Key = u.ID
			err = f(s, u)
		}
		if err != nil {
			return userError(doing, err)
		}
		return nil
	})
}

type linkUser struct {
	userArgument
	dashboardURL
}

// Help implements [kong.HelpProvider].
func (linkUser) Help() string { return exampleHelp("users link ada@example.com") }

func (l linkUser) Run(ctx context.Context, c *commands, io streams) error {
	return l.withUser(ctx, c, "create a link", func(s store, u account.User) error {
		if u.Disabled {
			return errors.New("the user is disabled; users enable comes first")
		}
		token, err := account.NewLink(ctx, s, u.ID)
		if err != nil {
			return err
		}
		if u.TwoStep {
			fmt.Fprintln(io.err, "it takes the place of the password only: sign-in still asks for a code; users reset-two-step is for a user who has none")
		}
		return l.print(io, token)
	})
}

type resetTwoStep struct{ userArgument }

// Help implements [kong.HelpProvider].
func (resetTwoStep) Help() string { return exampleHelp("users reset-two-step ada@example.com") }

func (r resetTwoStep) Run(ctx context.Context, c *commands) error {
	return r.withUser(ctx, c, "reset two-step sign-in", func(s store, u account.User) error {
		if !u.TwoStep {
			return errors.New("the user has not turned it on")
		}
		return s.RemoveTOTP(ctx, u.ID, "")
	})
}

type resetOpenID struct{ userArgument }

// Help implements [kong.HelpProvider].
func (resetOpenID) Help() string { return exampleHelp("users reset-openid ada@example.com") }

func (r resetOpenID) Run(ctx context.Context, c *commands) error {
	return r.withUser(ctx, c, "forget who the user is to the issuer", func(s store, u account.User) error {
		if u.Subject == "" {
			return errors.New("the user has not signed in with an issuer since this was last reset")
		}
		return s.SetSubject(ctx, u.ID, u.Subject, "")
	})
}

type roleUser struct {
	userArgument
	Role         string `arg:"" enum:"viewer,developer,owner,none" help:"viewer, developer, owner, or none to remove the user from the organization."`
	Organization name   `required:"" placeholder:"NAME" help:"The organization."`
	dashboardURL
}

// Help implements [kong.HelpProvider].
func (roleUser) Help() string {
	return exampleHelp("users role ada@example.com owner --organization acme")
}

// auditEntry implements [auditedCommand].
func (r roleUser) auditEntry() audit.Entry {
	return audit.Entry{OrganizationName: string(r.Organization)}
}

// Run sets the role of a member. Somebody else gets an invitation: an owner of another organization may have created the user, and have
// the password.
func (r roleUser) Run(ctx context.Context, c *commands, io streams) error {
	return r.withUser(ctx, c, "set a role", func(s store, u account.User) error {
		number, _, err := provider.FindOrganization(ctx, s, string(r.Organization))
		if err != nil {
			return explainOrganization(r.Organization, err)
		}
		role := account.Role(strings.TrimSuffix(r.Role, "none"))
		if role == "" || u.Operator || u.Role(number) != "" {
			return s.SetRole(ctx, u.ID, number, role)
		}
		token, _, err := account.Offer(ctx, s, account.Invitation{Organization: number, Email: u.Email, Role: role})
		if err != nil {
			return err
		}
		fmt.Fprintf(io.err, "this user is no member yet, and accepts this link with the password; it works once, within %d hours:\n", int(account.LinkLifetime.Hours()))
		_, err = fmt.Fprintln(io.out, strings.TrimSuffix(r.URL, "/")+dashboardPath+"/invitations/"+token)
		return err
	})
}

type disableUser struct{ userArgument }

// Help implements [kong.HelpProvider].
func (disableUser) Help() string { return exampleHelp("users disable ada@example.com") }

func (d disableUser) Run(ctx context.Context, c *commands) error {
	return d.withUser(ctx, c, "disable user", func(s store, u account.User) error { return s.SetDisabled(ctx, u.ID, true) })
}

type enableUser struct{ userArgument }

// Help implements [kong.HelpProvider].
func (enableUser) Help() string { return exampleHelp("users enable ada@example.com") }

func (e enableUser) Run(ctx context.Context, c *commands) error {
	return e.withUser(ctx, c, "enable user", func(s store, u account.User) error { return s.SetDisabled(ctx, u.ID, false) })
}
