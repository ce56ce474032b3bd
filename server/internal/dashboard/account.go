package dashboard

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/carecycle/provider-api/server/internal/account"
	"golang.org/x/sync/semaphore"
)

// homePage is a part of the organizations of a user.
type homePage struct {
	Organizations []account.Membership
	More          string // the path of the next part, or ""
}

// showHome shows the organizations of a user who has several, and the keys of the only one.
func (d *Dashboard) showHome(r *request) error {
	organizations, err := r.organizations()
	if err != nil {
		return err
	}
	if len(organizations) == 1 {
		return r.redirect(organizationPath(organizations[0].Organization, "keys"))
	}
	var content homePage
	content.Organizations, content.More = part(r, organizations)
	return r.render(http.StatusOK, "home.html", "Organizations", content)
}

type signInForm struct {
	Email, Next, Problem string
}

func (d *Dashboard) showSignIn(r *request) error {
	if r.user != nil {
		return r.redirect(r.next())
	}
	return r.render(http.StatusOK, "signin.html", "Sign in", signInForm{Next: r.next()})
}

func (d *Dashboard) signIn(r *request) error {
	form := signInForm{Email: r.PostFormValue("email"), Next: r.next()}
	u, err := r.attempt(d.attempts, func() (account.User, error) {
		return account.SignIn(r.Context(), d.Store, form.Email, r.PostFormValue("password"))
	})
	switch {
	case errors.Is(err, account.ErrCodeNeeded):
		return r.askForCode(&u, form.Next, "")
	case errors.Is(err, account.ErrTooManyAttempts):
		form.Problem = tooManyAttempts
		return r.render(http.StatusTooManyRequests, "signin.html", "Sign in", form)
	case errors.Is(err, account.ErrSignIn):
		form.Problem = signInProblem
		return r.render(http.StatusUnprocessableEntity, "signin.html", "Sign in", form)
	case err != nil:
		return err
	}
	if err := r.begin(&u); err != nil {
		return err
	}
	return r.redirect(form.Next)
}

var signInProblem = fmt.Sprintf("The email address or the password is wrong. After %d wrong passwords, even the right one is refused for up to %d minutes. If you have forgotten it, ask the operator for a new link.",
	account.MaxAttempts, int(account.AttemptWindow.Minutes()))

// attempt calls signIn, unless too many attempts from the same address have failed. It runs at most one attempt per slot at once, so that
// the limit also holds for attempts that are sent at the same time.
func (r *request) attempt(slots *semaphore.Weighted, signIn func() (account.User, error)) (account.User, error) {
	d, address := r.dashboard, r.dashboard.CallerIP(r.Request)
	if err := slots.Acquire(r.Context(), 1); err != nil {
		return account.User{}, err
	}
	defer slots.Release(1)
	if d.Limiter.Blocked(address) {
		return account.User{}, account.ErrTooManyAttempts
	}
	u, err := signIn()
	if errors.Is(err, account.ErrSignIn) || errors.Is(err, account.ErrCode) {
		d.Limiter.Failed(address)
	}
	return u, err
}

func (d *Dashboard) signOut(r *request) error {
	if err := d.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	return r.redirect("/dashboard/sign-in")
}

type linkForm struct {
	Email   string
	Min     int
	Problem string
}

func (d *Dashboard) showLink(r *request) error {
	u, err := d.Store.UserByLink(r.Context(), account.HashOf(r.PathValue("token")))
	if errors.Is(err, account.ErrInvalidLink) {
		return r.refuseLink()
	}
	if err != nil {
		return err
	}
	title := "Choose a password"
	if d.Demo {
		title = "Welcome to the demo"
	}
	return r.render(http.StatusOK, "link.html", title, linkForm{u.Email, account.MinPassword, ""})
}

// refuseLink says how to get a link that works.
func (r *request) refuseLink() error {
	page := failure{Title: "This link does not work", Advice: "It was used, has expired, or is not complete. If you have a password, sign in with it; or ask for a new link."}
	if r.dashboard.Demo {
		page.Advice = "It was used, or the demo has been started again since. If you are signed in, go on to the dashboard. Otherwise stop the demo, start it again, and open the link that it prints."
	}
	return r.render(http.StatusNotFound, "error.html", page.Title, page)
}

