package api

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// defaultLimit is how many a page has unless the request says otherwise, as the contract has it.
const defaultLimit = 50

// ListCustomerProviders is GET /v2/customers/{id}/providers.
func (a *API) ListCustomerProviders(ctx context.Context, r gen.ListCustomerProvidersRequestObject) (gen.ListCustomerProvidersResponseObject, error) {
	limit := limitOf(r.Params.Limit)
	list := provider.List{
		Organization: callerOf(ctx).key.Organization,
		CustomerID:   r.ID,
		Type:         (*provider.Type)(r.Params.ProviderType),
		IsActive:     r.Params.IsActive,
		Limit:        limit + 1, // one more tells whether there is another page
	}
	if r.Params.Cursor != nil {
		after := wire.Position(*r.Params.Cursor)
		list.After = &after
	}
	records, err := a.Store.List(ctx, list)
	if err != nil {
		return nil, err
	}
	return bodyResponse{wire.ProviderList(records, limit)}, nil
}

// CreateCustomerProvider is POST /v2/customers/{id}/providers.
func (a *API) CreateCustomerProvider(ctx context.Context, r gen.CreateCustomerProviderRequestObject) (gen.CreateCustomerProviderResponseObject, error) {
	id, err := uuid.NewV7() // those made together lie together in a store
	if err != nil {
		return nil, err
	}
	record, err := a.Store.Write(ctx, provider.Write{
		Action:       provider.Created,
		Organization: callerOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           id,
		Patch:        wire.Creation(r.Body),
		By:           actor(ctx),
	})
	if err != nil {
		return nil, err
	}
	return providerResponse{record}, nil
}

// GetCustomerProvider is GET /v2/customers/{id}/providers/{providerId}.
func (a *API) GetCustomerProvider(ctx context.Context, r gen.GetCustomerProviderRequestObject) (gen.GetCustomerProviderResponseObject, error) {
	record, err := a.Store.Get(ctx, callerOf(ctx).key.Organization, r.ID, r.ProviderID)
	if err != nil {
		return nil, err
	}
	if known(r.Params.IfNoneMatch, record.Version) {
		return notModified{record.Version}, nil
	}
	return providerResponse{record}, nil
}

// UpdateCustomerProvider is PATCH /v2/customers/{id}/providers/{providerId}.
func (a *API) UpdateCustomerProvider(ctx context.Context, r gen.UpdateCustomerProviderRequestObject) (gen.UpdateCustomerProviderResponseObject, error) {
	record, err := a.Store.Write(ctx, provider.Write{
		Action:       provider.Updated,
		Organization: callerOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           r.ProviderID,
		IfMatch:      versions(r.Params.IfMatch),
		Patch:        wire.Patch(r.Body),
		By:           actor(ctx),
	})
	if err != nil {
		return nil, err
	}
	return providerResponse{record}, nil
}

// DeleteCustomerProvider is DELETE /v2/customers/{id}/providers/{providerId}.
func (a *API) DeleteCustomerProvider(ctx context.Context, r gen.DeleteCustomerProviderRequestObject) (gen.DeleteCustomerProviderResponseObject, error) {
	_, err := a.Store.Write(ctx, provider.Write{
		Action:       provider.Deleted,
		Organization: callerOf(ctx).key.Organization,
		CustomerID:   r.ID,
		ID:           r.ProviderID,
		IfMatch:      versions(r.Params.IfMatch),
		By:           actor(ctx),
	})
	if err != nil {
		return nil, err
	}
	return bodyResponse{gen.DeleteResponse{Success: true, Message: "The provider was deleted."}}, nil
}

// ListCustomerProviderHistory is GET /v2/customers/{id}/providers/{providerId}/history.
func (a *API) ListCustomerProviderHistory(ctx context.Context, r gen.ListCustomerProviderHistoryRequestObject) (gen.ListCustomerProviderHistoryResponseObject, error) {
	limit := limitOf(r.Params.Limit)
	var before int64
	if r.Params.Cursor != nil {
		before, _ = strconv.ParseInt(*r.Params.Cursor, 10, 64) // the contract has checked the form
	}
	events, err := a.Store.Events(ctx, callerOf(ctx).key.Organization, r.ID, r.ProviderID, before, limit+1)
	if err != nil {
		return nil, err
	}
	return bodyResponse{wire.HistoryList(events, limit)}, nil
}

