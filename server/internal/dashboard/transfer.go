package dashboard

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/transfer"
)

const (
	maxUpload    = 256 << 20        // bytes; a larger file is for the command import
	transferTime = 15 * time.Minute // for an upload with its import, or a download
	maxBadLines  = 20               // that a report shows
)

// importPage is the form of an import, and then what became of the file.
type importPage struct {
	Problem  string
	Done     bool
	Result   transfer.Result
	BadLines []badLine
}

// badLine says why a line cannot be imported, without a value of it.
type badLine struct {
	Line   int
	Reason string
}

func (d *Dashboard) showImport(r *request) error {
	return r.render(http.StatusOK, "customers-import.html", "Import", importPage{})
}

// importFile imports a file, if all of its lines are valid: those of the command import. The form's file is in memory, or in a file
// of the operating system's directory for temporary files that only this user can read; net/http removes it after the request.
func (d *Dashboard) importFile(r *request) error {
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return r.render(http.StatusUnprocessableEntity, "customers-import.html", "Import", importPage{Problem: "Choose a file."})
	}
	if err != nil {
		return err
	}
	defer file.Close()
	importer, err := transfer.NewImporter(d.API.Contract)
	if err != nil {
		return err
	}
	var page importPage
	importer.Store, importer.Organization = d.Store, r.organization.Organization
	importer.Invalid = func(line int, reason string) {
		if len(page.BadLines) < maxBadLines {
			page.BadLines = append(page.BadLines, badLine{line, reason})
		}
	}
	if page.Result, err = importer.Check(r.Context(), file); err != nil {
		return err
	}
	if page.Result.Invalid > 0 {
		return r.render(http.StatusUnprocessableEntity, "customers-import.html", "Import", page)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := r.record("dashboard import", audit.Entry{}); err != nil {
		return err
	}
	if page.Result, err = importer.Import(r.Context(), file); err != nil {
		return err
	}
	page.Done = true
	return r.render(http.StatusOK, "customers-import.html", "Import", page)
}

// export sends all records as a file, in the form that an import takes.
func (d *Dashboard) export(r *request) error {
	if err := r.record("dashboard export", audit.Entry{Everything: true}); err != nil {
		return err
	}
	if err := r.extendTime(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s %s.ndjson", r.organization.OrganizationName, time.Now().UTC().Format(time.DateOnly))
	header := r.w.Header()
	header.Set("Content-Type", "application/x-ndjson")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	header.Set("Cache-Control", "no-store")
	r.sent = true
	if err := transfer.Export(r.Context(), d.Store, r.organization.OrganizationName, r.w); err != nil {
		panic(http.ErrAbortHandler) // so that the browser does not take what it has for the whole file
	}
	return nil
}

// extendTime gives a request the time that a large file takes. The limits of the listener are for forms.
func (r *request) extendTime() error {
	control := http.NewResponseController(r.w)
	end := time.Now().Add(transferTime)
	return errors.Join(control.SetReadDeadline(end), control.SetWriteDeadline(end))
}
