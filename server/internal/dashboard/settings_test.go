package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// TestSettings renames, suspends and resumes an organization.
func TestSettings(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind)
			number, _, _ := s.organization("Clinic")
			s.organization("Hospital")
			operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
			page := fmt.Sprintf("/dashboard/organizations/%d/", number)
			now := func() provider.Organization {
				t.Helper()
				all, err := s.store.ListOrganizations(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range all {
					if o.Number == number {
						return o
					}
				}
				t.Fatal("the organization is gone")
				return provider.Organization{}
			}
			for form, want := range map[string]struct {
				status int
				text   string
			}{
				page + "rename?name=Practice":                             {http.StatusForbidden, "out of date"},
				page + "rename?name=%20&sure=on":                          {http.StatusUnprocessableEntity, "Enter a name"},
				page + "rename?name=HOSPITAL&sure=on":                     {http.StatusUnprocessableEntity, "There is an organization Hospital"},
				page + "rename?name=a%00b&sure=on":                        {http.StatusUnprocessableEntity, "Enter a name"},
				page + "suspend?":                                         {http.StatusForbidden, "out of date"},
				"/dashboard/organizations/999/suspend?sure=on":            {http.StatusNotFound, "no such page"},
				"/dashboard/organizations/999/rename?name=New&sure=on":    {http.StatusNotFound, "no such page"},
				"/dashboard/organizations/Clinic/rename?name=New&sure=on": {http.StatusNotFound, "no such page"},
			} {
				path, query, _ := strings.Cut(form, "?")
				values, err := url.ParseQuery(query)
				if err != nil {
					t.Fatal(err)
				}
				if got := operator.submit(path, values); got.status != want.status || !strings.Contains(html.UnescapeString(got.body), want.text) {
					t.Errorf("%s: got %d\n%s", form, got.status, got.body)
				}
			}
			if got := now(); got.Name != "Clinic" || got.Suspended {
				t.Errorf("refused forms have changed the organization: %+v", got)
			}
			for _, step := range []struct {
				path, name string
				suspended  bool
				text       string
			}{
				{"rename", "Practice", false, "The organization has its new name"},
				{"suspend", "Practice", true, "Resume the organization"},
				{"resume", "Practice", false, "Suspend the organization"},
			} {
				got := operator.submit(page+step.path, url.Values{"name": {" Practice "}, "sure": {"on"}})
				if got.status != http.StatusSeeOther || !strings.Contains(operator.get(got.location).body, step.text) {
					t.Errorf("%s: got %d %s\n%s", step.path, got.status, got.location, got.body)
				}
				if got := now(); got.Name != step.name || got.Suspended != step.suspended {
					t.Errorf("%s: got %+v", step.path, got)
				}
			}
		})
	}
}

// TestRenameIsAudited looks for the line of a rename under both names.
func TestRenameIsAudited(t *testing.T) {
	t.Parallel()
	s, path := newAuditedSite(t, "SQLite")
	clinic, _, _ := s.organization("Clinic")
	operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
	page := fmt.Sprintf("/dashboard/organizations/%d/", clinic)
	operator.submit(page+"rename", url.Values{"name": {" Practice "}, "sure": {"on"}})
	for _, name := range []string{"Clinic", "Practice"} {
		filter := audit.Filter{Organization: name, Operation: "dashboard organization renamed"}
		part, err := audit.Latest(t.Context(), path, audit.Query{Filter: filter, Max: 10, MaxBytes: 1 << 20})
		if err != nil || len(part.Entries) != 1 || part.Entries[0].OrganizationName != "Clinic" || part.Entries[0].NewName != "Practice" {
			t.Errorf("%s: got %+v, %v", name, part.Entries, err)
		}
	}
	if got := operator.get(page + "audit"); !strings.Contains(got.body, "new name Practice") {
		t.Errorf("the page does not show the line\n%s", got.body)
	}
}

// renaming is a store in which the organization Clinic gets another name, and another organization its name, right after a request has
// looked up its organization.
type renaming struct {
	dashboard.Store
	due atomic.Bool
}

func (s *renaming) ListOrganizations(ctx context.Context) (all []provider.Organization, err error) {
	all, err = s.Store.ListOrganizations(ctx)
	if s.due.Swap(false) {
		err = errors.Join(err, s.Store.RenameOrganization(ctx, 1, "Old clinic"), s.Store.RenameOrganization(ctx, 2, "Clinic"))
	}
	return all, err
}

// TestOrganizationIsRenamed sends requests about an organization whose name changes during the request: they are about its number.
func TestOrganizationIsRenamed(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"rename", "suspend", "export"} {
		s := newSite(t, "SQLite")
		s.organization("Clinic")
		_, customer, _ := s.organization("Hospital")
		store := &renaming{Store: s.store}
		s = serve(t, store)
		operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
		form := url.Values{"name": {"Practice"}, "sure": {"on"}, "csrf_token": {operator.token()}}
		store.due.Store(true)
		var got reply
		if path == "export" {
			got = operator.get("/dashboard/organizations/1/export")
		} else {
			got = operator.post("/dashboard/organizations/1/"+path, form)
		}
		others, err := s.store.ListOrganizations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.status >= http.StatusBadRequest || strings.Contains(got.body, customer.String()) || others[1] != (provider.Organization{Number: 2, Name: "Clinic"}) {
			t.Errorf("%s: got %d\n%s\nthe organizations are %v", path, got.status, got.body, others)
		}
	}
}
