package dashboard

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/justinas/nosurf"
)

//go:embed pages
var pageFiles embed.FS

// pages are the templates by name: layout.html around each of the others. html/template escapes values for their context, and needs no
// generator.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html"))
	parsed := map[string]*template.Template{}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		parsed[file.Name()] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, path.Join("pages", file.Name())))
	}
	return parsed
}

var functions = template.FuncMap{
	"when": formatTime,
	"ago": func(at any) (template.HTML, error) {
		t, err := parseTime(at)
		return formatAge(t, time.Now()), err
	},
	"section": func(p page, name, text string) section {
		return section{p.Path(name), text, p.Section == name}
	},
	"day": func(t time.Time) template.HTML {
		if t.IsZero() {
			return "never"
		}
		return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), t.UTC().Format("2 Jan 2006")))
	},
	"percentile": percentile,
	"searched": func(content any) string {
		if search, ok := content.(searchPage); ok {
			return search.Text
		}
		return ""
	},
	"property": func(p provider.Provider, name string) string {
		id, _ := property.ByName(name)
		text, _ := p.Values[id].Text()
		return text
	},
	"text": func(text *string) string {
		if text == nil {
			return ""
		}
		return *text
	},
	"isFalse": func(flag *bool) bool { return flag != nil && !*flag },
	"timestamp": func(text string) (template.HTML, error) {
		t, err := time.Parse(time.RFC3339, text)
		return formatTime(t), err
	},
	"permissions": func(p []apikey.Permission) string {
		if slices.Contains(p, apikey.ProvidersWrite) {
			return "read and change"
		}
		return "read"
	},
}

// parseTime returns a time, or the one that a record has as text.
func parseTime(at any) (time.Time, error) {
	switch at := at.(type) {
	case string:
		return time.Parse(time.RFC3339, at)
	case *string:
		return time.Parse(time.RFC3339, *at)
	}
	return at.(time.Time), nil
}

// formatAge returns how long ago something was. Beyond a month it is the day. Pointing at it shows the time.
func formatAge(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	age := now.Sub(t)
	text := t.UTC().Format("2 Jan 2006")
	switch {
	case age < time.Minute:
		text = "just now" // the clock of the database can be ahead
	case age < time.Hour:
		text = plural(int(age.Minutes()), "minute")
	case age < 24*time.Hour:
		text = plural(int(age.Hours()), "hour")
	case age < 30*24*time.Hour:
		text = plural(int(age.Hours()/24), "day")
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.Format(time.RFC3339), t.UTC().Format("2 Jan 2006, 15:04 UTC"), text))
}

func plural(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s ago", n, unit)
}

func formatTime(t time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), t.Format("2 Jan 2006, 15:04 UTC")))
}

// page is what layout.html shows.
type page struct {
	Title         string
	Section       string // of the navigation: "keys"
	User          *account.User
	Organization  account.Membership
	Organizations bool // the user may see more than one
	Docs          string
	Demo          bool
	OpenID        *OpenID
	Token         string // of the forms
	Done          string // what the last form did
	Content       any    // what the page's own template shows
}

// section is a link of the navigation.
type section struct {
	Path, Text string
	Current    bool
}

// May reports whether the user has the role, or one that includes it, in the organization.
func (p page) May(role account.Role) bool { return p.Organization.Role.Includes(role) }

// Path returns the path of a page of the organization.
func (p page) Path(parts ...string) string {
	return organizationPath(p.Organization.Organization, parts...)
}

func organizationPath(organization int64, parts ...string) string {
	elements := []string{"/dashboard/organizations", fmt.Sprint(organization)}
	for _, part := range parts {
		elements = append(elements, url.PathEscape(part))
	}
	return strings.Join(elements, "/")
}

// page returns a page with the data of the layout.
func (r *request) page(name, title string, content any) page {
	p := page{Title: title, User: r.user, Organization: r.organization, Docs: r.dashboard.Docs, Demo: r.dashboard.Demo, OpenID: r.dashboard.OpenID, Token: nosurf.Token(r.Request), Content: content}
	p.Section, _, _ = strings.Cut(name, "-")
	p.Section = strings.TrimSuffix(p.Section, ".html")
	p.Done = done[r.URL.Query().Get("done")]
	p.Organizations = r.user != nil && (r.user.Operator || len(r.user.Memberships) > 1)
	return p
}

// render sends a page. Its error can mean that nobody got the page.
func (r *request) render(status int, name, title string, content any) error {
	var text bytes.Buffer
	if err := pages[name].ExecuteTemplate(&text, "layout.html", r.page(name, title, content)); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	r.sendHeader(status)
	_, err := r.w.Write(text.Bytes())
	return err
}

// stream sends a page while its template is executed, which calls flush when there is something to see.
func (r *request) stream(name, title string, content any) error {
	r.w.Header().Set("X-Accel-Buffering", "no") // nginx passes each part on at once
	r.sendHeader(http.StatusOK)
	return pages[name].ExecuteTemplate(r.w, "layout.html", r.page(name, title, content))
}

func (r *request) sendHeader(status int) {
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.w.Header().Set("Cache-Control", "no-store")
	r.w.WriteHeader(status)
	r.sent = true
}

// flush sends what has been written so far.
func (r *request) flush() {
	http.NewResponseController(r.w).Flush() // the next write reports a failure
}

