package dashboard_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/storetest"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	keys := fmt.Sprintf("/dashboard/organizations/%d/keys", number)
	v := s.visitor()
	if got := v.get(keys); got.location != "/dashboard/sign-in?next="+url.QueryEscape(keys) {
		t.Fatalf("without a session: sent to %s", got.location)
	}
	wrong := v.submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {"canary of a password"}})
	if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, "is wrong") || strings.Contains(wrong.body, "canary") {
		t.Errorf("a wrong password: got %d\n%s", wrong.status, wrong.body)
	}
	unknown := v.submit("/dashboard/sign-in", url.Values{"email": {"bob@example.com"}, "password": {password}})
	if strings.ReplaceAll(withoutToken(unknown.body), "bob@", "ada@") != withoutToken(wrong.body) {
		t.Errorf("an unknown user gets another page:\n%s", unknown.body)
	}
	for next, want := range map[string]string{
		keys: keys, "https://evil.example/": "/dashboard/", "//evil.example/dashboard/": "/dashboard/", "/\\evil.example": "/dashboard/", "/docs": "/dashboard/", "": "/dashboard/",
		"/dashboard/\\..\\..": "/dashboard/", "/dashboard/../docs": "/dashboard/",
	} {
		got := s.visitor().submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}, "next": {next}})
		if got.status != http.StatusSeeOther || got.location != want {
			t.Errorf("next %q: got %d %s, want %s", next, got.status, got.location, want)
		}
	}
}

// TestSession looks at a session's cookie, and uses it after the session has ended in each way.
func TestSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	v := s.visitor()
	signIn := func() string {
		t.Helper()
		got := v.submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}})
		for _, cookie := range got.header["Set-Cookie"] {
			if strings.HasPrefix(cookie, "carecycle_session=") {
				if !strings.Contains(cookie, "; HttpOnly") || !strings.Contains(cookie, "; SameSite=Lax") || strings.Contains(cookie, "; Secure") {
					t.Errorf("cookie %s", cookie)
				}
				value, _, _ := strings.Cut(cookie, ";")
				return value
			}
		}
		t.Fatal("no session")
		return ""
	}
	works := func(cookie string) bool {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/dashboard/account", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", cookie)
		response, err := s.visitor().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	for name, end := range map[string]func(cookie string){
		"sign out": func(string) { v.submit("/dashboard/sign-out", nil) },
		"another browser ends it": func(string) {
			sessions, err := s.store.ListSessions(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, session := range sessions {
				s.signedIn(u).submit("/dashboard/account/sessions/"+url.PathEscape(session.Key)+"/end", nil)
			}
		},
		"the user is disabled": func(string) {
			for _, disabled := range []bool{true, false} {
				if err := s.store.SetDisabled(t.Context(), u.ID, disabled); err != nil {
					t.Fatal(err)
				}
			}
		},
		"a new password elsewhere": func(string) {
			got := s.signedIn(u).submit("/dashboard/account/password", url.Values{"current": {password}, "password": {password}})
			if got.location != "/dashboard/account?done=password" {
				t.Fatalf("got %d %s", got.status, got.body)
			}
		},
	} {
		cookie := signIn()
		if !works(cookie) {
			t.Fatalf("%s: the session does not work before it", name)
		}
		end(cookie)
		if works(cookie) {
			t.Errorf("%s: the session still works", name)
		}
	}
	if works("carecycle_session=" + strings.Repeat("A", 43)) {
		t.Error("a token that nobody got works")
	}
}

// TestSessionsAreListed looks at the list of two browsers, and ends the other one there.
func TestSessionsAreListed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	other := s.signedIn(u)
	v := s.signedIn(u)
	page := v.get("/dashboard/account").body
	ends := regexp.MustCompile(`action="(/dashboard/account/sessions/[^"]+/end)"`).FindAllStringSubmatch(page, -1)
	if strings.Count(page, "Go-http-client") != 2 || strings.Count(page, ">this one<") != 1 || len(ends) != 1 {
		t.Fatalf("the list:\n%s", page)
	}
	path := html.UnescapeString(ends[0][1])
	if got := s.signedIn(s.member("bob@example.com", number, account.Owner)).submit(path, nil); got.status != http.StatusSeeOther || other.get("/dashboard/account").status != http.StatusOK {
		t.Errorf("another user ends it: got %d", got.status)
	}
	if got := v.submit(path, nil); got.location != "/dashboard/account?done=ended" || other.get("/dashboard/account").status != http.StatusSeeOther {
		t.Errorf("it has not ended: got %d %s", got.status, got.location)
	}
	if got := v.get("/dashboard/account"); strings.Count(got.body, "Go-http-client") != 1 {
		t.Errorf("the list afterwards:\n%s", got.body)
	}
}

