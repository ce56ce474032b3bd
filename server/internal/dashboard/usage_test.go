package dashboard_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/usage"
)

// TestUsage sends requests with keys of two organizations, and looks at the plots of one.
func TestUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, customer, id := s.organization("Clinic")
	other, _, _ := s.organization("Hospital")
	v := s.signedIn(s.member("ada@example.com", number, account.Viewer))
	page := fmt.Sprintf("/dashboard/organizations/%d/usage", number)
	if got := v.get(page); got.status != http.StatusOK || !strings.Contains(got.body, "No key has sent a request") {
		t.Errorf("without requests: got %d\n%s", got.status, got.body)
	}
	send := func(organization int64, name string, requests int) apikey.Key {
		t.Helper()
		secret, key, err := apikey.Create(t.Context(), s.store, apikey.Key{Organization: organization, Name: name, Permissions: apikey.Permissions(), RateLimit: 4}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range requests {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v2/customers/%s/providers/%s", s.url, customer, id), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("x-api-key", secret)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
		return key
	}
	billing := send(number, "billing", 5) // the fifth is over the limit
	send(other, "of the hospital", 1)     // a 404
	s.usage.Flush()
	for _, span := range []string{"hour", "day", "month", "nothing"} {
		got := v.get(page + "?span=" + span)
		for name, want := range map[string]int{"Requests": 5, "Rejected": 0, "Over the limit": 1, "Failed": 0} {
			if !regexp.MustCompile(fmt.Sprintf("<dt>%s</dt><dd>%d</dd>", name, want)).MatchString(got.body) {
				t.Errorf("%s: want %d for %s\n%s", span, want, name, got.body)
			}
		}
		if strings.Contains(got.body, "of the hospital") || !strings.Contains(got.body, `class="limited"`) {
			t.Errorf("%s: the plot is not of the organization\n%s", span, got.body)
		}
	}
	if got := v.get(page + "?key=" + billing.ID); !strings.Contains(got.body, `<td data-label="Operation">getCustomerProvider</td><td data-label="Requests">5</td>`) {
		t.Errorf("of one key:\n%s", got.body)
	}
	for query, of := range map[string]string{"?key=key_x": "an unknown key", "?operation=updateCustomerProvider": "an operation that was not used"} {
		if got := v.get(page + query); !strings.Contains(got.body, "There was no such request") || !strings.Contains(got.body, "<dt>Requests</dt><dd>0</dd>") {
			t.Errorf("of %s:\n%s", of, got.body)
		}
	}
	if got := v.get(page + "?operation=getCustomerProvider"); !strings.Contains(got.body, "<dt>Requests</dt><dd>5</dd>") || !strings.Contains(got.body, "<option selected>getCustomerProvider</option>") {
		t.Errorf("of one operation:\n%s", got.body)
	}
}

// TestUseOfAKey looks at how much of its limit a key uses.
func TestUseOfAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	_, key, err := apikey.Create(t.Context(), s.store, apikey.Key{Organization: number, Name: "billing", Permissions: apikey.Permissions(), RateLimit: 60}, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := s.signedIn(s.member("ada@example.com", number, account.Viewer))
	page := fmt.Sprintf("/dashboard/organizations/%d/keys/%s", number, key.ID)
	if got := v.get(page); !strings.Contains(got.body, "none counted in the last hour") {
		t.Errorf("without requests:\n%s", got.body)
	}
	now := usage.Minute.Start(time.Now())
	var rows []usage.Row
	add := func(id, operation string, minutesAgo, requests, limited int) {
		rows = append(rows, usage.Row{
			Organization: number, At: now.Add(-time.Duration(minutesAgo) * time.Minute), Key: id, Operation: operation,
			Counts: usage.Counts{Requests: int64(requests), Limited: int64(limited)},
		})
	}
	for ago := range 5 { // whichever minute is the last full one when the page is shown
		add(key.ID, "getCustomerProvider", ago, 7, 0)
	}
	add(key.ID, "getCustomerProvider", 30, 40, 2)
	add(key.ID, "updateCustomerProvider", 30, 23, 1)
	add(key.ID, "getCustomerProvider", 90, 1000, 1000)
	add("key_else", "getCustomerProvider", 30, 1000, 1000)
	if err := s.store.AddUsage(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if got := v.get(page); !strings.Contains(got.body, "7 in the last full minute, 63 in the busiest one of the last hour; 3 were refused, over the limit") {
		t.Errorf("got\n%s", got.body)
	}
}

// TestUsageOfManyKeys reads the page of an organization whose keys are all active.
func TestUsageOfManyKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	var rows []usage.Row
	for i := range 2000 {
		rows = append(rows, usage.Row{Organization: number, At: usage.Minute.Start(time.Now()), Key: fmt.Sprint("key_", i), Operation: "getProvider", Counts: usage.Counts{Requests: 1}})
	}
	if err := s.store.AddUsage(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	v := s.signedIn(s.member("ada@example.com", number, account.Viewer))
	got := v.get(fmt.Sprintf("/dashboard/organizations/%d/usage", number))
	if len(got.body) > 100<<10 || !strings.Contains(got.body, "1900 more lines") {
		t.Errorf("the page has %d bytes, want 100 KB at most", len(got.body))
	}
}
