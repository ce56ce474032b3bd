package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/dashboard"
)

var newSecret = regexp.MustCompile(`id="secret"[^>]* value="(cc_[^"]+)"`)

// TestSecretIsShownOnce creates and replaces keys, and looks for their secrets on every other page.
func TestSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	v := s.signedIn(s.member("ada@example.com", number, account.Owner))
	keys := fmt.Sprintf("/dashboard/organizations/%d/keys", number)
	var secrets []string
	create := func(path string, form url.Values) {
		t.Helper()
		got := v.submit(path, form)
		found := newSecret.FindStringSubmatch(got.body)
		if found == nil || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: got %d, Cache-Control %q\n%s", path, got.status, got.header.Get("Cache-Control"), got.body)
		}
		secrets = append(secrets, found[1])
	}
	create(keys, url.Values{"name": {"billing"}, "access": {"write"}, "days": {"14"}, "rate_limit": {"60"}})
	link := regexp.MustCompile(keys + `/key_\w+`).FindString(v.get(keys).body)
	create(link+"/rotate", url.Values{"overlap": {"1"}})
	create(fmt.Sprintf("/dashboard/organizations/%d/test-key", number), nil)
	paths := regexp.MustCompile(keys+`/key_\w+`).FindAllString(v.get(keys).body, -1)
	if len(paths) != 3 {
		t.Fatalf("the list has the keys %v, want 3", paths)
	}
	for _, route := range dashboard.Routes() {
		if method, path := request(route, number); method == http.MethodGet {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		body := v.get(path).body
		for _, secret := range secrets {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows a key again", path)
			}
		}
	}
}

// TestTestKey creates a key for the reference page, which works for 14 days.
func TestTestKey(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		s := newSite(t, kind)
		number, _, _ := s.organization("Clinic")
		v := s.signedIn(s.member("ada@example.com", number, account.Developer))
		if got := v.get(dashboard.TestKeys); !strings.Contains(got.body, "works for 14 days") {
			t.Errorf("%s: the page does not say how long the key works:\n%s", kind, got.body)
		}
		found := newSecret.FindStringSubmatch(v.submit(fmt.Sprintf("/dashboard/organizations/%d/test-key", number), nil).body)
		if found == nil {
			t.Fatalf("%s: no key", kind)
		}
		for after, want := range map[time.Duration]apikey.State{14*24*time.Hour - time.Minute: apikey.Active, 14*24*time.Hour + time.Minute: apikey.Expired} {
			s.ahead.Store(int64(after))
			hash, ok := apikey.HashOf(found[1])
			key, err := s.store.KeyByHash(t.Context(), hash)
			if !ok || err != nil || key.State() != want {
				t.Errorf("%s: after %v the key is %s, error %v, want %s", kind, after, key.State(), err, want)
			}
		}
	}
}

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

// TestManyKeys follows the links of a list that is shown in parts.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	for i := range 200 {
		key := apikey.Key{Organization: number, Name: fmt.Sprint("key ", i), Permissions: apikey.Permissions(), RateLimit: 60}
		if err := apikey.Issue(t.Context(), s.store, key, 0, func(string, apikey.Key) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	v := s.signedIn(s.member("ada@example.com", number, account.Viewer))
	keys := fmt.Sprintf("/dashboard/organizations/%d/keys", number)
	names := map[string]bool{}
	for path, next := range map[string]string{keys: keys + "?part=1", keys + "?part=1": ""} {
		got := v.get(path)
		found := regexp.MustCompile(`>key \d+<`).FindAllString(got.body, -1)
		if len(found) != 100 {
			t.Errorf("%s shows %d keys, want 100", path, len(found))
		}
		for _, name := range found {
			names[name] = true
		}
		if has := strings.Contains(got.body, "More keys"); has != (next != "") || has && !strings.Contains(got.body, next) {
			t.Errorf("%s: want a link to %q\n%s", path, next, got.body)
		}
	}
	if len(names) != 200 {
		t.Errorf("the parts show %d different keys, want 200", len(names))
	}
	if got := v.get(keys + "?part=2"); !strings.Contains(got.body, keys+"?part=1") {
		t.Errorf("a part that does not exist is not the first one:\n%s", got.body)
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
