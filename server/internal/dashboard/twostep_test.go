package dashboard_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/pquerna/otp/totp"
)

// phone has the app of a user.
type phone struct {
	t        *testing.T
	clock    *storetest.Clock // of the store
	secret   string
	recovery []string
	trail    written // the audit trail of the site
}

// code returns a code that the app has not shown yet.
func (p *phone) code() string {
	p.t.Helper()
	code, err := totp.GenerateCode(p.secret, p.clock.Move(30*time.Second))
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

var (
	shownSecret   = regexp.MustCompile(`<code class="break">([A-Z2-7 ]+)</code>`)
	shownRecovery = regexp.MustCompile(`\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b`)
)

// newTwoStepSite returns a site with a viewer, who has turned two-step sign-in on in the browser v.
func newTwoStepSite(t *testing.T, kind string) (s *site, u account.User, v *visitor, p *phone) {
	t.Helper()
	p = &phone{t: t, clock: storetest.NewClock(time.Now().Add(-24 * time.Hour))} // behind, as sessions end by the clock of the server
	trail := audit.New(&p.trail, audit.Options{Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { trail.Close() })
	s = serve(t, openers[kind](t, p.clock.Now)(), withTrail(trail))
	number, _, _ := s.organization("Clinic")
	u = s.member("ada@example.com", number, account.Viewer)
	v = s.signedIn(u)
	v.turnOn(p)
	return s, u, v, p
}

// turnOn turns two-step sign-in on.
func (v *visitor) turnOn(p *phone) {
	v.t.Helper()
	if got := v.submit("/dashboard/account/two-step", url.Values{"current": {password}}); got.location != "/dashboard/account/two-step" {
		v.t.Fatalf("set it up: got %d\n%s", got.status, got.body)
	}
	page := v.get("/dashboard/account/two-step")
	secret := shownSecret.FindStringSubmatch(page.body)
	if secret == nil || !strings.Contains(page.body, `<svg class="qr"`) {
		v.t.Fatalf("got %d\n%s", page.status, page.body)
	}
	p.secret = strings.ReplaceAll(secret[1], " ", "")
	if !strings.Contains(page.body, `href="otpauth://totp/careCycle:ada@example.com?`) || !strings.Contains(page.body, "secret="+p.secret) {
		v.t.Errorf("the link to the app:\n%s", page.body)
	}
	on := v.submit("/dashboard/account/two-step/on", url.Values{"code": {p.code()}})
	if p.recovery = shownRecovery.FindAllString(on.body, -1); on.status != http.StatusOK || len(p.recovery) != 10 {
		v.t.Fatalf("got %d\n%s", on.status, on.body)
	}
}

// enterPassword does the first step of signing in.
func (v *visitor) enterPassword(u account.User) {
	v.t.Helper()
	got := v.submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}, "next": {"/dashboard/account"}})
	if want := "/dashboard/sign-in/code?next=%2Fdashboard%2Faccount"; got.location != want {
		v.t.Fatalf("got %d %s, want %s\n%s", got.status, got.location, want, got.body)
	}
}

// enterCode does the second step.
func (v *visitor) enterCode(code string) reply {
	v.t.Helper()
	return v.submit("/dashboard/sign-in/code", url.Values{"code": {code}, "next": {"/dashboard/account"}})
}

// isSignedIn reports whether the visitor sees a page of the signed in.
func (v *visitor) isSignedIn() bool {
	v.t.Helper()
	return v.get("/dashboard/account").status == http.StatusOK
}

