package api

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
)

// UpdateCustomerProvider is PATCH /v2/customers/{id}/providers/{providerId}.
func (a *API) UpdateCustomerProvider(ctx context.Context, r gen.UpdateCustomerProviderRequestObject) (gen.UpdateCustomerProviderResponseObject, error) {
	caller := callerOf(ctx)
	record, err := a.Store.Update(ctx, provider.Update{
		Organization: caller.key.Organization,
		CustomerID:   r.ID,
		ID:           r.ProviderID,
		IfMatch:      versions(r.Params.IfMatch),
		Patch:        wire.Patch(r.Body),
		By:           provider.Actor{KeyID: caller.key.ID, RequestID: caller.requestID},
	})
	if err != nil {
		return nil, err
	}
	return providerResponse{record}, nil
}

// providerResponse is a 200 with one record and its ETag. It writes the body itself because the generated response
// escapes <, > and & as if the JSON were to stand in a web page.
type providerResponse struct{ record provider.Provider }

// VisitUpdateCustomerProviderResponse writes the answer.
func (p providerResponse) VisitUpdateCustomerProviderResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(wire.Provider(&p.record))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", wire.ETag(p.record.Version))
	return writeJSON(w, http.StatusOK, body)
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
