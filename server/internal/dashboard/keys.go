package dashboard

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/curl"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// keyLine is a key in a list, and on its own page.
type keyLine struct {
	apikey.Key
	Works bool
	State string // a State, or "expires soon"
}

// expiresSoon is how long before its end a key is marked: shorter than every lifetime of a new one.
const expiresSoon = 7 * 24 * time.Hour

func lineOf(key apikey.Key) keyLine {
	line := keyLine{key, false, string(key.State())}
	switch key.State() {
	case apikey.Active:
		line.Works = true
		if !key.ExpiresAt.IsZero() && key.ExpiresAt.Sub(key.ReadAt) < expiresSoon {
			line.State = "expires soon"
		}
	case apikey.Rotating:
		line.Works, line.State = true, "being replaced"
	}
	return line
}

// keysPage is a part of the keys of the organization.
type keysPage struct {
	Keys []keyLine
	More string // the path of the next part, or ""
}

// listKeys shows the keys of the organization: those that work first, the newest first.
func (d *Dashboard) listKeys(r *request) error {
	lines, err := r.keys()
	if err != nil {
		return err
	}
	slices.SortStableFunc(lines, func(a, b keyLine) int {
		switch {
		case a.Works == b.Works:
			return b.CreatedAt.Compare(a.CreatedAt)
		case a.Works:
			return -1
		}
		return 1
	})
	var content keysPage
	content.Keys, content.More = part(r, lines)
	return r.render(http.StatusOK, "keys.html", "API keys", content)
}

// keys returns the keys of the organization, the oldest first.
func (r *request) keys() (lines []keyLine, _ error) {
	err := apikey.Each(r.Context(), r.dashboard.Store, apikey.Filter{Organization: r.organization.Organization}, func(key apikey.Key) error {
		lines = append(lines, lineOf(key))
		return nil
	})
	return lines, err
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
)

var keyLifetimes = []int{14, 90, 365, 0}

func (d *Dashboard) showNewKey(r *request) error {
	form := keyForm{Write: true, Days: 90, RateLimit: strconv.Itoa(standardRateLimit), Lifetimes: keyLifetimes}
	return r.render(http.StatusOK, "keys-new.html", "Create an API key", form)
}

// keyOf returns the key that a form describes. What is wrong is in the form's Problems.
func keyOf(r *request, form *keyForm) (apikey.Key, time.Duration) {
	form.Problems = map[string]string{}
	name, err := provider.ParseName(r.PostFormValue("name"))
	if form.Name = name; err != nil {
		form.Problems["name"] = "Enter a name of 1 to 100 characters that says what the key is for."
	}
	form.Write = r.PostFormValue("access") == "write"
	permissions := []apikey.Permission{apikey.ProvidersRead}
	if form.Write {
		permissions = append(permissions, apikey.ProvidersWrite)
	}
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
	return apikey.Issue(r.Context(), d.Store, key, lifetime, r.renderSecret)
}

// secretPage shows a new key, once.
type secretPage struct {
	keyLine
	Secret   string
	Command  string // that uses the key
	Provider string // the path of the page of the command's provider, or ""
	Write    bool   // the command changes the provider
}

// renderSecret delivers a key. It responds to the form itself, without a redirect, so the secret is not stored for a
// later page. If it fails, nobody has seen the key.
func (r *request) renderSecret(secret string, key apikey.Key) error {
	if err := r.record("dashboard key created", audit.Entry{NewKey: key.ID}); err != nil {
		return err
	}
	customer, id := "CUSTOMER-ID", "PROVIDER-ID"
	var after *provider.CustomerRecord
	records, err := r.dashboard.Store.ListAll(r.Context(), key.Organization, after, 1)
	if err != nil {
		return err
	}
	content := secretPage{keyLine: lineOf(key), Secret: secret, Write: key.Allows(apikey.ProvidersWrite)}
	for _, record := range records {
		customer = record.CustomerID.String()
		if record.Record != nil {
			id = record.Record.ID.String()
			content.Provider = r.path("customers", customer, "providers", id)
		}
	}
	content.Command = commandFor(r.dashboard.APIURL(r.Request), customer, id, secret, content.Write)
	return r.render(http.StatusOK, "keys-created.html", "Your new key", content)
}

// commandFor returns a command that changes a provider, or reads it.
func commandFor(url, customer, id, secret string, write bool) string {
	c := curl.Command{Method: http.MethodGet, URL: url + "/v2/customers/" + customer + "/providers/" + id, Headers: []string{"x-api-key: " + secret}}
	if write {
		c.Method, c.Body = http.MethodPatch, `{"notes": "changed with my first key"}`
		c.Headers = append(c.Headers, "Content-Type: application/json")
	}
	return c.String()
}

// keyPage is a key, and how much of its limit it uses.
type keyPage struct {
	keyLine
	Use keyUse
}

func (d *Dashboard) showKey(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	content := keyPage{keyLine: key}
	if content.Use, err = r.useOf(key.ID); err != nil {
		return err
	}
	return r.render(http.StatusOK, "keys-key.html", key.Name, content)
}

// overlaps are how long a replaced key keeps working, by the form's value.
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
	err = apikey.Rotate(r.Context(), d.Store, key.ID, overlap, r.renderSecret)
	if errors.Is(err, apikey.ErrInactive) || errors.As(err, new(*apikey.RotatedError)) {
		return r.redirect(r.path("keys", key.ID) + "?done=ended-before")
	}
	return err
}

func (d *Dashboard) revokeKey(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	if r.PostFormValue("sure") == "" {
		return errStaleForm
	}
	if err := r.record("dashboard key revoked", audit.Entry{NewKey: key.ID}); err != nil {
		return err
	}
	if err := d.Store.RevokeKey(r.Context(), key.ID, 0); err != nil {
		return err
	}
	return r.redirect(organizationPath(key.Organization, "keys") + "?done=revoked")
}

const testKeyLifetime = 14 * 24 * time.Hour

// showTestKey lets the user choose the organization of a key for the reference page.
func (d *Dashboard) showTestKey(r *request) error {
	organizations, err := r.organizations()
	if err != nil {
		return err
	}
	organizations = slices.DeleteFunc(slices.Clone(organizations), func(m account.Membership) bool { return !m.Role.Includes(account.Developer) })
	return r.render(http.StatusOK, "testkey.html", "A key for the reference", organizations)
}

// createTestKey creates a key, which a script passes to the reference page.
func (d *Dashboard) createTestKey(r *request) error {
	key := apikey.Key{
		Organization: r.organization.Organization, OrganizationName: r.organization.OrganizationName,
		Name: "reference page", Permissions: apikey.Permissions(), RateLimit: standardRateLimit,
	}
	return apikey.Issue(r.Context(), d.Store, key, testKeyLifetime, func(secret string, key apikey.Key) error {
		if err := r.record("dashboard key created", audit.Entry{NewKey: key.ID}); err != nil {
			return err
		}
		return r.render(http.StatusOK, "testkey-created.html", "A key for the reference", secretPage{keyLine: lineOf(key), Secret: secret})
	})
}
