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

// Providers walks through a customer's providers, the newest first. It asks for a page when the one before has been
// walked through, so a loop that ends early asks for no more than it needs. Each range over it starts again.
//
// Records that are made during the walk are not in it, and none is in it twice.
//
// An error ends the walk: it comes with a zero Provider, as the last pair. It is one of GetProvider's, an ErrNotFound if
// there is no such customer. Each page is a call of its own, with attempts and a request ID of its own.
func (c *Client) Providers(ctx context.Context, customerID uuid.UUID, filter ProviderFilter) iter.Seq2[Provider, error] {
	get := func(ctx context.Context, _ *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
		page := filter.params()
		page.Cursor = cursor
		return c.api.ListCustomerProviders(ctx, customerID, &page, last)
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

// ProviderHistory walks through what was done to a customer's provider, the latest first, in the way of Providers. An
// option that cannot be right is an error of the walk.
func (c *Client) ProviderHistory(ctx context.Context, customerID, providerID uuid.UUID, options ...CallOption) iter.Seq2[HistoryEntry, error] {
	get := func(ctx context.Context, call *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
		params := &historyParams{Limit: call.pageSize, Cursor: cursor}
		return c.api.ListCustomerProviderHistory(ctx, customerID, providerID, params, last)
	}
	return pages(ctx, c, listHistory, options, get, func(e HistoryEntry) bool { return e.Version > 0 })
}

// page is ProviderList and HistoryList.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"nextCursor"`
}

// pages walks through the pages that get asks for, by the cursor of the page before or nil for the first one. Each item
// must fit what was asked for.
func pages[T any](
	ctx context.Context, c *Client, list operation, options []CallOption,
	get func(ctx context.Context, call *call, cursor *string, last RequestEditorFn) (*http.Response, error), fits func(T) bool,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		var cursor *string                 // of the page that is asked for
		asked := map[string]bool{"": true} // the cursors so far: a server that repeats one would never come to an end
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
			call.send = func(ctx context.Context, last RequestEditorFn) (*http.Response, error) {
				return get(ctx, call, cursor, last)
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
