package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
)

// guard says who may use a route.
type guard int

const (
	anyone    guard = iota
	signedIn        // anyone who is signed in
	viewer          // a member of the organization in the path, in this role or one that includes it
	developer       // likewise
	owner           // likewise
	operator        // an operator
)

// role returns the role that a guard requires in the organization of the path, or "" if it requires none.
func (g guard) role() account.Role {
	return map[guard]account.Role{viewer: account.Viewer, developer: account.Developer, owner: account.Owner}[g]
}

// request is a request for a page, and its response.
type request struct {
	*http.Request
	w         http.ResponseWriter
	dashboard *Dashboard
	sent      bool // a page was sent

	user         *account.User      // nil for a stranger
	organization account.Membership // the one in the path, with the user's role in it
}

var errSignInFirst = errors.New("sign in first")

// authorize identifies the user, and fails if the guard rejects them. To a stranger, an organization looks like one that does not exist.
func (r *request) authorize(g guard) error {
	if err := r.findUser(); err != nil {
		return err
	}
	if r.PathValue("organization") != "" {
		if err := r.findOrganization(); err != nil {
			return err
		}
	}
	if r.user != nil {
		api.Identify(r.Context(), r.caller(r.user, r.organization))
	}
	switch {
	case g == anyone:
		return nil
	case r.user == nil:
		return errSignInFirst
	case g == operator && !r.user.Operator:
		return errPageNotFound
	case r.PathValue("organization") != "" && r.organization.Role == "":
		return errPageNotFound
	case g.role() != "" && r.organization.Suspended && !r.user.Operator:
		return errSuspended
	case g.role() != "" && !r.organization.Role.Includes(g.role()):
		return errForbidden
	}
	return nil
}

// isText reports whether a text is UTF-8 without NUL, which is all that a database accepts.
func isText(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// hasTextURL reports whether the path and the query are text, as those of a browser's links and forms are. The
// API or package account validates the body of a form.
func (r *request) hasTextURL() bool {
	for _, values := range r.URL.Query() {
		if slices.ContainsFunc(values, func(value string) bool { return !isText(value) }) {
			return false
		}
	}
	return isText(r.URL.Path)
}

func (r *request) findUser() error {
	id := r.dashboard.sessions.GetString(r.Context(), sessionUser)
	if id == "" {
		return nil
	}
	u, err := r.dashboard.Store.UserByID(r.Context(), id)
	switch {
	case errors.Is(err, account.ErrNotFound), err == nil && u.Disabled:
		return r.dashboard.sessions.Destroy(r.Context())
	case err != nil:
		return err
	}
	r.user = &u
	return nil
}

func (r *request) findOrganization() error {
	number, err := strconv.ParseInt(r.PathValue("organization"), 10, 64)
	if err != nil || r.user == nil {
		return nil
	}
	organizations, err := r.organizations()
	if err != nil {
		return err
	}
	for _, m := range organizations {
		if m.Organization == number {
			r.organization = m
		}
	}
	return nil
}

// organizations returns the organizations that the user may see, with the user's role in each.
func (r *request) organizations() ([]account.Membership, error) {
	if !r.user.Operator {
		return r.user.Memberships, nil
	}
	all, err := r.dashboard.Store.ListOrganizations(r.Context())
	memberships := make([]account.Membership, len(all))
	for i, o := range all {
		memberships[i] = account.Membership{Organization: o.Number, OrganizationName: o.Name, Suspended: o.Suspended, Role: account.Owner}
	}
	return memberships, err
}

// caller returns who the user is to the API.
func (r *request) caller(u *account.User, m account.Membership) *apikey.Key {
	return &apikey.Key{ID: u.ID, Organization: m.Organization, OrganizationName: m.OrganizationName, Permissions: m.Role.Permissions()}
}

// next returns where a person wanted to go before signing in.
func (r *request) next() string { return safePath(r.FormValue("next")) }

// safePath returns the path if it is one of the dashboard, and otherwise the first page's.
func safePath(next string) string {
	if u, err := url.Parse(next); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path.Clean(u.Path)+"/", "/dashboard/") || strings.Contains(next, `\`) {
		return "/dashboard/"
	}
	return next
}
