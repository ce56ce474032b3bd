package dashboard

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// keyLine is a key in a list, and on its own page.
type keyLine struct {
	apikey.Key
	Works bool
	State string // active, expires soon, being replaced, expired, revoked
}

func lineOf(key apikey.Key) keyLine {
	line := keyLine{key, key.Active(key.ReadAt), "active"}
	switch {
	case line.Works && !key.RevokedAt.IsZero():
		line.State = "being replaced"
	case line.Works && !key.ExpiresAt.IsZero() && key.ExpiresAt.Sub(key.ReadAt) < 14*24*time.Hour:
		line.State = "expires soon"
	case line.Works:
	case key.Revoked, !key.RevokedAt.IsZero() && !key.ReadAt.Before(key.RevokedAt):
		line.State = "revoked"
	default:
		line.State = "expired"
	}
	return line
}

// listKeys shows the keys of the organization: those that work first, the newest first.
func (d *Dashboard) listKeys(r *request) error {
	lines, err := r.keys()
	if err != nil {
		return err
	}
	slices.SortStableFunc(lines, func(a, b keyLine) int {
		return cmp.Or(-compareBool(a.Works, b.Works), b.CreatedAt.Compare(a.CreatedAt))
	})
	return r.render(http.StatusOK, "keys.html", "API keys", lines)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// keys returns the keys of the organization, the oldest first.
func (r *request) keys() (lines []keyLine, _ error) {
	const page = 500
	for last := (apikey.Key{}); ; {
		keys, err := r.dashboard.Store.ListKeys(r.Context(), last, page)
		if err != nil {
			return nil, err
		}
		for _, last = range keys {
			if last.Organization == r.organization.Organization {
				lines = append(lines, lineOf(last))
			}
		}
		if len(keys) < page {
			return lines, nil
		}
	}
}

// key returns the key in the path, which is the organization's.
func (r *request) key() (keyLine, error) {
	key, err := r.dashboard.Store.KeyByID(r.Context(), r.PathValue("key"))
	if err == nil && key.Organization != r.organization.Organization {
		err = apikey.ErrNotFound
	}
	return lineOf(key), err
}

// keyForm is what a person has entered, and what is wrong with it.
type keyForm struct {
	Name      string
	Write     bool
	Days      int // 0 for never
	RateLimit string
	Problems  map[string]string // by field
	Lifetimes []int
}

const (
	standardRateLimit = 60 // requests a minute, the documented limit
	maxRateLimit      = 1_000_000
	maxKeyName        = 100
)

var keyLifetimes = []int{14, 90, 365, 0}

func (d *Dashboard) showNewKey(r *request) error {
	form := keyForm{Write: true, Days: 90, RateLimit: strconv.Itoa(standardRateLimit), Lifetimes: keyLifetimes}
	return r.render(http.StatusOK, "keys-new.html", "Create an API key", form)
}

// keyOf returns the key that a form describes. What is wrong is in the form's Problems.
func keyOf(r *request, form *keyForm) (apikey.Key, time.Duration) {
	form.Problems = map[string]string{}
	form.Name = strings.TrimSpace(r.PostFormValue("name"))
	if n := utf8.RuneCountInString(form.Name); n == 0 || n > maxKeyName || !utf8.ValidString(form.Name) || strings.ContainsFunc(form.Name, unicode.IsControl) {
		form.Problems["name"] = "Enter a name of 1 to 100 characters that says what the key is for."
	}
	form.Write = r.PostFormValue("access") == "write"
	permissions := []apikey.Permission{apikey.ProvidersRead}
	if form.Write {
		permissions = append(permissions, apikey.ProvidersWrite)
	}
	var err error
	if form.Days, err = strconv.Atoi(r.PostFormValue("days")); err != nil || !slices.Contains(keyLifetimes, form.Days) {
		form.Problems["days"] = "Choose how long the key works."
	}
	form.RateLimit = r.PostFormValue("rate_limit")
	limit, err := strconv.Atoi(form.RateLimit)
	if err != nil || limit < 1 || limit > maxRateLimit {
		form.Problems["rate_limit"] = "Enter a number of requests a minute from 1 to 1,000,000."
	}
	return apikey.Key{
		Organization: r.organization.Organization, OrganizationName: r.organization.OrganizationName,
		Name: form.Name, Permissions: permissions, RateLimit: limit,
	}, time.Duration(form.Days) * 24 * time.Hour
}

func (d *Dashboard) createKey(r *request) error {
	form := keyForm{Lifetimes: keyLifetimes}
	key, lifetime := keyOf(r, &form)
	if len(form.Problems) > 0 {
		return r.render(http.StatusUnprocessableEntity, "keys-new.html", "Create an API key", form)
	}
	secret, key, err := apikey.Create(r.Context(), d.Store, key, lifetime)
	if err != nil {
		return err
	}
	return r.renderSecret(secret, key)
}

// secretPage shows a new key, once.
type secretPage struct {
	keyLine
	Secret  string
	Command string // that uses the key
	Example bool   // the command's IDs are not of a record
}

// renderSecret is the response to the form itself: nothing keeps the secret for a page that would come after it.
func (r *request) renderSecret(secret string, key apikey.Key) error {
	customer, id := "CUSTOMER-ID", "PROVIDER-ID"
	var after *provider.CustomerRecord
	records, err := r.dashboard.Store.ListAll(r.Context(), key.Organization, after, 1)
	if err != nil {
		return err
	}
	content := secretPage{lineOf(key), secret, "", true}
	for _, record := range records {
		customer = record.CustomerID.String()
		if record.Record != nil {
			id, content.Example = record.Record.ID.String(), false
		}
	}
	content.Command = curl(r.dashboard.APIURL(r.Request), customer, id, secret, key.Allows(apikey.ProvidersWrite))
	return r.render(http.StatusOK, "keys-created.html", "Your new key", content)
}

// curl returns a command that changes a provider, or reads it.
func curl(url, customer, id, secret string, write bool) string {
	lines := []string{"curl --request GET", "--url " + url + "/v2/customers/" + customer + "/providers/" + id, "--header 'x-api-key: " + secret + "'"}
	if write {
		lines[0] = "curl --request PATCH"
		lines = append(lines, "--header 'Content-Type: application/json'", `--data '{"notes": "changed with my first key"}'`)
	}
	return strings.Join(lines, " \\\n  ")
}

func (d *Dashboard) showKey(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	return r.render(http.StatusOK, "keys-key.html", key.Name, key)
}

// overlaps are how long a replaced key goes on working, by the form's value.
var overlaps = map[string]time.Duration{"0": 0, "1": time.Hour, "24": 24 * time.Hour, "168": 7 * 24 * time.Hour}

func (d *Dashboard) rotateKey(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	overlap, ok := overlaps[r.PostFormValue("overlap")]
	if !ok {
		overlap = 24 * time.Hour
	}
	secret, next, err := apikey.Rotate(r.Context(), d.Store, key.ID, overlap)
	if errors.Is(err, apikey.ErrInactive) {
		return r.redirect(organizationPath(key.Organization, "keys", key.ID))
	}
	if err != nil {
		return err
	}
	return r.renderSecret(secret, next)
}

func (d *Dashboard) revokeKey(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	if err := d.Store.RevokeKey(r.Context(), key.ID, 0); err != nil {
		return err
	}
	return r.redirect(organizationPath(key.Organization, "keys") + "?done=revoked")
}

const testKeyLifetime = 14 * 24 * time.Hour

// showTestKey asks for which organization the reference page gets a key.
func (d *Dashboard) showTestKey(r *request) error {
	organizations, err := r.organizations()
	if err != nil {
		return err
	}
	organizations = slices.DeleteFunc(slices.Clone(organizations), func(m account.Membership) bool { return !m.Role.Includes(account.Developer) })
	return r.render(http.StatusOK, "testkey.html", "A key for the reference", organizations)
}

// createTestKey creates a key for the reference page, to which a script hands it over.
func (d *Dashboard) createTestKey(r *request) error {
	secret, key, err := apikey.Create(r.Context(), d.Store, apikey.Key{
		Organization: r.organization.Organization, OrganizationName: r.organization.OrganizationName,
		Name: "reference page", Permissions: apikey.Permissions(), RateLimit: standardRateLimit,
	}, testKeyLifetime)
	if err != nil {
		return err
	}
	return r.render(http.StatusOK, "testkey-created.html", "A key for the reference", secretPage{keyLine: lineOf(key), Secret: secret})
}
