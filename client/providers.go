package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/google/uuid"
)

// Record is a provider as the API answered it.
type Record struct {
	Provider
	ETag      string // the record's version, for IfMatch; empty if the server keeps none
	RequestID string // what the server calls the request that was answered
}

// CallOption changes one call: IfMatch.
type CallOption func(*call) error

// IfMatch makes a change conditional: it is made only if the record still has the version of that ETag, and otherwise
// refused with ErrPreconditionFailed. The ETag is that of a Record, quotes included. An empty one is an error, so that
// a change that was meant to be conditional is never made without its condition.
func IfMatch(etag string) CallOption {
	return func(c *call) error {
		if !entityTags.MatchString(etag) {
			return errors.New(`IfMatch needs the ETag of a record, such as "7" with its quotes`)
		}
		c.ifMatch = &etag
		return nil
	}
}

// entityTags is what the contract lets If-Match be.
var entityTags = regexp.MustCompile(`^[ \t]*(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)[ \t]*$`)

var updateProvider = operation{"update provider", http.MethodPatch, "/v2/customers/{id}/providers/{providerId}"}

// UpdateProvider changes the given properties of a customer's provider and returns the whole record. The zero update
// changes nothing, and so reads the record. The change is on disk when the call returns.
//
// A change is the same however often it is sent, so the call repeats it when an attempt fails on its way; see
// WithRetries for how often, and ErrOutcomeUnknown for what is left when that does not help.
//
// An error is an *Error, which errors.Is compares with ErrNotFound, ErrValidation and their like, and with the
// context's errors. Only what keeps a request from being made is another: an option of the call that cannot be right,
// text that is not UTF-8, the error of a request editor.
func (c *Client) UpdateProvider(ctx context.Context, customerID, providerID uuid.UUID, update ProviderUpdate, options ...CallOption) (*Record, error) {
	call, err := newCall(updateProvider, options)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(update)
	if err != nil {
		return nil, fmt.Errorf("%s: write the change: %w", call.name, err)
	}
	call.moves = update.CustomerID != nil
	params := &UpdateCustomerProviderParams{IfMatch: call.ifMatch}
	var record Record
	call.send = func(ctx context.Context, last RequestEditorFn) (*http.Response, error) {
		return c.api.UpdateCustomerProviderWithBody(ctx, customerID, providerID, params, "application/json", bytes.NewReader(body), last)
	}
	call.accept = func(a *answer) string {
		record = Record{ETag: a.header.Get("ETag"), RequestID: a.requestID}
		if json.Unmarshal(a.body, &record.Provider) != nil {
			return "is not a provider as the contract describes it"
		}
		if record.ID != providerID {
			return "is not about the provider that was asked for"
		}
		return ""
	}
	if err := c.do(ctx, call); err != nil {
		return nil, err
	}
	return &record, nil
}
