package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
)

// TestActivity looks at what was done in an organization: all of it, and what one person did.
func TestActivity(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, organization, _, id, page := records(t, kind)
			_, _, otherID := s.organization("Hospital")
			u := s.member("ada@example.com", organization, account.Developer)
			v := s.signedIn(u)
			form := v.get(page + "/edit").form()
			form.Set("city", "canary of a value")
			if got := v.submit(page+"/edit", form); got.status != http.StatusSeeOther {
				t.Fatalf("got %d\n%s", got.status, got.body)
			}
			path := fmt.Sprintf("/dashboard/organizations/%d/activity", organization)
			all := v.get(path)
			if all.status != http.StatusOK || strings.Count(all.body, id.String()) != 2 || !strings.Contains(all.body, `data-label="Properties">City</td>`) ||
				strings.Contains(all.body, otherID.String()) || strings.Contains(all.body, "canary") {
				t.Errorf("all: got %d\n%s", all.status, all.body)
			}
			if got := v.get(path + "?key=" + u.ID); strings.Count(got.body, id.String()) != 1 || !strings.Contains(got.body, "Of <strong>ada@example.com</strong>") {
				t.Errorf("of one person: got %d\n%s", got.status, got.body)
			}
			if got := v.get(path + "?key=key_x"); !strings.Contains(got.body, "Nothing was changed with it yet") {
				t.Errorf("of an unknown key: got %d\n%s", got.status, got.body)
			}
			if got := v.get(path + "?cursor=" + url.QueryEscape("'")); got.status != http.StatusNotFound {
				t.Errorf("a wrong cursor: got %d", got.status)
			}
		})
	}
}
