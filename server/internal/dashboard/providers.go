package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// field is a property of a provider, in a form or in a list of facts. Everything about it follows from the contract.
type field struct {
	property.Description
	Label   string
	Value   string // what the form shows; "" for null
	Was     string // what it showed first
	Problem string // what the API says about it
	Theirs  string // what somebody else changed it to in the meantime
	Changed bool   // whether somebody else has
}

// IsBoolean reports whether the value is yes, no or not set.
func (f field) IsBoolean() bool { return f.Kind == property.BooleanKind }

// IsLong reports whether the value may have several lines.
func (f field) IsLong() bool { return f.MaxLength >= longText }

const longText = 1000

// label returns the name of a property for people: "Postal code" for postalCode, "Active" for isActive.
func label(name string) string {
	if name == "npi" {
		return "NPI"
	}
	if rest, isFlag := strings.CutPrefix(name, "is"); isFlag && rest != "" && unicode.IsUpper(rune(rest[0])) {
		name = rest
	}
	var words strings.Builder
	for i, r := range name {
		switch {
		case i == 0:
			words.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r), unicode.IsDigit(r):
			words.WriteString(" " + string(unicode.ToLower(r)))
		default:
			words.WriteRune(r)
		}
	}
	if text, isID := strings.CutSuffix(words.String(), " id"); isID {
		return text + " ID"
	}
	return words.String()
}

// values returns the properties of a record as forms have them, by name.
func values(p client.Provider) (map[string]string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var properties map[string]any
	if err := json.Unmarshal(text, &properties); err != nil {
		return nil, err
	}
	shown := map[string]string{}
	for name, value := range properties {
		shown[name] = show(value)
	}
	return shown, nil
}

// show returns a value of the contract as forms have it.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	}
	return ""
}

// fields returns the properties with values.
func fields(shown map[string]string) []field {
	list := make([]field, len(property.Table))
	for i, p := range property.Table {
		list[i] = field{Description: p, Label: label(p.Name), Value: shown[p.Name], Was: shown[p.Name]}
	}
	return list
}

// providerForm is the form that changes a provider, or creates one.
type providerForm struct {
	Customer string // in the path
	ID       string // "" for a new one
	ETag     string // the version that the form shows
	Once     string // the Idempotency-Key of a new one
	MoveTo   field  // customerId
	Fields   []field
	Problem  string
	Conflict bool // somebody else has changed the record in the meantime
}

// Wrong returns the fields that the API has rejected.
func (f providerForm) Wrong() []field {
	return slices.DeleteFunc(append(slices.Clone(f.Fields), f.MoveTo), func(f field) bool { return f.Problem == "" })
}

// providerPage is a provider and its history.
type providerPage struct {
	Customer, ID string
	Name         string
	ETag         string
	Record       client.Provider
	Fields       []field
	Events       []event
	More         string // the path of older events, or ""
}

// Unset returns the labels of the fields without a value.
func (p providerPage) Unset() string {
	var labels []string
	for _, field := range p.Fields {
		if field.Value == "" {
			labels = append(labels, field.Label)
		}
	}
	return strings.Join(labels, ", ")
}

// event is a change as the page shows it.
type event struct {
	client.HistoryEntry
	Who     string
	Changes []change
}

// change is a property whose value changed.
type change struct {
	Label, From, To string
}

// provider returns the IDs in the path.
func (r *request) provider() (customer client.CustomerID, id client.ProviderID, err error) {
	customer, err = client.ParseCustomerID(r.PathValue("customer"))
	if err == nil && r.PathValue("provider") != "" {
		id, err = client.ParseProviderID(r.PathValue("provider"))
	}
	if err != nil {
		err = errPageNotFound
	}
	return customer, id, err
}

func (d *Dashboard) showProvider(r *request) error {
	customer, id, err := r.provider()
	if err != nil {
		return err
	}
	c, ctx := r.client()
	record, err := c.GetProvider(ctx, customer, id)
	if err != nil {
		return err
	}
	shown, err := values(record.Provider)
	if err != nil {
		return err
	}
	content := providerPage{Customer: customer.String(), ID: id.String(), ETag: record.ETag, Record: record.Provider, Fields: fields(shown)}
	content.Name = nameOf(record.Provider)
	if content.Events, content.More, err = r.events(ctx, customer, id); err != nil {
		return err
	}
	return r.render(http.StatusOK, "customers-provider.html", content.Name, content)
}

