package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// FuzzUpdateBody sends any bytes as a body. The server neither fails nor breaks the contract in its answer, and accepts
// nothing that kin-openapi, asked on its own, would not.
func FuzzUpdateBody(f *testing.F) {
	database := openStore(f)
	handler, _, key := newHandler(f, database, database, io.Discard)
	id := uuid.MustParse(exampleID)
	record := provider.Import{ID: id, Patch: provider.Patch{
		CustomerID: provider.Field[uuid.UUID]{Set: true, Value: id}, Type: provider.Field[provider.Type]{Set: true, Value: provider.Hospital},
	}}
	if err := database.Import(f.Context(), 1, []provider.Import{record}); err != nil {
		f.Fatal(err)
	}
	for _, body := range fuzzBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := httptest.NewRequest(http.MethodPatch, pathOf(exampleID, exampleID), bytes.NewReader(body))
		sent.Header.Set("Content-Type", "application/json")
		sent.Header.Set("X-Api-Key", key)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, sent)
		got := answer{response.Code, response.Header(), response.Body.String()}
		if err := keepsContract(sent, got); err != nil {
			t.Error(err)
		}
		switch got.Status {
		case http.StatusOK:
			if err := allowed(body); err != nil {
				t.Errorf("the server accepted what the contract does not allow: %v", err)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		default:
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	})
}

// allowed asks kin-openapi alone whether the contract allows a body.
func allowed(body []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	return doc.Components.Schemas["ProviderUpdate"].Value.VisitJSON(value, openapi3.VisitAsRequest(),
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
