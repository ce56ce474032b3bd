package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/dashboard"
)

// request returns the method and the path of a route, for an organization and what else there is to name.
func request(r dashboard.Route, organization int64) (method, path string) {
	method, path, _ = strings.Cut(r.Pattern, " ")
	path = strings.TrimSuffix(path, "{$}")
	path = strings.ReplaceAll(path, "{organization}", fmt.Sprint(organization))
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "3c90c3cc-0d44-4b50-8888-8dd25736052a" + after
	}
	return method, path
}

// TestGuards asks for every page, and sends every form, as people who may not.
func TestGuards(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	other, _, _ := s.organization("Other clinic")
	stranger := s.visitor()
	foreigner := s.signedIn(s.member("foreigner@example.com", other, account.Owner))
	roles := map[account.Role]*visitor{}
	for _, role := range account.Roles() {
		roles[role] = s.signedIn(s.member(string(role)+"@example.com", number, role))
	}
	tokens := map[*visitor]string{stranger: stranger.token(), foreigner: foreigner.token()}
	for _, v := range roles {
		tokens[v] = v.token()
	}
	send := func(v *visitor, method, path string) reply {
		return v.do(method, path, url.Values{"csrf_token": {tokens[v]}})
	}
	for _, route := range dashboard.Routes() {
		method, path := request(route, number)
		if got := roles[account.Owner].do(method, path, nil); method == http.MethodPost && got.status != http.StatusForbidden {
			t.Errorf("%s without a token: got %d, want 403", route.Pattern, got.status)
		}
		if route.Anyone {
			continue
		}
		if got := send(stranger, method, path); got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, "/dashboard/sign-in") {
			t.Errorf("%s without a session: got %d %s, want the sign-in page", route.Pattern, got.status, got.location)
		}
		if route.Operator {
			if got := send(roles[account.Owner], method, path); got.status != http.StatusNotFound {
				t.Errorf("%s as an owner: got %d, want 404", route.Pattern, got.status)
			}
		}
		if route.Role == "" {
			continue
		}
		got := send(foreigner, method, path)
		_, missing := request(route, 999)
		unknown := send(foreigner, method, missing)
		if got.status != http.StatusNotFound || unknown.status != got.status || withoutToken(got.body) != withoutToken(unknown.body) || strings.Contains(got.body, "Clinic") {
			t.Errorf("%s of another organization: got %d, want the 404 of an organization that does not exist\n%s", route.Pattern, got.status, got.body)
		}
		for _, role := range account.Roles() {
			if role.Includes(route.Role) {
				continue
			}
			if got := send(roles[role], method, path); got.status != http.StatusForbidden {
				t.Errorf("%s as a %s: got %d, want 403", route.Pattern, role, got.status)
			}
		}
	}
}

// TestSuspended asks for the pages of an organization that is suspended.
func TestSuspended(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	owner := s.signedIn(s.member("owner@example.com", number, account.Owner))
	operator := s.signedIn(s.user(account.User{Email: "operator@example.com", Operator: true}))
	path := fmt.Sprintf("/dashboard/organizations/%d/keys", number)
	for _, suspended := range []bool{true, false} {
		if err := s.store.SuspendOrganization(t.Context(), number, suspended); err != nil {
			t.Fatal(err)
		}
		if got := owner.get(path); (got.status == http.StatusForbidden) != suspended {
			t.Errorf("suspended %v: an owner gets %d", suspended, got.status)
		}
		if got := operator.get(path); got.status != http.StatusOK || strings.Contains(got.body, "is suspended") != suspended {
			t.Errorf("suspended %v: an operator gets %d\n%s", suspended, got.status, got.body)
		}
	}
}

func withoutToken(body string) string { return tokenField.ReplaceAllString(body, "") }

// TestOtherOrigins sends forms as pages of other sites could: with the visitor's cookies, and even with a token.
func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	v := s.signedIn(s.member("ada@example.com", number, account.Owner))
	token := v.token()
	for name, set := range map[string]func(http.Header){
		"another origin":            func(h http.Header) { h.Set("Origin", "https://evil.example") },
		"the same host by TLS":      func(h http.Header) { h.Set("Origin", strings.Replace(s.url, "http:", "https:", 1)) },
		"a frame without an origin": func(h http.Header) { h.Set("Origin", "null") },
		"another site's Referer":    func(h http.Header) { h.Set("Referer", "https://evil.example/"+s.url) },
		"no origin":                 func(http.Header) {},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/dashboard/sign-out", strings.NewReader(url.Values{"csrf_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		set(request.Header)
		response, err := v.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, response.StatusCode)
		}
	}
	if got := v.get("/dashboard/account"); got.status != http.StatusOK {
		t.Errorf("the session has ended: %d", got.status)
	}
}

// TestHeaders reads what protects every page, also one of an error, and looks for what the policy of the pages is against.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	v := s.signedIn(s.member("ada@example.com", number, account.Owner))
	v.submit("/dashboard/account/two-step", url.Values{"current": {password}}) // so that there is a secret to show
	paths := []string{"/dashboard/nothing"}
	for _, route := range dashboard.Routes() {
		if method, path := request(route, number); method == http.MethodGet && !strings.HasSuffix(path, "/export") {
			paths = append(paths, path)
		}
	}
	stranger := s.visitor()
	for _, path := range append(paths, "/dashboard/sign-in?stranger") {
		got := v.get(path)
		if strings.HasSuffix(path, "stranger") {
			got = stranger.get(path)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Cache-Control":           "no-store",
			"X-Frame-Options":         "DENY",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q, want %q", path, name, value, want)
			}
		}
		for _, inline := range []string{"<style", "style=", "<script>", "onclick=", "javascript:", "http://", "https://"} {
			if strings.Contains(got.body, inline) {
				t.Errorf("%s has %s", path, inline)
			}
		}
	}
}

// TestMalformedRequests sends what no page of the dashboard does.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind)
			number, customer, id := s.organization("Clinic")
			v := s.signedIn(s.member("ada@example.com", number, account.Owner))
			pages := fmt.Sprintf("/dashboard/organizations/%d/", number)
			records := pages + "customers/" + customer.String()
			for _, path := range []string{
				pages + "keys/%00", pages + "keys/%ff", pages + "members?after=%00", pages + "members?after=%ff",
				records + "?cursor=x", records + "?type=x", records + "/providers/" + id.String() + "?cursor=x",
			} {
				if got := v.get(path); got.status != http.StatusNotFound {
					t.Errorf("GET %s: got %d, want 404", path, got.status)
				}
			}
			for _, path := range []string{pages + "members/cancel", pages + "keys/%00/revoke", pages + "members/%ff/role", "/dashboard/account/sessions/%ff/end"} {
				if got := v.submit(path, url.Values{"email": {"\x00"}}); got.status != http.StatusNotFound {
					t.Errorf("POST %s: got %d, want 404", path, got.status)
				}
			}
			if got := v.submit(pages+"keys", url.Values{"name": {strings.Repeat("x", 1<<20)}}); got.status != http.StatusRequestEntityTooLarge {
				t.Errorf("a form of a megabyte: got %d, want 413", got.status)
			}
		})
	}
}
