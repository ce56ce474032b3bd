package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/client"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// contract is openapi.yaml, and its operations by method and path.
type contract struct {
	document   *openapi3.T
	properties []string // of a Provider
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	return &contract{document, slices.Sorted(maps.Keys(document.Components.Schemas["Provider"].Value.Properties))}, nil
})

var filterOptions = &openapi3filter.Options{
	MultiError: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	SchemaValidationOptions: []openapi3.SchemaValidationOption{
		openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
	},
}

// check returns what in a request to an operation breaks the contract, with what a caller sees of it, and the body.
func (c *contract) check(r *http.Request, method, path string) (body map[string]any, failure *rejection) {
	item := c.document.Paths.Value(path)
	operation := item.GetOperation(method)
	if failure := unsupportedCondition(operation, r.Header); failure != nil {
		return nil, failure
	}
	text, failure := readBody(operation, r)
	if failure != nil {
		return nil, failure
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: map[string]string{"id": r.PathValue("id"), "providerId": r.PathValue("providerId")}, Options: filterOptions,
		Route: &routers.Route{Spec: c.document, Path: path, PathItem: item, Method: method, Operation: operation},
	}
	found := map[string]client.FieldError{}
	if failure := checkParameters(found, input); failure != nil {
		return nil, failure
	}
	if operation.RequestBody != nil {
		r.Body = io.NopCloser(bytes.NewReader(text))
		if err := openapi3filter.ValidateRequestBody(context.Background(), input, operation.RequestBody.Value); err != nil {
			collect(found, nil, err)
		} else if err := json.Unmarshal(text, &body); err != nil {
			return nil, &rejection{http.StatusBadRequest, "BAD_REQUEST", "The body is not a JSON object.", nil}
		}
	}
	if len(found) > 0 {
		return nil, invalid(slices.SortedFunc(maps.Values(found), func(a, b client.FieldError) int { return slices.Compare(a.Path, b.Path) }))
	}
	return body, nil
}

// unsupportedCondition rejects a header that the operation would ignore, although the caller relies on it.
func unsupportedCondition(operation *openapi3.Operation, header http.Header) *rejection {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Idempotency-Key"} {
		if len(header.Values(name)) > 0 && operation.Parameters.GetByInAndName(openapi3.ParameterInHeader, name) == nil {
			return &rejection{http.StatusBadRequest, "UNSUPPORTED_PRECONDITION", "This operation does not support " + name + ". Nothing was changed; send the request without that header.", nil}
		}
	}
	return nil
}

// readBody returns the body of an operation that has one.
func readBody(operation *openapi3.Operation, r *http.Request) ([]byte, *rejection) {
	if operation.RequestBody == nil {
		return nil, nil
	}
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding, charset := r.Header.Get("Content-Encoding"), strings.ToLower(parameters["charset"])
	switch {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return nil, &rejection{http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Send the body as it is, without a Content-Encoding.", nil}
	case err != nil || operation.RequestBody.Value.Content[media] == nil || charset != "" && charset != "utf-8" && charset != "utf8":
		return nil, &rejection{http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Send the body as JSON in UTF-8, and say so in the header Content-Type.", nil}
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 64<<10))
	switch {
	case err != nil:
		return nil, &rejection{http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "The body is larger than 65536 bytes.", nil}
	case !json.Valid(text) || !utf8.Valid(text):
		return nil, &rejection{http.StatusBadRequest, "BAD_REQUEST", "The body is not JSON.", nil}
	}
	return text, nil
}

// checkParameters checks the path, the headers and the query. An operation without query parameters ignores them all.
func checkParameters(found map[string]client.FieldError, input *openapi3filter.RequestValidationInput) *rejection {
	operation := input.Route.Operation
	query, err := url.ParseQuery(input.Request.URL.RawQuery)
	hasQuery := slices.ContainsFunc(operation.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.In == openapi3.ParameterInQuery })
	if err != nil && hasQuery {
		return &rejection{http.StatusBadRequest, "BAD_REQUEST", "The query cannot be read.", nil}
	}
	for name, values := range query {
		switch {
		case !hasQuery:
		case operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			add(found, []string{name}, "unknown_parameter", "is not a query parameter of this operation")
		case len(values) > 1:
			add(found, []string{name}, "duplicate_parameter", "must be there once")
		}
	}
	for _, parameter := range operation.Parameters {
		if err := openapi3filter.ValidateParameter(context.Background(), input, parameter.Value); err != nil {
			collect(found, []string{parameter.Value.Name}, err)
		}
	}
	return nil
}

// collect adds the errors in err, which are below a path. Their own texts can hold what was sent.
func collect(found map[string]client.FieldError, path []string, err error) {
	var several openapi3.MultiError
	var request *openapi3filter.RequestError
	var schema *openapi3.SchemaError
	switch {
	case errors.As(err, &several):
		for _, one := range several {
			collect(found, path, one)
		}
	case errors.As(err, &schema):
		collectSchema(found, append(slices.Clone(path), schema.JSONPointer()...), schema)
	case errors.As(err, &request) && request.Err != nil && request.Err != err:
		collect(found, path, request.Err)
	default:
		add(found, path, "invalid_type", "is missing, or has another type")
	}
}

func collectSchema(found map[string]client.FieldError, path []string, err *openapi3.SchemaError) {
	schema := err.Schema
	switch err.SchemaField {
	case "maxLength":
		add(found, path, "too_long", fmt.Sprintf("must have at most %d characters", *schema.MaxLength))
	case "enum":
		if err.Value == nil {
			add(found, path, "invalid_type", "must not be null")
			return
		}
		add(found, path, "invalid_enum_value", fmt.Sprintf("must be one of %q", schema.Enum))
	case "required":
		add(found, path, "required", "is required")
	case "properties", "additionalProperties":
		if name := unknownName.FindStringSubmatch(err.Reason); name != nil {
			path = append(path, name[1])
		}
		add(found, path, "unknown_property", "is not a property of the contract")
	case "minimum", "maximum":
		add(found, path, "out_of_range", fmt.Sprintf("must be from %v to %v", *schema.Min, *schema.Max))
	case "format":
		add(found, path, "invalid_uuid", "must be a UUID")
	case "pattern":
		if strings.Contains(schema.Pattern, `\x00`) {
			add(found, path, "nul_character", "must not contain the character U+0000")
			return
		}
		add(found, path, "invalid_format", "has another form than the contract's")
	default:
		add(found, path, "invalid_type", "must be of the type "+strings.Join(schema.Type.Slice(), " or "))
	}
}

// unknownName finds the name of an unknown property, which is in a text only.
var unknownName = regexp.MustCompile(`property "([A-Za-z_][A-Za-z0-9_-]{0,63})"`)

func add(found map[string]client.FieldError, path []string, code, message string) {
	subject := strings.Join(path, ".")
	if path == nil {
		path, subject = []string{}, "The body"
	}
	key := strings.Join(path, "\x00") + "\x00" + code
	found[key] = client.FieldError{Path: path, Code: code, Message: subject + " " + message + ".", Expected: message, Received: "something else"}
}
