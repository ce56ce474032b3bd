package dashboard_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/google/uuid"
)

// newAuditedSite is newSite with an audit trail in a file, which has the lines already.
func newAuditedSite(t *testing.T, kind string, lines ...string) (_ *site, path string) {
	t.Helper()
	trail, path := newTrail(t, lines...)
	return newSite(t, kind, withTrail(trail)), path
}

func newTrail(t *testing.T, lines ...string) (_ *audit.Trail, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(path, audit.Options{Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	return trail, path
}

// auditLine returns a line of an export in a trail.
func auditLine(number int64, name, rest string) string {
	return fmt.Sprintf(`{"time":"2026-05-01T12:00:00.000Z","organization":%d,"organizationName":"%s","operation":"export","everything":true%s}`+"\n", number, name, rest)
}

// read reads a provider with a new key of the organization.
func (s *site) read(organization int64, name string, customer, id uuid.UUID) apikey.Key {
	s.t.Helper()
	secret, key, err := apikey.Create(s.t.Context(), s.store, apikey.Key{
		Organization: organization, OrganizationName: name, Name: "key of " + name, Permissions: apikey.Permissions(), RateLimit: 60,
	}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(secret, client.WithBaseURL(s.url))
	if err == nil {
		_, err = c.GetProvider(s.t.Context(), client.CustomerID(customer), client.ProviderID(id))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// TestAuditTrail looks at the trail as people of two organizations, and as an operator.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	s, _ := newAuditedSite(t, "SQLite",
		auditLine(1, "Clinic", `,"key":"key_old"`),
		auditLine(1, "Former name", `,"key":"key_former"`),
		auditLine(0, "Clinic", `,"operator":"alice","outcome":"started","reason":"canary"`),
		auditLine(1, "Clinic", `,"operator":"alice","outcome":"done","reason":"canary"`),
		`{"time":"2026-05-01T12:00:00.000Z","operator":"bob","operation":"backup","everything":true,"reason":"canary"}`+"\n",
	)
	clinic, customer, id := s.organization("Clinic")
	hospital, otherCustomer, otherID := s.organization("Hospital")
	key, otherKey := s.read(clinic, "Clinic", customer, id), s.read(hospital, "Hospital", otherCustomer, otherID)
	owner := s.signedIn(s.member("ada@example.com", clinic, account.Owner))
	operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
	page := fmt.Sprintf("/dashboard/organizations/%d/audit", clinic)

	own := []string{"key of Clinic", id.String()[:8], "getCustomerProvider", "key_old"}
	byCommand := []string{"alice", "bob", "backup", "canary"}
	foreign := []string{"key of Hospital", otherKey.ID, otherID.String()[:8], "Hospital<"}
	check := func(what string, got reply, want, not []string) {
		t.Helper()
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d\n%s", what, got.status, got.body)
		}
		for _, text := range want {
			if !strings.Contains(got.body, text) {
				t.Errorf("%s: there is no %q\n%s", what, text, got.body)
			}
		}
		for _, text := range not {
			if strings.Contains(got.body, text) {
				t.Errorf("%s: there is %q\n%s", what, text, got.body)
			}
		}
	}
	notOwn := append(append([]string{"key_former"}, byCommand...), foreign...)
	check("an owner", owner.get(page), own, append(notOwn, "audit.log"))
	check("an owner, again", owner.get(page), []string{"dashboard audit search", "ada@example.com</a></td>"}, nil)
	check("an owner asks for another organization", owner.get(page+"?organization=Hospital"), own, notOwn)
	check("an operator, in the organization", operator.get(page), own, notOwn)
	check("an operator", operator.get("/dashboard/audit"), append(append(append([]string{"key_former", "audit.log"}, own...), byCommand...), foreign...), nil)
	check("of one organization", operator.get("/dashboard/audit?organization=Clinic"), append(byCommand, own...), foreign)
	owner.submit(fmt.Sprintf("/dashboard/organizations/%d/keys/%s/revoke", clinic, key.ID), url.Values{"sure": {"on"}})
	check("a key that was revoked", owner.get(page), []string{"dashboard key revoked", ">the key key of Clinic</td>"}, nil)
	for query, want := range map[string]string{
		"record=" + strings.ToUpper(id.String()):           "getCustomerProvider export",
		"record=" + otherID.String():                       "export",
		"customer=" + customer.String() + "&key=" + key.ID: "getCustomerProvider",
		"key=" + key.ID:                     "dashboard key revoked getCustomerProvider",
		"operation=getCustomerProvider":     "getCustomerProvider",
		"until=2026-04-30":                  "",
		"since=2026-05-01&until=2026-05-01": "export",
		"since=2026-05-02&operation=getCustomerProvider&key=key_old": "",
	} {
		got := owner.get(page + "?" + query)
		var operations []string
		for _, cell := range regexp.MustCompile(`>(getCustomerProvider|export|dashboard [^<]*)</a></td>`).FindAllStringSubmatch(got.body, -1) {
			operations = append(operations, cell[1])
		}
		if strings.Join(operations, " ") != want || (want == "") != strings.Contains(got.body, "There is no such line") {
			t.Errorf("%s: got %d %q, want %q", query, got.status, operations, want)
		}
	}
	for query, want := range map[string]string{"record=x": "Enter an ID", "customer=x": "Enter an ID", "since=x": "Enter a day", "until=2026-02-30": "Enter a day"} {
		if got := owner.get(page + "?" + query); got.status != http.StatusUnprocessableEntity || strings.Count(got.body, want) != 1 {
			t.Errorf("%s: got %d\n%s", query, got.status, got.body)
		}
	}
	if got := owner.get(page + "?after=x"); got.status != http.StatusNotFound || !strings.Contains(got.body, "Open the audit trail again") {
		t.Errorf("a wrong position: got %d\n%s", got.status, got.body)
	}
}

// TestAuditTrailInParts follows the links to earlier lines, until the end.
func TestAuditTrailInParts(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 120 {
		lines = append(lines, auditLine(1, "Clinic", fmt.Sprintf(`,"key":"key_of_export","request":"number %d."`, i)))
	}
	s, trail := newAuditedSite(t, "SQLite", lines...)
	number, _, _ := s.organization("Clinic")
	if err := os.WriteFile(trail+".1.gz", []byte("\x1f\x8b"), 0o600); err != nil {
		t.Fatal(err)
	}
	owner := s.signedIn(s.member("ada@example.com", number, account.Owner))
	path, seen := fmt.Sprintf("/dashboard/organizations/%d/audit?key=key_of_export", number), 0
	for parts := 1; ; parts++ {
		got := owner.get(path)
		seen += strings.Count(got.body, "number ")
		if !strings.Contains(got.body, "Some files of the trail are not searched here") {
			t.Errorf("the page does not mention the compressed file:\n%s", got.body)
		}
		next := regexp.MustCompile(`href="([^"]*after=[^"]*)">Earlier lines`).FindStringSubmatch(got.body)
		if next == nil {
			if seen != 120 || parts != 3 {
				t.Errorf("%d lines in %d parts, want 120 in 3", seen, parts)
			}
			break
		}
		path = strings.ReplaceAll(next[1], "&amp;", "&")
		if u, err := url.Parse(path); err != nil || u.Query().Get("key") != "key_of_export" {
			t.Fatalf("%s has lost the filter, %v", path, err)
		}
	}
}

// TestAuditTrailFails sends a form while the trail cannot be written.
func TestAuditTrailFails(t *testing.T) {
	t.Parallel()
	full := audit.New(fullDisk{}, audit.Options{Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { full.Close() })
	s := newSite(t, "SQLite", withTrail(full))
	number, _, _ := s.organization("Clinic")
	owner := s.signedIn(s.member("ada@example.com", number, account.Owner))
	got := owner.submit(fmt.Sprintf("/dashboard/organizations/%d/customers/search", number), url.Values{"text": {"Clinic"}})
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "The audit trail cannot be written") {
		t.Errorf("got %d\n%s", got.status, got.body)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestNoAuditTrail opens the page of a server without a trail, and of one whose trail cannot be read.
func TestNoAuditTrail(t *testing.T) {
	t.Parallel()
	stream := audit.New(io.Discard, audit.Options{Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { stream.Close() })
	for name, s := range map[string]*site{"none": newSite(t, "SQLite"), "to standard output": newSite(t, "SQLite", withTrail(stream))} {
		number, _, _ := s.organization("Clinic")
		owner := s.signedIn(s.member("ada@example.com", number, account.Owner))
		operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
		for _, got := range []reply{owner.get(fmt.Sprintf("/dashboard/organizations/%d/audit?record=x", number)), operator.get("/dashboard/audit")} {
			if got.status != http.StatusOK || !strings.Contains(got.body, "<code>--audit FILE</code>") || strings.Contains(got.body, "<form method=\"get\"") {
				t.Errorf("%s: got %d\n%s", name, got.status, got.body)
			}
		}
	}
}