// TestTwoStep turns two-step sign-in on, signs in with it, and turns it off.
func TestTwoStep(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, u, v, p := newTwoStepSite(t, kind)
			if got := v.get("/dashboard/account"); !strings.Contains(got.body, "You have 10 recovery codes left") {
				t.Errorf("the account page:\n%s", got.body)
			}
			if got := v.get("/dashboard/account/two-step"); got.location != "/dashboard/account" || strings.Contains(got.body, p.secret) {
				t.Errorf("the secret is shown again: got %d\n%s", got.status, got.body)
			}

			code := p.code()
			other := s.visitor()
			other.enterPassword(u)
			if other.isSignedIn() {
				t.Error("the password is enough")
			}
			if got := other.get("/dashboard/sign-in/code"); got.status != http.StatusOK {
				t.Errorf("the form for the code: got %d", got.status)
			}
			if got := other.enterCode("00000x"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "The code is wrong") || other.isSignedIn() {
				t.Errorf("a wrong code: got %d\n%s", got.status, got.body)
			}
			if got := other.enterCode(code); got.location != "/dashboard/account" || !other.isSignedIn() {
				t.Errorf("a code: got %d %s\n%s", got.status, got.location, got.body)
			}
			replayed := s.visitor()
			replayed.enterPassword(u)
			if got := replayed.enterCode(code); got.status != http.StatusUnprocessableEntity || replayed.isSignedIn() {
				t.Errorf("the same code again: got %d", got.status)
			}
			if got := replayed.enterCode(p.recovery[0]); got.location != "/dashboard/account" || !replayed.isSignedIn() {
				t.Errorf("a recovery code: got %d", got.status)
			}
			if got := v.get("/dashboard/account"); !strings.Contains(got.body, "You have 9 recovery codes left") {
				t.Errorf("the account page:\n%s", got.body)
			}

			for name, form := range map[string]url.Values{
				"no code":          {"current": {password}},
				"a wrong code":     {"current": {password}, "code": {"00000x"}},
				"a used code":      {"current": {password}, "code": {p.recovery[0]}},
				"a wrong password": {"current": {"x"}, "code": {p.code()}},
			} {
				if got := v.submit("/dashboard/account/two-step/off", form); got.status != http.StatusUnprocessableEntity {
					t.Errorf("turn it off with %s: got %d", name, got.status)
				}
			}
			p.clock.Move(account.AttemptWindow)
			if got := v.submit("/dashboard/account/two-step/off", url.Values{"current": {password}, "code": {p.code()}}); got.location != "/dashboard/account?done=two-step-off" {
				t.Fatalf("turn it off: got %d\n%s", got.status, got.body)
			}
			if other.isSignedIn() || !v.isSignedIn() {
				t.Error("the other sessions have not ended, or this one has")
			}
			s.signedIn(u)
			v.turnOn(p)
			s.visitor().enterPassword(u)
		})
	}
}

// TestTwoStepNeedsPassword sets it up, and turns it on, as a thief of a session could.
func TestTwoStepNeedsPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Viewer)
	v := s.signedIn(u)
	if got := v.submit("/dashboard/account/two-step", url.Values{"current": {"x"}}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong password: got %d", got.status)
	}
	if got := v.submit("/dashboard/account/two-step/on", url.Values{"code": {"00000x"}}); got.location != "/dashboard/account" {
		t.Errorf("without a secret: got %d %s", got.status, got.location)
	}
	if got := v.submit("/dashboard/account/two-step", url.Values{"current": {password}}); got.status != http.StatusSeeOther {
		t.Fatalf("got %d", got.status)
	}
	if got := v.submit("/dashboard/account/two-step/on", url.Values{"code": {"00000x"}}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: got %d", got.status)
	}
	if u, err := s.store.UserByID(t.Context(), u.ID); err != nil || u.TwoStep {
		t.Errorf("it is on: %v, error %v", u.TwoStep, err)
	}
}

