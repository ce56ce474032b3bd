package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// OpenID is the registration of this server at an OpenID Connect issuer that people can sign in with. Its endpoints are fetched at
// the first sign-in, and again until it responds.
type OpenID struct {
	Issuer, ClientID, ClientSecret string
	Timeout                        time.Duration // of each request to the issuer

	provider atomic.Pointer[oidc.Provider]
	finding  singleflight.Group // of one request to the issuer, however many people wait for it
}

// Name returns what the sign-in page calls the issuer.
func (o *OpenID) Name() string {
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return o.Issuer
	}
	return u.Host
}

func (o *OpenID) find(ctx context.Context) (*oidc.Provider, error) {
	if found := o.provider.Load(); found != nil {
		return found, nil
	}
	found, err, _ := o.finding.Do("", func() (any, error) {
		return oidc.NewProvider(context.WithoutCancel(ctx), o.Issuer) // for all callers, even if the first one cancels
	})
	if err != nil {
		return nil, fmt.Errorf("find the OpenID issuer: %w: %.200s", errNoResponse, err) // a whole page can be in err
	}
	provider := found.(*oidc.Provider)
	o.provider.Store(provider)
	return provider, nil
}

// config returns the registration for oauth2. The issuer redirects to the address that the browser uses.
func (o *OpenID) config(r *request, provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email"},
		RedirectURL: r.origin() + openIDPath + "/callback",
	}
}

const openIDPath = "/dashboard/openid"

// openIDAttempt is in a cookie while the browser is with the issuer, so that only this browser can come back.
type openIDAttempt struct {
	State, Nonce, Verifier, Next string
}

func (r *request) setOpenIDCookie(value string, maxAge int) {
	http.SetCookie(r.w, &http.Cookie{
		Name: openIDCookie, Value: value, Path: openIDPath, MaxAge: maxAge, HttpOnly: true, Secure: r.dashboard.IsSecure(r.Request), SameSite: http.SameSiteLaxMode,
	})
}

const openIDCookie = "carecycle_openid"

// startOpenID sends the browser to the issuer. It is a link, as the Content-Security-Policy forbids forms that lead to other sites.
func (d *Dashboard) startOpenID(r *request) error {
	if d.OpenID == nil {
		return errPageNotFound
	}
	provider, err := d.OpenID.find(d.OpenID.context(r.Context()))
	if err != nil {
		return r.failAtIssuer(err)
	}
	attempt := openIDAttempt{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), r.next()}
	text, err := json.Marshal(attempt)
	if err != nil {
		return err
	}
	r.setOpenIDCookie(base64.RawURLEncoding.EncodeToString(text), int(pendingLifetime.Seconds()))
	return r.redirect(d.OpenID.config(r, provider).AuthCodeURL(attempt.State, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)))
}

// finishOpenID signs in a user whose email address the issuer has verified.
func (d *Dashboard) finishOpenID(r *request) error {
	if d.OpenID == nil {
		return errPageNotFound
	}
	attempt, ok := r.openIDAttempt()
	r.setOpenIDCookie("", -1)
	if !ok || r.FormValue("error") != "" {
		return r.render(http.StatusUnprocessableEntity, "signin.html", "Sign in", signInForm{Next: attempt.Next, Problem: "The sign-in was interrupted, or took too long. Try again."})
	}
	var atIssuer error
	var identity account.Identity
	u, err := r.attempt(d.atIssuer, func() (u account.User, err error) {
		identity, err = d.OpenID.identity(r, attempt)
		if err != nil {
			atIssuer = err
			if errors.Is(err, errNoResponse) { // which does not count as a failed attempt
				return u, err
			}
			return u, account.ErrSignIn
		}
		return account.SignInAs(r.Context(), d.Store, identity)
	})
	switch {
	case errors.Is(err, account.ErrCodeNeeded):
		return r.askForCode(&u, attempt.Next, identity.String())
	case errors.Is(err, account.ErrOtherPerson):
		return r.refuseOtherPerson(&u)
	case errors.Is(err, account.ErrTooManyAttempts):
		return r.render(http.StatusTooManyRequests, "signin.html", "Sign in", signInForm{Next: attempt.Next, Problem: tooManyAttempts})
	case atIssuer != nil:
		return r.failAtIssuer(atIssuer)
	case errors.Is(err, account.ErrSignIn):
		return r.render(http.StatusForbidden, "signin.html", "Sign in", signInForm{Next: attempt.Next, Problem: "There is no user with your email address. Ask an owner of your organization, or the operator, to invite you."})
	case err != nil:
		return err
	}
	if err := r.begin(&u); err != nil {
		return err
	}
	return r.redirect(attempt.Next)
}

