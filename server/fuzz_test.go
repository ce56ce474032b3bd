package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// FuzzBody sends any bytes as a body of a change and of a new record. The server neither fails nor breaks the contract in its response, and accepts
// nothing that kin-openapi, asked on its own, would not.
func FuzzBody(f *testing.F) {
	database := openStore(f)
	handler, _, key := newHandler(f, database, database, io.Discard)
	id := uuid.MustParse(exampleID)
	record := provider.Import{ID: id, Patch: property.Patch{CustomerID: &id, Values: property.Values{property.ProviderType: property.Text("Hospital")}}}
	if _, err := database.Import(f.Context(), 1, []provider.Import{record}, nil); err != nil {
		f.Fatal(err)
	}
	for _, body := range fuzzBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, operation := range []struct {
			method, path, schema string
			success              int
		}{
			{http.MethodPatch, pathOf(exampleID, exampleID), "ProviderUpdate", http.StatusOK},
			{http.MethodPost, providersOf(exampleID), "ProviderCreate", http.StatusCreated},
		} {
			sent := httptest.NewRequest(operation.method, operation.path, bytes.NewReader(body))
			sent.Header.Set("Content-Type", "application/json")
			got := ask(t, handler, sent, key)
			switch got.Status {
			case operation.success:
				if err := allowed(operation.schema, body); err != nil {
					t.Errorf("%s accepts what the contract does not allow: %v", operation.method, err)
				}
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			default:
				t.Errorf("%s: got %d %s", operation.method, got.Status, got.Body)
			}
		}
	})
}

// FuzzQuery sends any query to the operations that take one. A rejection says what is wrong, and no list has more than it
// was asked for.
func FuzzQuery(f *testing.F) {
	database := openStore(f)
	handler, _, key := newHandler(f, database, database, io.Discard)
	id := uuid.MustParse(exampleID)
	if _, err := database.Import(f.Context(), 1, nil, []uuid.UUID{id}); err != nil {
		f.Fatal(err)
	}
	made := httptest.NewRequest(http.MethodPost, providersOf(exampleID), strings.NewReader(`{"providerType":"Hospital"}`))
	made.Header.Set("Content-Type", "application/json")
	path := ask(f, handler, made, key).Header.Get("Location")
	for _, query := range []string{
		"", "&", "?", "limit=1", "limit=100&isActive=true&providerType=Primary+Care", "limit=01", "limit=1e1", "limit=+1", "limit=0x1", "limit=٣",
		"limit=99999999999999999999", "isActive=1", "isActive=TRUE", "isActive=", "providerType=%00", "providerType=Hospital&providerType=Hospital",
		"cursor=" + strings.Repeat("_", 32), "cursor=" + strings.Repeat("A", 32), "cursor=2", "cursor=999999999999999999", "cursor=%ff", "a=b", "=", ";", "%",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{providersOf(exampleID), path + "/history"} {
			sent := httptest.NewRequest(http.MethodGet, path, nil)
			sent.URL.RawQuery = query
			switch got := ask(t, handler, sent, key); got.Status {
			case http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity:
			default:
				t.Errorf("got %d %s", got.Status, got.Body)
			}
		}
	})
}

// ask sends a request to a handler, and compares the response with the contract.
func ask(t testing.TB, handler http.Handler, sent *http.Request, key string) response {
	t.Helper()
	sent.Header.Set("X-Api-Key", key)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, sent)
	got := response{recorder.Code, http.Header{}, recorder.Body.String()}
	for name, values := range recorder.Header() { // as a client of net/http sees them
		got.Header[http.CanonicalHeaderKey(name)] = values
	}
	if _, err := keepsContract(sent, got); err != nil {
		t.Error(err)
	}
	return got
}

// allowed asks kin-openapi alone whether the contract allows a body.
func allowed(schema string, body []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	return doc.Components.Schemas[schema].Value.VisitJSON(value, openapi3.VisitAsRequest(),
		openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)))
}

var fuzzBodies = []string{
	``, ` `, `{}`, `null`, `[]`, `0`, `""`, `true`, `{`, `}`, `{}{}`, `{} x`, "\ufeff{}", `{/**/}`,
	asJSON(newValues(exampleID)), asJSON(imported),
	`{"customerId":"` + exampleID + `"}`, `{"customerId":"` + strings.ToUpper(exampleID) + `"}`, `{"customerId":"00000000-0000-0000-0000-000000000000"}`,
	`{"customerId":"{` + exampleID + `}"}`, `{"customerId":"urn:uuid:` + exampleID + `"}`, `{"customerId":"\u0033c90c3cc-0d44-4b50-8888-8dd25736052a"}`,
	`{"providerType":"Primary Care"}`, `{"providerType":"primary care"}`, `{"providerType":"\u0048ospital"}`, `{"providerType":null}`,
	`{"phone":null,"fax":"","isActive":null,"isPrimaryProvider":false}`, `{"isActive":"true"}`, `{"isActive":1}`, `{"npi":1e999}`,
	`{"postalCode":"` + strings.Repeat("x", 20) + `"}`, `{"postalCode":"` + strings.Repeat("x", 21) + `"}`,
	`{"postalCode":"` + strings.Repeat("𝒳", 20) + `"}`, `{"postalCode":"` + strings.Repeat("𝒳", 21) + `"}`,
	`{"postalCode":"` + strings.Repeat(`\ud835\udcb3`, 20) + `"}`, `{"postalCode":"` + strings.Repeat(`\ud835\udcb3`, 21) + `"}`,
	`{"postalCode":"` + strings.Repeat(`\n`, 20) + `"}`, `{"postalCode":"` + strings.Repeat(`\"`, 21) + `"}`,
	`{"notes":"` + strings.Repeat("x", 1001) + `"}`, `{"notes":"\ud800"}`, `{"notes":"\udc00\ud800"}`, "{\"notes\":\"\xff\"}", "{\"notes\":\"\xed\xa0\x80\"}",
	`{"notes":"\u0000"}`, "{\"notes\":\"\x00\"}", `{"notes":"\/\b\f\n\r\t\\\""}`, `{"notes":["\u0000"]}`,
	`{"city":"a","city":"b"}`, `{"city":"a","\u0063ity":"b"}`, `{"City":"a"}`, `{"postal_code":"a"}`, `{"":0}`, `{"a":{"a":{"a":[[[]]]}}}`, `{"\u0000":0}`,
	strings.Repeat("[", 40), strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
}
