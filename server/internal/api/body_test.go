package api

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// bound binds a body of a change to a target.
func bound(t *testing.T, body string, target any) error {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := validate.Operations(doc)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest("PATCH", benchPath, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	info := &requestInfo{}
	c := echo.New().NewContext(request.WithContext(context.WithValue(t.Context(), requestInfoKey{}, info)), httptest.NewRecorder())
	c.SetParamNames("id", "providerId")
	c.SetParamValues(benchID, benchID)
	if info.body, err = operations["updateCustomerProvider"].Check(c, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	return binder{}.Bind(target, c)
}

func TestBind(t *testing.T) {
	t.Parallel()
	var patch property.Patch
	if err := bound(t, `{"city":"Bern","ph\u006fne":"1","isActive":false,"notes":null}`, &patch); err != nil {
		t.Fatal(err)
	}
	want := property.Patch{Values: property.Values{
		property.City: property.Text("Bern"), property.Phone: property.Text("1"), property.IsActive: property.Boolean(false), property.Notes: property.Null,
	}}
	if patch != want {
		t.Errorf("got %+v, want %+v", patch, want)
	}

	// A body that is not a change of a record is bound to the generated type.
	var other struct {
		City  string  `json:"city"`
		Notes *string `json:"notes"`
	}
	if err := bound(t, `{"city":"Bern","notes":null}`, &other); err != nil || other.City != "Bern" || other.Notes != nil {
		t.Errorf("got %+v, %v", other, err)
	}
	var wrong struct {
		City bool `json:"city"`
	}
	if err := bound(t, `{"city":"secret"}`, &wrong); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a type that does not belong to the schema: %v", err)
	}
}
