package dashboard

import (
	"errors"
	"fmt"
	"html/template"
	"image/color"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/pquerna/otp"
)

// codeForm requests the code of the second step.
type codeForm struct {
	Next, Problem string
}

// askForCode starts the second step for a user who has proved the password, or the identity: a session without a user, for a few minutes.
func (r *request) askForCode(u *account.User, next, identity string) error {
	if err := r.renew(sessionPending, u.ID); err != nil {
		return err
	}
	r.dashboard.sessions.Put(r.Context(), sessionSubject, identity)
	r.dashboard.sessions.SetDeadline(r.Context(), time.Now().Add(pendingLifetime))
	return r.redirect("/dashboard/sign-in/code?" + url.Values{"next": {next}}.Encode())
}

// pendingUser returns the user who is in the second step, or nil.
func (r *request) pendingUser() (*account.User, error) {
	id := r.dashboard.sessions.GetString(r.Context(), sessionPending)
	if id == "" {
		return nil, nil
	}
	u, err := r.dashboard.Store.UserByID(r.Context(), id)
	if errors.Is(err, account.ErrNotFound) || err == nil && (u.Disabled || !u.TwoStep) {
		return nil, nil
	}
	return &u, err
}

func (d *Dashboard) showCode(r *request) error {
	u, err := r.pendingUser()
	if err != nil {
		return err
	}
	if u == nil {
		return r.redirect("/dashboard/sign-in?" + url.Values{"next": {r.next()}}.Encode())
	}
	return r.render(http.StatusOK, "signin-code.html", "Enter a code", codeForm{Next: r.next()})
}

// signInWithCode is the second step.
func (d *Dashboard) signInWithCode(r *request) error {
	form := codeForm{Next: r.next()}
	u, err := r.pendingUser()
	if err != nil {
		return err
	}
	if u == nil {
		return r.render(http.StatusUnprocessableEntity, "signin.html", "Sign in", signInForm{Next: form.Next, Problem: lateProblem})
	}
	_, err = r.attempt(d.attempts, func() (account.User, error) {
		return *u, account.CompleteSignIn(r.Context(), d.Store, u, r.PostFormValue("code"))
	})
	if identity := d.sessions.GetString(r.Context(), sessionSubject); err == nil && identity != "" && d.OpenID != nil {
		err = account.LinkIdentity(r.Context(), d.Store, u, identity)
	}
	switch {
	case errors.Is(err, account.ErrTooManyAttempts):
		form.Problem = tooManyAttempts
		return r.render(http.StatusTooManyRequests, "signin-code.html", "Enter a code", form)
	case errors.Is(err, account.ErrCode):
		form.Problem = codeProblem
		return r.render(http.StatusUnprocessableEntity, "signin-code.html", "Enter a code", form)
	case errors.Is(err, account.ErrOtherPerson):
		return r.refuseOtherPerson(u)
	case err != nil:
		return err
	}
	if err := r.begin(u); err != nil {
		return err
	}
	return r.redirect(form.Next)
}

const codeProblem = "The code is wrong, or was used already. Wait for the next one, and check that the clock of your phone is right."

var lateProblem = fmt.Sprintf("More than %d minutes have passed since you began to sign in, or your account has changed. Sign in again.", int(pendingLifetime.Minutes()))

// startTwoStep keeps a new secret in the session, until the app of the user has computed a code from it.
func (d *Dashboard) startTwoStep(r *request) error {
	if r.user.TwoStep {
		return r.redirect("/dashboard/account")
	}
	status, problem, err := r.checkPassword()
	if err != nil {
		return err
	}
	if problem != "" {
		return r.renderAccount(status, accountPage{TwoStepProblem: problem})
	}
	key, err := account.NewSecret(r.user)
	if err != nil {
		return err
	}
	d.sessions.Put(r.Context(), sessionSecret, key.URL())
	return r.redirect("/dashboard/account/two-step")
}

// secretForm shows a secret, and requests a code that proves that an app has it.
type secretForm struct {
	Link    template.URL // otpauth://…, which QR shows
	Secret  string       // in groups
	QR      qrCode
	Problem string
}

