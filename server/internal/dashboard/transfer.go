package dashboard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/transfer"
)

const (
	maxUpload    = 256 << 20        // bytes; a larger file is for the command import
	transferTime = 15 * time.Minute // for an upload with its import, or a download
	maxBadLines  = 20               // that a report shows
)

// importPage is the form of an import.
type importPage struct{ Problem string }

func (d *Dashboard) showImport(r *request) error {
	return r.render(http.StatusOK, "customers-import.html", "Import", importPage{})
}

// importFile imports a file, if all of its lines are valid: those of the command import. The form's file is in memory, or in a file
// of the operating system's directory for temporary files that only this user can read; net/http removes it after the request.
//
// The import runs while its page is sent, so that the page shows the progress, without a script and without state on the server. To a
// proxy, the response is never idle for long.
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
	importer.Store, importer.Organization = d.Store, r.organization.Organization
	return r.stream("customers-importing.html", "Import", &importRun{request: r, file: file, importer: importer})
}

// importRun is an import, and its page.
type importRun struct {
	request  *request
	file     multipart.File
	importer *transfer.Importer

	Result   transfer.Result
	BadLines []badLine
	Failure  failure // why it stopped, if it did
}

// badLine says why a line cannot be imported, without a value of it.
type badLine struct {
	Line   int
	Reason string
}

// step is the progress of an import.
type step struct {
	Lines, Of int // Of is 0 while the lines are checked
}

// stepInterval is how often a step is shown.
const stepInterval = time.Second / 2

// Steps runs the import, and yields its progress. The import is done when the sequence ends. The page shows each step at once.
func (i *importRun) Steps() iter.Seq[step] {
	return func(show func(step) bool) {
		if err := i.run(show); err != nil {
			i.Failure = failureOf(err)
			api.Fail(i.request.Context(), err)
		}
	}
}

func (i *importRun) run(show func(step) bool) (err error) {
	ctx, cancel := context.WithCancel(i.request.Context())
	defer cancel()
	now := step{}
	var shown time.Time
	i.importer.Progress = func(lines int, _ int64) {
		now.Lines = lines
		if time.Since(shown) < stepInterval {
			return
		}
		shown = time.Now()
		if !show(now) {
			cancel()
		}
		i.request.flush()
	}
	i.importer.Invalid = func(line int, reason string) {
		if len(i.BadLines) < maxBadLines {
			i.BadLines = append(i.BadLines, badLine{line, reason})
		}
	}
	i.request.flush()
	if i.Result, err = i.importer.Check(ctx, i.file); err != nil || i.Result.Invalid > 0 {
		return err
	}
	if err := i.request.record("dashboard import", audit.Entry{}); err != nil {
		return err
	}
	now, shown = step{Of: now.Lines}, time.Time{}
	i.Result, err = i.importer.Import(ctx, i.file)
	return err
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
	if err := transfer.Export(r.Context(), d.Store, r.organization.Organization, r.w); err != nil {
		panic(http.ErrAbortHandler) // so that the browser reports an incomplete file
	}
	return nil
}

// extendTime extends the deadlines of a request to what a large file needs. Those of the listener are for forms.
func (r *request) extendTime() error {
	control := http.NewResponseController(r.w)
	end := time.Now().Add(transferTime)
	return errors.Join(control.SetReadDeadline(end), control.SetWriteDeadline(end))
}
