package validate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"

	stdjson "encoding/json"
)

// Schema checks JSON texts against one schema of the contract: an object of known properties, each a text, a number or a
// boolean.
type Schema struct {
	schema     *openapi3.Schema
	fast       *fastPath
	properties []string // sorted
}

// NewSchema returns a Schema for a schema of the contract. It fails if that allows unknown properties, objects or arrays.
func NewSchema(schema *openapi3.Schema) (*Schema, error) {
	if closed := schema.AdditionalProperties.Has; !schema.Type.Is("object") || closed == nil || *closed {
		return nil, errors.New("a request body must be an object with additionalProperties: false")
	}
	for name, property := range schema.Properties {
		if kind := property.Value.Type; kind == nil || kind.Includes("object") || kind.Includes("array") {
			return nil, fmt.Errorf("the property %s of a request body must have a type, neither object nor array", name)
		}
	}
	return &Schema{schema, newFastPath(schema), slices.Sorted(maps.Keys(schema.Properties))}, nil
}

// options make kin-openapi report all errors at once, and check what it does not check by default.
var options = []openapi3.SchemaValidationOption{
	openapi3.MultiErrors(),
	openapi3.VisitAsRequest(),
	openapi3.DisableSchemaErrorDetails(),
	openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
}

// Check returns the text and its members if it is one JSON value that the schema allows.
//
// Errors: MalformedError, ValidationError.
func (s *Schema) Check(text []byte) (Checked, error) {
	if members, ok := s.fast.accepts(text); ok {
		return Checked{text, members}, nil
	}
	return s.check(text)
}

// check is Check without the fast path.
func (s *Schema) check(text []byte) (Checked, error) {
	value, r, err := s.read(text)
	if err != nil {
		return Checked{}, err
	}
	if err := s.schema.VisitJSON(value, options...); err != nil {
		r.errs = append(r.errs, translate(nil, err)...)
	}
	if len(r.errs) > 0 {
		return Checked{}, r.errs.sorted()
	}
	return Checked{text, r.members}, nil
}

// suggestion returns the property that a name was probably meant to be, "" if there is none.
func (s *Schema) suggestion(name string) string {
	if !isIdentifier(name) {
		return ""
	}
	for _, known := range s.properties {
		if strings.EqualFold(separators.Replace(known), separators.Replace(name)) {
			return known
		}
	}
	return ""
}

// withoutNUL is the pattern of a text that may hold every character but U+0000.
const withoutNUL = `^[^\x00]*$`

var separators = strings.NewReplacer("_", "", "-", "")

// translate returns kin-openapi's errors in the contract's form. It writes each from its rule and its path, because
// kin-openapi's own text quotes the submitted value.
func translate(path []string, err error) ValidationError {
	var all openapi3.MultiError
	if multi, ok := err.(openapi3.MultiError); ok {
		all = multi
	} else {
		all = openapi3.MultiError{err}
	}
	var errs ValidationError
	for _, err := range all {
		var broken *openapi3.SchemaError
		if errors.As(err, &broken) && broken.SchemaField == "pattern" && broken.Schema.Pattern == withoutNUL {
			continue // reported when the text was read
		}
		if errors.As(err, &broken) {
			errs = append(errs, violation(slices.Concat(path, broken.JSONPointer()), broken))
		} else {
			errs = append(errs, invalidFormat(path, "in the contract's form", "form"))
		}
	}
	return errs
}

func violation(path []string, broken *openapi3.SchemaError) gen.FieldError {
	schema, received := broken.Schema, kind(broken.Value)
	if !permits(schema, broken.Value) {
		return invalidType(path, typeName(schema), received)
	}
	switch broken.SchemaField {
	case "required": // of an object, by a property
		if property := schema.Properties[path[len(path)-1]]; property != nil {
			return required(path, typeName(property.Value))
		}
		return required(path, typeName(schema))
	case "maxLength":
		return tooLong(path, *schema.MaxLength, utf8.RuneCountInString(broken.Value.(string)))
	case "minimum", "maximum":
		if schema.Min != nil && schema.Max != nil {
			return outOfRange(path, schema)
		}
	case "enum":
		return invalidEnumValue(path, schema, received)
	case "format":
		if schema.Format == "uuid" {
			return invalidUUID(path, "another "+received)
		}
		if schema.Format == "date-time" {
			return invalidFormat(path, "a time, in the form 2026-06-17T19:07:23.709Z", received)
		}
	case "pattern":
		if phrase := schema.Description; phrase != "" {
			return invalidFormat(path, strings.ToLower(phrase[:1])+strings.TrimSuffix(phrase[1:], "."), received)
		}
	}
	return brokenRule(path, broken.SchemaField, received)
}

func permits(schema *openapi3.Schema, value any) bool {
	if value == nil {
		return schema.Nullable
	}
	k := kind(value)
	return schema.Type == nil || schema.Type.Permits(k) || k == "number" && schema.Type.Permits("integer") && isInteger(value)
}

func isInteger(value any) bool {
	number, ok := value.(stdjson.Number)
	return !ok || !strings.ContainsAny(number.String(), ".eE")
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}