// secret returns the secret in the session, or nil if there is none.
func (r *request) secret() (*otp.Key, error) {
	link := r.dashboard.sessions.GetString(r.Context(), sessionSecret)
	if link == "" {
		return nil, nil
	}
	return otp.NewKeyFromURL(link)
}

func (d *Dashboard) showSecret(r *request) error { return r.renderSecretForm(http.StatusOK, "") }

func (r *request) renderSecretForm(status int, problem string) error {
	key, err := r.secret()
	if err != nil {
		return err
	}
	if key == nil {
		return r.redirect("/dashboard/account")
	}
	code, err := drawQR(key.URL())
	if err != nil {
		return err
	}
	return r.render(status, "account-secret.html", "Turn on two-step sign-in", secretForm{template.URL(key.URL()), group(key.Secret()), code, problem})
}

// group separates the groups of a secret, which a person may type.
func group(secret string) string {
	var text strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			text.WriteByte(' ')
		}
		text.WriteRune(c)
	}
	return text.String()
}

// qrCode is a QR code as a path of SVG.
type qrCode struct {
	Size int
	Path string
}

// quietZone is the width of the margin of a QR code, in modules.
const quietZone = 4

// drawQR returns the QR code of a text: a rectangle for each run of dark modules in a line.
func drawQR(text string) (qrCode, error) {
	image, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return qrCode{}, fmt.Errorf("draw a QR code: %w", err)
	}
	n := image.Bounds().Dx()
	isDark := func(x, y int) bool { return x < n && image.At(x, y) == color.Black }
	var path strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			start := x
			for isDark(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, x-start, x-start)
			}
		}
	}
	return qrCode{n + 2*quietZone, path.String()}, nil
}

// turnOnTwoStep shows the recovery codes, once. It does not redirect, so they are not stored for a later page.
func (d *Dashboard) turnOnTwoStep(r *request) error {
	key, err := r.secret()
	if err != nil {
		return err
	}
	if key == nil {
		return r.redirect("/dashboard/account")
	}
	step, err := account.CheckSecret(r.Context(), d.Store, key.Secret(), r.PostFormValue("code"))
	if errors.Is(err, account.ErrCode) {
		return r.renderSecretForm(http.StatusUnprocessableEntity, codeProblem)
	}
	if err == nil {
		err = r.record("dashboard two-step on", audit.Entry{})
	}
	if err != nil {
		return err
	}
	recovery, err := account.TurnOnTwoStep(r.Context(), d.Store, r.user, key.Secret(), step, loadedSession(r.Context()).key)
	if errors.Is(err, account.ErrNotFound) { // it is already on
		return r.redirect("/dashboard/account")
	}
	if err != nil {
		return err
	}
	d.sessions.Remove(r.Context(), sessionSecret)
	return r.render(http.StatusOK, "account-recovery.html", "Your recovery codes", recovery)
}

// turnOffTwoStep requires the password and a code.
func (d *Dashboard) turnOffTwoStep(r *request) error {
	if !r.user.TwoStep {
		return r.redirect("/dashboard/account")
	}
	status, problem, err := r.checkPassword()
	if err != nil {
		return err
	}
	if problem != "" {
		return r.renderAccount(status, accountPage{TwoStepProblem: problem})
	}
	err = account.CheckCode(r.Context(), d.Store, r.user, r.PostFormValue("code"))
	switch {
	case errors.Is(err, account.ErrTooManyAttempts):
		return r.renderAccount(http.StatusTooManyRequests, accountPage{TwoStepProblem: tooManyAttempts})
	case errors.Is(err, account.ErrCode):
		return r.renderAccount(http.StatusUnprocessableEntity, accountPage{TwoStepProblem: codeProblem})
	case err != nil:
		return err
	}
	if err := r.record("dashboard two-step off", audit.Entry{}); err != nil {
		return err
	}
	if err := d.Store.RemoveTOTP(r.Context(), r.user.ID, loadedSession(r.Context()).key); err != nil {
		return err
	}
	return r.redirect("/dashboard/account?done=two-step-off")
}