// nameOf returns what a provider is called.
func nameOf(p client.Provider) string {
	for _, name := range []*string{p.ProviderName, p.PracticeName} {
		if name != nil && *name != "" {
			return *name
		}
	}
	return string(p.ProviderType)
}

// events returns a page of a provider's history, and the path of the next one.
func (r *request) events(ctx context.Context, customer client.CustomerID, id client.ProviderID) (events []event, more string, _ error) {
	c, _ := r.client()
	names := map[string]string{}
	for page, err := range c.ProviderHistoryPages(ctx, customer, id, client.PageSize(pageSize), client.Cursor(r.FormValue("cursor"))) {
		if err != nil {
			return nil, "", err
		}
		for _, entry := range page.Items {
			who, err := r.who(names, entry.KeyID)
			if err != nil {
				return nil, "", err
			}
			e := event{HistoryEntry: *entry, Who: who}
			for _, c := range entry.Changes {
				e.Changes = append(e.Changes, change{label(c.Field), show(c.From), show(c.To)})
			}
			events = append(events, e)
		}
		if page.NextCursor != "" {
			more = r.path("customers", customer.String(), "providers", id.String()) + "?" + url.Values{"cursor": {page.NextCursor}}.Encode() + "#history"
		}
		break
	}
	return events, more, nil
}

// form returns the form of a provider as the API has it now.
func (r *request) form(customer client.CustomerID, id client.ProviderID) (providerForm, error) {
	c, ctx := r.client()
	record, err := c.GetProvider(ctx, customer, id)
	if err != nil {
		return providerForm{}, err
	}
	shown, err := values(record.Provider)
	if err != nil {
		return providerForm{}, err
	}
	return providerForm{
		Customer: customer.String(), ID: id.String(), ETag: record.ETag, Fields: fields(shown),
		MoveTo: field{Description: property.Description{Name: "customerId"}, Label: "Customer", Value: shown["customerId"], Was: shown["customerId"]},
	}, nil
}

// fill sets the fields of the form to what the person entered, and returns the change: the properties whose value differs from what the
// form showed first. An empty field is null.
func (f *providerForm) fill(form url.Values) map[string]any {
	patch := map[string]any{}
	for i := range f.Fields {
		if p := &f.Fields[i]; p.read(form) {
			patch[p.Name] = p.json()
		}
	}
	if f.MoveTo.read(form) && f.ID != "" {
		patch["customerId"] = strings.TrimSpace(f.MoveTo.Value)
	}
	return patch
}

// read reads a field, and reports whether its value differs from what the form showed first. Browsers send line breaks as CR LF.
func (f *field) read(form url.Values) bool {
	f.Value = strings.ReplaceAll(form.Get(f.Name), "\r\n", "\n")
	f.Was = strings.ReplaceAll(form.Get("was."+f.Name), "\r\n", "\n")
	return f.Value != f.Was
}

// json returns the value that the contract has for a field's.
func (f *field) json() any {
	switch {
	case f.Value == "" && f.Nullable:
		return nil
	case f.Kind == property.BooleanKind:
		return f.Value == "yes"
	}
	return f.Value
}

func (d *Dashboard) showEditProvider(r *request) error {
	customer, id, err := r.provider()
	if err != nil {
		return err
	}
	form, err := r.form(customer, id)
	if err != nil {
		return err
	}
	return r.render(http.StatusOK, "customers-edit.html", "Edit provider", form)
}

func (d *Dashboard) updateProvider(r *request) error {
	customer, id, err := r.provider()
	if err != nil {
		return err
	}
	form := providerForm{Customer: customer.String(), ID: id.String(), ETag: r.PostFormValue("etag"), Fields: fields(nil), MoveTo: field{Description: property.Description{Name: "customerId"}, Label: "Customer"}}
	patch := form.fill(r.PostForm)
	if !isETag(form.ETag) {
		return errStaleForm
	}
	page := r.path("customers", customer.String(), "providers", id.String())
	if len(patch) == 0 {
		return r.redirect(page + "?done=unchanged")
	}
	var update client.ProviderUpdate
	if err := convert(patch, &update); err != nil { // the client parses only this property
		form.MoveTo.Problem = "Enter the ID of a customer, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a."
		return r.render(http.StatusUnprocessableEntity, "customers-edit.html", "Edit provider", form)
	}
	c, ctx := r.client()
	record, err := c.UpdateProvider(ctx, customer, id, update, client.IfMatch(form.ETag))
	switch {
	case errors.Is(err, client.ErrPreconditionFailed):
		return r.renderConflict(form, customer, id)
	case errors.Is(err, client.ErrNotFound):
		form.Problem = "Somebody has moved or deleted this provider since you opened it. Nothing is saved; what you entered is still here."
		return r.render(http.StatusNotFound, "customers-edit.html", "Edit provider", form)
	case errors.Is(err, client.ErrValidation):
		form.explain(err)
		return r.render(http.StatusUnprocessableEntity, "customers-edit.html", "Edit provider", form)
	case err != nil:
		return err
	}
	return r.redirect(r.path("customers", record.CustomerID.String(), "providers", id.String()) + "?done=saved")
}

