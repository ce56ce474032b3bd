package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/google/uuid"
)

// Record is a provider as the API returned it.
type Record struct {
	Provider
	ETag      string // the record's version, for IfMatch and IfNoneMatch; empty if the server keeps none, or does not list it
	RequestID string // the ID of the request that returned it
}

// The routes of the API, as hooks see them.
const (
	providersRoute = "/v2/customers/{id}/providers"
	providerRoute  = providersRoute + "/{providerId}"
	historyRoute   = providerRoute + "/history"
)

var (
	createProvider = operation{"create provider", http.MethodPost, providersRoute, http.StatusCreated}
	getProvider    = operation{"get provider", http.MethodGet, providerRoute, http.StatusOK}
	updateProvider = operation{"update provider", http.MethodPatch, providerRoute, http.StatusOK}
	deleteProvider = operation{"delete provider", http.MethodDelete, providerRoute, http.StatusOK}
)

// CreateProvider creates a provider of a customer and returns the whole record. ProviderType is required; other properties that
// are nil become null. The record is on disk when the call returns.
//
// The request has an Idempotency-Key, so the call retries transient failures: however many of its requests arrive, they create one record.
// If all attempts fail, the error is an ErrOutcomeUnknown too, and has the key: call again with that IdempotencyKey and the
// same record, within 24 hours, to create it if it was not created.
//
// With DefaultBaseURL that does not hold, as the vendor documents no such header. Then the call retries only if the failed attempt
// certainly created nothing: the API rejected it for now (429, or a 503 with the code SERVICE_UNAVAILABLE), or there was no connection.
// After any other failure that leaves the outcome open, look for the record with Providers before you call again.
//
// Its errors are those of UpdateProvider, and ErrIdempotencyKeyReused.
func (c *Client) CreateProvider(ctx context.Context, customerID CustomerID, create ProviderCreate, options ...CallOption) (*Record, error) {
	call, err := c.newCall(createProvider, options)
	if err != nil {
		return nil, err
	}
	params := &paramsCreate{}
	if call.once = c.doer.base.Host != vendorHost; call.once && call.idempotencyKey == "" {
		call.idempotencyKey = uuid.NewString()
	}
	if call.idempotencyKey != "" {
		params.IdempotencyKey = new(quoted(call.idempotencyKey))
	}
	body, err := json.Marshal(create)
	if err != nil {
		return nil, fmt.Errorf("%s: write the record: %w", call.name, err)
	}
	var written ProviderCreate // differs from the record if JSON could not carry a text
	if err := json.Unmarshal(body, &written); err != nil || !reflect.DeepEqual(written, create) {
		return nil, fmt.Errorf("%s: write the record: %w", call.name, errNotUTF8)
	}
	var record Record
	call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
		return api.CreateCustomerProviderWithBody(ctx, customerID, params, "application/json", bytes.NewReader(body), last)
	}
	call.accept = record.accept(func() bool { return record.CustomerID == customerID && record.ID != ProviderID(uuid.Nil) })
	if err := c.do(ctx, call); err != nil {
		return nil, err
	}
	return &record, nil
}

// GetProvider reads a customer's provider. It retries transient failures. Its errors are those of UpdateProvider, except for
// ErrOutcomeUnknown, and ErrNotModified with IfNoneMatch.
func (c *Client) GetProvider(ctx context.Context, customerID CustomerID, providerID ProviderID, options ...CallOption) (*Record, error) {
	call, err := c.newCall(getProvider, options)
	if err != nil {
		return nil, err
	}
	params := &paramsGet{IfNoneMatch: call.ifNoneMatch}
	var record Record
	call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
		return api.GetCustomerProvider(ctx, customerID, providerID, params, last)
	}
	call.accept = record.accept(func() bool { return record.ID == providerID && record.CustomerID == customerID })
	if err := c.do(ctx, call); err != nil {
		return nil, err
	}
	return &record, nil
}

// UpdateProvider changes the given properties of a customer's provider and returns the whole record. The change is on
// disk when the call returns. The zero update changes nothing.
//
// Sending a change twice is the same as sending it once, so the call retries transient failures. WithRetries bounds how often; see
// ErrOutcomeUnknown for a call whose last attempt failed too.
//
// An error is an *Error; errors.Is compares it with ErrNotFound, ErrValidation and the others, and with the context's errors. The
// exceptions are errors before a request is sent: an invalid option of the call, text that is not UTF-8, the error of a
// request editor.
func (c *Client) UpdateProvider(ctx context.Context, customerID CustomerID, providerID ProviderID, update ProviderUpdate, options ...CallOption) (*Record, error) {
	call, err := c.newCall(updateProvider, options)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(update)
	if err != nil {
		return nil, fmt.Errorf("%s: write the change: %w", call.name, err)
	}
	call.moves = update.CustomerID != nil
	params := &paramsUpdate{IfMatch: call.ifMatch}
	var record Record
	call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
		return api.UpdateCustomerProviderWithBody(ctx, customerID, providerID, params, "application/json", bytes.NewReader(body), last)
	}
	call.accept = record.accept(func() bool { return record.ID == providerID })
	if err := c.do(ctx, call); err != nil {
		return nil, err
	}
	return &record, nil
}

// DeleteProvider deletes a customer's provider. From then on it is not found. The deletion is on disk when the call
// returns.
//
// The call retries transient failures. If the provider is not found after an attempt whose outcome is unknown, the call succeeds:
// the provider is gone, whether or not this call deleted it. If it is not found at the first attempt, the error is ErrNotFound. If
// a retry fails because of IfMatch, the provider still exists, and the error is ErrPreconditionFailed. The other errors are those
// of UpdateProvider.
func (c *Client) DeleteProvider(ctx context.Context, customerID CustomerID, providerID ProviderID, options ...CallOption) error {
	call, err := c.newCall(deleteProvider, options)
	if err != nil {
		return err
	}
	params := &paramsDelete{IfMatch: call.ifMatch}
	call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
		return api.DeleteCustomerProvider(ctx, customerID, providerID, params, last)
	}
	call.accept = func(a *apiResponse) string {
		var deleted DeleteResponse
		if json.Unmarshal(a.body, &deleted) != nil || !deleted.Success {
			return "does not say that the provider is deleted"
		}
		return ""
	}
	return c.do(ctx, call)
}

// accept returns a function that reads the record from a response, which must be the requested one.
func (r *Record) accept(fits func() bool) func(*apiResponse) string {
	return func(a *apiResponse) string {
		*r = Record{ETag: strong(a.header.Get("ETag")), RequestID: a.requestID}
		if json.Unmarshal(a.body, &r.Provider) != nil {
			return "is not a provider as the contract describes it"
		}
		if !fits() {
			return "is not about the provider that was asked for"
		}
		return ""
	}
}

// strong undoes what a compressing proxy such as nginx does to an ETag: it weakens it, and a weak one never matches an
// If-Match (RFC 9110, 13.1.1). The tag names a version of the record, whatever the encoding of the response.
func strong(etag string) string { return strings.TrimPrefix(etag, "W/") }
