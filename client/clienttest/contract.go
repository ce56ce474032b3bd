package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

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

// check returns what in a request breaks the contract, with what a caller sees of it, and the body.
func (c *contract) check(r *http.Request, path string) (body map[string]any, failure *rejection) {
	item := c.document.Paths.Value(path)
	operation := item.GetOperation(r.Method)
	parameters := map[string]string{"id": r.PathValue("id"), "providerId": r.PathValue("providerId")}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Options: filterOptions,
		Route: &routers.Route{Spec: c.document, Path: path, PathItem: item, Method: r.Method, Operation: operation},
	}
	found := map[string]client.FieldError{}
	for name := range r.URL.Query() {
		if operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			add(found, []string{name}, "unknown_parameter", "is not a query parameter of this operation")
		}
	}
	for _, parameter := range operation.Parameters {
		if err := openapi3filter.ValidateParameter(context.Background(), input, parameter.Value); err != nil {
			collect(found, []string{parameter.Value.Name}, err)
		}
	}
	if operation.RequestBody != nil {
		text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 64<<10))
		switch {
		case err != nil:
			return nil, &rejection{http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "The body is larger than 65536 bytes.", nil}
		case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			return nil, &rejection{http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Send the body as JSON.", nil}
		case !json.Valid(text):
			return nil, &rejection{http.StatusBadRequest, "BAD_REQUEST", "The body is not JSON.", nil}
		}
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