// TestSecondStepEnds lets the time for the second step pass, and does what ends it before.
func TestSecondStepEnds(t *testing.T) {
	t.Parallel()
	s, u, v, p := newTwoStepSite(t, "SQLite")
	bob := s.user(account.User{Email: "bob@example.com", Operator: true})
	for _, ended := range []struct {
		by  string
		end func(pending *visitor)
	}{
		{"another sign-in", func(pending *visitor) {
			pending.submit("/dashboard/sign-in", url.Values{"email": {bob.Email}, "password": {password}})
		}},
		{"a new password", func(*visitor) {
			v.submit("/dashboard/account/password", url.Values{"current": {password}, "password": {password}})
		}},
		{"a reset", func(*visitor) {
			if err := s.store.RemoveTOTP(t.Context(), u.ID, ""); err != nil {
				t.Fatal(err)
			}
			v = s.signedIn(u)
			v.turnOn(p)
		}},
		{"the end of the user", func(*visitor) {
			for _, disabled := range []bool{true, false} {
				if err := s.store.SetDisabled(t.Context(), u.ID, disabled); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"the time", func(*visitor) { p.clock.Set(time.Now().Add(dashboard.PendingLifetime)) }},
	} {
		pending := s.visitor()
		pending.enterPassword(u)
		if got := v.get("/dashboard/account"); strings.Count(got.body, "<tr>") != 2 {
			t.Errorf("%s: the second step is in the list of sessions:\n%s", ended.by, got.body)
		}
		ended.end(pending)
		if got := pending.get("/dashboard/sign-in/code"); got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, "/dashboard/sign-in?") {
			t.Errorf("%s: the form for the code: got %d %s", ended.by, got.status, got.location)
		}
		if got := pending.enterCode(p.code()); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Sign in again") {
			t.Errorf("%s: a code: got %d\n%s", ended.by, got.status, got.body)
		}
		if err := s.store.RecordSignIn(t.Context(), u.ID); err != nil { // so that there are few attempts
			t.Fatal(err)
		}
		if ended.by == "the end of the user" {
			v = s.visitor()
			v.enterPassword(u)
			if got := v.enterCode(p.code()); got.status != http.StatusSeeOther {
				t.Fatalf("sign in again: got %d\n%s", got.status, got.body)
			}
		}
	}
	if got := s.visitor().enterCode(p.code()); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a code without a password: got %d", got.status)
	}
}

// TestTooManyCodes guesses codes for one user, and from one address.
func TestTooManyCodes(t *testing.T) {
	t.Parallel()
	t.Run("of a user", func(t *testing.T) {
		t.Parallel()
		s, u, _, p := newTwoStepSite(t, "SQLite")
		p.clock.Move(account.AttemptWindow)
		v := s.visitor()
		v.enterPassword(u)
		for range account.MaxAttempts - 1 { // the password was one
			if got := v.enterCode("00000x"); got.status != http.StatusUnprocessableEntity {
				t.Fatalf("got %d", got.status)
			}
		}
		if got := v.enterCode(p.code()); got.status != http.StatusTooManyRequests || !strings.Contains(got.body, "too many attempts") || v.isSignedIn() {
			t.Errorf("got %d\n%s", got.status, got.body)
		}
		if got := s.visitor().submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}}); got.status == http.StatusSeeOther {
			t.Errorf("the password is accepted: got %d %s", got.status, got.location)
		}
	})
	t.Run("from an address", func(t *testing.T) {
		t.Parallel()
		s, u, _, p := newTwoStepSite(t, "SQLite")
		v := s.visitor()
		v.enterPassword(u)
		for range account.MaxAttempts {
			if got := v.enterCode("00000x"); got.status != http.StatusUnprocessableEntity {
				break
			}
			if err := s.store.RecordSignIn(t.Context(), u.ID); err != nil { // so that the user's limit is not met
				t.Fatal(err)
			}
		}
		if got := v.enterCode(p.code()); got.status != http.StatusTooManyRequests || v.isSignedIn() {
			t.Errorf("got %d\n%s", got.status, got.body)
		}
	})
}