// useLink sets the password of a link's user, and signs the user in. A link replaces a password, but not a code.
func (d *Dashboard) useLink(r *request) error {
	hash := account.HashOf(r.PathValue("token"))
	u, err := d.Store.UserByLink(r.Context(), hash)
	if err == nil {
		password := ""
		if r.PostFormValue("password") != "" || !d.Demo {
			password, err = account.HashPassword(r.Context(), &u, r.PostFormValue("password"))
		}
		if errors.Is(err, account.ErrPassword) {
			form := linkForm{u.Email, account.MinPassword, passwordProblem}
			return r.render(http.StatusUnprocessableEntity, "link.html", "Choose a password", form)
		}
		if err == nil {
			u, err = d.Store.UseLink(r.Context(), hash, password)
		}
	}
	switch {
	case errors.Is(err, account.ErrInvalidLink):
		return r.refuseLink()
	case err != nil:
		return err
	case u.TwoStep:
		return r.askForCode(&u, "/dashboard/", "")
	}
	if err := r.begin(&u); err != nil {
		return err
	}
	return r.redirect("/dashboard/")
}

var passwordProblem = fmt.Sprintf("A password must have %d to %d characters, and not contain your email address.", account.MinPassword, account.MaxPassword)

type accountPage struct {
	Sessions       []sessionLine
	Min            int
	RecoveryCodes  int    // how many are unused
	Problem        string // with the form of the password
	TwoStepProblem string // with that of two-step sign-in
}

type sessionLine struct {
	account.Session
	Browser string
	Current bool
}

func (d *Dashboard) showAccount(r *request) error {
	return r.renderAccount(http.StatusOK, accountPage{})
}

func (r *request) renderAccount(status int, content accountPage) error {
	sessions, err := r.dashboard.Store.ListSessions(r.Context(), r.user.ID)
	if err != nil {
		return err
	}
	content.Min = account.MinPassword
	if r.user.TwoStep {
		t, err := r.dashboard.Store.FindTOTP(r.Context(), r.user.ID)
		if err != nil {
			return err
		}
		content.RecoveryCodes = t.RecoveryCodes
	}
	for _, s := range sessions {
		_, values, err := jsonCodec{}.Decode(s.Data)
		if err != nil {
			return err
		}
		if values[sessionUser] == nil { // the second step is not complete
			continue
		}
		browser, _ := values[sessionBrowser].(string)
		content.Sessions = append(content.Sessions, sessionLine{s, browser, s.Key == loadedSession(r.Context()).key})
	}
	return r.render(status, "account.html", "Your account", content)
}

func (d *Dashboard) changePassword(r *request) error {
	status, problem, err := r.checkPassword()
	if err != nil {
		return err
	}
	if problem != "" {
		return r.renderAccount(status, accountPage{Problem: problem})
	}
	hash, err := account.HashPassword(r.Context(), r.user, r.PostFormValue("password"))
	if errors.Is(err, account.ErrPassword) {
		return r.renderAccount(http.StatusUnprocessableEntity, accountPage{Problem: passwordProblem})
	}
	if err == nil {
		err = d.Store.SetPassword(r.Context(), r.user.ID, hash, loadedSession(r.Context()).key)
	}
	if err != nil {
		return err
	}
	return r.redirect("/dashboard/account?done=password")
}

// checkPassword returns what is wrong with the current password in a form, with the status of the response, or "".
func (r *request) checkPassword() (status int, problem string, err error) {
	matches, err := account.CheckPassword(r.Context(), r.dashboard.Store, r.user, r.PostFormValue("current"))
	switch {
	case errors.Is(err, account.ErrTooManyAttempts):
		return http.StatusTooManyRequests, tooManyAttempts, nil
	case err == nil && !matches:
		return http.StatusUnprocessableEntity, "Your current password is not right.", nil
	}
	return 0, "", err
}

func (d *Dashboard) endSession(r *request) error {
	if err := d.Store.RemoveSession(r.Context(), r.user.ID, r.PathValue("session")); err != nil {
		return err
	}
	return r.redirect("/dashboard/account?done=ended")
}
