// Package dashboard is the website for people: they get and revoke API keys, look at the records of their organizations, and change
// them. It serves HTML below /dashboard, on the admin listener or next to the API.
//
// A request reaches it after the access log of package api. Every page is a line of the table in routes.go, with the one rule about who
// may see it (guard.go). Sessions are in session.go, and the pages themselves in one file for each resource, with their templates in
// pages. The API decides what a person may do to a record: pages call it through package client, within the process, as the person who
// is signed in. Pages change keys and users with the functions that the commands use.
//
// It works without JavaScript. Nothing is loaded from elsewhere, and no submitted value is in the log.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/design"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/justinas/nosurf"
	"golang.org/x/sync/semaphore"
)

// Store is what the dashboard needs of a database.
type Store interface {
	account.Store
	apikey.Store
	provider.Store
	usage.Store
}

// Config holds what a Dashboard needs. Every field is required but OpenID, Docs and Demo.
type Config struct {
	Store    Store
	API      *api.API
	Limiter  *apikey.Limiter            // of the attempts to sign in from one address
	CallerIP func(*http.Request) string // the IP address that a request comes from
	IsSecure func(*http.Request) bool   // whether the browser sent the request by TLS
	OpenID   *OpenID                    // nil for none
	APIURL   func(*http.Request) string // where programs find the API, such as https://api.example.com
	Docs     string                     // the path of the reference on the same listener, or ""
	Demo     bool                       // a link signs in without a password
}

// Dashboard serves the pages. It is safe for concurrent use.
type Dashboard struct {
	Config
	client   *client.Client
	sessions *scs.SessionManager
	handler  http.Handler
	hasUsers atomic.Bool
	attempts *semaphore.Weighted // to sign in
	atIssuer *semaphore.Weighted // attempts that wait for the issuer, counted separately, so that an issuer that hangs does not block passwords
	searches *semaphore.Weighted // of the audit trail
}

// maxAttemptsAtOnce bounds the attempts to sign in that run at the same time. An address can exceed its limit by one less than that.
const maxAttemptsAtOnce = 4

// New returns a Dashboard.
func New(config Config) (*Dashboard, error) {
	d := &Dashboard{Config: config, attempts: semaphore.NewWeighted(maxAttemptsAtOnce), atIssuer: semaphore.NewWeighted(maxAttemptsAtOnce), searches: semaphore.NewWeighted(1)}
	var err error
	d.client, err = client.New(apikey.Generate(), // which is not sent
		client.WithBaseURL("http://api.invalid"+config.API.Prefix), client.WithTransport(config.API.Transport()), client.WithoutRetries())
	if err != nil {
		return nil, fmt.Errorf("create the dashboard: %w", err)
	}
	d.sessions = d.newSessions()
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.pattern, d.page(route))
	}
	mux.Handle("GET /dashboard/assets/", assets())
	mux.Handle("/dashboard/", d.page(route{guard: anyone, handle: func(*Dashboard, *request) error { return errPageNotFound }}))
	d.handler = mux
	return d, nil
}

// maxForm bounds the body of a request, except for an upload.
const maxForm = 256 << 10

// policy lets pages load their own files, send forms to this server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements [http.Handler].
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	if on, err := d.isOn(r.Context()); err != nil || !on {
		if err != nil {
			api.Fail(r.Context(), err)
			http.Error(w, "The database cannot be reached. Try again in a few seconds.", http.StatusServiceUnavailable)
			return
		}
		http.Error(w, "The dashboard has no users yet. Create the first one with: carecycle-server users create --operator EMAIL", http.StatusNotFound)
		return
	}
	d.handler.ServeHTTP(w, r)
}

// isOn reports whether there is a user. Users are disabled, never removed.
func (d *Dashboard) isOn(ctx context.Context) (bool, error) {
	if d.hasUsers.Load() {
		return true, nil
	}
	has, err := d.Store.HasUsers(ctx)
	if has {
		d.hasUsers.Store(true)
	}
	return has, err
}

// page returns the handler of a route: the session, then the guard, then the token of a form, then the page.
func (d *Dashboard) page(route route) http.Handler {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &request{Request: r, w: w, dashboard: d}
		err := request.authorize(route.guard)
		if err == nil && !request.hasTextURL() {
			err = errPageNotFound
		}
		if err == nil {
			err = route.handle(d, request)
		}
		if err != nil {
			request.fail(err)
		}
	})
	protected := nosurf.New(handler)
	protected.SetIsTLSFunc(d.IsSecure)
	protected.SetFailureHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := errStaleForm
		if r.ContentLength > maxForm && !route.upload { // so the token was not read
			err = &http.MaxBytesError{Limit: maxForm}
		}
		(&request{Request: r, w: w, dashboard: d}).fail(err)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure := d.IsSecure(r)
		protected := *protected
		protected.SetBaseCookie(http.Cookie{Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(sessionLifetime / time.Second)})
		next := http.Handler(&protected)
		if route.upload {
			next = d.upload(route.guard, next)
		} else {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		d.withSession(secure, next).ServeHTTP(w, r)
	})
}

// upload accepts a large body from callers whom the guard accepts: the whole body is read to find the token of the form.
func (d *Dashboard) upload(g guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &request{Request: r, w: w, dashboard: d}
		err := request.authorize(g)
		if err == nil && r.ContentLength > maxUpload {
			err = &http.MaxBytesError{Limit: maxUpload}
		}
		if err == nil {
			err = request.extendTime()
		}
		if err != nil {
			w.Header().Set("Connection", "close") // instead of reading the body
			request.fail(err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
		next.ServeHTTP(w, r)
	})
}

// assets serves the style sheet, the icon and the script.
func assets() http.Handler {
	files := http.StripPrefix("/dashboard/assets/", http.FileServerFS(design.Files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no list of the files
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		files.ServeHTTP(w, r)
	})
}

// Errors that have a page of their own.
var (
	errPageNotFound = errors.New("page not found")
	errForbidden    = errors.New("forbidden")
	errSuspended    = errors.New("the organization is suspended")
	errStaleForm    = errors.New("the token of a form is wrong")
	errUnrecorded   = errors.New("the audit trail cannot be written")
	errAuditBusy    = errors.New("others search the audit trail")
)
