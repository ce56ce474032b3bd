// Package validate rejects requests that break the contract before a handler sees them: path, headers, query, content type
// and body. One response reports all errors of a request.
//
// It runs on each generated route, after authentication and before the strict handler. kin-openapi gives the verdict, on
// openapi.yaml itself. This package reads JSON strictly before that, and writes errors that never repeat a submitted value
// after it. It decodes nothing: a body that passes is handed on as the members of an object. The texts of its errors are in
// messages.go.
package validate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// Operation checks the requests of one operation of the contract.
type Operation struct {
	parameters []*openapi3.Parameter
	defaults   map[string]string // of query parameters, by name
	body       *Schema           // nil for an operation without a body
	mediaTypes []string          // of the body
	route      *routers.Route
}

// Operations returns the operations of a contract by operationId.
func Operations(contract *openapi3.T) (map[string]*Operation, error) {
	operations := map[string]*Operation{}
	for path, item := range contract.Paths.Map() {
		for method, spec := range item.Operations() {
			o, err := newOperation(contract, path, method, item, spec)
			if err != nil {
				return nil, fmt.Errorf("operation %s %s: %w", method, path, err)
			}
			operations[spec.OperationID] = o
		}
	}
	return operations, nil
}

func newOperation(contract *openapi3.T, path, method string, item *openapi3.PathItem, spec *openapi3.Operation) (*Operation, error) {
	if spec.OperationID == "" {
		return nil, errors.New("it has no operationId")
	}
	o := &Operation{defaults: map[string]string{}, route: &routers.Route{Spec: contract, Path: path, PathItem: item, Method: method, Operation: spec}}
	for _, list := range []openapi3.Parameters{item.Parameters, spec.Parameters} {
		for _, ref := range list {
			o.parameters = append(o.parameters, ref.Value)
			if schema := ref.Value.Schema; ref.Value.In == openapi3.ParameterInQuery && schema != nil && schema.Value.Default != nil {
				text, err := json.Marshal(schema.Value.Default)
				if err != nil {
					return nil, fmt.Errorf("the default of %s: %w", ref.Value.Name, err)
				}
				o.defaults[ref.Value.Name] = strings.Trim(string(text), `"`)
			}
		}
	}
	if spec.RequestBody == nil {
		return o, nil
	}
	content := spec.RequestBody.Value.Content
	media := content["application/json"]
	if media == nil || media.Schema == nil || !spec.RequestBody.Value.Required {
		return nil, errors.New("its request body is not a required application/json with a schema")
	}
	o.mediaTypes = slices.Sorted(maps.Keys(content))
	for _, name := range o.mediaTypes {
		if other := content[name].Schema; other == nil || other.Value != media.Schema.Value {
			return nil, fmt.Errorf("its request body has another schema as %s than as application/json", name)
		}
	}
	var err error
	o.body, err = NewSchema(media.Schema.Value)
	return o, err
}

// MediaTypes returns the media types that the operation accepts for a body, sorted; none if it has no body.
func (o *Operation) MediaTypes() []string { return o.mediaTypes }

// Check returns the members of the request's body if the request is valid; an operation without a body has none. They share
// the bytes of the buffer, which Check resets first. A query parameter that is absent gets the contract's default.
//
// Errors: ValidationError, *RequestError, and *http.MaxBytesError.
func (o *Operation) Check(c echo.Context, buffer *bytes.Buffer) (Checked, error) {
	if err := o.checkPreconditions(c.Request().Header); err != nil {
		return Checked{}, err
	}
	if o.body != nil {
		if err := o.readBody(c, buffer); err != nil {
			return Checked{}, err
		}
	}
	errs, err := o.checkParameters(c)
	if err != nil {
		return Checked{}, err
	}
	var body Checked
	if o.body != nil {
		body, err = o.body.Check(buffer.Bytes())
		if invalid, ok := err.(ValidationError); ok {
			errs = append(errs, invalid...)
		} else if err != nil {
			return Checked{}, err
		}
	}
	if len(errs) > 0 {
		return Checked{}, errs.sorted()
	}
	o.setDefaults(c)
	return body, nil
}

// setDefaults adds the query parameters with a default that are absent.
func (o *Operation) setDefaults(c echo.Context) {
	for name, value := range o.defaults {
		if query := c.QueryParams(); !query.Has(name) {
			query.Set(name, value)
		}
	}
}
