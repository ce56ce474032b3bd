package client_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/gen/property"
)

// named is the record under this number in its name.
func named(number int) string {
	return strings.Replace(record, "Dr. Ada Example", fmt.Sprint(number), 1)
}

// pager responds with pages in their order, from the first one on whenever a request has no cursor, and notes what was
// asked for. The cursor of a page is its number, after a letter.
type pager struct {
	asked []string
	pages []string
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked = append(p.asked, r.URL.RawQuery)
	number := 0
	fmt.Sscanf(r.URL.Query().Get("cursor"), "c%d", &number)
	respond(200, p.pages[number])(w, r)
}

func TestProvidersWalksThroughAllPages(t *testing.T) {
	server := &pager{pages: []string{list("c1", named(1), named(2)), list("c2"), list("c3", named(3)), list("", named(4))}}
	walk := serve(t, server.ServeHTTP).Providers(t.Context(), customerID, client.ProviderFilter{PageSize: 2})
	if len(server.asked) != 0 {
		t.Error("it asks before anybody walks")
	}
	var got []string
	step := func(p *client.Record, err error) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(*p.ProviderName, " of page ", len(server.asked)))
	}
	all := []string{"1 of page 1", "2 of page 1", "3 of page 3", "4 of page 4"}
	pages := []string{"limit=2", "limit=2&cursor=c1", "limit=2&cursor=c2", "limit=2&cursor=c3"}
	for range 2 { // the second time again
		got, server.asked = nil, nil
		for p, err := range walk {
			step(p, err)
		}
		if !slices.Equal(got, all) || !slices.EqualFunc(server.asked, pages, sameQuery) {
			t.Errorf("got %q by %q", got, server.asked)
		}
	}
	got, server.asked = nil, nil
	for p, err := range walk {
		if step(p, err); len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, all[:2]) || len(server.asked) != 1 {
		t.Errorf("broken off after %q, by %q", got, server.asked)
	}
}