// TestLinkNeedsCode uses a link to choose a password, and one to join an organization, as a user with two-step sign-in.
func TestLinkNeedsCode(t *testing.T) {
	t.Parallel()
	s, u, _, p := newTwoStepSite(t, "SQLite")
	token, err := account.NewLink(t.Context(), s.store, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	v := s.visitor()
	if got := v.submit("/dashboard/links/"+token, url.Values{"password": {password}}); !strings.HasPrefix(got.location, "/dashboard/sign-in/code") || v.isSignedIn() {
		t.Errorf("the link signs in: got %d %s", got.status, got.location)
	}
	if got := v.enterCode(p.code()); got.status != http.StatusSeeOther || !v.isSignedIn() {
		t.Errorf("the code after it: got %d", got.status)
	}

	number, _, _ := s.organization("Hospital")
	owner := s.signedIn(s.member("owner@example.com", number, account.Owner))
	link := owner.invite(number, u.Email, account.Developer)
	v = s.visitor()
	got := v.submit(link, url.Values{"password": {password}})
	if want := "/dashboard/sign-in/code?next=" + url.QueryEscape(link); got.location != want || v.isSignedIn() {
		t.Errorf("the invitation: got %d %s, want %s", got.status, got.location, want)
	}
	if u, err := s.store.UserByID(t.Context(), u.ID); err != nil || u.Role(number) != "" {
		t.Errorf("without a code the user is %q there, error %v", u.Role(number), err)
	}
	if got := v.submit("/dashboard/sign-in/code", url.Values{"code": {p.code()}, "next": {link}}); got.location != link {
		t.Fatalf("got %d %s", got.status, got.location)
	}
	if got := v.get(link); got.status != http.StatusOK || !strings.Contains(got.body, "Join Hospital") || strings.Contains(got.body, `type="password"`) {
		t.Errorf("the invitation again: got %d\n%s", got.status, got.body)
	}
	if got := owner.submit(link, nil); got.status != http.StatusUnprocessableEntity {
		t.Errorf("as someone else who is signed in: got %d", got.status)
	}
	if got := v.submit(link, nil); got.location != "/dashboard/" {
		t.Errorf("join: got %d\n%s", got.status, got.body)
	}
	if u, err := s.store.UserByID(t.Context(), u.ID); err != nil || u.Role(number) != account.Developer {
		t.Errorf("the user is %q there, error %v", u.Role(number), err)
	}
}

// TestTwoStepIsRecorded looks for the secret and the codes in the log and the audit trail, which say who turned it on and off.
func TestTwoStepIsRecorded(t *testing.T) {
	t.Parallel()
	s, u, v, p := newTwoStepSite(t, "SQLite")
	v.submit("/dashboard/account/two-step/on", url.Values{"code": {p.code()}})
	wrong := p.code()
	v.submit("/dashboard/account/two-step/off", url.Values{"current": {"canary of a password"}, "code": {wrong}})
	v.submit("/dashboard/account/two-step/off", url.Values{"current": {password}, "code": {"canary of a code"}})
	other := s.visitor()
	other.enterPassword(u)
	used := p.code()
	if got := other.enterCode(used); got.status != http.StatusSeeOther {
		t.Fatalf("got %d", got.status)
	}
	if got := v.submit("/dashboard/account/two-step/off", url.Values{"current": {password}, "code": {p.recovery[0]}}); got.status != http.StatusSeeOther {
		t.Fatalf("got %d", got.status)
	}
	trail := p.trail.String()
	for _, operation := range []string{"dashboard two-step on", "dashboard two-step off"} {
		if strings.Count(trail, `"`+operation+`"`) != 1 || strings.Count(trail, `"key":"`+u.ID+`"`) < 2 {
			t.Errorf("the audit trail lacks %s, or has it twice:\n%s", operation, trail)
		}
	}
	if log := s.log.String(); !strings.Contains(log, u.ID) {
		t.Errorf("the log:\n%s", log)
	}
	for name, text := range map[string]string{"log": s.log.String(), "trail": trail} {
		for _, secret := range append(p.recovery, p.secret, "canary", "otpauth", "code="+used, `"`+used) {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has %s:\n%s", name, secret, text)
			}
		}
	}
}
