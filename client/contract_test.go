package client_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/client"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// everything calls an operation with all that a caller can ask of it. An operation that the contract gains is added here,
// and to operations.
var everything = map[string]func(context.Context, *client.Client) error{
	"createCustomerProvider": func(ctx context.Context, c *client.Client) error { return create.call(ctx, c) },
	"getCustomerProvider":    func(ctx context.Context, c *client.Client) error { return get.call(ctx, c) },
	"updateCustomerProvider": func(ctx context.Context, c *client.Client) error {
		return change.call(ctx, c, client.IfMatch(`"1"`))
	},
	"deleteCustomerProvider": func(ctx context.Context, c *client.Client) error {
		return remove.call(ctx, c, client.IfMatch(`"1"`))
	},
	"listCustomerProviders": func(ctx context.Context, c *client.Client) error {
		return lastOf(c.Providers(ctx, customerID, fullFilter()))
	},
	"listCustomerProviderHistory": func(ctx context.Context, c *client.Client) error {
		return lastOf(c.ProviderHistory(ctx, customerID, providerID, client.PageSize(7)))
	},
}

// fullFilter returns a filter with something in each of its fields.
func fullFilter() client.ProviderFilter {
	var filter client.ProviderFilter
	fields := reflect.ValueOf(&filter).Elem()
	for i := range fields.NumField() {
		switch field := fields.Field(i); field.Kind() {
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case reflect.Int:
			field.SetInt(7)
		}
	}
	return filter
}

// The client has each operation of the contract, and of each operation every query parameter.
func TestContract(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string][]string{} // query parameters, by operation
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			wanted[spec.OperationID] = []string{}
			for _, p := range slices.Concat(item.Parameters, spec.Parameters) {
				if p.Value.In == openapi3.ParameterInQuery {
					wanted[spec.OperationID] = append(wanted[spec.OperationID], p.Value.Name)
				}
			}
			slices.Sort(wanted[spec.OperationID])
			if !slices.ContainsFunc(operations, func(o operation) bool { return o.method == method && o.route == path }) {
				t.Errorf("the table operations of this package lacks %s %s", method, path)
			}
		}
	}
	sent := map[string][]string{}
	for id, call := range everything {
		sent[id] = sentBy(t, call)
	}
	if diff := cmp.Diff(wanted, sent); diff != "" {
		t.Errorf("query parameters that the client sends, by operation (-contract +client):\n%s", diff)
	}
}

// sentBy returns the names of the query parameters that a call sends, for a first page and for the next.
func sentBy(t *testing.T, call func(context.Context, *client.Client) error) []string {
	t.Helper()
	query := url.Values{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(query, r.URL.Query())
		body, status := record, http.StatusOK
		switch {
		case r.Method == http.MethodPost:
			status = http.StatusCreated
		case r.Method == http.MethodDelete:
			body = deleted
		case r.URL.RawQuery != "" && r.URL.Query().Get("cursor") == "":
			body = list(cursor)
		case r.URL.RawQuery != "":
			body = list("")
		}
		respond(status, body)(w, r)
	})
	if err := call(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return append([]string{}, slices.Sorted(maps.Keys(query))...)
}
