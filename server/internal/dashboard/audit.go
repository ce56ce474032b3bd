package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/google/uuid"
)

// auditPage is a part of the audit trail that this server writes, the latest lines first. Owners see the lines of their organization,
// including what each member has read, and from where: they are responsible for its members. Viewers see the changes alone, on the page Activity.
type auditPage struct {
	Path    string        // of the page without a query
	Kept    bool          // there is a trail in a file
	Filters []auditFilter // the fields of the form
	File    string        // of the trail, "" if it was not searched
	Host    string        // of this server
	Lines   []auditLine
	Reached time.Time // of the earliest line that was read
	More    string    // the path of the next part, or ""
	Damaged int       // lines that cannot be read
	Skipped []string  // rotated files that were not searched
}

// auditFilter is a field of the form.
type auditFilter struct {
	Name, Label, Type string
	Value, Problem    string
}

// auditLine is a line of the trail as the page shows it.
type auditLine struct {
	audit.Entry
	At      time.Time
	Who     string
	Touched string // what the line is about
	Path    string // of that, or ""
}

// The bounds of one search of the trail, whose files can be gigabytes long. One search runs at a time.
const (
	maxAuditLines = 50
	maxAuditBytes = 16 << 20
	maxCompressed = 64 << 20        // of a file, without compression
	auditWait     = 5 * time.Second // for the searches of others
)

// showAudit shows the lines of the organization in the path. They have its number and its name: in a database that was restored, another
// organization can have had the number.
func (d *Dashboard) showAudit(r *request) error {
	filter := audit.Filter{Number: r.organization.Organization, Organization: r.organization.OrganizationName}
	return r.renderAudit(auditPage{Path: r.path("audit")}, filter)
}

// showWholeAudit shows all lines to an operator.
func (d *Dashboard) showWholeAudit(r *request) error {
	name := auditFilter{Name: "organization", Label: "Organization", Type: "text", Value: strings.TrimSpace(r.FormValue("organization"))}
	return r.renderAudit(auditPage{Path: "/dashboard/audit", Filters: []auditFilter{name}}, audit.Filter{Organization: name.Value})
}

func (r *request) renderAudit(content auditPage, filter audit.Filter) error {
	const template, title = "audit.html", "Audit trail"
	file := r.dashboard.API.Audit.Path()
	if content.Kept = file != ""; !content.Kept {
		return r.render(http.StatusOK, template, title, content)
	}
	if ok := content.parse(r, &filter); !ok {
		return r.render(http.StatusUnprocessableEntity, template, title, content)
	}
	if err := r.searchAudit(&content, file, filter); err != nil {
		return err
	}
	if err := r.record("dashboard audit search", audit.Entry{Count: len(content.Lines)}); err != nil {
		return err
	}
	return r.render(http.StatusOK, template, title, content)
}

// parse reads the filters that every form has, and reports whether they are valid.
func (p *auditPage) parse(r *request, filter *audit.Filter) (ok bool) {
	ok = true
	add := func(name, label, kind string, set func(text string) error, problem string) {
		f := auditFilter{Name: name, Label: label, Type: kind, Value: strings.TrimSpace(r.FormValue(name))}
		if f.Value != "" && set(f.Value) != nil {
			f.Problem, ok = problem, false
		}
		p.Filters = append(p.Filters, f)
	}
	id := func(to **uuid.UUID) func(string) error {
		return func(text string) error {
			parsed, err := uuid.Parse(text)
			*to = &parsed
			return err
		}
	}
	day := func(to *time.Time, days int) func(string) error {
		return func(text string) error {
			parsed, err := time.Parse(time.DateOnly, text)
			*to = parsed.AddDate(0, 0, days)
			return err
		}
	}
	text := func(to *string) func(string) error {
		return func(text string) error { *to = text; return nil }
	}
	const noID, noDay = "Enter an ID, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a.", "Enter a day, such as 2026-05-31."
	add("record", "ID of a provider", "text", id(&filter.Record), noID)
	add("customer", "ID of a customer", "text", id(&filter.Customer), noID)
	add("key", "ID of a key or a person", "text", text(&filter.Key), "")
	add("operation", "What was done", "text", text(&filter.Operation), "")
	add("since", "From", "date", day(&filter.Since, 0), noDay)
	add("until", "To the end of", "date", day(&filter.Until, 1), noDay)
	return ok
}

// IsFiltered reports whether a filter is set.
func (p auditPage) IsFiltered() bool {
	return slices.ContainsFunc(p.Filters, func(f auditFilter) bool { return f.Value != "" })
}

// With returns the path of the page with its filters, of which one has another value.
func (p auditPage) With(name, value string) string {
	query := url.Values{}
	for _, f := range p.Filters {
		if f.Value != "" {
			query.Set(f.Name, f.Value)
		}
	}
	query.Set(name, value)
	return p.Path + "?" + query.Encode()
}

// searchAudit fills the page with a part of the trail. It waits for other searches to end.
func (r *request) searchAudit(content *auditPage, path string, filter audit.Filter) error {
	ctx, cancel := context.WithTimeout(r.Context(), auditWait)
	defer cancel()
	if err := r.dashboard.searches.Acquire(ctx, 1); err != nil {
		return errAuditBusy
	}
	part, err := audit.Latest(r.Context(), path, audit.Query{Filter: filter, After: r.FormValue("after"), Max: maxAuditLines, MaxBytes: maxAuditBytes, MaxCompressed: maxCompressed})
	r.dashboard.searches.Release(1)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, e := range part.Entries {
		line, err := r.auditLine(names, e)
		if err != nil {
			return err
		}
		content.Lines = append(content.Lines, line)
	}
	if part.Next != "" {
		content.More = content.With("after", part.Next)
	}
	content.Reached, _ = time.Parse(time.RFC3339, part.Reached)
	content.Damaged, content.Skipped = part.Damaged, part.Skipped
	if content.File, err = filepath.Abs(path); err != nil {
		return err
	}
	content.Host, err = os.Hostname()
	return err
}

func (r *request) auditLine(names map[string]string, e audit.Entry) (line auditLine, err error) {
	line = auditLine{Entry: e}
	line.At, _ = time.Parse(time.RFC3339, e.Time)
	switch {
	case e.Operator != "":
		line.Who = e.Operator
	case e.Key != "":
		line.Who, err = r.who(names, &e.Key)
	}
	if e.Customer != nil {
		line.Touched = "customer " + short(*e.Customer)
		if e.Organization != 0 {
			line.Path = organizationPath(e.Organization, "customers", e.Customer.String())
		}
	}
	switch len(e.Records) {
	case 0:
	case 1:
		line.Touched = short(e.Records[0])
		if line.Path != "" {
			line.Path += "/providers/" + e.Records[0].String()
		}
	default:
		line.Touched = fmt.Sprint(len(e.Records), " records")
	}
	if e.Everything {
		line.Touched, line.Path = "everything", ""
	}
	if e.NewName != "" {
		line.Touched = "new name " + e.NewName
	}
	if e.NewKey != "" && err == nil {
		line.Touched, err = r.who(names, &e.NewKey)
	}
	return line, err
}

// short returns how an ID begins.
func short(id uuid.UUID) string { return id.String()[:8] + "…" }
