package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
)

// TestNewKey creates a key with the shortest lifetime, whose page warns of what its command replaces.
func TestNewKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, id := s.organization("Clinic")
	v := s.signedIn(s.member("ada@example.com", number, account.Developer))
	keys := fmt.Sprintf("/dashboard/organizations/%d/keys", number)
	for access, want := range map[string]string{"write": "It replaces the notes of a provider of Clinic", "read": "It reads a provider of Clinic"} {
		got := v.submit(keys, url.Values{"name": {access}, "access": {access}, "days": {"14"}, "rate_limit": {"60"}})
		if got.status != http.StatusOK || !strings.Contains(got.body, id.String()) || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d, want %q\n%s", access, got.status, want, got.body)
		}
	}
	if got := v.get(keys); strings.Count(got.body, ">active<") != 2 || strings.Contains(got.body, "expires soon") {
		t.Errorf("new keys are not shown as active:\n%s", got.body)
	}
}

// TestForeignKey names another organization's key in the paths of one's own.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	other, _, _ := s.organization("Hospital")
	v := s.signedIn(s.member("ada@example.com", number, account.Owner))
	var foreign apikey.Key
	key := apikey.Key{Organization: other, OrganizationName: "Hospital", Name: "billing", Permissions: apikey.Permissions(), RateLimit: 60}
	if err := apikey.Issue(t.Context(), s.store, key, 0, func(_ string, k apikey.Key) error { foreign = k; return nil }); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dashboard/organizations/%d/keys/%s", number, foreign.ID)
	for name, got := range map[string]reply{"show": v.get(path), "rotate": v.submit(path+"/rotate", nil), "revoke": v.submit(path+"/revoke", nil)} {
		if got.status != http.StatusNotFound || strings.Contains(got.body, "billing") {
			t.Errorf("%s: got %d, want 404\n%s", name, got.status, got.body)
		}
	}
	if now, err := s.store.KeyByID(t.Context(), foreign.ID); err != nil || now.State() != apikey.Active {
		t.Errorf("the key is %s, error %v, want active", now.State(), err)
	}
}
