package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// pageSize is how many customers, providers or events a page shows.
const pageSize = 25

// customersPage is the customers of an organization, in the order of their IDs.
type customersPage struct {
	Customers []customerRow
	More      string // the path of the next page, or ""
}

// customerRow is a customer, and the newest of its providers, by whose names people know it: the API has no name of a customer.
type customerRow struct {
	ID        uuid.UUID
	Providers []provider.Provider
	Others    bool // there are more
}

// maxNames is how many providers of a customer are named.
const maxNames = 2

func (d *Dashboard) listCustomers(r *request) error {
	after, _ := uuid.Parse(r.FormValue("after")) // the first page, if it is none
	customers, err := d.Store.ListCustomers(r.Context(), r.organization.Organization, after, pageSize+1)
	if err != nil {
		return err
	}
	var content customersPage
	if len(customers) > pageSize {
		customers = customers[:pageSize]
		content.More = r.path("customers") + "?after=" + customers[pageSize-1].String()
	}
	var shown audit.Entry
	for _, customer := range customers {
		row := customerRow{ID: customer}
		row.Providers, err = d.Store.List(r.Context(), provider.List{Organization: r.organization.Organization, CustomerID: customer, Limit: maxNames + 1})
		if err != nil && provider.CodeOf(err) != provider.CodeNoCustomer { // it was purged in the meantime
			return err
		}
		if row.Others = len(row.Providers) > maxNames; row.Others {
			row.Providers = row.Providers[:maxNames]
		}
		for _, p := range row.Providers {
			shown.Records = append(shown.Records, p.ID)
		}
		content.Customers = append(content.Customers, row)
	}
	shown.Count = len(shown.Records)
	if err := r.record("dashboard customers", shown); err != nil {
		return err
	}
	return r.render(http.StatusOK, "customers.html", "Customers", content)
}

// path returns the path of a page of the organization.
func (r *request) path(parts ...string) string {
	return organizationPath(r.organization.Organization, parts...)
}

// searchPage is what a search has found.
type searchPage struct {
	Text     string
	Found    []provider.Provider
	Searched int    // how many records were searched
	After    string // where to continue, or "" if all records were searched
}

// The bounds of one search by name. There is no index of names, as every change of a record would have to update it. A search reads
// as many records as take a fraction of a second; a link continues it.
const (
	maxSearched = 20_000
	maxFound    = 50
	searchPiece = 500
)

// search finds a customer or a provider by ID, and providers by a part of their name. It is a POST form, so that no
// name is in a URL, and in the log of a proxy.
func (d *Dashboard) search(r *request) error {
	text := strings.TrimSpace(r.PostFormValue("text"))
	if id, err := uuid.Parse(text); err == nil {
		return r.findID(id)
	}
	content := searchPage{Text: text}
	if text == "" {
		return r.redirect(r.path("customers"))
	}
	after, err := parsePosition(r.PostFormValue("after"))
	if err != nil {
		return errPageNotFound
	}
	for content.Searched < maxSearched && len(content.Found) < maxFound {
		records, err := d.Store.ListAll(r.Context(), r.organization.Organization, after, searchPiece)
		if err != nil {
			return err
		}
		for _, record := range records {
			content.Searched++
			after = &record
			if record.Record != nil && nameContains(record.Record, text) {
				if content.Found = append(content.Found, *record.Record); len(content.Found) == maxFound {
					break
				}
			}
		}
		if content.After = formatPosition(after); len(records) < searchPiece && len(content.Found) < maxFound {
			content.After = ""
			break
		}
	}
	found := audit.Entry{Count: len(content.Found)}
	for _, p := range content.Found {
		found.Records = append(found.Records, p.ID)
	}
	if err := r.record("dashboard search", found); err != nil {
		return err
	}
	return r.render(http.StatusOK, "customers-search.html", "Search", content)
}

// nameContains reports whether the name of a provider or its practice contains the text, whatever the case.
func nameContains(p *provider.Provider, text string) bool {
	for _, id := range []property.ID{property.ProviderName, property.PracticeName} {
		if name, ok := p.Values[id].Text(); ok && strings.Contains(strings.ToLower(name), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// position is where a search continues.
type position struct {
	Customer  uuid.UUID `json:"c"`
	CreatedAt time.Time `json:"t,omitzero"`
	ID        uuid.UUID `json:"i,omitzero"`
}

func formatPosition(at *provider.CustomerRecord) string {
	if at == nil {
		return ""
	}
	p := position{Customer: at.CustomerID}
	if at.Record != nil {
		p.CreatedAt, p.ID = at.Record.CreatedAt, at.Record.ID
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func parsePosition(text string) (*provider.CustomerRecord, error) {
	if text == "" {
		return nil, nil
	}
	var p position
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, err
	}
	at := &provider.CustomerRecord{CustomerID: p.Customer}
	if p.ID != uuid.Nil {
		at.Record = &provider.Provider{ID: p.ID, CustomerID: p.Customer, CreatedAt: p.CreatedAt}
	}
	return at, nil
}

// findID goes to the provider or the customer with an ID.
func (r *request) findID(id uuid.UUID) error {
	customer, err := r.dashboard.Store.CustomerOf(r.Context(), r.organization.Organization, id)
	switch {
	case err == nil:
		return r.redirect(r.path("customers", customer.String(), "providers", id.String()))
	case provider.CodeOf(err) == provider.CodeNotFound:
		return r.redirect(r.path("customers", id.String()))
	}
	return err
}

// customerPage is the providers of a customer, the newest first.
type customerPage struct {
	Customer  string
	Providers []*client.Record
	Types     []string
	Type      string // the filters, "" for none
	Active    string
	More      string // the path of the next page, or ""
}

// client returns a client of the API, and a context with which it calls as the user.
func (r *request) client() (*client.Client, context.Context) {
	return r.dashboard.client, api.As(r.Request, r.caller(r.user, r.organization))
}

func (d *Dashboard) showCustomer(r *request) error {
	customer, err := client.ParseCustomerID(r.PathValue("customer"))
	if err != nil {
		return errPageNotFound
	}
	content := customerPage{Customer: customer.String(), Types: property.Table[property.ProviderType].Enum, Type: r.FormValue("type"), Active: r.FormValue("active")}
	filter := client.ProviderFilter{Cursor: r.FormValue("cursor"), PageSize: pageSize}
	if content.Type != "" {
		filter.ProviderType = new(client.ProviderType(content.Type))
	}
	if content.Active != "" {
		filter.IsActive = new(content.Active == "yes")
	}
	c, ctx := r.client()
	for page, err := range c.ProviderPages(ctx, customer, filter) {
		if err != nil {
			return err
		}
		content.Providers = page.Items
		if page.NextCursor != "" {
			query := url.Values{"cursor": {page.NextCursor}, "type": {content.Type}, "active": {content.Active}}
			content.More = r.path("customers", customer.String()) + "?" + query.Encode()
		}
		break
	}
	return r.render(http.StatusOK, "customers-customer.html", "Customer", content)
}
