package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

func TestAge(t *testing.T) {
	now := time.Date(2026, 6, 17, 19, 7, 23, 0, time.UTC)
	for _, tt := range []struct {
		age  time.Duration
		want string
	}{
		{-time.Second, ">just now<"},
		{59 * time.Second, ">just now<"},
		{time.Minute, ">1 minute ago<"},
		{59 * time.Minute, ">59 minutes ago<"},
		{time.Hour, ">1 hour ago<"},
		{47 * time.Hour, ">1 day ago<"},
		{29 * 24 * time.Hour, ">29 days ago<"},
		{30 * 24 * time.Hour, ">18 May 2026<"},
	} {
		if got := string(dashboard.FormatAge(now.Add(-tt.age), now)); !strings.Contains(got, tt.want) {
			t.Errorf("%v: got %s, want %s", tt.age, got, tt.want)
		}
	}
	if got := dashboard.FormatAge(time.Time{}, now); got != "never" {
		t.Errorf("the zero time: got %s", got)
	}
}

// BenchmarkPages fetches pages of an organization with a thousand customers of one provider each, as a browser does on a connection that it has.
// A page should take at most 50 ms.
func BenchmarkPages(b *testing.B) {
	for kind := range openers {
		s := newSite(b, kind)
		organization, customer, id := s.organization("Clinic")
		var records []provider.Import
		for range 1000 {
			records = append(records, provider.Import{ID: uuid.New(), Patch: property.Patch{CustomerID: new(uuid.New()), Values: storetest.PatchOf(len(records)).Values}})
		}
		if _, err := s.store.Import(b.Context(), organization, records, nil); err != nil {
			b.Fatal(err)
		}
		stranger, v := s.visitor(), s.signedIn(s.member("ada@example.com", organization, account.Owner))
		page := fmt.Sprintf("/dashboard/organizations/%d/", organization)
		for name, fetch := range map[string]func() reply{
			"sign-in":   func() reply { return stranger.get("/dashboard/sign-in") },
			"keys":      func() reply { return v.get(page + "keys") },
			"customers": func() reply { return v.get(page + "customers") },
			"provider":  func() reply { return v.get(page + "customers/" + customer.String() + "/providers/" + id.String()) },
			"activity":  func() reply { return v.get(page + "activity") },
			"usage":     func() reply { return v.get(page + "usage") },
		} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if got := fetch(); got.status != http.StatusOK {
						b.Fatalf("got %d\n%s", got.status, got.body)
					}
				}
			})
		}
	}
}
