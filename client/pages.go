package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/google/uuid"
)

var (
	listProviders = operation{"list providers", http.MethodGet, providersRoute, http.StatusOK}
	listHistory   = operation{"list provider history", http.MethodGet, historyRoute, http.StatusOK}
)

// Providers iterates over a customer's providers, the newest first. It requests a page when the loop reaches it, so a loop that
// ends early requests no more than it needs. Each range over it starts again.
//
// Records created during the iteration do not appear, and no record appears twice.
//
// An error ends the iteration: it is the last pair, with a zero Provider. The errors are those of GetProvider, ErrNotFound if there
// is no such customer. Each page is a call of its own, with its own attempts and request ID.
func (c *Client) Providers(ctx context.Context, customerID uuid.UUID, filter ProviderFilter) iter.Seq2[Provider, error] {
	get := func(ctx context.Context, api *plainClient, _ *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
		page := filter.params()
		page.Cursor = cursor
		return api.ListCustomerProviders(ctx, customerID, &page, last)
	}
	return pages(ctx, c, listProviders, nil, get, func(p Provider) bool { return p.CustomerID == customerID && p.ID != uuid.Nil })
}

// PageSize sets how many entries ProviderHistory requests at once, from 1 to 100. Without it the server decides.
func PageSize(n int) CallOption {
	return func(c *call) error {
		if c.operation != listHistory {
			return errors.New("PageSize is for ProviderHistory")
		}
		if n < 1 || n > maxPageSize {
			return fmt.Errorf("PageSize must be from 1 to %d", maxPageSize)
		}
		c.pageSize = &n
		return nil
	}
}

// ProviderHistory iterates over the changes of a customer's provider, the latest first, as Providers does over providers. An
// invalid option is an error of the iteration.
func (c *Client) ProviderHistory(ctx context.Context, customerID, providerID uuid.UUID, options ...CallOption) iter.Seq2[HistoryEntry, error] {
	get := func(ctx context.Context, api *plainClient, call *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
		params := &historyParams{Limit: call.pageSize, Cursor: cursor}
		return api.ListCustomerProviderHistory(ctx, customerID, providerID, params, last)
	}
	return pages(ctx, c, listHistory, options, get, func(e HistoryEntry) bool { return e.Version > 0 })
}

// page is ProviderList and HistoryList.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"nextCursor"`
}

// pages iterates over the pages that get returns for the cursor of the page before, nil for the first one. Each item must be
// one of those requested.
func pages[T any](
	ctx context.Context, c *Client, list operation, options []CallOption,
	get func(ctx context.Context, api *plainClient, call *call, cursor *string, last RequestEditorFn) (*http.Response, error), fits func(T) bool,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		var cursor *string                 // of the requested page
		asked := map[string]bool{"": true} // the cursors so far: a server that repeats one would never reach an end
		for {
			call, err := newCall(list).with(options)
			if err == nil && call.ifMatch != nil {
				err = fmt.Errorf("%s: IfMatch is for a record", call.name)
			}
			if err != nil {
				yield(none, err)
				return
			}
			var got page[T]
			call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
				return get(ctx, api, call, cursor, last)
			}
			call.accept = func(a *apiResponse) string {
				got = page[T]{}
				if json.Unmarshal(a.body, &got) != nil || got.Data == nil {
					return "is not a page as the contract describes it"
				}
				for _, item := range got.Data {
					if !fits(item) {
						return "has something in it that was not asked for"
					}
				}
				if got.NextCursor != nil && asked[*got.NextCursor] {
					return "leads back to a page that was there before"
				}
				return ""
			}
			if err := c.do(ctx, call); err != nil {
				yield(none, err)
				return
			}
			for _, item := range got.Data {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = got.NextCursor; cursor == nil {
				return
			}
			asked[*cursor] = true
		}
	}
}