// sameQuery compares queries whatever the order of their parameters.
func sameQuery(a, b string) bool {
	x, y := strings.Split(a, "&"), strings.Split(b, "&")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func TestProviderFilter(t *testing.T) {
	for want, filter := range map[string]client.ProviderFilter{
		"":                          {},
		"isActive=true":             {IsActive: new(true)},
		"isActive=false":            {IsActive: new(false)},
		"providerType=Primary+Care": {ProviderType: new(client.ProviderTypePrimaryCare)},
		"limit=100&isActive=true&providerType=Pharmacy": {PageSize: 100, IsActive: new(true), ProviderType: new(client.ProviderTypePharmacy)},
	} {
		server := &pager{pages: []string{list("c1"), list("")}}
		if err := lastOf(serve(t, server.ServeHTTP).Providers(t.Context(), customerID, filter)); err != nil {
			t.Fatal(err)
		}
		next := strings.TrimPrefix(want+"&cursor=c1", "&")
		if got := server.asked; len(got) != 2 || !sameQuery(got[0], want) || !sameQuery(got[1], next) {
			t.Errorf("asked for %q, want %q and %q", got, want, next)
		}
	}
}

func TestProviderHistory(t *testing.T) {
	first := `{"version":1,"at":"2026-06-17T19:07:23.709Z","action":"created","keyId":null,"requestId":"r","changes":[{"field":"isActive","from":null,"to":true}]}`
	server := &pager{pages: []string{list("c1", entry), list("", first)}}
	var got []*client.HistoryEntry
	for e, err := range serve(t, server.ServeHTTP).ProviderHistory(t.Context(), customerID, providerID) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if !slices.Equal(server.asked, []string{"", "cursor=c1"}) || len(got) != 2 {
		t.Fatalf("got %+v by %q", got, server.asked)
	}
	if e := got[0]; e.Version != 2 || e.Action != client.HistoryActionUpdated || *e.KeyID != "7jQ2mX9c" || e.RequestID != nil || len(e.Changes) != 1 || e.Changes[0] != (client.PropertyChange{Field: "phone", From: "+1 555 0100"}) {
		t.Errorf("%+v", e)
	}
	if e := got[1]; e.Version != 1 || e.Action != client.HistoryActionCreated || e.KeyID != nil || *e.RequestID != "r" || e.Changes[0].To != true {
		t.Errorf("%+v", e)
	}
}

func TestPageSize(t *testing.T) {
	server := &pager{pages: []string{list("c1", entry), list("", entry)}}
	if err := lastOf(serve(t, server.ServeHTTP).ProviderHistory(t.Context(), customerID, providerID, client.PageSize(100))); err != nil {
		t.Fatal(err)
	}
	if got := server.asked; len(got) != 2 || !sameQuery(got[0], "limit=100") || !sameQuery(got[1], "limit=100&cursor=c1") {
		t.Errorf("asked for %q", got)
	}
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	history := func(option client.CallOption) error {
		return lastOf(c.ProviderHistory(t.Context(), customerID, providerID, option))
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{history(client.PageSize(0)), "list provider history: PageSize must be from 1 to 100"},
		{history(client.PageSize(101)), "list provider history: PageSize must be from 1 to 100"},
		{history(client.IfMatch("*")), "list provider history: IfMatch is for an update or a deletion"},
		{c.DeleteProvider(t.Context(), customerID, providerID, client.PageSize(1)), "delete provider: PageSize is for a history; ProviderFilter has a field for it"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
}

// TestWalksEnd has servers with which a walk must end before the last page.
func TestWalksEnd(t *testing.T) {
	const back = "list providers: 200: the response leads back to a page that was there before"
	tests := []struct {
		name    string
		server  http.HandlerFunc
		items   int
		text    string
		kinds   []error
		options []client.Option
	}{
		{"the same cursor again", respond(200, list(cursor, record)), 1, back, nil, nil},
		{"a circle", (&pager{pages: []string{list("c1", record), list("c2", record), list("c1", record)}}).ServeHTTP, 2, back, nil, nil},
		{"a page that is rejected", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("cursor") {
				respond(422, `{"message":"Why.","code":"VALIDATION_ERROR","errors":[]}`)(w, r)
				return
			}
			respond(200, list(cursor, record, record))(w, r)
		}, 2, "list providers: 422 VALIDATION_ERROR: Why. (request ", []error{client.ErrValidation}, nil},
		{"a page that is lost", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("cursor") {
				panic(http.ErrAbortHandler)
			}
			respond(200, list(cursor, record))(w, r)
		}, 1, "list providers: no response: the connection was cut (request ", []error{client.ErrUnavailable}, []client.Option{client.WithoutRetries()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			items := 0
			var last error
			for p, err := range serve(t, test.server, test.options...).Providers(t.Context(), customerID, client.ProviderFilter{}) {
				switch {
				case last != nil:
					t.Fatal("it goes on after an error")
				case err == nil:
					items++
				case p != nil:
					t.Errorf("the error comes with %+v", p)
				}
				last = err
			}
			if items != test.items || last == nil || !strings.HasPrefix(last.Error(), test.text) {
				t.Fatalf("%d items, then %v; want %d, then %s", items, last, test.items, test.text)
			}
			wantKinds(t, last, test.kinds...)
		})
	}
}

// TestLongestPages has pages as long as the contract allows, in the longest way to write them.
func TestLongestPages(t *testing.T) {
	text := func(characters int) string { return strings.Repeat(`\ud83d\ude00`, characters) }
	var properties, changes []string
	for _, p := range property.Table {
		value := "true"
		if p.Kind == property.TextKind {
			value = `"` + text(p.MaxLength) + `"`
		}
		if p.Enum == nil {
			properties = append(properties, fmt.Sprintf(`%q:%s`, p.Name, value))
		}
		changes = append(changes, fmt.Sprintf(`{"field":%q,"from":%s,"to":%s}`, p.Name, value, value))
	}
	for name, test := range map[string]struct {
		operation operation
		item      string
	}{
		"providers": {providers, fmt.Sprintf(`{"id":%q,"customerId":%q,"providerType":"Hospital",%s}`, providerID, customerID, strings.Join(properties, ","))},
		"history":   {history, `{"version":1,"changes":[` + strings.Join(changes, ",") + `]}`},
	} {
		body := list("", slices.Repeat([]string{test.item}, client.MaxPageSize)...)
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		})
		if err := test.operation.call(t.Context(), c); err != nil {
			t.Errorf("%s, %d bytes: %v", name, len(body), err)
		}
	}
}

