package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/google/uuid"
)

var (
	listProviders = operation{"list providers", http.MethodGet, providersRoute, http.StatusOK}
	listHistory   = operation{"list provider history", http.MethodGet, historyRoute, http.StatusOK}
)

// Page is some of what an iteration goes over.
type Page[T any] struct {
	Items      []*T
	Cursor     string // of this page; empty for the first
	NextCursor string // of the next one; empty if this is the last
	RequestID  string // the ID of the request that returned it
}

// Providers iterates over a customer's providers, the newest first. It requests a page when the loop reaches it, so a loop that
// ends early requests no more than it needs. Each range over it starts again.
//
// Records created during the iteration do not appear, and no record appears twice. The ETag of a record is its version, as from
// GetProvider.
//
// An error ends the iteration: it is the last pair, with a nil Record, so that a loop which ignores it does not take what came before for
// everything. Its Cursor, in the filter of another iteration, goes on where this one ended. The errors are those of
// GetProvider, ErrNotFound if there is no such customer. Each page is a call of its own, with its own attempts and request ID.
func (c *Client) Providers(ctx context.Context, customerID CustomerID, filter ProviderFilter, options ...CallOption) iter.Seq2[*Record, error] {
	return items(c.ProviderPages(ctx, customerID, filter, options...))
}

// ProviderPages iterates over the pages of Providers. A program that stops after a page goes on with its NextCursor.
func (c *Client) ProviderPages(ctx context.Context, customerID CustomerID, filter ProviderFilter, options ...CallOption) iter.Seq2[*Page[Record], error] {
	return pages(ctx, c, list[listed, Record]{
		operation: listProviders, options: options, cursor: filter.Cursor,
		get: func(ctx context.Context, api *plainClient, _ *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
			page := filter.params()
			page.Cursor = cursor
			return api.ListCustomerProviders(ctx, customerID, &page, last)
		},
		item: func(l *listed, requestID string) (*Record, bool) {
			return &Record{Provider: l.Provider, ETag: l.ETag, RequestID: requestID}, l.CustomerID == customerID && l.ID != ProviderID(uuid.Nil)
		},
	})
}

// listed is the contract's ListedProvider.
type listed struct {
	Provider
	ETag string `json:"etag"`
}

// ProviderHistory iterates over the changes of a customer's provider, the latest first, as Providers does over providers. An
// invalid option is an error of the iteration.
func (c *Client) ProviderHistory(ctx context.Context, customerID CustomerID, providerID ProviderID, options ...CallOption) iter.Seq2[*HistoryEntry, error] {
	return items(c.ProviderHistoryPages(ctx, customerID, providerID, options...))
}

// ProviderHistoryPages iterates over the pages of ProviderHistory.
func (c *Client) ProviderHistoryPages(ctx context.Context, customerID CustomerID, providerID ProviderID, options ...CallOption) iter.Seq2[*Page[HistoryEntry], error] {
	return pages(ctx, c, list[HistoryEntry, HistoryEntry]{
		operation: listHistory, options: options,
		get: func(ctx context.Context, api *plainClient, call *call, cursor *string, last RequestEditorFn) (*http.Response, error) {
			params := &historyParams{Limit: call.pageSize, Cursor: cursor}
			return api.ListCustomerProviderHistory(ctx, customerID, providerID, params, last)
		},
		item: func(e *HistoryEntry, _ string) (*HistoryEntry, bool) { return e, e.Version > 0 },
	})
}

// items iterates over the items of pages.
func items[T any](pages iter.Seq2[*Page[T], error]) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for page, err := range pages {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// list is an operation that returns pages of In, which a caller gets as Out.
type list[In, Out any] struct {
	operation
	options []CallOption
	cursor  string // of the first page, unless an option sets one
	get     func(ctx context.Context, api *plainClient, call *call, cursor *string, last RequestEditorFn) (*http.Response, error)
	item    func(in *In, requestID string) (out *Out, fits bool) // fits is whether it is one of those that were asked for
}

func pages[In, Out any](ctx context.Context, c *Client, l list[In, Out]) iter.Seq2[*Page[Out], error] {
	return func(yield func(*Page[Out], error) bool) {
		call, err := c.newCall(l.operation, l.options)
		if err != nil {
			yield(nil, err)
			return
		}
		if call.cursor == "" {
			call.cursor = l.cursor
		}
		asked := map[string]bool{"": true} // the cursors so far: a server that repeats one would never reach an end
		for {
			page := &Page[Out]{Cursor: call.cursor}
			call.send = func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error) {
				if page.Cursor == "" {
					return l.get(ctx, api, call, nil, last)
				}
				return l.get(ctx, api, call, &page.Cursor, last)
			}
			asked[page.Cursor] = true
			call.accept = func(a *apiResponse) string { return l.accept(a, page, asked) }
			if err := c.do(ctx, call); err != nil {
				yield(nil, err)
				return
			}
			if !yield(page, nil) || page.NextCursor == "" {
				return
			}
			call, _ = c.newCall(l.operation, l.options) // cannot fail any more
			call.cursor = page.NextCursor
		}
	}
}

// accept reads a page, or returns what is wrong with it.
func (l list[In, Out]) accept(a *apiResponse, page *Page[Out], asked map[string]bool) string {
	var body struct {
		Data       []In    `json:"data"`
		NextCursor *string `json:"nextCursor"`
	}
	if json.Unmarshal(a.body, &body) != nil || body.Data == nil {
		return "is not a page as the contract describes it"
	}
	page.Items, page.RequestID = make([]*Out, len(body.Data)), a.requestID
	for i := range body.Data {
		var fits bool
		if page.Items[i], fits = l.item(&body.Data[i], a.requestID); !fits {
			return "has something in it that was not asked for"
		}
	}
	if body.NextCursor == nil {
		return ""
	}
	if page.NextCursor = *body.NextCursor; asked[page.NextCursor] {
		return "leads back to a page that was there before"
	}
	return ""
}
