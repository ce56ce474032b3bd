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

// Schema checks JSON texts against one schema of the contract.
type Schema struct {
	schema *openapi3.Schema
	quick  *quick
}

func newSchema(schema *openapi3.Schema) *Schema { return &Schema{schema, newQuick(schema)} }

// ImportLine returns two schemas of one line of an import: the contract's ProviderUpdate with an optional id, and the
// same with customerId required, and what ProviderCreate requires.
func ImportLine(contract *openapi3.T) (properties, record *Schema, err error) {
	create, update := contract.Components.Schemas["ProviderCreate"], contract.Components.Schemas["ProviderUpdate"]
	if create == nil || update == nil {
		return nil, nil, errors.New("the contract lacks the schema ProviderCreate or ProviderUpdate")
	}
	line := *update.Value
	line.Properties = maps.Clone(line.Properties)
	line.Properties["id"] = openapi3.NewSchemaRef("", openapi3.NewUUIDSchema())
	complete := line
	complete.Required = append([]string{"customerId"}, create.Value.Required...)
	return newSchema(&line), newSchema(&complete), nil
}

// options make kin-openapi tell all faults at once, and check what it leaves unchecked by default.
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
	if members, ok := s.quick.accepts(text); ok {
		return Checked{text, members}, nil
	}
	if err := s.check(text); err != nil {
		return Checked{}, err
	}
	return findMembers(text)
}

// check is Check without quick.
func (s *Schema) check(text []byte) error {
	value, faults, err := parse(text)
	if err != nil {
		return err
	}
	if err := s.schema.VisitJSON(value, options...); err != nil {
		faults = append(faults, translate(nil, err)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return faults.sorted()
}

// translate puts kin-openapi's errors into the contract's form. Each is said anew from its rule and its place,
// because kin-openapi's own words quote the submitted value.
func translate(path []string, err error) ValidationError {
	var all openapi3.MultiError
	if multi, ok := err.(openapi3.MultiError); ok {
		all = multi
	} else {
		all = openapi3.MultiError{err}
	}
	var faults ValidationError
	unknownTold := map[string]bool{}
	for _, err := range all {
		var broken *openapi3.SchemaError
		if !errors.As(err, &broken) {
			faults = append(faults, fault(path, "invalid_format", "is not what the contract asks for", "the contract's form", "another form"))
			continue
		}
		place := slices.Concat(path, broken.JSONPointer())
		if broken.SchemaField != "properties" {
			faults = append(faults, violation(place, broken))
			continue
		}
		// An error for each unknown name, all with the whole object and none with the name on its own.
		if key := strings.Join(place, "\x00"); !unknownTold[key] {
			unknownTold[key] = true
			faults = append(faults, unknown(place, broken)...)
		}
	}
	return faults
}

func violation(path []string, broken *openapi3.SchemaError) gen.FieldError {
	schema, received := broken.Schema, kind(broken.Value)
	expected := typeName(schema)
	if !permits(schema, broken.Value) {
		return fault(path, "invalid_type", fmt.Sprintf("must be %s, not %s", article(expected), article(received)), expected, received)
	}
	switch broken.SchemaField {
	case "required": // of an object, by a property
		if property := schema.Properties[path[len(path)-1]]; property != nil {
			expected = typeName(property.Value)
		}
		return fault(path, "required", "is required", expected, "nothing")
	case "maxLength":
		limit := fmt.Sprintf("at most %d characters", *schema.MaxLength)
		length := fmt.Sprintf("%d characters", utf8.RuneCountInString(broken.Value.(string)))
		return fault(path, "too_long", fmt.Sprintf("must have %s; it has %s", limit, length), limit, length)
	case "minimum", "maximum":
		if schema.Min != nil && schema.Max != nil {
			limits := fmt.Sprintf("%s from %v to %v", typeName(schema), *schema.Min, *schema.Max)
			return fault(path, "out_of_range", "must be "+article(limits), limits, "another "+typeName(schema))
		}
	case "enum":
		var words []string
		for _, word := range schema.Enum {
			if word != nil {
				words = append(words, fmt.Sprintf("%q", word))
			}
		}
		one := "one of " + strings.Join(words, ", ")
		if schema.Nullable {
			one += ", or null"
		}
		return fault(path, "invalid_enum_value", "must be "+one, one, "another "+received)
	case "format":
		if schema.Format == "uuid" {
			return invalidUUID(path, "another "+received)
		}
	}
	if broken.SchemaField == "pattern" && schema.Title != "" {
		return fault(path, "invalid_format", "must be "+schema.Title, schema.Title, "another "+received)
	}
	rule := broken.SchemaField
	return fault(path, "invalid_format", fmt.Sprintf("breaks the contract's rule %q", rule), rule, "another "+received)
}

func invalidUUID(path []string, received string) gen.FieldError {
	return fault(path, "invalid_uuid", "must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a", "UUID", received)
}

func unknown(path []string, broken *openapi3.SchemaError) ValidationError {
	object, _ := broken.Value.(map[string]any)
	var faults ValidationError
	for name := range object {
		if broken.Schema.Properties[name] != nil {
			continue
		}
		member := append(slices.Clip(path), name)
		if printable(name) == "" {
			faults = append(faults, fault(path, "unknown_property", "has a property whose name the contract does not know", "the contract's properties", "another property"))
			continue
		}
		message := "is not a property of the contract"
		for known := range broken.Schema.Properties {
			if plain(known) == plain(name) {
				message += "; did you mean " + known
			}
		}
		faults = append(faults, fault(member, "unknown_property", message, "the contract's properties", "another property"))
	}
	return faults
}

var separators = strings.NewReplacer("_", "", "-", "")

// plain is a name without what people vary: case, hyphens and underscores.
func plain(name string) string { return strings.ToLower(separators.Replace(name)) }

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

func typeName(schema *openapi3.Schema) string {
	name := "value"
	switch {
	case schema.Format == "uuid":
		name = "UUID"
	case schema.Type != nil:
		name = strings.Join(schema.Type.Slice(), " or ")
	}
	if schema.Nullable {
		name += " or null"
	}
	return name
}

func article(noun string) string {
	switch {
	case strings.HasPrefix(noun, "null"):
		return noun
	case strings.ContainsRune("aeiou", rune(noun[0])):
		return "an " + noun
	}
	return "a " + noun
}