func actor(ctx context.Context) provider.Actor {
	caller := callerOf(ctx)
	return provider.Actor{KeyID: caller.key.ID, RequestID: caller.requestID}
}

func limitOf(limit *int) int {
	if limit == nil {
		return defaultLimit
	}
	return *limit
}

// The responses write their bodies themselves because the generated ones escape <, > and & as if the JSON were to stand
// in a web page.

// providerResponse is one record with its ETag.
type providerResponse struct{ record provider.Provider }

// VisitGetCustomerProviderResponse writes a 200.
func (p providerResponse) VisitGetCustomerProviderResponse(w http.ResponseWriter) error {
	return p.write(w, http.StatusOK)
}

// VisitUpdateCustomerProviderResponse writes a 200.
func (p providerResponse) VisitUpdateCustomerProviderResponse(w http.ResponseWriter) error {
	return p.write(w, http.StatusOK)
}

// VisitCreateCustomerProviderResponse writes a 201 that says where the record is.
func (p providerResponse) VisitCreateCustomerProviderResponse(w http.ResponseWriter) error {
	w.Header().Set("Location", "/v2/customers/"+p.record.CustomerID.String()+"/providers/"+p.record.ID.String())
	return p.write(w, http.StatusCreated)
}

func (p providerResponse) write(w http.ResponseWriter, status int) error {
	w.Header().Set("ETag", wire.ETag(p.record.Version))
	body := bodies.Get().(*[]byte)
	defer bodies.Put(body)
	text, err := wire.AppendProvider((*body)[:0], &p.record)
	if err != nil {
		return err
	}
	*body = text
	return writeJSON(w, status, text)
}

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// notModified is a 304 for a record of that version.
type notModified struct{ version int64 }

// VisitGetCustomerProviderResponse writes the answer, which has no body.
func (n notModified) VisitGetCustomerProviderResponse(w http.ResponseWriter) error {
	w.Header().Set("ETag", wire.ETag(n.version))
	w.WriteHeader(http.StatusNotModified)
	return nil
}

// bodyResponse is a 200 with a body and nothing else: a page of a list, or what became of a deletion.
type bodyResponse struct{ body any }

// VisitListCustomerProvidersResponse writes the answer.
func (p bodyResponse) VisitListCustomerProvidersResponse(w http.ResponseWriter) error {
	return encode(w, http.StatusOK, p.body)
}

// VisitListCustomerProviderHistoryResponse writes the answer.
func (p bodyResponse) VisitListCustomerProviderHistoryResponse(w http.ResponseWriter) error {
	return encode(w, http.StatusOK, p.body)
}

// VisitDeleteCustomerProviderResponse writes the answer.
func (p bodyResponse) VisitDeleteCustomerProviderResponse(w http.ResponseWriter) error {
	return encode(w, http.StatusOK, p.body)
}

func encode(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeJSON(w, status, body)
}

var entityTag = regexp.MustCompile(`(W/)?"[^"]*"`)

// versions returns the versions that an If-Match header names: nil if it is absent or *, and none if it has only tags
// that this server never gave. Weak tags never match (RFC 9110, 13.1.1). The contract has checked the form.
func versions(ifMatch *string) []int64 {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return nil
	}
	named := []int64{}
	for _, tag := range entityTag.FindAllString(*ifMatch, -1) {
		version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err == nil && wire.ETag(version) == tag {
			named = append(named, version)
		}
	}
	return named
}

// known reports whether an If-None-Match header names the version, or is *. Weak tags match too (RFC 9110, 13.1.2).
func known(ifNoneMatch *string, version int64) bool {
	if ifNoneMatch == nil {
		return false
	}
	if strings.TrimSpace(*ifNoneMatch) == "*" {
		return true
	}
	for _, tag := range entityTag.FindAllString(*ifNoneMatch, -1) {
		if strings.TrimPrefix(tag, "W/") == wire.ETag(version) {
			return true
		}
	}
	return false
}