// TestSessionsAreShared signs in at one server. The session works at another one that runs, and at one that starts later, and so does
// the second step of a sign-in; it ends for all of them.
func TestSessionsAreShared(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := &phone{t: t, clock: storetest.NewClock(time.Now().Add(-24 * time.Hour))}
			open := openers[kind](t, p.clock.Now)
			first, second := serve(t, open()), serve(t, open())
			number, _, _ := first.organization("Clinic")
			u := first.member("ada@example.com", number, account.Viewer)
			v := first.signedIn(u)
			later := serve(t, open())
			for name, s := range map[string]*site{"another server": second, "a server that starts later": later} {
				if !v.at(s).isSignedIn() {
					t.Errorf("the session does not work at %s", name)
				}
			}
			v.at(second).turnOn(p)
			pending := first.visitor()
			pending.enterPassword(u)
			if got := pending.at(later).enterCode(p.code()); got.status != http.StatusSeeOther || !pending.isSignedIn() {
				t.Errorf("the second step at another server: got %d", got.status)
			}
			v.at(later).submit("/dashboard/sign-out", nil)
			if v.isSignedIn() || v.at(second).isSignedIn() {
				t.Error("the session has not ended")
			}
		})
	}
}

// at returns the visitor, who goes to another server of the same host.
func (v *visitor) at(s *site) *visitor { return &visitor{s, v.Client} }

// TestSessionIdle lets time pass without a request.
func TestSessionIdle(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		s := newSite(t, kind)
		number, _, _ := s.organization("Clinic")
		v := s.signedIn(s.member("ada@example.com", number, account.Viewer))
		s.ahead.Store(int64(dashboard.SessionIdle - time.Minute))
		if got := v.get("/dashboard/account"); got.status != http.StatusOK {
			t.Errorf("%s: almost idle: got %d", kind, got.status)
		}
		s.ahead.Store(int64(dashboard.SessionIdle + time.Minute))
		if got := v.get("/dashboard/account"); got.status != http.StatusSeeOther {
			t.Errorf("%s: idle: got %d, want the sign-in page", kind, got.status)
		}
	}
}

// TestSessionLifetime uses a session at the end of its time, which requests do not put off.
func TestSessionLifetime(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		s := newSite(t, kind)
		u := s.user(account.User{Email: "ada@example.com", Operator: true})
		v := s.signedIn(u)
		session := func() account.Session {
			t.Helper()
			sessions, err := s.store.ListSessions(t.Context(), u.ID)
			if err != nil || len(sessions) != 1 {
				t.Fatalf("%s: sessions %v, error %v", kind, sessions, err)
			}
			return sessions[0]
		}
		old := session()
		var data map[string]any
		if err := json.Unmarshal(old.Data, &data); err != nil {
			t.Fatal(err)
		}
		deadline, err := time.Parse(time.RFC3339, fmt.Sprint(data["deadline"]))
		if lifetime := deadline.Sub(old.CreatedAt); err != nil || lifetime > dashboard.SessionLifetime+time.Second || lifetime < dashboard.SessionLifetime-time.Hour {
			t.Errorf("%s: a session lasts %v, error %v", kind, lifetime, err)
		}

		end := time.Now().Add(dashboard.SessionIdle / 2).Truncate(time.Second)
		data["deadline"] = end
		if old.Data, err = json.Marshal(data); err != nil {
			t.Fatal(err)
		}
		if err := s.store.UpdateSession(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if got := v.get("/dashboard/account"); got.status != http.StatusOK {
			t.Errorf("%s: before the end: got %d", kind, got.status)
		}
		if got := session().ExpiresAt; !got.Equal(end) {
			t.Errorf("%s: after a request the session ends at %v, want %v", kind, got, end)
		}
		s.ahead.Store(int64(dashboard.SessionIdle / 2))
		if got := v.get("/dashboard/account"); got.status != http.StatusSeeOther {
			t.Errorf("%s: after the end: got %d, want the sign-in page", kind, got.status)
		}
	}
}

