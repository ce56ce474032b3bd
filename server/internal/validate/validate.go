// Package validate rejects the requests that break the contract, before a handler sees them: path, headers, query,
// content type and body, with all errors of a request in one response.
//
// It stands on each generated route, behind authentication and in front of the strict handler. The verdict is
// kin-openapi's, on openapi.yaml itself; what this package adds is a strict reading of JSON in front of it, and
// words that never repeat a submitted value behind it. It decodes nothing: a body that passes is handed on as the members
// of an object.
package validate

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// MaxBody is the size of the largest body that is read, in bytes. The largest one that the contract allows is
// smaller even with every character escaped.
const MaxBody = 64 << 10

// Operation checks the requests of one operation of the contract.
type Operation struct {
	parameters []*openapi3.Parameter
	defaults   map[string]string // of query parameters, by name
	body       *Schema
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
	if spec.RequestBody != nil {
		media := spec.RequestBody.Value.Content["application/json"]
		if media == nil || media.Schema == nil || !spec.RequestBody.Value.Required {
			return nil, errors.New("its request body is not a required application/json with a schema")
		}
		o.body = newSchema(media.Schema.Value)
	}
	return o, nil
}

// Check returns the members of the request's body, which are none if the operation has no body, if the request is valid.
// They share the bytes of the buffer, which Check resets first. A query parameter that is left out gets the contract's
// default.
//
// Errors: ValidationError, MalformedError, MediaTypeError, and http.MaxBytesError.
func (o *Operation) Check(c echo.Context, buffer *bytes.Buffer) (Checked, error) {
	if o.body != nil {
		if err := read(c, buffer); err != nil {
			return Checked{}, err
		}
	}
	if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil && o.hasQuery() {
		return Checked{}, MalformedError("The query cannot be read; check its percent signs.")
	}
	faults := append(o.checkParameters(c), o.checkQuery(c)...)
	var body Checked
	if o.body != nil {
		var err error
		body, err = o.body.Check(buffer.Bytes())
		if bodyFaults, ok := err.(ValidationError); ok {
			faults = append(faults, bodyFaults...)
		} else if err != nil {
			return Checked{}, err
		}
	}
	if len(faults) > 0 {
		return Checked{}, faults.sorted()
	}
	o.setDefaults(c)
	return body, nil
}

// setDefaults adds the parameters with a default that the query leaves out.
func (o *Operation) setDefaults(c echo.Context) {
	for name, value := range o.defaults {
		if query := c.QueryParams(); !query.Has(name) {
			query.Set(name, value)
		}
	}
}

func (o *Operation) checkParameters(c echo.Context) ValidationError {
	if !slices.ContainsFunc(o.parameters, func(p *openapi3.Parameter) bool { return !plainlyValid(c, p) }) {
		return nil
	}
	request := c.Request()
	values := map[string]string{}
	for i, name := range c.ParamNames() {
		values[name] = c.ParamValues()[i]
	}
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: values, Route: o.route,
		Options: &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true, SchemaValidationOptions: options},
	}
	var faults ValidationError
	for _, parameter := range o.parameters {
		if lines := request.Header.Values(parameter.Name); parameter.In == openapi3.ParameterInHeader && len(lines) > 1 {
			request.Header.Set(parameter.Name, strings.Join(lines, ", ")) // RFC 9110, 5.3: the same list, in several lines
		}
		if broken := checkText(c, parameter); broken != nil {
			faults = append(faults, broken...)
			continue
		}
		if err := openapi3filter.ValidateParameter(request.Context(), input, parameter); err != nil {
			faults = append(faults, parameterFaults(parameter, err)...)
		}
	}
	return faults
}

// checkText finds text in a query or a header that a body could not have either. (A path has none: its parameters are
// UUIDs.)
func checkText(c echo.Context, parameter *openapi3.Parameter) ValidationError {
	text := ""
	switch parameter.In {
	case openapi3.ParameterInQuery:
		text = c.QueryParam(parameter.Name)
	case openapi3.ParameterInHeader:
		text = c.Request().Header.Get(parameter.Name)
	}
	path := []string{parameter.Name}
	switch {
	case strings.ContainsRune(text, 0):
		return ValidationError{nulCharacter(path)}
	case !utf8.ValidString(text):
		return ValidationError{fault(path, "invalid_format", "must be text in UTF-8", "text in UTF-8", "other bytes")}
	}
	return nil
}

func (o *Operation) hasQuery() bool {
	return slices.ContainsFunc(o.parameters, func(p *openapi3.Parameter) bool { return p.In == openapi3.ParameterInQuery })
}

