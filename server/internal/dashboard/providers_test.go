package dashboard_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

var input = regexp.MustCompile(`(?s)<input [^>]*name="([^"]+)"[^>]* value="([^"]*)"`)

// form returns what the form of a page would send.
func (r reply) form() url.Values {
	form := url.Values{}
	for _, field := range input.FindAllStringSubmatch(r.body, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	for _, list := range regexp.MustCompile(`(?s)<select [^>]*name="([^"]+)".*?</select>`).FindAllStringSubmatch(r.body, -1) {
		form.Set(list[1], "")
		if chosen := regexp.MustCompile(`<option(?: value="([^"]*)")? selected>([^<]*)`).FindStringSubmatch(list[0]); chosen != nil {
			form.Set(list[1], chosen[2])
		}
	}
	for _, area := range regexp.MustCompile(`(?s)<textarea [^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>`).FindAllStringSubmatch(r.body, -1) {
		form.Set(area[1], html.UnescapeString(area[2]))
	}
	return form
}

// records is a site with a provider, and the path of its page.
func records(t *testing.T, kind string) (s *site, organization int64, customer, id uuid.UUID, page string) {
	t.Helper()
	s = newSite(t, kind)
	organization, customer, id = s.organization("Clinic")
	return s, organization, customer, id, fmt.Sprintf("/dashboard/organizations/%d/customers/%s/providers/%s", organization, customer, id)
}

func (s *site) record(organization int64, customer, id uuid.UUID) provider.Provider {
	s.t.Helper()
	record, err := s.store.Get(s.t.Context(), organization, customer, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return record
}

func TestEdit(t *testing.T) {
	t.Parallel()
	s, organization, customer, id, page := records(t, "SQLite")
	u := s.member("ada@example.com", organization, account.Developer)
	v := s.signedIn(u)
	edit := func(change func(url.Values)) reply {
		t.Helper()
		form := v.get(page + "/edit").form()
		change(form)
		return v.submit(page+"/edit", form)
	}

	t.Run("a form that is not changed writes nothing", func(t *testing.T) {
		before := s.record(organization, customer, id)
		if got := edit(func(url.Values) {}); got.location != page+"?done=unchanged" {
			t.Errorf("got %d %s", got.status, got.location)
		}
		if after := s.record(organization, customer, id); after != before {
			t.Errorf("the record has changed: %+v", after)
		}
	})

	t.Run("labels are words", func(t *testing.T) {
		form := v.get(page + "/edit").body
		for _, want := range []string{"NPI", "Postal code", "Address 2", "Primary provider", "Active"} {
			if !strings.Contains(form, ">"+want+"<") {
				t.Errorf("the form has no label %q:\n%s", want, form)
			}
		}
	})

	t.Run("the three states", func(t *testing.T) {
		const hostile = `<script>alert("x")</script> & "quotes"`
		got := edit(func(form url.Values) {
			form.Set("city", hostile)
			form.Set("isActive", "no")
			form.Set("isPrimaryProvider", "yes")
			form.Set("providerName", "")
			form.Set("notes", "two\r\nlines")
		})
		if got.location != page+"?done=saved" {
			t.Fatalf("got %d\n%s", got.status, got.body)
		}
		record := s.record(organization, customer, id)
		for p, want := range map[property.ID]property.Value{
			property.City: property.Text(hostile), property.IsActive: property.Boolean(false), property.IsPrimaryProvider: property.Boolean(true),
			property.ProviderName: property.Null, property.Notes: property.Text("two\nlines"), property.Phone: property.Null,
		} {
			if record.Values[p] != want {
				t.Errorf("%s: got %v, want %v", property.Table[p].Name, record.Values[p], want)
			}
		}
		shown := v.get(page)
		if strings.Contains(shown.body, hostile) || !strings.Contains(shown.body, html.EscapeString(hostile)) {
			t.Errorf("the value is not escaped:\n%s", shown.body)
		}
		for _, want := range []string{"<strong>ada@example.com</strong> updated it", "<strong>the operator</strong> created it", "<del>Provider of Clinic</del>"} {
			if !strings.Contains(shown.body, want) {
				t.Errorf("the history lacks %s:\n%s", want, shown.body)
			}
		}
		operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
		form := operator.get(page + "/edit").form()
		form.Set("phone", "+1 555 0100")
		operator.submit(page+"/edit", form)
		for who, by := range map[string]string{"operator": "operator@example.com", "member": "the operator"} {
			reader := map[string]*visitor{"operator": operator, "member": v}[who]
			if got := reader.get(page); !strings.Contains(got.body, "<strong>"+by+"</strong> updated it") {
				t.Errorf("for the %s, the change is not by %s:\n%s", who, by, got.body)
			}
		}
		if events := s.events(organization, id); events[1].By.KeyID != u.ID {
			t.Errorf("the event is of %q, want %q", events[0].By.KeyID, u.ID)
		}
	})

	t.Run("errors of the contract are next to their fields", func(t *testing.T) {
		got := edit(func(form url.Values) {
			form.Set("npi", strings.Repeat("1", 51))
			form.Set("customerId", uuid.NewString())
			form.Set("notes", "nul \x00")
			form.Set("city", "Shelbyville")
		})
		if got.status != http.StatusUnprocessableEntity || strings.Count(got.body, `class="problem"`) != 3 || !strings.Contains(got.body, `Correct <a href="#npi">NPI</a>, <a href="#notes">Notes</a>.`) || !strings.Contains(got.body, "at most 50 characters") {
			t.Errorf("got %d\n%s", got.status, got.body)
		}
		if form := got.form(); form.Get("city") != "Shelbyville" || form.Get("was.city") == "Shelbyville" {
			t.Errorf("what was entered is lost: %v", form)
		}
		if again := v.submit(page+"/edit", func() url.Values {
			form := got.form()
			form.Set("npi", "1234567890")
			form.Set("customerId", customer.String())
			return form
		}()); again.location != page+"?done=saved" {
			t.Errorf("corrected: got %d\n%s", again.status, again.body)
		}
	})

	t.Run("a customer that cannot be one", func(t *testing.T) {
		if got := edit(func(form url.Values) { form.Set("customerId", "nobody") }); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Enter the ID of a customer") || !strings.Contains(got.body, `<a href="#customerId">Customer</a>`) {
			t.Errorf("got %d\n%s", got.status, got.body)
		}
	})

	t.Run("a version that cannot be one", func(t *testing.T) {
		for _, version := range []string{"", "1", `W/"1"`, "canary"} {
			got := edit(func(form url.Values) { form.Set("etag", version); form.Set("city", "x") })
			if got.status != http.StatusForbidden || strings.Contains(got.body, "canary") {
				t.Errorf("%q: got %d\n%s", version, got.status, got.body)
			}
		}
	})

	t.Run("a change in the meantime is shown, and kept", func(t *testing.T) {
		form := v.get(page + "/edit").form()
		if got := edit(func(form url.Values) { form.Set("phone", "theirs"); form.Set("fax", "theirs") }); got.status != http.StatusSeeOther {
			t.Fatalf("got %d\n%s", got.status, got.body)
		}
		form.Set("phone", "mine")
		form.Set("state", "mine")
		conflict := v.submit(page+"/edit", form)
		if conflict.status != http.StatusConflict || !strings.Contains(conflict.body, "Changed to <ins>theirs</ins> in the meantime") {
			t.Fatalf("got %d\n%s", conflict.status, conflict.body)
		}
		if got := v.submit(page+"/edit", conflict.form()); got.location != page+"?done=saved" {
			t.Fatalf("got %d\n%s", got.status, got.body)
		}
		record := s.record(organization, customer, id)
		for p, want := range map[property.ID]string{property.Phone: "mine", property.Fax: "theirs", property.State: "mine"} {
			if text, _ := record.Values[p].Text(); text != want {
				t.Errorf("%s is %q, want %q", property.Table[p].Name, text, want)
			}
		}
	})

	t.Run("another customer", func(t *testing.T) {
		other := uuid.New()
		if _, err := s.store.Import(t.Context(), organization, nil, []uuid.UUID{other}); err != nil {
			t.Fatal(err)
		}
		got := edit(func(form url.Values) { form.Set("customerId", " "+strings.ToUpper(other.String())+" ") })
		moved := fmt.Sprintf("/dashboard/organizations/%d/customers/%s/providers/%s", organization, other, id)
		if got.location != moved+"?done=saved" {
			t.Fatalf("got %d %s\n%s", got.status, got.location, got.body)
		}
		page = moved
	})

	t.Run("deletion", func(t *testing.T) {
		form := v.get(page).form()
		if got := v.submit(page+"/delete", form); got.status != http.StatusForbidden {
			t.Errorf("unsure: got %d", got.status)
		}
		form.Set("sure", "on")
		edit(func(form url.Values) { form.Set("city", "changed") })
		if got := v.submit(page+"/delete", form); got.location != page+"?done=changed" {
			t.Errorf("of an old version: got %d %s", got.status, got.location)
		}
		stale := v.get(page + "/edit").form()
		form = v.get(page).form()
		form.Set("sure", "on")
		if got := v.submit(page+"/delete", form); !strings.HasSuffix(got.location, "?done=deleted") {
			t.Errorf("got %d %s", got.status, got.location)
		}
		if got := v.get(page); got.status != http.StatusNotFound {
			t.Errorf("the deleted provider: got %d", got.status)
		}
		stale.Set("city", "entered in the meantime")
		if got := v.submit(page+"/edit", stale); got.status != http.StatusNotFound || got.form().Get("city") != "entered in the meantime" {
			t.Errorf("an edit of the deleted provider: got %d\n%s", got.status, got.body)
		}
	})
}

func (s *site) events(organization int64, id uuid.UUID) []provider.Event {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), organization, id, 0, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

func TestAddProvider(t *testing.T) {
	t.Parallel()
	s, organization, customer, _, _ := records(t, "SQLite")
	v := s.signedIn(s.member("ada@example.com", organization, account.Developer))
	path := fmt.Sprintf("/dashboard/organizations/%d/customers/%s", organization, customer)
	form := v.get(path + "/new").form()
	if got := v.submit(path+"/new", form); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `class="problem"`) {
		t.Errorf("without a type: got %d\n%s", got.status, got.body)
	}
	form.Set("providerType", "Pharmacy")
	form.Set("city", "Springfield")
	first, again := v.submit(path+"/new", form), v.submit(path+"/new", form)
	if first.status != http.StatusSeeOther || again.location != first.location {
		t.Errorf("sent twice: got %d %s and %d %s", first.status, first.location, again.status, again.location)
	}
	form.Set("city", "Shelbyville")
	if got := v.submit(path+"/new", form); got.status != http.StatusConflict {
		t.Errorf("sent with other values: got %d\n%s", got.status, got.body)
	}
	if got := v.get(path); strings.Count(got.body, `data-label="Type">Pharmacy</td>`) != 1 {
		t.Errorf("the customer's page:\n%s", got.body)
	}
	if got := v.get(path + "?type=Hospital&active=yes"); !strings.Contains(got.body, "No provider of this customer has that type and state") {
		t.Errorf("filtered:\n%s", got.body)
	}
}

