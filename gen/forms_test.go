package gen_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// forms are valid ways to write a schema that the generator, the validator or the stores get wrong, and what to write instead.
var forms = []struct {
	form   string
	write  string
	broken func(schema) bool
}{
	// Of the properties of a provider, each of which is a column in the stores.
	{"a property of a provider that is more than a type", asProperty,
		func(s schema) bool {
			return s.value() && (len(s.Value.OneOf)+len(s.Value.AnyOf)+len(s.Value.AllOf) > 0 || s.Value.Not != nil || len(s.Value.Type.Slice()) > 1)
		}},
	{"a property of a provider that no column holds", asProperty,
		func(s schema) bool { return s.value() && !s.Value.Type.Is("string") && !s.Value.Type.Is("boolean") }},
	{"a property of a provider with an enum in place (a type in Go for each place)", asProperty,
		func(s schema) bool { return s.value() && s.inPlace() && s.Value.Enum != nil }},
	{"a property of a provider that cannot be null (existing records lack it, and existing programs do not send it)", asProperty,
		func(s schema) bool {
			return s.value() && !s.Value.Nullable && !strings.HasSuffix(s.place, ".providerType")
		}},
	{"a property of a provider without a limit", asProperty,
		func(s schema) bool {
			return s.value() && s.Value.Type.Is("string") && s.Value.MaxLength == nil && s.Value.Enum == nil
		}},
	{"a property of a provider whose text may have the character U+0000, or has another pattern", asProperty,
		func(s schema) bool {
			return s.value() && s.inPlace() && s.Value.Type.Is("string") && s.Value.Enum == nil && s.Value.Pattern != withoutNUL
		}},
	{"a property of a provider with a keyword that not every check knows", asProperty,
		func(s schema) bool {
			keywords := keywordsOf(s.Value)
			for _, known := range []string{"type", "nullable", "enum", "description", "example"} {
				delete(keywords, known)
			}
			if s.inPlace() {
				delete(keywords, "maxLength")
				delete(keywords, "pattern")
			}
			return s.value() && (len(keywords) > 0 || slices.Contains(s.Value.Enum, any("")))
		}},

	// Of every schema.
	{"nullable next to an enum without null (which says that null is not allowed)", "null in the enum, too",
		func(s schema) bool {
			return s.inPlace() && s.Value.Nullable && s.Value.Enum != nil && !slices.Contains(s.Value.Enum, nil)
		}},
	{"null in an enum that is not nullable", "nullable: true, too",
		func(s schema) bool { return s.inPlace() && !s.Value.Nullable && slices.Contains(s.Value.Enum, nil) }},
	{"a keyword next to $ref (it is ignored)", "the keyword within the schema that is referred to, or the schema in place",
		func(s schema) bool { return s.Ref != "" && s.siblings() > 0 }},
	{"a list of types (OpenAPI 3.1)", "one type, with nullable: true if it may be null",
		func(s schema) bool { return s.inPlace() && s.Value.Type != nil && len(*s.Value.Type) > 1 }},
	{"readOnly or writeOnly (a required one becomes optional in Go)", "a schema for requests and another for responses",
		func(s schema) bool { return s.inPlace() && (s.Value.ReadOnly || s.Value.WriteOnly) }},

	// Of request bodies.
	{"default in a request body (it is stored where null was sent)", "no default; the description says what a missing property means",
		func(s schema) bool { return s.body && s.Value.Default != nil }},
	{"oneOf, anyOf, allOf or not in a request body", "one schema with all its properties",
		func(s schema) bool {
			return s.body && (len(s.Value.OneOf)+len(s.Value.AnyOf)+len(s.Value.AllOf) > 0 || s.Value.Not != nil)
		}},
	{"a string of any length in a request body", "maxLength, enum or format: uuid",
		func(s schema) bool {
			return s.body && s.Value.Type.Is("string") && s.Value.MaxLength == nil && s.Value.Enum == nil && s.Value.Format != "uuid"
		}},
}

// withoutNUL is the pattern of every text, as the stores and the validator do not accept the character.
const withoutNUL = `^[^\x00]*$`

const asProperty = "{type: string, nullable: true, maxLength: N, pattern: '" + withoutNUL + "'}, {type: boolean, nullable: true}, or a $ref alone, to a schema {type: string, nullable: true, enum: [..., null]}"

// providers are the schemas whose properties the stores have columns for.
var providers = []string{"Provider", "ProviderCreate", "ProviderUpdate"}

// schema is a schema in its place.
type schema struct {
	*openapi3.SchemaRef
	place    string // such as "ProviderUpdate.phone"
	body     bool   // within a request body
	provider bool   // a property of a provider
}

// inPlace reports whether the schema is written here, and not somewhere else that is looked at by itself.
func (s schema) inPlace() bool { return s.Ref == "" }

// value reports whether the schema is that of a provider's property, other than its keys and times.
func (s schema) value() bool {
	name := s.place[strings.LastIndex(s.place, ".")+1:]
	return s.provider && !slices.Contains([]string{"id", "customerId", "createdAt", "updatedAt"}, name)
}