// done are the messages about a form that was sent, by the parameter of the page that follows it.
var done = map[string]string{
	"revoked":      "The key is revoked. Running servers refuse it within 5 seconds.",
	"ended-before": "The key has been replaced already, or has ended.",
	"password":     "Your password is changed, and your other sessions have ended.",
	"ended":        "The session has ended.",
	"two-step-off": "Two-step sign-in is off, and your other sessions have ended.",

	"saved":     "The change is saved.",
	"created":   "The provider is added.",
	"deleted":   "The provider is deleted.",
	"unchanged": "Nothing was changed, so nothing was saved.",
	"changed":   "Somebody changed the provider in the meantime, so it was not deleted. Review it, and try again.",
	"role":      "The role is changed.",
	"renamed":   "The organization has its new name.",
	"suspended": "The organization is suspended. Running servers refuse its keys within 5 seconds.",
	"resumed":   "The organization is resumed. Running servers accept its keys within 5 seconds.",
	"cancelled": "The invitation is cancelled.",
}

// partSize is how many lines of a list a page shows.
const partSize = 100

// part returns the lines that a page shows, by the number of the part in its address, and the path of the next part, or "".
func part[T any](r *request, lines []T) (shown []T, more string) {
	n, err := strconv.Atoi(r.FormValue("part"))
	if err != nil || n < 1 || n >= (len(lines)+partSize-1)/partSize {
		n = 0
	}
	shown = lines[n*partSize:]
	if len(shown) > partSize {
		shown, more = shown[:partSize], r.URL.Path+"?part="+strconv.Itoa(n+1)
	}
	return shown, more
}

// redirect sends the browser to the page that follows a form.
func (r *request) redirect(path string) error {
	http.Redirect(r.w, r.Request, path, http.StatusSeeOther)
	return nil
}

// failure is an error page.
type failure struct {
	status        int
	Title, Advice string
}

// failureOf returns the page of an error. Like the API, it says nothing about an error that it does not know.
func failureOf(err error) failure {
	var oversize *http.MaxBytesError
	switch {
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrOutcomeUnknown):
		return unavailablePage(errors.Is(err, client.ErrOutcomeUnknown))
	case errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrValidation), errors.Is(err, errPageNotFound), errors.Is(err, account.ErrNotFound), errors.Is(err, apikey.ErrNotFound):
		return failure{http.StatusNotFound, "There is no such page", "The address may be incomplete, or the page may be gone. Start again from the dashboard."}
	case errors.Is(err, errSuspended):
		return failure{http.StatusForbidden, "This organization is suspended", "Its keys are refused, and its pages are closed. Ask the operator to resume it."}
	case errors.Is(err, errForbidden):
		return failure{http.StatusForbidden, "You may not do this", "Your role in this organization does not include it. Ask an owner of the organization to change your role."}
	case errors.Is(err, errStaleForm):
		return failure{http.StatusForbidden, "This form is out of date", "It was opened too long ago, or by another page. Nothing was changed. Go back, load the page again, and repeat what you did."}
	case errors.Is(err, audit.ErrNoPosition):
		return failure{http.StatusNotFound, "This part of the audit trail is not here", "Its file was removed in the meantime, or the previous page came from another server, with another trail. Open the audit trail again."}
	case errors.Is(err, errUnrecorded):
		return failure{http.StatusServiceUnavailable, "The audit trail cannot be written", "Nothing was changed or shown, as there would be no record of it. Try again in a few seconds, and if that does not help, ask the operator: the reason is in the log of the server."}
	case errors.Is(err, errAuditBusy):
		return failure{http.StatusServiceUnavailable, "Other searches of the audit trail are running", "One search runs at a time. Try again in a few seconds."}
	case errors.As(err, &oversize):
		return failure{http.StatusRequestEntityTooLarge, "This is too large", "Nothing was changed. Go back, and send less."}
	}
	switch code := provider.CodeOf(err); code {
	case provider.CodeNoOrganization:
		return failureOf(errPageNotFound)
	case provider.CodeUnavailable, provider.CodeOutcomeUnknown:
		return unavailablePage(code == provider.CodeOutcomeUnknown)
	}
	return failure{http.StatusInternalServerError, "Something went wrong", "The error is in the log of the server. Try again, and if that does not help, ask the operator."}
}

func unavailablePage(unknown bool) failure {
	if unknown {
		return failure{http.StatusServiceUnavailable, "The database did not respond in time", "It is not known whether the change was made. Look at the record, or the key, before you repeat it."}
	}
	return failure{http.StatusServiceUnavailable, "The database cannot be reached", "Nothing was changed. Try again in a few seconds."}
}

// fail sends the page of an error, or the sign-in page to a stranger.
func (r *request) fail(err error) {
	if errors.Is(err, errSignInFirst) {
		path := "/dashboard/sign-in"
		if r.Method == http.MethodGet {
			path += "?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()
		}
		r.redirect(path)
		return
	}
	if r.sent { // it is too late for another page
		return
	}
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError {
		api.Fail(r.Context(), err)
	}
	if err := r.render(f.status, "error.html", f.Title, f); err != nil {
		api.Fail(r.Context(), err)
		http.Error(r.w, f.Title+". "+f.Advice, f.status)
	}
}
