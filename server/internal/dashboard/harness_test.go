package dashboard_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/design"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/sqlitetest"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/uuid"
)

// site is a server with an API and a dashboard, on a new store.
type site struct {
	t       testing.TB
	store   dashboard.Store
	handler http.Handler
	url     string
	ahead   *atomic.Int64 // how far the store's clock is ahead
	usage   *usage.Recorder
	log     *written
}

// openers create a database of each kind, and return what opens it as a server does.
var openers = map[string]func(t testing.TB, now func() time.Time) func() dashboard.Store{
	"SQLite": func(t testing.TB, now func() time.Time) func() dashboard.Store {
		path := sqlitetest.New(t, filepath.Join(t.TempDir(), "test.db"))
		return func() dashboard.Store {
			store, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return store
		}
	},
	"PostgreSQL": func(t testing.TB, now func() time.Time) func() dashboard.Store {
		dsn := postgrestest.New(t)
		return func() dashboard.Store {
			store, err := postgres.Open(t.Context(), dsn, postgres.Options{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return store
		}
	},
}

// written is what was written so far. It is safe for concurrent use.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (w *written) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(text)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// option is what a site has that most have not.
type option func(*api.Config, *dashboard.Config)

func withTrail(trail *audit.Trail) option {
	return func(config *api.Config, _ *dashboard.Config) { config.Audit = trail }
}

func withIssuer(url string) option {
	return func(_ *api.Config, config *dashboard.Config) {
		config.OpenID = &dashboard.OpenID{Issuer: url, ClientID: "dashboard", ClientSecret: "secret", Timeout: await.Patience}
	}
}

// withDemo makes the site a demo.
func withDemo(_ *api.Config, config *dashboard.Config) { config.Demo = true }

// newSite serves a dashboard on a store of that kind.
func newSite(t testing.TB, kind string, options ...option) *site {
	t.Helper()
	ahead := new(atomic.Int64)
	store := openers[kind](t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })()
	s := serve(t, store, options...)
	s.ahead = ahead
	return s
}

var referencePages = sync.OnceValues(func() (docs.Pages, error) {
	return docs.New(providerapi.Contract, docs.Options{Dashboard: dashboard.Home, TestKeys: dashboard.TestKeys})
})

// serve is newSite on a store that is open.
func serve(t testing.TB, store dashboard.Store, options ...option) *site {
	t.Helper()
	doc, err := gen.ReadContract(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	lines := new(written)
	log := slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}), slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}),
	))
	verifier := apikey.NewVerifier(store, time.Now, log)
	t.Cleanup(verifier.Close)
	counts := usage.NewRecorder(store, time.Now, log)
	t.Cleanup(counts.Close)
	reference, err := referencePages()
	if err != nil {
		t.Fatal(err)
	}
	config := api.Config{
		Contract: doc, Docs: reference, Store: store, Keys: verifier, Limiter: apikey.NewLimiter(time.Now), Metrics: metrics.New(), Usage: counts, Log: log, LogSuccess: func() bool { return true },
		Ping: func(context.Context) error { return nil },
	}
	start := time.Now() // the limit of an address has no time to recover, however slow the machine is
	pagesConfig := dashboard.Config{
		Store: store, Limiter: apikey.NewLimiter(func() time.Time { return start }), CallerIP: api.CallerIP(nil), IsSecure: api.IsSecure(nil),
		APIURL: func(r *http.Request) string { return "http://" + r.Host }, Docs: "/docs",
	}
	for _, set := range options {
		set(&config, &pagesConfig)
	}
	ready, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ready.Close)
	server := httptest.NewUnstartedServer(nil)
	pagesConfig.API = ready
	pages, err := dashboard.New(pagesConfig)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", ready)
	mux.Handle("/dashboard/", ready.Logged("dashboard", pages))
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	return &site{t: t, store: store, handler: mux, url: server.URL, usage: counts, log: lines}
}

// organization creates an organization with one provider.
func (s *site) organization(name string) (number int64, customer, id uuid.UUID) {
	s.t.Helper()
	number, _, err := s.store.EnsureOrganization(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	customer, id = uuid.New(), uuid.New()
	patch := property.Patch{CustomerID: &customer, Values: property.Values{
		property.ProviderType: property.Text(gen.ProviderTypeHospital), property.ProviderName: property.Text("Provider of " + name),
	}}
	if _, err := s.store.Import(s.t.Context(), number, []provider.Import{{ID: id, Patch: patch}}, nil); err != nil {
		s.t.Fatal(err)
	}
	return number, customer, id
}

const password = "correct horse battery"

// user creates a user with the password.
func (s *site) user(u account.User) account.User {
	s.t.Helper()
	token, u, err := account.Invite(s.t.Context(), s.store, u)
	if err != nil {
		s.t.Fatal(err)
	}
	hash, err := account.HashPassword(s.t.Context(), &u, password)
	if err != nil {
		s.t.Fatal(err)
	}
	if u, err = s.store.UseLink(s.t.Context(), account.HashOf(token), hash); err != nil {
		s.t.Fatal(err)
	}
	return u
}

// member returns a user with a role in an organization.
func (s *site) member(email string, organization int64, role account.Role) account.User {
	s.t.Helper()
	return s.user(account.User{Email: email, Memberships: []account.Membership{{Organization: organization, Role: role}}})
}

// visitor is a browser without JavaScript.
type visitor struct {
	*site
	http.Client
}

func (s *site) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{s, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn returns a visitor who has signed in.
func (s *site) signedIn(u account.User) *visitor {
	s.t.Helper()
	v := s.visitor()
	if got := v.submit("/dashboard/sign-in", url.Values{"email": {u.Email}, "password": {password}}); got.status != http.StatusSeeOther {
		s.t.Fatalf("sign in as %s: got %d\n%s", u.Email, got.status, got.body)
	}
	return v
}

// reply is a response.
type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

// get fetches a page.
func (v *visitor) get(path string) reply {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil)
}

// submit sends a form with its token.
func (v *visitor) submit(path string, form url.Values) reply {
	v.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf_token", v.token())
	return v.post(path, form)
}

// post sends a form as it is.
func (v *visitor) post(path string, form url.Values) reply {
	v.t.Helper()
	return v.do(http.MethodPost, path, form)
}

func (v *visitor) do(method, path string, form url.Values) reply {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", v.url)
	response, err := v.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if weight := len(body) + assetsSize(v.t); strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") && weight > 100<<10 {
		v.t.Errorf("%s has %d bytes with its style sheet and script, want 100 KB at most", path, weight)
	}
	return reply{response.StatusCode, response.Header.Get("Location"), response.Header, string(body)}
}

// assetsSize returns the size of the files that a page loads.
func assetsSize(t testing.TB) (total int) {
	t.Helper()
	for _, name := range []string{"style.css", "site.js", "icon.svg"} {
		content, err := design.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(content)
	}
	return total
}

var tokenField = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// token returns a token that the visitor's forms have: of the account's page, or of the sign-in page for a stranger.
func (v *visitor) token() string {
	v.t.Helper()
	for _, path := range []string{"/dashboard/account", "/dashboard/sign-in"} {
		if found := tokenField.FindStringSubmatch(v.get(path).body); found != nil {
			return strings.NewReplacer("&#43;", "+", "&#34;", `"`).Replace(found[1])
		}
	}
	v.t.Fatal("no page has a token")
	return ""
}