// openIDAttempt returns the attempt that the browser has begun, and whether the issuer's response is for it.
func (r *request) openIDAttempt() (attempt openIDAttempt, ok bool) {
	attempt.Next = "/dashboard/"
	cookie, err := r.Cookie(openIDCookie)
	if err != nil {
		return attempt, false
	}
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || json.Unmarshal(text, &attempt) != nil {
		return attempt, false
	}
	attempt.Next = safePath(attempt.Next)
	return attempt, attempt.State != "" && subtle.ConstantTimeCompare([]byte(attempt.State), []byte(r.FormValue("state"))) == 1
}

// errNoResponse says that the issuer cannot be reached, or cannot respond at this time.
var errNoResponse = errors.New("no usable response")

// identity returns who the person is whom the issuer has sent back. Its errors hold nothing of the person, and of the issuer's
// responses about one only the code of an error. They are errNoResponse while the issuer is away.
func (o *OpenID) identity(r *request, attempt openIDAttempt) (none account.Identity, _ error) {
	ctx := o.context(r.Context())
	provider, err := o.find(ctx)
	if err != nil {
		return none, err
	}
	token, err := o.config(r, provider).Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(attempt.Verifier))
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError {
		return none, fmt.Errorf("the OpenID issuer refuses the code: status %d, %.40q", refused.Response.StatusCode, refused.ErrorCode)
	}
	if err != nil {
		return none, fmt.Errorf("the OpenID issuer gives no token: %w", errNoResponse)
	}
	text, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: o.ClientID}).Verify(ctx, text)
	var claims struct {
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	}
	switch {
	case err != nil:
		return none, errors.New("the OpenID issuer gives a token that is not valid")
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(attempt.Nonce)) == 0:
		return none, errors.New("the OpenID issuer gives the token of another sign-in")
	case id.Claims(&claims) != nil || claims.Email == "" || !claims.EmailVerified:
		return none, errors.New("the OpenID issuer gives no verified email address")
	case id.Subject == "" || len(id.Subject) > maxSubject || !isText(id.Subject):
		return none, errors.New("the OpenID issuer gives no valid subject")
	}
	return account.Identity{Issuer: o.Issuer, Subject: id.Subject, Email: claims.Email}, nil
}

const maxSubject = 255 // OpenID Connect Core 1.0, section 2

// refuseOtherPerson responds to a person who has the email address of a user at the issuer, and is not the person that the user was linked to.
func (r *request) refuseOtherPerson(u *account.User) error {
	if err := r.record("dashboard sign-in refused", audit.Entry{NewKey: u.ID}); err != nil {
		return err
	}
	name := r.dashboard.OpenID.Name()
	page := failure{Title: "You were not signed in", Advice: "There is a user with your email address, for whom " + name + " named another person before. If you have a new account at " + name + ", or your address was somebody else's, ask the operator."}
	return r.render(http.StatusForbidden, "error.html", page.Title, page)
}

// failAtIssuer sends the page for an error at the issuer, and logs its reason. The access log has only the types of errors.
func (r *request) failAtIssuer(err error) error {
	api.Fail(r.Context(), err)
	r.dashboard.API.Log.Warn("nobody was signed in with the OpenID issuer", "request_id", api.RequestID(r.Context()), "reason", err.Error())
	page := failure{Title: r.dashboard.OpenID.Name() + " did not sign you in", Advice: "Try again. If you have a password, you can sign in with that. Otherwise ask the operator, who finds the reason in the log of the server, and can give you a link to choose a password."}
	return r.render(http.StatusBadGateway, "error.html", page.Title, page)
}

// context has go-oidc and oauth2 send their requests with the timeout.
func (o *OpenID) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, &http.Client{Timeout: o.Timeout})
}
