// Package validate refuses the requests that break the contract, before a handler sees them: path, headers, content
// type and body, with all the faults of a request in one answer.
//
// It stands on each generated route, behind authentication and in front of the strict handler. The verdict is
// kin-openapi's, on openapi.yaml itself; what this package adds is a strict reading of JSON in front of it, and
// words that never repeat a submitted value behind it. A body that passed is bound to its Go type by Binder.
package validate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
)

// MaxBody is the size of the largest body that is read, in bytes. The largest one that the contract allows is
// smaller even with every character escaped.
const MaxBody = 64 << 10

// Operation checks the requests of one operation of the contract.
type Operation struct {
	parameters []*openapi3.Parameter
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
	o := &Operation{route: &routers.Route{Spec: contract, Path: path, PathItem: item, Method: method, Operation: spec}}
	for _, list := range []openapi3.Parameters{item.Parameters, spec.Parameters} {
		for _, ref := range list {
			o.parameters = append(o.parameters, ref.Value)
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

// Middleware lets only valid requests through to next. Others end with an error: Faults, Malformed, MediaType, or
// http.MaxBytesError.
func (o *Operation) Middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var text []byte
		if o.body != nil {
			buffer := buffers.Get().(*bytes.Buffer)
			defer buffers.Put(buffer) // what next makes of the body is not part of it
			if err := read(c, buffer); err != nil {
				return err
			}
			text = buffer.Bytes()
		}
		if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil && o.hasQuery() {
			return Malformed("The query cannot be read; check its percent signs.")
		}
		faults, body := append(o.checkParameters(c), o.checkQuery(c)...), c.Request().Body
		if o.body != nil {
			checked, err := o.body.Check(text)
			if bodyFaults, ok := err.(Faults); ok {
				faults = append(faults, bodyFaults...)
			} else if err != nil {
				return err
			}
			body = &valid{text: checked}
		}
		if len(faults) > 0 {
			return faults.sorted()
		}
		c.Request().Body = body
		return next(c)
	}
}

func (o *Operation) checkParameters(c echo.Context) Faults {
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
	var faults Faults
	for _, parameter := range o.parameters {
		if lines := request.Header.Values(parameter.Name); parameter.In == openapi3.ParameterInHeader && len(lines) > 1 {
			request.Header.Set(parameter.Name, strings.Join(lines, ", ")) // RFC 9110, 5.3: the same list, in several lines
		}
		if err := openapi3filter.ValidateParameter(request.Context(), input, parameter); err != nil {
			faults = append(faults, parameterFaults(parameter, err)...)
		}
	}
	return faults
}

func (o *Operation) hasQuery() bool {
	return slices.ContainsFunc(o.parameters, func(p *openapi3.Parameter) bool { return p.In == openapi3.ParameterInQuery })
}

// checkQuery finds what kin-openapi lets pass: a parameter that the contract does not know, which would be a filter that
// does not filter, one that is given twice, and truth values and numbers that JSON writes otherwise. An operation without
// query parameters ignores them all.
func (o *Operation) checkQuery(c echo.Context) (faults Faults) {
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

// oddlyWritten reports whether a value is a truth value or an integer for Go's packages, and none for JSON: 1, T, 05.
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

func parameterFaults(parameter *openapi3.Parameter, err error) Faults {
	path := []string{parameter.Name}
	var refused *openapi3filter.RequestError
	if errors.As(err, &refused) && parameter.Schema != nil {
		var broken *openapi3.SchemaError
		if !errors.As(refused.Err, &broken) { // it is empty, or cannot be read as its type
			if parameter.Schema.Value.Format == "uuid" {
				return Faults{invalidUUID(path, "something else")}
			}
			return Faults{wrongType(parameter)}
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

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

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
		return Malformed("The body did not arrive whole.")
	}
	if err == nil {
		request.Body = http.NoBody
	}
	return err
}

func checkMediaType(header http.Header) error {
	if encoding := strings.Join(header.Values("Content-Encoding"), ","); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return MediaType("Send the body as it is, without Content-Encoding.")
	}
	if types := header.Values("Content-Type"); len(types) == 1 && types[0] == "application/json" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, hasCharset := parameters["charset"]
	if err != nil || media != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") || len(header.Values("Content-Type")) != 1 {
		return MediaType("Send the body as JSON in UTF-8, with the header Content-Type: application/json.")
	}
	return nil
}

// Unread reports whether a request has a body that nobody has read to its end.
func Unread(request *http.Request) bool {
	_, valid := request.Body.(*valid)
	return !valid && request.Body != http.NoBody && request.ContentLength != 0
}

// valid is the body of a request that passed, for Binder.
type valid struct {
	io.ReadCloser // none
	text          Text
}

// Binder binds the body that Middleware let through, and no other, matching names exactly.
type Binder struct{}

// Bind decodes the request's body into target.
func (Binder) Bind(target any, c echo.Context) error {
	body, ok := c.Request().Body.(*valid)
	if !ok {
		return errors.New("bind a body that was not validated")
	}
	return body.text.Decode(target)
}
