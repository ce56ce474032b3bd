package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// asked is an empty store that keeps what it was last asked for.
type asked struct {
	provider.Store
	question string
}

func (a *asked) List(_ context.Context, l provider.List) ([]provider.Provider, error) {
	after := l.After
	l.After = nil
	a.question = fmt.Sprintf("%+v after %+v", l, after)
	return nil, nil
}

func (a *asked) History(_ context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	a.question = fmt.Sprint(organization, customer, id, before, limit)
	return nil, nil
}

// Every query parameter of the contract changes what the store is asked, and without it the store is asked for what the
// contract gives as its default.
func TestQueryParameters(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	store := &asked{}
	handler, secret := serving(t, store)
	ask := func(path string, query url.Values) string {
		t.Helper()
		request := httptest.NewRequest(http.MethodGet, path+"?"+query.Encode(), nil)
		request.Header.Set("X-Api-Key", secret)
		store.question = ""
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		if w.Code != http.StatusOK || store.question == "" {
			t.Fatalf("GET %s?%s: %d %s; the store was asked %q", path, query.Encode(), w.Code, w.Body, store.question)
		}
		return store.question
	}
	checked := 0
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, ref := range slices.Concat(item.Parameters, operation.Parameters) {
				p := ref.Value
				if p.In != openapi3.ParameterInQuery {
					continue
				}
				if method != http.MethodGet {
					t.Errorf("%s %s has the query parameter %s, and this test knows those of GET only", method, path, p.Name)
					continue
				}
				checked++
				path := strings.NewReplacer("{id}", benchID, "{providerId}", benchID).Replace(path)
				without := ask(path, nil)
				if with := ask(path, url.Values{p.Name: {example(t, p)}}); with == without {
					t.Errorf("%s: the parameter %s makes no difference; the handler ignores it", operation.OperationID, p.Name)
				}
				if value := p.Schema.Value.Default; value != nil {
					if with := ask(path, url.Values{p.Name: {fmt.Sprint(value)}}); with != without {
						t.Errorf("%s: without the parameter %s the store is asked\n%s\nand with the contract's default\n%s", operation.OperationID, p.Name, without, with)
					}
				}
			}
		}
	}
	if checked == 0 {
		t.Error("the contract has no query parameters")
	}
}

// example returns a value of a parameter other than its default.
func example(t *testing.T, p *openapi3.Parameter) string {
	t.Helper()
	schema := p.Schema.Value
	choices := []any{p.Example}
	choices = append(choices, schema.Enum...)
	if schema.Type.Is("boolean") {
		choices = append(choices, true, false)
	}
	if schema.Min != nil {
		choices = append(choices, *schema.Min, *schema.Min+1)
	}
	if schema.Type.Is("string") && schema.Pattern == "" && schema.Format == "" && schema.Enum == nil {
		choices = append(choices, "x")
	}
	for _, choice := range choices {
		if choice != nil && choice != schema.Default {
			return fmt.Sprint(choice)
		}
	}
	t.Fatalf("give the parameter %s an example in the contract", p.Name)
	return ""
}

// A text in a query is as strict as one in a body.
func TestQueryText(t *testing.T) {
	t.Parallel()
	handler, secret := serving(t, &asked{})
	for query, want := range map[string]string{
		"cursor=%00":             `cursor must not contain the character U+0000.`,
		"cursor=a%ff":            `cursor must be text in UTF-8.`,
		"providerType=%00":       `providerType must not contain the character U+0000.`,
		"providerType=%ed%a0%80": `providerType must be text in UTF-8.`,
	} {
		request := httptest.NewRequest(http.MethodGet, "/v2/customers/"+benchID+"/providers?"+query, nil)
		request.Header.Set("X-Api-Key", secret)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		var got gen.ValidationErrorResponse
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusUnprocessableEntity || len(got.Errors) != 1 || got.Errors[0].Message != want {
			t.Errorf("%s: %d %s, want %s", query, w.Code, w.Body, want)
		}
	}
}

// So is a text in a header.
func TestHeaderText(t *testing.T) {
	t.Parallel()
	handler, secret := serving(t, memory{})
	request := benchRequest(t, secret)
	request.Header.Set("If-Match", "\"\xff\"")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, request)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "If-Match must be text in UTF-8.") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
