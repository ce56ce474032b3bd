package dashboard

import (
	"errors"
	"net/http"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// settingsPage lets an operator rename, suspend and resume an organization.
type settingsPage struct {
	Name, Problem string // of the form that renames it
}

func (d *Dashboard) showSettings(r *request) error {
	return r.renderSettings(http.StatusOK, settingsPage{Name: r.organization.OrganizationName})
}

func (r *request) renderSettings(status int, content settingsPage) error {
	return r.render(status, "settings.html", "Settings", content)
}

func (d *Dashboard) renameOrganization(r *request) error {
	name, err := provider.ParseName(r.PostFormValue("name"))
	content := settingsPage{Name: name}
	switch {
	case err != nil:
		content.Problem = "Enter a name of 1 to 100 characters."
		return r.renderSettings(http.StatusUnprocessableEntity, content)
	case r.PostFormValue("sure") == "":
		return errStaleForm
	}
	if err := r.record("dashboard organization renamed", audit.Entry{NewName: name}); err != nil {
		return err
	}
	_, err = provider.RenameOrganization(r.Context(), d.Store, r.organization.Organization, name)
	if confusable, ok := errors.AsType[*provider.ConfusableError](err); ok {
		content.Problem = "There is an organization " + confusable.Existing + ", which is or looks the same. Choose another name."
		return r.renderSettings(http.StatusUnprocessableEntity, content)
	}
	if errors.Is(err, provider.ErrNameTaken) {
		content.Problem = "Another organization has just got this name. Choose another one."
		return r.renderSettings(http.StatusUnprocessableEntity, content)
	}
	if err != nil {
		return err
	}
	return r.redirect(r.path("settings") + "?done=renamed")
}

func (d *Dashboard) suspendOrganization(r *request) error { return r.suspend(true, "suspended") }

func (d *Dashboard) resumeOrganization(r *request) error { return r.suspend(false, "resumed") }

func (r *request) suspend(suspended bool, done string) error {
	if r.PostFormValue("sure") == "" {
		return errStaleForm
	}
	if err := r.record("dashboard organization "+done, audit.Entry{}); err != nil {
		return err
	}
	if err := r.dashboard.Store.SuspendOrganization(r.Context(), r.organization.Organization, suspended); err != nil {
		return err
	}
	return r.redirect(r.path("settings") + "?done=" + done)
}