// checkQuery finds what kin-openapi lets pass: a parameter that the contract does not know, which would be a filter that
// does not filter, one that is given twice, and booleans and numbers that JSON writes otherwise. An operation without query
// parameters ignores them all.
func (o *Operation) checkQuery(c echo.Context) (faults ValidationError) {
	if c.Request().URL.RawQuery == "" || !o.hasQuery() {
		return nil
	}
	for name, values := range c.QueryParams() {
		i := slices.IndexFunc(o.parameters, func(p *openapi3.Parameter) bool {
			return p.In == openapi3.ParameterInQuery && p.Name == name
		})
		known := i >= 0
		switch {
		case !known && printable(name) == "":
			faults = append(faults, gen.FieldError{
				Path: []string{}, Code: "unknown_parameter", Message: "A query parameter has a name that the contract does not know.",
				Expected: "the contract's parameters", Received: "another parameter",
			})
		case !known:
			faults = append(faults, fault([]string{name}, "unknown_parameter", "is not a query parameter of this operation", "the contract's parameters", "another parameter"))
		case len(values) > 1:
			faults = append(faults, fault([]string{name}, "duplicate_parameter", "must be given once", "one value", "several values"))
		case oddlyWritten(o.parameters[i].Schema, values[0]):
			faults = append(faults, wrongType(o.parameters[i]))
		}
	}
	return faults
}

// oddlyWritten reports whether a value is a boolean or an integer for Go's packages, and none for JSON: 1, T, 05.
func oddlyWritten(schema *openapi3.SchemaRef, value string) bool {
	switch {
	case schema == nil:
		return false
	case schema.Value.Type.Is("boolean"):
		truth, err := strconv.ParseBool(value)
		return err == nil && value != strconv.FormatBool(truth)
	case schema.Value.Type.Is("integer"):
		number, err := strconv.ParseInt(value, 10, 64)
		return err == nil && value != strconv.FormatInt(number, 10)
	}
	return false
}

func parameterFaults(parameter *openapi3.Parameter, err error) ValidationError {
	path := []string{parameter.Name}
	var refused *openapi3filter.RequestError
	if errors.As(err, &refused) && parameter.Schema != nil {
		var broken *openapi3.SchemaError
		if !errors.As(refused.Err, &broken) { // it is empty, or cannot be read as its type
			if parameter.Schema.Value.Format == "uuid" {
				return ValidationError{invalidUUID(path, "something else")}
			}
			return ValidationError{wrongType(parameter)}
		}
		return translate(path, refused.Err)
	}
	return translate(path, err)
}

func wrongType(parameter *openapi3.Parameter) gen.FieldError {
	expected := typeName(parameter.Schema.Value)
	return fault([]string{parameter.Name}, "invalid_type", "must be "+article(expected), expected, "something else")
}

// plainlyValid reports whether a parameter is certainly valid: a UUID in the path, or an optional header or query
// parameter that is not there. As with a body's quick, it leaves all else to kin-openapi.
func plainlyValid(c echo.Context, p *openapi3.Parameter) bool {
	switch p.In {
	case openapi3.ParameterInPath:
		return p.Schema != nil && p.Schema.Value.Type.Is("string") && p.Schema.Value.Format == "uuid" && isUUID(c.Param(p.Name))
	case openapi3.ParameterInHeader:
		return !p.Required && len(c.Request().Header.Values(p.Name)) == 0
	case openapi3.ParameterInQuery:
		return !p.Required && c.Request().URL.RawQuery == ""
	}
	return false
}

// read reads the body into a buffer, in place of what it holds.
func read(c echo.Context, text *bytes.Buffer) error {
	request := c.Request()
	if err := checkMediaType(request.Header); err != nil {
		return err
	}
	if request.ContentLength > MaxBody {
		return &http.MaxBytesError{Limit: MaxBody}
	}
	text.Reset()
	_, err := text.ReadFrom(http.MaxBytesReader(c.Response(), request.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return MalformedError("The body did not arrive whole.")
	}
	if err == nil {
		request.Body = http.NoBody
	}
	return err
}

func checkMediaType(header http.Header) error {
	if encoding := strings.Join(header.Values("Content-Encoding"), ","); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return MediaTypeError("Send the body as it is, without Content-Encoding.")
	}
	if types := header.Values("Content-Type"); len(types) == 1 && types[0] == "application/json" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, hasCharset := parameters["charset"]
	if err != nil || media != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") || len(header.Values("Content-Type")) != 1 {
		return MediaTypeError("Send the body as JSON in UTF-8, with the header Content-Type: application/json.")
	}
	return nil
}

// Unread reports whether a request has a body that nobody has read to its end.
func Unread(request *http.Request) bool {
	return request.Body != http.NoBody && request.ContentLength != 0
}