// serveWithout serves pages, but for the one at the cursor: the connection is lost, until lost is false.
func serveWithout(t *testing.T, cursor string, pages *pager) (c *client.Client, lost *atomic.Bool) {
	t.Helper()
	lost = new(atomic.Bool)
	lost.Store(true)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if lost.Load() && r.URL.Query().Get("cursor") == cursor {
			panic(http.ErrAbortHandler)
		}
		pages.ServeHTTP(w, r)
	}, client.WithoutRetries()), lost
}

// TestResume ends a walk in the middle, and goes on where it ended.
func TestResume(t *testing.T) {
	server := &pager{pages: []string{list("c1", named(1), named(2)), list("c2", named(3)), list("", named(4))}}
	c, lost := serveWithout(t, "c2", server)
	var got []string
	walk := func(filter client.ProviderFilter) (last error) {
		for record, err := range c.Providers(t.Context(), customerID, filter) {
			if last = err; err == nil {
				got = append(got, *record.ProviderName)
			}
		}
		return last
	}
	err := walk(client.ProviderFilter{})
	wantKinds(t, err, client.ErrUnavailable)
	lost.Store(false)
	if err := walk(client.ProviderFilter{Cursor: asError(t, err).Cursor}); err != nil || !slices.Equal(got, []string{"1", "2", "3", "4"}) {
		t.Errorf("got %q, %v", got, err)
	}

	var pages []client.Page[client.Record]
	for page, err := range c.ProviderPages(t.Context(), customerID, client.ProviderFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, *page)
	}
	if len(pages) != 3 || len(pages[0].Items) != 2 || pages[0].Cursor != "" || pages[0].NextCursor != "c1" || pages[1].Cursor != "c1" || pages[2].NextCursor != "" || pages[2].RequestID == "" {
		t.Errorf("pages %+v", pages)
	}
	for page, err := range c.ProviderPages(t.Context(), customerID, client.ProviderFilter{Cursor: pages[0].NextCursor}) {
		if err != nil || *page.Items[0].ProviderName != "3" {
			t.Errorf("the page after the first: %+v, %v", page, err)
		}
		break
	}
}

func TestResumeAHistory(t *testing.T) {
	server := &pager{pages: []string{list("c1", entry), list("", entry)}}
	c, lost := serveWithout(t, "c1", server)
	err := lastOf(c.ProviderHistory(t.Context(), customerID, providerID))
	wantKinds(t, err, client.ErrUnavailable)
	lost.Store(false)
	server.asked = nil
	for page, err := range c.ProviderHistoryPages(t.Context(), customerID, providerID, client.Cursor(asError(t, err).Cursor)) {
		if err != nil || page.Cursor != "c1" || page.NextCursor != "" || len(page.Items) != 1 {
			t.Errorf("%+v, %v", page, err)
		}
	}
	if !slices.Equal(server.asked, []string{"cursor=c1"}) {
		t.Errorf("asked for %q", server.asked)
	}
}

// A loop that ignores the error does not take half of the records for all of them: it ends with a nil record.
func TestIgnoredErrorOfAWalk(t *testing.T) {
	c := serve(t, respond(500, ""))
	defer func() {
		if recover() == nil {
			t.Error("the loop ended as if there were no more records")
		}
	}()
	for record := range c.Providers(t.Context(), customerID, client.ProviderFilter{}) {
		_ = record.ID
	}
}

func TestListedETags(t *testing.T) {
	withETag := strings.TrimSuffix(record, "}") + `,"etag":"\"7\""}`
	var got []string
	for record, err := range serve(t, respond(200, list("", withETag, record))).Providers(t.Context(), customerID, client.ProviderFilter{}) {
		if err != nil || record.RequestID == "" {
			t.Fatalf("%+v, %v", record, err)
		}
		got = append(got, record.ETag)
	}
	if !slices.Equal(got, []string{`"7"`, ""}) { // a server of an older contract lists none
		t.Errorf("ETags %q", got)
	}
}