// TestCustomers lists customers by the names of their newest providers.
func TestCustomers(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, organization, customer, _, _ := records(t, kind)
			s.organization("Hospital")
			v := s.signedIn(s.member("ada@example.com", organization, account.Viewer))
			empty := uuid.New()
			for _, names := range [][2]string{{"Dr. One", ""}, {"", "Practice Two"}, {"", ""}} {
				patch := property.Patch{CustomerID: &customer, Values: property.Values{property.ProviderType: property.Text("Hospital")}}
				for p, name := range map[property.ID]string{property.ProviderName: names[0], property.PracticeName: names[1]} {
					if name != "" {
						patch.Values[p] = property.Text(name)
					}
				}
				if _, err := s.store.Import(t.Context(), organization, []provider.Import{{ID: uuid.New(), Patch: patch}}, []uuid.UUID{empty}); err != nil {
					t.Fatal(err)
				}
				s.ahead.Add(int64(time.Second))
			}
			got := v.get(fmt.Sprintf("/dashboard/organizations/%d/customers", organization))
			for _, want := range []string{
				customer.String() + `</code></a></td>` + "\n    " + `<td class="wrap" data-label="Providers">without a name, Practice Two and others</td>`,
				empty.String() + `</code></a></td>` + "\n    " + `<td class="wrap" data-label="Providers"><span class="muted">none</span></td>`,
			} {
				if !strings.Contains(got.body, want) {
					t.Errorf("no %q in\n%s", want, got.body)
				}
			}
			if strings.Contains(got.body, "Hospital") {
				t.Errorf("another organization's provider, or a type, is listed:\n%s", got.body)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, organization, customer, id, page := records(t, kind)
			other, otherCustomer, otherID := s.organization("Hospital")
			v := s.signedIn(s.member("ada@example.com", organization, account.Viewer))
			path := fmt.Sprintf("/dashboard/organizations/%d/customers", organization)
			search := func(text string) reply { return v.submit(path+"/search", url.Values{"text": {text}}) }
			for text, want := range map[string]string{
				strings.ToUpper(id.String()): page, " " + customer.String() + "\n": path + "/" + customer.String(), "": path,
			} {
				if got := search(text); got.location != want {
					t.Errorf("%q: got %d %s, want %s", text, got.status, got.location, want)
				}
			}
			if got := search("OF CLIN"); !strings.Contains(got.body, id.String()) || !strings.Contains(got.body, "1 found in 1 records; there are no more") {
				t.Errorf("a part of a name:\n%s", got.body)
			}
			if got := search("Provider of Hosp"); !strings.Contains(got.body, "0 found in 1 records") {
				t.Errorf("a name of another organization:\n%s", got.body)
			}
			for what, foreign := range map[string]string{"its provider": otherID.String(), "its customer": otherCustomer.String()} {
				got := search(foreign)
				if page := v.get(got.location); page.status != http.StatusNotFound || strings.Contains(page.body, "Hospital") {
					t.Errorf("%s of another organization: %s, %d\n%s", what, got.location, page.status, page.body)
				}
			}
			foreign := fmt.Sprintf("/dashboard/organizations/%d/customers/%s/providers/%s", organization, otherCustomer, otherID)
			if got := v.get(foreign); got.status != http.StatusNotFound {
				t.Errorf("a provider of another organization, in this one: got %d", got.status)
			}
			_ = other
			var records []provider.Import
			for i := range 60 {
				id := uuid.New()
				patch := property.Patch{CustomerID: &customer, Values: property.Values{property.ProviderType: property.Text("Hospital"), property.PracticeName: property.Text(fmt.Sprint("Many ", i))}}
				records = append(records, provider.Import{ID: id, Patch: patch})
			}
			if _, err := s.store.Import(t.Context(), organization, records, nil); err != nil {
				t.Fatal(err)
			}
			got := search("many")
			if !strings.Contains(got.body, "50 found") {
				t.Fatalf("many:\n%s", got.body)
			}
			form := url.Values{"text": {"many"}, "after": {got.form().Get("after")}}
			if rest := v.submit(path+"/search", form); !strings.Contains(rest.body, "10 found") || !strings.Contains(rest.body, "there are no more") {
				t.Errorf("the rest:\n%s", rest.body)
			}
		})
	}
}