// TestSecureCookies signs in by TLS. Every cookie is for TLS only, and for requests of the browser only.
func TestSecureCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	server := httptest.NewTLSServer(s.handler)
	defer server.Close()
	v := s.visitor()
	v.Transport = server.Client().Transport
	v.site = &site{t: t, url: server.URL}
	names := map[string]bool{}
	form := v.get("/dashboard/sign-in")
	token := html.UnescapeString(tokenField.FindStringSubmatch(form.body)[1])
	signedIn := v.post("/dashboard/sign-in", url.Values{"csrf_token": {token}, "email": {u.Email}, "password": {password}})
	for _, cookie := range append(form.header["Set-Cookie"], signedIn.header["Set-Cookie"]...) {
		name, _, _ := strings.Cut(cookie, "=")
		names[name] = true
		for _, attribute := range []string{"; HttpOnly", "; Secure", "; SameSite=Lax"} {
			if !strings.Contains(cookie, attribute) {
				t.Errorf("a cookie lacks %s: %s", attribute, cookie)
			}
		}
	}
	if !names["csrf_token"] || !names["carecycle_session"] || signedIn.status != http.StatusSeeOther {
		t.Errorf("got %d, and the cookies %v", signedIn.status, names)
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	token, _, err := account.Invite(t.Context(), s.store, account.User{Email: "ada@example.com", Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	path := "/dashboard/links/" + token
	v := s.visitor()
	if got := v.get(path); got.status != http.StatusOK || !strings.Contains(got.body, "ada@example.com") {
		t.Fatalf("got %d\n%s", got.status, got.body)
	}
	if got := v.submit(path, url.Values{"password": {"too short"}}); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "12 to 200 characters") {
		t.Errorf("a short password: got %d\n%s", got.status, got.body)
	}
	if got := v.submit(path, url.Values{"password": {password}}); got.location != "/dashboard/" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := v.get("/dashboard/account"); got.status != http.StatusOK {
		t.Errorf("the link does not sign in: got %d", got.status)
	}
	for _, used := range []string{path, "/dashboard/links/x"} {
		if got := s.visitor().get(used); got.status != http.StatusNotFound || !strings.Contains(got.body, "ask for a new link") {
			t.Errorf("%s: got %d\n%s", used, got.status, got.body)
		}
	}
}

// TestDemo looks at the pages that tell a person without a password how to sign in.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite", withDemo)
	token, _, err := account.Invite(t.Context(), s.store, account.User{Email: "demo@example.com", Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.visitor().get("/dashboard/sign-in"); !strings.Contains(got.body, "open the link that it printed") {
		t.Errorf("the sign-in does not name the link:\n%s", got.body)
	}
	path := "/dashboard/links/" + token
	v := s.visitor()
	if got := v.submit(path, url.Values{}); got.location != "/dashboard/" || !v.isSignedIn() {
		t.Errorf("the link does not sign in: got %d\n%s", got.status, got.body)
	}
	if got := v.get(path); got.status != http.StatusNotFound || !strings.Contains(got.body, "start it again, and open the link that it prints") {
		t.Errorf("the link again: got %d\n%s", got.status, got.body)
	}
}

// TestTooManySignIns tries passwords from one address.
func TestTooManySignIns(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	v := s.visitor()
	token := v.token()
	for range account.MaxAttempts {
		if got := v.post("/dashboard/sign-in", url.Values{"csrf_token": {token}, "email": {"nobody@example.com"}, "password": {"x"}}); got.status != http.StatusUnprocessableEntity {
			t.Fatalf("got %d", got.status)
		}
	}
	got := v.post("/dashboard/sign-in", url.Values{"csrf_token": {token}, "email": {u.Email}, "password": {password}})
	if got.status != http.StatusTooManyRequests || !strings.Contains(got.body, "too many attempts") {
		t.Errorf("got %d\n%s", got.status, got.body)
	}
}

// TestManySignInsAtOnce tries a password for many users at the same time, from one address.
func TestManySignInsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	s.member("ada@example.com", number, account.Viewer)
	v := s.visitor()
	token := v.token()
	var compared atomic.Int64
	var all sync.WaitGroup
	for i := range 3 * account.MaxAttempts {
		all.Go(func() {
			form := url.Values{"csrf_token": {token}, "email": {fmt.Sprintf("user%d@example.com", i)}, "password": {"x"}}
			if got := v.post("/dashboard/sign-in", form); got.status == http.StatusUnprocessableEntity {
				compared.Add(1)
			}
		})
	}
	all.Wait()
	if most := int64(account.MaxAttempts + 3); compared.Load() > most {
		t.Errorf("%d passwords were compared, want at most %d", compared.Load(), most)
	}
}

// TestNoUsers asks for the dashboard of a store without users.
func TestNoUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	if got := s.visitor().get("/dashboard/sign-in"); got.status != http.StatusNotFound || !strings.Contains(got.body, "users create") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	number, _, _ := s.organization("Clinic")
	s.member("ada@example.com", number, account.Viewer)
	if got := s.visitor().get("/dashboard/sign-in"); got.status != http.StatusOK {
		t.Errorf("with a user: got %d", got.status)
	}
}
