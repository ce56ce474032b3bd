package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
)

var invitationLink = regexp.MustCompile(`value="http://[^"]*(/dashboard/invitations/[^"]+)"`)

// invite invites a person, and returns the path of the link.
func (v *visitor) invite(organization int64, email string, role account.Role) string {
	v.t.Helper()
	got := v.submit(fmt.Sprintf("/dashboard/organizations/%d/members", organization), url.Values{"email": {email}, "role": {string(role)}})
	link := invitationLink.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || link == nil {
		v.t.Fatalf("invite %s: got %d\n%s", email, got.status, got.body)
	}
	return link[1]
}

func TestMembers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	other, _, _ := s.organization("Hospital")
	owner := s.signedIn(s.member("owner@example.com", number, account.Owner))
	elsewhere := s.member("elsewhere@example.com", other, account.Owner)
	members := fmt.Sprintf("/dashboard/organizations/%d/members", number)

	t.Run("a new person chooses a password, and is a member", func(t *testing.T) {
		link := owner.invite(number, "New@example.com", account.Developer)
		if got := owner.get(members); !strings.Contains(got.body, "new@example.com") {
			t.Error("the invitation is not listed")
		}
		v := s.visitor()
		if got := v.get(link); got.status != http.StatusOK || !strings.Contains(got.body, "Join Clinic") {
			t.Fatalf("got %d\n%s", got.status, got.body)
		}
		if got := v.submit(link, url.Values{"password": {"short"}}); got.status != http.StatusUnprocessableEntity {
			t.Errorf("a short password: got %d", got.status)
		}
		if got := v.submit(link, url.Values{"password": {password}}); got.location != "/dashboard/" {
			t.Fatalf("got %d\n%s", got.status, got.body)
		}
		if got := v.get(fmt.Sprintf("/dashboard/organizations/%d/keys/new", number)); got.status != http.StatusOK {
			t.Errorf("a developer's page: got %d", got.status)
		}
		if got := s.visitor().get(link); got.status != http.StatusNotFound {
			t.Errorf("the link a second time: got %d", got.status)
		}
	})

	t.Run("a member of another organization looks the same to the owner, and proves it with the password", func(t *testing.T) {
		path := fmt.Sprintf("/dashboard/organizations/%d/members", number)
		unknown := owner.submit(path, url.Values{"email": {"nobody@example.com"}, "role": {"viewer"}})
		known := owner.submit(path, url.Values{"email": {elsewhere.Email}, "role": {"viewer"}})
		hide := func(r reply) string {
			return strings.ReplaceAll(invitationLink.ReplaceAllString(withoutToken(r.body), ""), "elsewhere@", "nobody@")
		}
		if hide(unknown) != hide(known) {
			t.Errorf("the pages differ:\n%s\n%s", unknown.body, known.body)
		}
		link := invitationLink.FindStringSubmatch(known.body)[1]
		if got := s.visitor().submit(link, url.Values{"password": {"a password of the owner's"}}); got.status != http.StatusUnprocessableEntity {
			t.Errorf("another password: got %d", got.status)
		}
		if got := s.visitor().submit(link, url.Values{"password": {password}}); got.location != "/dashboard/" {
			t.Errorf("the password: got %d\n%s", got.status, got.body)
		}
	})

	t.Run("an owner changes the role of a member, and of nobody else", func(t *testing.T) {
		viewer := s.member("viewer@example.com", number, account.Viewer)
		change := func(id, role string) reply {
			return owner.submit(members+"/"+id+"/role", url.Values{"role": {role}})
		}
		stranger := s.member("stranger@example.com", other, account.Viewer)
		self, err := s.store.UserByEmail(t.Context(), "owner@example.com")
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			got    reply
			status int
		}{
			"a stranger":    {change(stranger.ID, "viewer"), http.StatusNotFound},
			"nobody":        {change("usr_x", "viewer"), http.StatusNotFound},
			"themselves":    {change(self.ID, "viewer"), http.StatusUnprocessableEntity},
			"no role":       {change(viewer.ID, "operator"), http.StatusUnprocessableEntity},
			"another role":  {change(viewer.ID, "owner"), http.StatusSeeOther},
			"an empty role": {change(viewer.ID, ""), http.StatusUnprocessableEntity},
			"removed again": {change(viewer.ID, "none"), http.StatusSeeOther},
		} {
			if test.got.status != test.status {
				t.Errorf("%s: got %d, want %d", name, test.got.status, test.status)
			}
		}
	})

	t.Run("a cancelled invitation does not work", func(t *testing.T) {
		link := owner.invite(number, "cancelled@example.com", account.Viewer)
		owner.submit(members+"/cancel", url.Values{"email": {"cancelled@example.com"}})
		if got := s.visitor().get(link); got.status != http.StatusNotFound {
			t.Errorf("got %d", got.status)
		}
	})
}
