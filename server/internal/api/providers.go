package api

import (
	"context"
	"net/http"
	"sync"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// ListCustomerProviders implements [gen.StrictServerInterface].
func (a *API) ListCustomerProviders(ctx context.Context, r gen.ListCustomerProvidersRequestObject) (gen.ListCustomerProvidersResponseObject, error) {
	limit := *r.Params.Limit // never nil: it has a default
	list := provider.List{
		Organization: infoOf(ctx).key.Organization,
		CustomerID:   r.ID,
		Filters:      r.Params.Filters(),
		After:        parseListCursor(r.Params.Cursor),
		Limit:        limit + 1, // one more shows whether there is another page
	}
	records, err := a.Store.List(ctx, list)
	if err != nil {
		return nil, err
	}
	page, nextCursor := listPage(records, limit)
	return listResponse{pageResponse{func(b []byte) ([]byte, error) { return wire.AppendProviderList(b, page, nextCursor) }}, page}, nil
}

// CreateCustomerProvider implements [gen.StrictServerInterface].
func (a *API) CreateCustomerProvider(ctx context.Context, r gen.CreateCustomerProviderRequestObject) (gen.CreateCustomerProviderResponseObject, error) {
	id, err := uuid.NewV7() // records created together lie together in a store
	if err != nil {
		return nil, err
	}
	w := provider.Write{
		Action:       provider.Created,
		Organization: infoOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           id,
		Patch:        *r.Body,
		By:           actor(ctx),
	}
	if key := r.Params.IdempotencyKey; key != nil {
		w.Idempotency = provider.NewIdempotency(parseIdempotencyKey(*key), w.CustomerID, &w.Patch)
	}
	created, err := a.Store.Write(ctx, w)
	if err != nil {
		return nil, err
	}
	return providerResponse{created, http.StatusCreated, a.Prefix}, nil
}

// GetCustomerProvider implements [gen.StrictServerInterface].
func (a *API) GetCustomerProvider(ctx context.Context, r gen.GetCustomerProviderRequestObject) (gen.GetCustomerProviderResponseObject, error) {
	found, err := a.Store.Get(ctx, infoOf(ctx).key.Organization, r.ID, r.ProviderID)
	if err != nil {
		return nil, err
	}
	if etagMatches(r.Params.IfNoneMatch, found.Version) {
		return notModified{found.Version}, nil
	}
	return providerResponse{found, http.StatusOK, a.Prefix}, nil
}

// UpdateCustomerProvider implements [gen.StrictServerInterface].
func (a *API) UpdateCustomerProvider(ctx context.Context, r gen.UpdateCustomerProviderRequestObject) (gen.UpdateCustomerProviderResponseObject, error) {
	ifMatch, err := parseIfMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	updated, err := a.Store.Write(ctx, provider.Write{
		Action:       provider.Updated,
		Organization: infoOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           r.ProviderID,
		IfMatch:      ifMatch,
		Patch:        *r.Body,
		By:           actor(ctx),
	})
	if err != nil {
		return nil, err
	}
	return providerResponse{updated, http.StatusOK, a.Prefix}, nil
}

// DeleteCustomerProvider implements [gen.StrictServerInterface].
func (a *API) DeleteCustomerProvider(ctx context.Context, r gen.DeleteCustomerProviderRequestObject) (gen.DeleteCustomerProviderResponseObject, error) {
	ifMatch, err := parseIfMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	_, err = a.Store.Write(ctx, provider.Write{
		Action:       provider.Deleted,
		Organization: infoOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           r.ProviderID,
		IfMatch:      ifMatch,
		By:           actor(ctx),
	})
	if err != nil {
		return nil, err
	}
	return deleted{gen.DeleteResponse{Success: true, Message: deletedMessage}}, nil
}

// ListCustomerProviderHistory implements [gen.StrictServerInterface].
func (a *API) ListCustomerProviderHistory(ctx context.Context, r gen.ListCustomerProviderHistoryRequestObject) (gen.ListCustomerProviderHistoryResponseObject, error) {
	limit := *r.Params.Limit // never nil: it has a default
	before := parseHistoryCursor(r.Params.Cursor)
	events, err := a.Store.History(ctx, infoOf(ctx).key.Organization, r.ID, r.ProviderID, before, limit+1)
	if err != nil {
		return nil, err
	}
	page, nextCursor := historyPage(events, limit)
	return pageResponse{func(b []byte) ([]byte, error) { return wire.AppendHistoryList(b, page, nextCursor) }}, nil
}

func actor(ctx context.Context) provider.Actor {
	info := infoOf(ctx)
	return provider.Actor{KeyID: info.key.ID, RequestID: info.requestID}
}

// The responses write their own bodies: the generated ones escape <, > and & as if for a web page, and sort the properties
// by name.

// providerResponse is one record with its ETag.
type providerResponse struct {
	record provider.Provider
	status int
	prefix string // of all paths
}

// VisitGetCustomerProviderResponse writes a 200.
func (p providerResponse) VisitGetCustomerProviderResponse(w http.ResponseWriter) error {
	return p.write(w)
}

// VisitUpdateCustomerProviderResponse writes a 200.
func (p providerResponse) VisitUpdateCustomerProviderResponse(w http.ResponseWriter) error {
	return p.write(w)
}

// VisitCreateCustomerProviderResponse writes a 201 with the record's path.
func (p providerResponse) VisitCreateCustomerProviderResponse(w http.ResponseWriter) error {
	w.Header().Set("Location", p.prefix+"/v2/customers/"+p.record.CustomerID.String()+"/providers/"+p.record.ID.String())
	return p.write(w)
}

func (p providerResponse) write(w http.ResponseWriter) error {
	setETag(w.Header(), p.record.Version)
	return writeBody(w, p.status, func(b []byte) ([]byte, error) { return wire.AppendProvider(b, &p.record) })
}

// notModified is a 304 for a record of that version.
type notModified struct{ version int64 }

// VisitGetCustomerProviderResponse writes a 304, which has no body.
func (n notModified) VisitGetCustomerProviderResponse(w http.ResponseWriter) error {
	setETag(w.Header(), n.version)
	w.WriteHeader(http.StatusNotModified)
	return nil
}

// pageResponse is a 200 with a page.
type pageResponse struct {
	appendTo func(b []byte) ([]byte, error)
}

// VisitListCustomerProviderHistoryResponse writes the page.
func (r pageResponse) VisitListCustomerProviderHistoryResponse(w http.ResponseWriter) error {
	return writeBody(w, http.StatusOK, r.appendTo)
}

// listResponse is a page of records.
type listResponse struct {
	pageResponse
	records []provider.Provider
}

// VisitListCustomerProvidersResponse writes the page.
func (r listResponse) VisitListCustomerProvidersResponse(w http.ResponseWriter) error {
	return writeBody(w, http.StatusOK, r.appendTo)
}

// deleted is a 200 for a record that is gone.
type deleted struct{ gen.DeleteResponse }

// VisitDeleteCustomerProviderResponse writes the response.
func (d deleted) VisitDeleteCustomerProviderResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(d.DeleteResponse)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, body)
}

// writeBody writes the body that appendBody appends to a pooled buffer.
func writeBody(w http.ResponseWriter, status int, appendBody func(b []byte) ([]byte, error)) error {
	buffer := responseBuffers.Get().(*[]byte)
	body, err := appendBody((*buffer)[:0])
	if err != nil {
		return err
	}
	err = writeJSON(w, status, body)
	if cap(body) <= maxPooled {
		*buffer = body
		responseBuffers.Put(buffer)
	}
	return err
}

const maxPooled = 64 << 10 // bytes; a larger buffer is not kept

var responseBuffers = sync.Pool{New: func() any { return new([]byte) }}
