package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/audit"
)

// membersPage is the people of an organization.
type membersPage struct {
	Members     []memberLine
	Invitations []account.Invitation
	Roles       []account.Role
	Email       string // of the form, with its problem
	Problem     string
	More        string // the path of the next page, or ""
}

type memberLine struct {
	account.User
	Role account.Role
	Self bool
}

// maxMembers is how many members a page shows.
const maxMembers = 100

func (d *Dashboard) listMembers(r *request) error {
	return r.renderMembers(http.StatusOK, membersPage{})
}

func (r *request) renderMembers(status int, content membersPage) (err error) {
	number := r.organization.Organization
	members, err := r.dashboard.Store.ListUsers(r.Context(), number, r.URL.Query().Get("after"), maxMembers)
	if err != nil {
		return err
	}
	if content.Invitations, err = r.dashboard.Store.ListInvitations(r.Context(), number); err != nil {
		return err
	}
	content.Roles = account.Roles()
	for _, u := range members {
		line := memberLine{User: u, Self: u.ID == r.user.ID}
		for _, m := range u.Memberships {
			if m.Organization == number {
				line.Role = m.Role
			}
		}
		content.Members = append(content.Members, line)
	}
	if len(members) == maxMembers {
		content.More = organizationPath(number, "members") + "?" + url.Values{"after": {members[len(members)-1].Email}}.Encode()
	}
	return r.render(status, "members.html", "Members", content)
}

// role returns the role that a form gives, and false if it gives none.
func (r *request) role() (account.Role, bool) {
	role := account.Role(r.PostFormValue("role"))
	if !slices.Contains(account.Roles(), role) {
		return "", false
	}
	return role, true
}

// invitationPage shows the link of an invitation, once.
type invitationPage struct {
	account.Invitation
	Link string
}

func (d *Dashboard) invite(r *request) error {
	role, ok := r.role()
	if !ok {
		return r.renderMembers(http.StatusUnprocessableEntity, membersPage{Email: r.PostFormValue("email"), Problem: "Choose a role."})
	}
	if err := r.record("dashboard invitation", audit.Entry{}); err != nil {
		return err
	}
	offer := account.Invitation{Organization: r.organization.Organization, Email: r.PostFormValue("email"), Role: role}
	token, offer, err := account.Offer(r.Context(), d.Store, offer)
	if errors.Is(err, account.ErrEmail) {
		return r.renderMembers(http.StatusUnprocessableEntity, membersPage{Email: offer.Email, Problem: "Enter an email address, such as ada@example.com."})
	}
	if err != nil {
		return err
	}
	link := r.origin() + "/dashboard/invitations/" + token
	return r.render(http.StatusOK, "members-invited.html", "Invitation", invitationPage{offer, link})
}

// origin returns the address of the dashboard, as the browser has it.
func (r *request) origin() string {
	if r.dashboard.IsSecure(r.Request) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (d *Dashboard) cancelInvitation(r *request) error {
	email := r.PostFormValue("email")
	if !isText(email) {
		return account.ErrNotFound
	}
	if err := d.Store.RemoveInvitation(r.Context(), r.organization.Organization, email); err != nil {
		return err
	}
	return r.redirect(organizationPath(r.organization.Organization, "members") + "?done=cancelled")
}

// setRole changes a member's role, or removes the member. Nobody can change their own role, so an organization keeps an owner.
func (d *Dashboard) setRole(r *request) error {
	u, err := d.Store.UserByID(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	isMember := slices.ContainsFunc(u.Memberships, func(m account.Membership) bool { return m.Organization == r.organization.Organization })
	role, ok := r.role()
	switch {
	case !isMember:
		return account.ErrNotFound
	case u.ID == r.user.ID:
		return r.renderMembers(http.StatusUnprocessableEntity, membersPage{Problem: "You cannot change your own role. Ask another owner, or the operator."})
	case !ok && r.PostFormValue("role") != "none":
		return r.renderMembers(http.StatusUnprocessableEntity, membersPage{Problem: "Choose a role."})
	}
	if err := r.record("dashboard role", audit.Entry{NewKey: u.ID}); err != nil {
		return err
	}
	if err := d.Store.SetRole(r.Context(), u.ID, r.organization.Organization, role); err != nil {
		return err
	}
	return r.redirect(organizationPath(r.organization.Organization, "members") + "?done=role")
}

// acceptPage is an invitation, for the person who opens its link.
type acceptPage struct {
	account.Invitation
	Path     string // of this page
	SignedIn bool   // as the person who is invited
	Min      int
	Problem  string
}

func (d *Dashboard) showInvitation(r *request) error { return r.renderInvitation(http.StatusOK, "") }

func (r *request) renderInvitation(status int, problem string) error {
	invitation, err := r.dashboard.Store.FindInvitation(r.Context(), account.HashOf(r.PathValue("token")))
	if errors.Is(err, account.ErrInvalidLink) {
		return r.refuseLink()
	}
	if err != nil {
		return err
	}
	return r.render(status, "invitation.html", "Invitation", acceptPage{invitation, r.URL.Path, r.user != nil && r.user.Email == invitation.Email, account.MinPassword, problem})
}

func (d *Dashboard) acceptInvitation(r *request) error {
	token := r.PathValue("token")
	if r.user != nil {
		err := account.Join(r.Context(), d.Store, token, r.user)
		if err == nil {
			return r.redirect("/dashboard/")
		}
		if !errors.Is(err, account.ErrInvalidLink) && !errors.Is(err, account.ErrEmailTaken) { // which Accept returns, too
			return err
		}
	}
	u, err := r.attempt(d.attempts, func() (account.User, error) {
		return account.Accept(r.Context(), d.Store, token, r.PostFormValue("password"))
	})
	switch {
	case errors.Is(err, account.ErrCodeNeeded): // then the person comes back, signed in
		return r.askForCode(&u, r.URL.Path, "")
	case errors.Is(err, account.ErrInvalidLink), errors.Is(err, account.ErrEmailTaken):
		return r.refuseLink()
	case errors.Is(err, account.ErrPassword):
		return r.renderInvitation(http.StatusUnprocessableEntity, passwordProblem)
	case errors.Is(err, account.ErrSignIn):
		return r.renderInvitation(http.StatusUnprocessableEntity, "This is not your password. There is a user with your email address: use that user's password, or ask the operator for a new link. After too many wrong passwords, even the right one is refused for a while.")
	case errors.Is(err, account.ErrTooManyAttempts):
		return r.renderInvitation(http.StatusTooManyRequests, tooManyAttempts)
	case err != nil:
		return err
	}
	if err := r.begin(&u); err != nil {
		return err
	}
	return r.redirect("/dashboard/")
}

var tooManyAttempts = fmt.Sprintf("There were too many attempts. Wait %d minutes, and try again.", int(account.AttemptWindow.Minutes()))
