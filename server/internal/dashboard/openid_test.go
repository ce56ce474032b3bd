package dashboard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/browsertest"
	"github.com/chromedp/chromedp"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"
)

// issuer is an OpenID Connect issuer, at which a person is signed in.
type issuer struct {
	t      *testing.T
	url    string
	key    *ecdsa.PrivateKey
	server oidctest.Server // of its endpoints and its key
	claims map[string]any  // about the person, in the place of what is right
	asked  url.Values      // by the last sign-in
	held   chan struct{}   // closed when it may give tokens; nil for always
	asks   atomic.Int32    // for tokens
	away   atomic.Bool     // responds to them with a 503
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, server: oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "key", Algorithm: oidc.ES256}}, Algorithms: []string{oidc.ES256},
	}}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.server.SetIssuer(i.url)
	return i
}

// ServeHTTP implements [http.Handler].
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		i.asks.Add(1)
		if i.held != nil {
			<-i.held
		}
		if i.away.Load() {
			http.Error(w, "canary", http.StatusServiceUnavailable)
			return
		}
	case "/auth": // the person is signed in, and agrees
		i.asked = r.URL.Query()
		http.Redirect(w, r, i.asked.Get("redirect_uri")+"?"+url.Values{"state": {i.asked.Get("state")}, "code": {"code"}}.Encode(), http.StatusFound)
		return
	default:
		i.server.ServeHTTP(w, r)
		return
	}
	id, secret, _ := r.BasicAuth()
	if r.FormValue("code") != "code" || id != "dashboard" || secret != "secret" || r.FormValue("redirect_uri") != i.asked.Get("redirect_uri") ||
		oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != i.asked.Get("code_challenge") {
		http.Error(w, `{"error": "invalid_grant", "error_description": "canary"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{
		"iss": i.url, "aud": "dashboard", "sub": "1", "exp": time.Now().Add(time.Hour).Unix(), "nonce": i.asked.Get("nonce"),
		"email": "Ada@example.com", "email_verified": true,
	}
	maps.Copy(claims, i.claims)
	text, err := json.Marshal(claims)
	if err != nil {
		i.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	err = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": oidctest.SignIDToken(i.key, "key", oidc.ES256, string(text))})
	if err != nil {
		i.t.Error(err)
	}
}

// newOpenIDSite returns a site whose users can sign in with an issuer, and one of its users.
func newOpenIDSite(t *testing.T) (*site, account.User, *issuer) {
	t.Helper()
	i := newIssuer(t)
	s := newSite(t, "SQLite", withIssuer(i.url))
	number, _, _ := s.organization("Clinic")
	return s, s.member("ada@example.com", number, account.Viewer), i
}

// begin follows the link of the sign-in page, and returns the path with which the issuer sends the browser back.
func (i *issuer) begin(v *visitor) string {
	v.t.Helper()
	page := v.get("/dashboard/sign-in?next=%2Fdashboard%2Faccount")
	if !strings.Contains(page.body, `href="/dashboard/openid?next=%2fdashboard%2faccount"`) {
		v.t.Fatalf("the page has no link:\n%s", page.body)
	}
	got := v.get("/dashboard/openid?next=%2Fdashboard%2Faccount")
	to, err := url.Parse(got.location)
	if err != nil || got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, i.url+"/") {
		v.t.Fatalf("got %d %s\n%s", got.status, got.location, got.body)
	}
	i.asked = to.Query()
	if i.asked.Get("redirect_uri") != v.url+"/dashboard/openid/callback" || i.asked.Get("code_challenge_method") != "S256" || i.asked.Get("nonce") == "" {
		v.t.Errorf("the issuer is asked for %v", i.asked)
	}
	for _, attribute := range []string{"; HttpOnly", "; SameSite=Lax", "; Path=/dashboard/openid"} {
		if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, attribute) {
			v.t.Errorf("the cookie lacks %s: %s", attribute, cookie)
		}
	}
	return "/dashboard/openid/callback?" + url.Values{"state": {i.asked.Get("state")}, "code": {"code"}}.Encode()
}

// TestOpenID signs in with an issuer. A password that somebody else may know goes, and so do the sessions that it has begun.
func TestOpenID(t *testing.T) {
	t.Parallel()
	s, u, i := newOpenIDSite(t)
	before := s.signedIn(u)
	v := s.visitor()
	back := i.begin(v)
	if got := v.get(back); got.location != "/dashboard/account" || !v.isSignedIn() {
		t.Fatalf("got %d %s\n%s", got.status, got.location, got.body)
	}
	if before.isSignedIn() {
		t.Error("a session of the password has not ended")
	}
	if got := s.visitor().submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("the password still works: got %d", got.status)
	}
	if got := v.get(back); got.status != http.StatusUnprocessableEntity {
		t.Errorf("the way back a second time: got %d", got.status)
	}
	other := s.visitor()
	if got := other.get(i.begin(other)); got.location != "/dashboard/account" || !v.isSignedIn() {
		t.Errorf("the second sign-in: got %d, and the first one has ended", got.status)
	}
}

// TestOpenIDOtherPerson signs in while the issuer gives the address of a user to another person, who is refused until an operator has
// forgotten the first one.
func TestOpenIDOtherPerson(t *testing.T) {
	t.Parallel()
	for name, twoStep := range map[string]bool{"a user": false, "a user with two-step sign-in": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			trail, path := newTrail(t)
			s := newSite(t, "SQLite", withIssuer(i.url), withTrail(trail))
			u := s.user(account.User{Email: "ada@example.com", Operator: true})
			var recovery []string
			signIn := func(subject string) (*visitor, reply) {
				t.Helper()
				i.claims = map[string]any{"sub": subject}
				v := serve(t, s.store, withIssuer(i.url), withTrail(trail)).visitor()
				return v, v.get(i.begin(v))
			}
			complete := func(subject string) {
				t.Helper()
				v, got := signIn(subject)
				if twoStep {
					v.submit("/dashboard/sign-in/code", url.Values{"code": {recovery[0]}})
					recovery = recovery[1:]
				} else if got.location != "/dashboard/account" {
					t.Errorf("%s: got %d %s", subject, got.status, got.location)
				}
				if !v.isSignedIn() {
					t.Errorf("%s is not signed in", subject)
				}
			}
			if twoStep {
				key, err := account.NewSecret(&u)
				if err == nil {
					recovery, err = account.TurnOnTwoStep(t.Context(), s.store, &u, key.Secret(), 1, "")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			complete("1")
			complete("1")
			if v, got := signIn("2"); got.status != http.StatusForbidden || v.isSignedIn() || !strings.Contains(got.body, "another person") {
				t.Errorf("another person: got %d\n%s", got.status, got.body)
			}
			if lines, err := os.ReadFile(path); err != nil || strings.Count(string(lines), `"newKey":"`+u.ID+`","operation":"dashboard sign-in refused"`) != 1 {
				t.Errorf("the audit trail has, %v\n%s", err, lines)
			}
			if err := s.store.SetSubject(t.Context(), u.ID, i.url+" 1", ""); err != nil {
				t.Fatal(err)
			}
			complete("2")
			if _, got := signIn("1"); got.status != http.StatusForbidden {
				t.Errorf("the first person: got %d", got.status)
			}
		})
	}
}

// TestOpenIDRefuses comes back from the issuer in ways that sign nobody in.
func TestOpenIDRefuses(t *testing.T) {
	t.Parallel()
	s, _, i := newOpenIDSite(t)
	if err := s.store.SetDisabled(t.Context(), s.member("disabled@example.com", 1, account.Viewer).ID, true); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		claims map[string]any
		back   func(v *visitor, back string) string // nil for as it is
		status int
	}{
		"an unknown address":       {claims: map[string]any{"email": "canary@example.com"}, status: http.StatusForbidden},
		"a disabled user":          {claims: map[string]any{"email": "disabled@example.com"}, status: http.StatusForbidden},
		"an unverified address":    {claims: map[string]any{"email_verified": false}, status: http.StatusBadGateway},
		"no word about it":         {claims: map[string]any{"email_verified": nil}, status: http.StatusBadGateway},
		"no address":               {claims: map[string]any{"email": nil}, status: http.StatusBadGateway},
		"no subject":               {claims: map[string]any{"sub": ""}, status: http.StatusBadGateway},
		"a subject too long":       {claims: map[string]any{"sub": strings.Repeat("canary", 50)}, status: http.StatusBadGateway},
		"another sign-in's token":  {claims: map[string]any{"nonce": "x"}, status: http.StatusBadGateway},
		"another server's token":   {claims: map[string]any{"aud": "x"}, status: http.StatusBadGateway},
		"another issuer's token":   {claims: map[string]any{"iss": "https://canary.example"}, status: http.StatusBadGateway},
		"a token that has expired": {claims: map[string]any{"exp": 1}, status: http.StatusBadGateway},
		"a wrong code":             {back: func(_ *visitor, back string) string { return strings.Replace(back, "code=code", "code=canary", 1) }, status: http.StatusBadGateway},
		"a wrong state":            {back: func(_ *visitor, back string) string { return strings.Replace(back, "state=", "state=x", 1) }, status: http.StatusUnprocessableEntity},
		"no state":                 {back: func(*visitor, string) string { return "/dashboard/openid/callback?code=code" }, status: http.StatusUnprocessableEntity},
		"an error of the issuer":   {back: func(_ *visitor, back string) string { return back + "&error=access_denied" }, status: http.StatusUnprocessableEntity},
		"the challenge of another": {back: func(v *visitor, back string) string { i.asked.Set("code_challenge", "x"); return back }, status: http.StatusBadGateway},
		"another browser": {back: func(v *visitor, back string) string {
			*v = *s.visitor()
			return back
		}, status: http.StatusUnprocessableEntity},
	} {
		i.claims = test.claims
		v := serve(t, s.store, withIssuer(i.url)).visitor() // whose address has no failed attempts
		back := i.begin(v)
		if test.back != nil {
			back = test.back(v, back)
		}
		if got := v.get(back); got.status != test.status || v.isSignedIn() || strings.Contains(got.body, "canary") {
			t.Errorf("%s: got %d, want %d\n%s", name, got.status, test.status, got.body)
		}
		if isLogged := strings.Contains(v.log.String(), "reason=\"the OpenID issuer "); isLogged != (test.status == http.StatusBadGateway) {
			t.Errorf("%s: is the reason in the log? %t\n%s", name, isLogged, v.log)
		}
		if strings.Contains(v.log.String(), "canary") {
			t.Errorf("%s: the log has what was sent:\n%s", name, v.log)
		}
	}
}

// TestOpenIDWithTwoStep signs in as a user who has turned two-step sign-in on: the code is asked for.
func TestOpenIDWithTwoStep(t *testing.T) {
	t.Parallel()
	s, u, i := newOpenIDSite(t)
	key, err := account.NewSecret(&u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.TurnOnTwoStep(t.Context(), s.store, &u, key.Secret(), 1, ""); err != nil {
		t.Fatal(err)
	}
	v := s.visitor()
	if got := v.get(i.begin(v)); got.location != "/dashboard/sign-in/code?next=%2Fdashboard%2Faccount" || v.isSignedIn() {
		t.Errorf("got %d %s", got.status, got.location)
	}
	if after, err := s.store.UserByID(t.Context(), u.ID); err != nil || u.PasswordHash == "" || after.PasswordHash != u.PasswordHash {
		t.Errorf("without a code, the password changed from %q to %q: %v", u.PasswordHash, after.PasswordHash, err)
	}
}

// TestOpenIDAttempts comes back with wrong codes, until the address is refused.
func TestOpenIDAttempts(t *testing.T) {
	t.Parallel()
	s, _, i := newOpenIDSite(t)
	v := s.visitor()
	for range account.MaxAttempts {
		if got := v.get(strings.Replace(i.begin(v), "code=code", "code=x", 1)); got.status != http.StatusBadGateway {
			t.Fatalf("got %d", got.status)
		}
	}
	if got := v.get(i.begin(v)); got.status != http.StatusTooManyRequests || v.isSignedIn() {
		t.Errorf("got %d", got.status)
	}
}

// TestIssuerAway comes back from an issuer that gives no tokens for a while. The address may go on with a password, and with the issuer.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	s, u, i := newOpenIDSite(t)
	v := s.visitor()
	i.away.Store(true)
	for range account.MaxAttempts + 1 {
		if got := v.get(i.begin(v)); got.status != http.StatusBadGateway {
			t.Fatalf("got %d, want 502", got.status)
		}
	}
	s.signedIn(u)
	i.away.Store(false)
	if got := v.get(i.begin(v)); got.location != "/dashboard/account" || !v.isSignedIn() {
		t.Errorf("got %d %s", got.status, got.location)
	}
}

// TestIssuerHangs signs in with a password while many wait for the issuer.
func TestIssuerHangs(t *testing.T) {
	t.Parallel()
	s, u, i := newOpenIDSite(t)
	v := s.visitor()
	back := i.begin(v)
	cookies := v.Jar
	i.held = make(chan struct{})
	var all sync.WaitGroup
	var ended atomic.Int32
	for range 6 {
		all.Go(func() {
			defer ended.Add(1)
			one := s.visitor()
			one.Jar = cookies
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+back, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if response, err := one.Do(request); err == nil {
				response.Body.Close()
			}
		})
	}
	await.State(t, "attempts at the issuer", func() bool { return i.asks.Load() >= 4 })
	s.signedIn(u)
	if n := ended.Load(); n > 0 {
		t.Errorf("the password had to wait until %d of them had ended", n)
	}
	close(i.held)
	all.Wait()
}

// TestOpenIDInBrowser follows the link to an issuer of another site in Chromium, whose policy of the page and whose cookies must allow it,
// and joins an organization on the way.
func TestOpenIDInBrowser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.url = strings.Replace(i.url, "127.0.0.1", "localhost", 1)
	i.server.SetIssuer(i.url)
	s := newSite(t, "SQLite", withIssuer(i.url))
	number, _, _ := s.organization("Clinic")
	s.user(account.User{Email: "ada@example.com", Operator: true})
	link := s.signedIn(s.member("owner@example.com", number, account.Owner)).invite(number, "ada@example.com", account.Viewer)
	ctx, _ := browsertest.New(t, s.url)
	err := chromedp.Do(ctx,
		chromedp.Navigate(s.url+link), browsertest.Shows("h1", "Join Clinic"),
		browsertest.Click("main a[href^='/dashboard/openid']"),
		browsertest.Until("the person is signed in", `document.querySelector(".person")?.innerText.includes("ada@example.com")`),
		browsertest.Click("main button"),
		browsertest.Shows("h1", "API keys"),
		chromedp.Navigate(s.url+"/dashboard/account"), browsertest.Shows("main", "You sign in without a password"),
	)
	if err != nil {
		t.Error(err)
	}
}

// TestNoIssuer signs in while the issuer does not respond, and where there is none.
func TestNoIssuer(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	s := newSite(t, "SQLite", withIssuer(gone.URL))
	s.user(account.User{Email: "ada@example.com", Operator: true})
	if got := s.visitor().get("/dashboard/openid"); got.status != http.StatusBadGateway || !strings.Contains(got.body, "If you have a password, you can sign in with that.") || !strings.Contains(s.log.String(), "connection refused") {
		t.Errorf("got %d\n%s", got.status, got.body)
	}
	s = newSite(t, "SQLite")
	s.user(account.User{Email: "ada@example.com", Operator: true})
	for _, path := range []string{"/dashboard/openid", "/dashboard/openid/callback"} {
		if got := s.visitor().get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
}
