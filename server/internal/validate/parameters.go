package validate

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"
)

// checkParameters checks the path, the headers and the query.
func (o *Operation) checkParameters(c echo.Context) (ValidationError, error) {
	if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil && o.hasQuery() {
		return nil, errQuery
	}
	return append(o.checkValues(c), o.checkQuery(c)...), nil
}

const idempotencyKey = "Idempotency-Key"

// checkPreconditions rejects a precondition (RFC 9110, 13.1) that the operation does not have as a parameter: it would be
// ignored, and the request carried out although the caller made it depend on a condition. The same holds for an
// idempotency key: the caller relies on it that a second request changes nothing, but a second change could undo another caller's.
func (o *Operation) checkPreconditions(header http.Header) error {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		if len(header.Values(name)) > 0 && o.parameter(openapi3.ParameterInHeader, name) == nil {
			return errPrecondition(name)
		}
	}
	if len(header.Values(idempotencyKey)) > 0 && o.parameter(openapi3.ParameterInHeader, idempotencyKey) == nil {
		return errIdempotencyKey
	}
	return nil
}

// parameter returns the parameter of that name, nil if there is none.
func (o *Operation) parameter(in, name string) *openapi3.Parameter {
	for _, p := range o.parameters {
		if p.In == in && p.Name == name {
			return p
		}
	}
	return nil
}

func (o *Operation) hasQuery() bool {
	return slices.ContainsFunc(o.parameters, func(p *openapi3.Parameter) bool { return p.In == openapi3.ParameterInQuery })
}

// checkValues checks the values of the parameters that the contract has.
func (o *Operation) checkValues(c echo.Context) ValidationError {
	if !slices.ContainsFunc(o.parameters, func(p *openapi3.Parameter) bool { return !triviallyValid(c, p) }) {
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
	var errs ValidationError
	for _, parameter := range o.parameters {
		if lines := request.Header.Values(parameter.Name); parameter.In == openapi3.ParameterInHeader && len(lines) > 1 {
			request.Header.Set(parameter.Name, strings.Join(lines, ", ")) // RFC 9110, 5.3: the same list, in several lines
		}
		if broken := checkText(c, parameter); broken != nil {
			errs = append(errs, broken...)
			continue
		}
		if err := openapi3filter.ValidateParameter(request.Context(), input, parameter); err != nil {
			errs = append(errs, parameterErrors(parameter, err)...)
		}
	}
	return errs
}

// triviallyValid reports whether a parameter is certainly valid: a UUID in the path, or an optional header or query
// parameter that is absent. Like fastPath, it leaves everything else to kin-openapi.
func triviallyValid(c echo.Context, p *openapi3.Parameter) bool {
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

// checkText rejects text in a query or a header that a body could not have either. (A path has none: its parameters are
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
		return ValidationError{notUTF8(path)}
	}
	return nil
}

// checkQuery rejects what kin-openapi accepts: an unknown parameter, which would be a filter that does not filter, a
// duplicate one, and booleans and numbers that are not in JSON's form. An operation without query parameters ignores them all.
func (o *Operation) checkQuery(c echo.Context) (errs ValidationError) {
	if c.Request().URL.RawQuery == "" || !o.hasQuery() {
		return nil
	}
	for name, values := range c.QueryParams() {
		known := o.parameter(openapi3.ParameterInQuery, name)
		switch {
		case errs.full():
			return errs
		case known == nil:
			errs = append(errs, unknownParameter(name))
		case len(values) > 1:
			errs = append(errs, duplicateParameter(name))
		case nonCanonical(known.Schema, values[0]):
			errs = append(errs, invalidParameterType(known))
		}
	}
	return errs
}

// nonCanonical reports whether a value is a boolean or an integer in Go's forms but not in JSON's: 1, T, 05.
func nonCanonical(schema *openapi3.SchemaRef, value string) bool {
	switch {
	case schema == nil:
		return false
	case schema.Value.Type.Is("boolean"):
		boolean, err := strconv.ParseBool(value)
		return err == nil && value != strconv.FormatBool(boolean)
	case schema.Value.Type.Is("integer"):
		number, err := strconv.ParseInt(value, 10, 64)
		return err == nil && value != strconv.FormatInt(number, 10)
	}
	return false
}

func parameterErrors(parameter *openapi3.Parameter, err error) []gen.FieldError {
	path := []string{parameter.Name}
	var rejected *openapi3filter.RequestError
	if errors.As(err, &rejected) && parameter.Schema != nil {
		var broken *openapi3.SchemaError
		if !errors.As(rejected.Err, &broken) { // it is empty, or cannot be read as its type
			if parameter.Schema.Value.Format == "uuid" {
				return ValidationError{invalidUUID(path, "something else")}
			}
			return ValidationError{invalidParameterType(parameter)}
		}
		return translate(path, rejected.Err)
	}
	return translate(path, err)
}