// siblings returns how many keywords there are next to a $ref.
func (s schema) siblings() int { return len(keywordsOf(s.SchemaRef)) - 1 }

// keywordsOf returns the keywords of a schema, or of a reference to one, which only its JSON form tells.
func keywordsOf(s json.Marshaler) map[string]any {
	var keywords map[string]any
	text, err := s.MarshalJSON()
	if err != nil || json.Unmarshal(text, &keywords) != nil {
		return nil
	}
	return keywords
}

func formsWork(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return // isValid reports it
	}
	if report := brokenForms(doc); len(report) > 0 {
		t.Errorf("openapi.yaml:\n%s", shorten(report))
	}
}

// brokenForms returns a line for each of forms that a contract has.
func brokenForms(doc *openapi3.T) []string {
	var report []string
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") {
		report = append(report, fmt.Sprintf("openapi: %s has what the validator compiles again for each request; write openapi: 3.0.3", doc.OpenAPI))
	}
	for _, s := range schemas(doc) {
		for _, f := range forms {
			if f.broken(s) {
				report = append(report, fmt.Sprintf("%s: %s; write %s", s.place, f.form, f.write))
				break // the others follow from it
			}
		}
	}
	return report
}

// schemas returns every schema of a contract, each where it is written: under components, or in an operation.
func schemas(doc *openapi3.T) []schema {
	w := walk{bodies: map[*openapi3.Schema]bool{}}
	operations := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			operations[method+" "+path] = o
			if o.RequestBody != nil {
				for _, media := range o.RequestBody.Value.Content {
					mark(media.Schema, w.bodies)
				}
			}
		}
	}
	if doc.Components != nil {
		for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
			w.visit(doc.Components.Schemas[name], name, slices.Contains(providers, name))
		}
	}
	for _, place := range slices.Sorted(maps.Keys(operations)) {
		o := operations[place]
		for _, p := range o.Parameters {
			w.visit(p.Value.Schema, place+" "+p.Value.Name, false)
		}
		if o.RequestBody != nil {
			w.visitContent(o.RequestBody.Value.Content, place+" request body")
		}
		for status, response := range o.Responses.Map() {
			w.visitContent(response.Value.Content, place+" "+status)
		}
	}
	return w.found
}

// walk collects schemas, each once.
type walk struct {
	bodies map[*openapi3.Schema]bool // those within a request body
	found  []schema
}

func (w *walk) visitContent(content openapi3.Content, place string) {
	for _, media := range content {
		w.visit(media.Schema, place, false)
	}
}

// visit adds a schema and those that are written in it, which are properties of a provider if it is one.
func (w *walk) visit(s *openapi3.SchemaRef, place string, provider bool) {
	if s == nil || s.Value == nil || slices.ContainsFunc(w.found, func(f schema) bool { return f.SchemaRef == s }) {
		return
	}
	w.found = append(w.found, schema{SchemaRef: s, place: place, body: w.bodies[s.Value]})
	if s.Ref != "" {
		return
	}
	inner := parts(s.Value)
	for _, name := range slices.Sorted(maps.Keys(inner)) {
		at := len(w.found)
		w.visit(inner[name], place+name, false)
		if len(w.found) > at {
			w.found[at].provider = provider && strings.HasPrefix(name, ".")
		}
	}
}

// mark adds a schema and all that it has or refers to.
func mark(s *openapi3.SchemaRef, marked map[*openapi3.Schema]bool) {
	if s == nil || s.Value == nil || marked[s.Value] {
		return
	}
	marked[s.Value] = true
	for _, part := range parts(s.Value) {
		mark(part, marked)
	}
}

// parts returns the schemas directly within s, each by what it adds to the name of a place.
func parts(s *openapi3.Schema) map[string]*openapi3.SchemaRef {
	all := map[string]*openapi3.SchemaRef{"[]": s.Items, "{}": s.AdditionalProperties.Schema, " not": s.Not}
	for name, property := range s.Properties {
		all["."+name] = property
	}
	for keyword, list := range map[string]openapi3.SchemaRefs{" oneOf": s.OneOf, " anyOf": s.AnyOf, " allOf": s.AllOf} {
		for i, branch := range list {
			all[fmt.Sprintf("%s[%d]", keyword, i)] = branch
		}
	}
	return all
}