// etag is the form of an ETag of the API: a version in quotes.
var etag = regexp.MustCompile(`^"[0-9]+"$`)

func isETag(text string) bool { return etag.MatchString(text) }

// convert converts a change to the type that the client has for it.
func convert(from map[string]any, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// explain puts the errors of the API next to their fields.
func (f *providerForm) explain(err error) {
	failed, _ := errors.AsType[*client.Error](err)
	for _, problem := range failed.Fields {
		name := strings.Join(problem.Path, ".") // "" for the form as a whole
		i := slices.IndexFunc(f.Fields, func(f field) bool { return f.Name == name })
		switch {
		case i >= 0:
			f.Fields[i].Problem = problem.Message
		case name == f.MoveTo.Name:
			f.MoveTo.Problem = problem.Message
		default:
			f.Problem = problem.Message
		}
	}
	if len(failed.Fields) == 0 {
		f.Problem = failed.Message
	}
}

// renderConflict shows the form again for the current record: with what the person entered, next to what somebody else changed in the
// meantime.
func (r *request) renderConflict(entered providerForm, customer client.CustomerID, id client.ProviderID) error {
	now, err := r.form(customer, id)
	if err != nil {
		return err
	}
	merge := func(mine, theirs *field) {
		theirs.Changed = theirs.Value != mine.Was
		theirs.Theirs = theirs.Value
		if mine.Value != mine.Was {
			theirs.Value = mine.Value
		}
	}
	for i := range now.Fields {
		merge(&entered.Fields[i], &now.Fields[i])
	}
	merge(&entered.MoveTo, &now.MoveTo)
	now.Conflict = true
	return r.render(http.StatusConflict, "customers-edit.html", "Edit provider", now)
}

func (d *Dashboard) showNewProvider(r *request) error {
	customer, _, err := r.provider()
	if err != nil {
		return err
	}
	form := providerForm{Customer: customer.String(), Once: uuid.NewString(), Fields: fields(nil)}
	return r.render(http.StatusOK, "customers-edit.html", "Add a provider", form)
}

// createProvider creates a provider, once, however often the form is sent.
func (d *Dashboard) createProvider(r *request) error {
	customer, _, err := r.provider()
	if err != nil {
		return err
	}
	form := providerForm{Customer: customer.String(), Once: r.PostFormValue("once"), Fields: fields(nil)}
	var create client.ProviderCreate
	if err := convert(form.fill(r.PostForm), &create); err != nil || uuid.Validate(form.Once) != nil {
		return errPageNotFound // no form sends it
	}
	c, ctx := r.client()
	record, err := c.CreateProvider(ctx, customer, create, client.IdempotencyKey(form.Once))
	if errors.Is(err, client.ErrIdempotencyKeyReused) {
		form.Problem, form.Once = "This form has created a provider already, with other values. Send it again to create another one.", uuid.NewString()
		return r.render(http.StatusConflict, "customers-edit.html", "Add a provider", form)
	}
	if errors.Is(err, client.ErrValidation) {
		form.explain(err)
		return r.render(http.StatusUnprocessableEntity, "customers-edit.html", "Add a provider", form)
	}
	if err != nil {
		return err
	}
	return r.redirect(r.path("customers", customer.String(), "providers", record.ID.String()) + "?done=created")
}

func (d *Dashboard) deleteProvider(r *request) error {
	customer, id, err := r.provider()
	if err != nil {
		return err
	}
	if !isETag(r.PostFormValue("etag")) || r.PostFormValue("sure") == "" {
		return errStaleForm
	}
	c, ctx := r.client()
	err = c.DeleteProvider(ctx, customer, id, client.IfMatch(r.PostFormValue("etag")))
	if errors.Is(err, client.ErrPreconditionFailed) {
		return r.redirect(r.path("customers", customer.String(), "providers", id.String()) + "?done=changed")
	}
	if err != nil {
		return err
	}
	return r.redirect(r.path("customers", customer.String()) + "?done=deleted")
}
