package dashboard_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
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