// TestForms checks small contracts, one for each form that works and for each of forms.
func TestForms(t *testing.T) {
	const document = `
openapi: %s
info: {title: Notes, version: 1.0.0}
paths:
  /notes:
    patch:
      operationId: updateNote
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/ProviderUpdate'}}}}
      responses: {'204': {description: Done.}}
components:
  schemas:
    Status: {type: string, nullable: true, enum: [active, retired, null]}
    Kind: {type: string, enum: [one, other]}
    Short: {type: string, nullable: true, maxLength: 4, enum: [one, null]}
    Empty: {type: string, nullable: true, enum: ['', null]}
    ProviderUpdate: {type: object, additionalProperties: false, properties: {customerId: {type: string, format: uuid}, it: %s}}
`
	const in = "ProviderUpdate.it: a property of a provider "
	for _, tt := range []struct{ property, want string }{
		// What works.
		{"{type: string, nullable: true, maxLength: 50, pattern: '" + withoutNUL + "'}", ""},
		{"{type: boolean, nullable: true, description: Whether., example: true}", ""},
		{"{$ref: '#/components/schemas/Status'}", ""},

		// What does not.
		{"{type: string, maxLength: 50}", in + "that cannot be null (existing records lack it, and existing programs do not send it); write " + asProperty},
		{"{$ref: '#/components/schemas/Kind'}", in + "that cannot be null (existing records lack it, and existing programs do not send it); write " + asProperty},
		{"{type: string, nullable: true, enum: [active, retired]}", in + "with an enum in place (a type in Go for each place); write " + asProperty},
		{"{type: boolean, nullable: true, enum: [true, null]}", in + "with an enum in place (a type in Go for each place); write " + asProperty},
		{"{type: string, nullable: true}", in + "without a limit; write " + asProperty},
		{"{type: string, nullable: true, maxLength: 50}", in + "whose text may have the character U+0000, or has another pattern; write " + asProperty},
		{"{type: string, nullable: true, maxLength: 50, pattern: '^x'}", in + "whose text may have the character U+0000, or has another pattern; write " + asProperty},
		{"{type: string, nullable: true, maxLength: 50, pattern: '" + withoutNUL + "', readOnly: true}", in + "with a keyword that not every check knows; write " + asProperty},
		{"{type: string, nullable: true, maxLength: 50, pattern: '" + withoutNUL + "', format: date-time}", in + "with a keyword that not every check knows; write " + asProperty},
		{"{$ref: '#/components/schemas/Short'}", in + "with a keyword that not every check knows; write " + asProperty},
		{"{$ref: '#/components/schemas/Empty'}", in + "with a keyword that not every check knows; write " + asProperty},
		{"{type: boolean, nullable: true, default: false}", in + "with a keyword that not every check knows; write " + asProperty},
		{"{allOf: [{$ref: '#/components/schemas/Status'}]}", in + "that is more than a type; write " + asProperty},
		{"{type: [string, 'null'], maxLength: 50}", in + "that is more than a type; write " + asProperty},
		{"{type: integer, nullable: true}", in + "that no column holds; write " + asProperty},
		{"{type: number, nullable: true}", in + "that no column holds; write " + asProperty},
		{"{type: object, nullable: true}", in + "that no column holds; write " + asProperty},
		{"{type: array, nullable: true, items: {type: boolean}}", in + "that no column holds; write " + asProperty},
		{"{nullable: true}", in + "that no column holds; write " + asProperty},
		{"{$ref: '#/components/schemas/Status', nullable: true}",
			"ProviderUpdate.it: a keyword next to $ref (it is ignored); write the keyword within the schema that is referred to, or the schema in place"},
	} {
		doc, err := openapi3.NewLoader().LoadFromData(fmt.Appendf(nil, document, "3.0.3", tt.property))
		if err != nil {
			t.Errorf("%s: %v", tt.property, err)
			continue
		}
		if diff := cmp.Diff(tt.want, strings.Join(brokenForms(doc), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.property, diff)
		}
	}

	for _, tt := range []struct{ body, want string }{
		{"{type: string, maxLength: 50, pattern: '" + withoutNUL + "'}", ""},
		{"{type: string, format: uuid}", ""},
		{"{type: string, nullable: true, enum: [active]}", "Other.it: nullable next to an enum without null (which says that null is not allowed); write null in the enum, too"},
		{"{type: string, enum: [active, null]}", "Other.it: null in an enum that is not nullable; write nullable: true, too"},
		{"{type: string, maxLength: 50, pattern: '" + withoutNUL + "', readOnly: true}", "Other.it: readOnly or writeOnly (a required one becomes optional in Go); write a schema for requests and another for responses"},
		{"{type: boolean, default: false}", "Other.it: default in a request body (it is stored where null was sent); write no default; the description says what a missing property means"},
		{"{anyOf: [{type: boolean}]}", "Other.it: oneOf, anyOf, allOf or not in a request body; write one schema with all its properties"},
		{"{type: string}", "Other.it: a string of any length in a request body; write maxLength, enum or format: uuid"},
		{"{type: [string, 'null'], maxLength: 50}", "Other.it: a list of types (OpenAPI 3.1); write one type, with nullable: true if it may be null"},
	} {
		text := strings.ReplaceAll(fmt.Sprintf(document, "3.0.3", tt.body), "ProviderUpdate", "Other")
		doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if got := strings.Join(brokenForms(doc), "\n"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.body, got, tt.want)
		}
	}

	doc, err := openapi3.NewLoader().LoadFromData(fmt.Appendf(nil, document, "3.1.0", "{type: boolean, nullable: true}"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "openapi: 3.1.0 has what the validator compiles again for each request; write openapi: 3.0.3"
	if got := strings.Join(brokenForms(doc), "\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
