package gen_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// TestContract checks openapi.yaml, from what everything else needs to the details, and stops at the first failure: a broken
// contract fails once, and here. `make test` runs this before any other test.
func TestContract(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check func(*testing.T)
	}{
		{"has no form that fails elsewhere", formsWork},
		{"gives each parameter a schema", hasParameterSchemas},
		{"has each property in each schema", hasEachProperty},
		{"has filters of properties", hasFilters},
		{"is valid", isValid},
		{"is not about Go", isNotAboutGo},
		{"names each operation", namesOperations},
		{"names each permission", namesPermissions},
		{"has the responses", hasResponses},
		{"is the page", isThePage},
		{"has the order of the page", hasOrderOfThePage},
		{"creates a whole record", createsWholeRecord},
		{"gives each page a size", givesPageSizes},
		{"describes patterns in a sentence", describesPatterns},
		{"has the examples of the page", hasExamplesOfThePage},
		{"has what belongs to the page", hasNeighbours},
		{"marks extensions", marksExtensions},
	} {
		if !t.Run(strings.ReplaceAll(tt.name, " ", "_"), tt.check) {
			return
		}
	}
}

// The reference page "Update customer provider", read from top to bottom, a line for each thing that it says.
const page = `
operation PATCH /v2/customers/{id}/providers/{providerId} "Update customer provider"
server https://api.carecycle.ai

header x-api-key string required
header x-api-key begins with cc_
header x-api-key comes from the Developer Dashboard

path id string format="uuid" required "Customer ID"
path providerId string format="uuid" required "Provider ID"

request application/json
request.body object
request.body customerId string format="uuid"
request.body providerType string enum=["Primary Care","Specialist","Hospital","Pharmacy"]
request.body specialty string nullable maxLength=255
request.body providerName string nullable maxLength=255
request.body practiceName string nullable maxLength=255
request.body npi string nullable maxLength=50
request.body phone string nullable maxLength=50
request.body fax string nullable maxLength=50
request.body email string nullable maxLength=255
request.body address string nullable maxLength=255
request.body address2 string nullable maxLength=255
request.body city string nullable maxLength=100
request.body state string nullable maxLength=50
request.body postalCode string nullable maxLength=20
request.body isPrimaryProvider boolean nullable
request.body isActive boolean nullable
request.body notes string nullable maxLength=1000

response application/json
response.body object
response.body id string format="uuid" required
response.body createdAt string nullable required
response.body updatedAt string nullable required
response.body customerId string format="uuid" required
response.body providerType string enum=["Primary Care","Specialist","Hospital","Pharmacy"] required
response.body specialty string nullable maxLength=255 required
response.body providerName string nullable maxLength=255 required
response.body practiceName string nullable maxLength=255 required
response.body npi string nullable maxLength=50 required
response.body phone string nullable maxLength=50 required
response.body fax string nullable maxLength=50 required
response.body email string nullable maxLength=255 required
response.body address string nullable maxLength=255 required
response.body address2 string nullable maxLength=255 required
response.body city string nullable maxLength=100 required
response.body state string nullable maxLength=50 required
response.body postalCode string nullable maxLength=20 required
response.body isPrimaryProvider boolean nullable required
response.body isActive boolean nullable required
response.body notes string nullable maxLength=1000 required
`

// What the contract says beyond the page, in the places that the page describes.
const ours = `
operation GET /v2/customers/{id}/providers "List a customer's providers"
operation POST /v2/customers/{id}/providers "Create customer provider"
operation GET /v2/customers/{id}/providers/{providerId} "Read customer provider"
operation DELETE /v2/customers/{id}/providers/{providerId} "Delete customer provider"
operation GET /v2/customers/{id}/providers/{providerId}/history "List customer provider history"
header X-Request-Id string
header If-Match string pattern="^[ \\t]*(\\*|([ \\t]*,)*[ \\t]*(W/)?\"[!#-~]*\"([ \\t]*,([ \\t]*(W/)?\"[!#-~]*\")?)*)[ \\t]*$"
request application/merge-patch+json
request required
request.body additionalProperties=false
`

func isThePage(t *testing.T) {
	doc := contract(t)
	var got []string
	add := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	for _, s := range doc.Servers {
		add("server %s", s.URL)
	}
	for _, o := range operations(t, doc) {
		add("operation %s %s %q", o.method, o.path, o.Summary)
	}

	update := updateOperation(t, doc)
	security := update.Security
	if security == nil {
		security = &doc.Security
	}
	for _, requirement := range *security {
		for name := range requirement {
			got = append(got, securityFacts(doc.Components.SecuritySchemes[name].Value, len(*security) == 1)...)
		}
	}
	for _, p := range update.parameters() {
		described := ""
		if p.In == "path" {
			described = fmt.Sprintf(" %q", p.Description)
		}
		add("%s %s %s%s", p.In, p.Name, describe(t, p.Schema.Value, p.Required), described)
	}
	if update.RequestBody.Value.Required {
		add("request required")
	}
	got = append(got, contentFacts(t, "request", update.RequestBody.Value.Content)...)
	got = append(got, contentFacts(t, "response", update.Responses.Value("200").Value.Content)...)
	compare(t, got, lines(page+ours))
	if t.Failed() {
		t.Log("the constant page of this file has what the documented page says, and the constant ours what the contract adds to it")
	}
}

// hasParameterSchemas: everything else reads them.
func hasParameterSchemas(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return // isValid reports it
	}
	for _, o := range operations(t, doc) {
		for _, p := range o.parameters() {
			if p.Schema == nil {
				t.Errorf("openapi.yaml: the parameter %s of %s has no schema", p.Name, o.OperationID)
			}
		}
	}
}

// hasEachProperty: what a creation gives, an update changes and a response shows is the same, but for keys and times.
func hasEachProperty(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return // isValid reports it
	}
	if doc.Components == nil {
		t.Fatal("openapi.yaml has no components")
	}
	own := map[string][]string{"ProviderCreate": {}, "ProviderUpdate": {"customerId"}, "Provider": {"id", "createdAt", "updatedAt", "customerId"}}
	schemas := map[string]map[string]string{} // the properties' own schemas, by the name of theirs
	names := map[string]bool{}
	for schema, without := range own {
		schemas[schema] = map[string]string{}
		ref := doc.Components.Schemas[schema]
		if ref == nil {
			t.Fatalf("openapi.yaml lacks the schema %s", schema)
		}
		for name, property := range ref.Value.Properties {
			if !slices.Contains(without, name) {
				text, _ := property.MarshalJSON()
				schemas[schema][name], names[name] = string(text), true
			}
		}
		for _, name := range ref.Value.Required {
			if ref.Value.Properties[name] == nil {
				t.Errorf("openapi.yaml: the schema %s requires %s, and does not have it", schema, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, schema := range slices.Sorted(maps.Keys(own)) {
			switch got := schemas[schema][name]; {
			case got == "":
				t.Errorf("openapi.yaml: the schema %s lacks the property %s, which another schema of a provider has", schema, name)
			case got != schemas["ProviderUpdate"][name] && schemas["ProviderUpdate"][name] != "":
				t.Errorf("openapi.yaml: the property %s is not the same in the schemas %s and ProviderUpdate", name, schema)
			}
		}
	}
	for name := range schemas["Provider"] {
		if !slices.Contains(doc.Components.Schemas["Provider"].Value.Required, name) {
			t.Errorf("openapi.yaml: the schema Provider has %s, and does not require it; a response has every property", name)
		}
	}
}

// hasFilters: a parameter of the list that is named for a property looks for one of its values.
func hasFilters(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return // isValid reports it
	}
	for _, o := range operations(t, doc) {
		for _, p := range o.parameters() {
			property := doc.Components.Schemas["ProviderCreate"].Value.Properties[p.Name]
			if o.OperationID != "listCustomerProviders" || p.In != openapi3.ParameterInQuery || property == nil {
				continue
			}
			schema, words := p.Schema.Value, slices.DeleteFunc(slices.Clone(property.Value.Enum), func(word any) bool { return word == nil })
			switch {
			case p.Required || schema.Nullable || schema.Default != nil:
				t.Errorf("openapi.yaml: the filter %s must be optional, not nullable and without a default: leaving it out finds all", p.Name)
			case !slices.Equal(schema.Type.Slice(), property.Value.Type.Slice()) || !slices.Equal(schema.Enum, words):
				t.Errorf("openapi.yaml: the filter %s must have the type and the enum of the property, without null", p.Name)
			}
		}
	}
}

// hasOrderOfThePage compares the order of the properties that a response requires, which is that of every response and of
// every table, with the page's. What the contract adds can be anywhere among them.
func hasOrderOfThePage(t *testing.T) {
	var want []string
	for _, line := range lines(page) {
		if rest, ok := strings.CutPrefix(line, "response.body "); ok && strings.HasSuffix(line, " required") {
			name, _, _ := strings.Cut(rest, " ")
			want = append(want, name)
		}
	}
	provider := contract(t).Components.Schemas["Provider"].Value
	got := slices.DeleteFunc(slices.Clone(provider.Required), func(name string) bool { return !slices.Contains(want, name) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the schema Provider requires (-want +got):\n%s", shorten(strings.Split(diff, "\n")))
	}
}

// createsWholeRecord: a creation requires what cannot be null, and nothing else.
func createsWholeRecord(t *testing.T) {
	create := contract(t).Components.Schemas["ProviderCreate"].Value
	for name, property := range create.Properties {
		if required := slices.Contains(create.Required, name); required == property.Value.Nullable {
			t.Errorf("the property %s of the schema ProviderCreate: required is %t, and nullable too; one of them must be true", name, required)
		}
	}
}

// givesPageSizes: a list has a limit with a default, which the handlers rely on, and a maximum, which the client does.
// describesPatterns holds for schemas whose description an error repeats: "must be entity tags in double quotes, …".
func describesPatterns(t *testing.T) {
	for name, schema := range contract(t).Components.Schemas {
		if s := schema.Value; s.Pattern != "" && (strings.Index(s.Description, ".") != len(s.Description)-1) {
			t.Errorf("the description of %s, which has a pattern, must be one sentence: an error repeats it", name)
		}
	}
}

func givesPageSizes(t *testing.T) {
	for _, o := range operations(t, contract(t)) {
		for _, p := range o.parameters() {
			if schema := p.Schema.Value; p.Name == "limit" && (schema.Default == nil || schema.Max == nil) {
				t.Errorf("the parameter limit of %s needs a default and a maximum", o.OperationID)
			}
		}
	}
}

// hasExamplesOfThePage leaves out what the contract adds to the page. It knows one difference: in the response the page writes times as <string>, the contract shows their
// form.
func hasExamplesOfThePage(t *testing.T) {
	const fields = `
		"customerId": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "providerType": "Primary Care", "specialty": "<string>",
		"providerName": "<string>", "practiceName": "<string>", "npi": "<string>", "phone": "<string>", "fax": "<string>",
		"email": "<string>", "address": "<string>", "address2": "<string>", "city": "<string>", "state": "<string>",
		"postalCode": "<string>", "isPrimaryProvider": true, "isActive": true, "notes": "<string>"`
	update := updateOperation(t, contract(t))
	for _, tt := range []struct {
		place   string
		content openapi3.Content
		want    string
	}{
		{"request", update.RequestBody.Value.Content, `{` + fields + `}`},
		{"response", update.Responses.Value("200").Value.Content, `{"id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
			"createdAt": "2026-06-17T19:07:23.709Z", "updatedAt": "2026-06-18T08:30:00.000Z",` + fields + `}`},
	} {
		var want any
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		media := tt.content["application/json"]
		example, _ := media.Example.(map[string]any)
		if everything := media.Examples["everything"]; everything != nil {
			example, _ = everything.Value.Value.(map[string]any)
		}
		got := maps.Clone(example)
		maps.DeleteFunc(got, func(name string, _ any) bool { return strings.Contains(ours, "\n"+tt.place+".body "+name+" ") })
		if diff := cmp.Diff(want, any(got)); diff != "" {
			t.Errorf("example of the %s (-want +got):\n%s", tt.place, shorten(strings.Split(diff, "\n")))
		}
	}
}

// hasNeighbours has what the vendor says of the operations next to the page's: the body of a creation is that of a change
// without customerId and with a providerType, and its response is the whole record; a deletion says that it succeeded.
func hasNeighbours(t *testing.T) {
	doc := contract(t)
	var want []string
	for _, line := range lines(page + ours) {
		switch {
		case strings.HasPrefix(line, "request.body providerType"):
			line += " required"
		case line == "request application/merge-patch+json", strings.HasPrefix(line, "request.body customerId"), !strings.HasPrefix(line, "request") && !strings.HasPrefix(line, "response"):
			continue
		}
		want = append(want, line)
	}
	create := operationOf(t, doc, "createCustomerProvider")
	got := append(contentFacts(t, "request", create.RequestBody.Value.Content), contentFacts(t, "response", create.Responses.Value("201").Value.Content)...)
	if create.RequestBody.Value.Required {
		got = append(got, "request required")
	}
	compare(t, got, want)

	remove := operationOf(t, doc, "deleteCustomerProvider")
	compare(t, contentFacts(t, "response", remove.Responses.Value("200").Value.Content), []string{
		"response application/json", "response.body object", "response.body success boolean required", "response.body message string required",
	})
}

// marksExtensions: what the vendor does not document says so.
func marksExtensions(t *testing.T) {
	for _, o := range operations(t, contract(t)) {
		marked := strings.Contains(o.Description, "An extension: the vendor's reference does not have this operation.")
		if marked != (o.method == "GET") {
			t.Errorf("%s: marked as an extension: %t", o.OperationID, marked)
		}
	}
}

// hasResponses has the vendor's eight responses of an operation, and those that the contract adds.
func hasResponses(t *testing.T) {
	doc := contract(t)
	var got, want []string
	plain := []string{"object", "code string required", "message string required"}
	bodies := map[string][]string{
		"400": plain,
		"401": plain,
		"403": plain,
		"404": plain,
		"422": {
			"object", "code string required", "message string required", "errors array maxItems=100 minItems=1 required",
			"errors[] object", "errors[] path array maxItems=100 required", "errors[] path[] string", "errors[] message string required",
			"errors[] expected string required", "errors[] received string required", "errors[] code string required",
		},
		"429": {"object", "code string required", "message string required", "retryAfter integer format=\"int32\" minimum=1 required"},
		"500": plain,

		"408": plain,
		"412": plain,
		"413": plain,
		"415": plain,
		"503": plain,

		"default": plain,
	}
	always := []string{"400", "401", "403", "404", "422", "429", "500", "503", "default"}
	statuses := map[string][]string{
		"listCustomerProviders":       {"200"},
		"createCustomerProvider":      {"201", "408", "413", "415"},
		"getCustomerProvider":         {"200", "304"},
		"updateCustomerProvider":      {"200", "408", "412", "413", "415"},
		"deleteCustomerProvider":      {"200", "412"},
		"listCustomerProviderHistory": {"200"},
	}
	for _, o := range operations(t, doc) {
		if statuses[o.OperationID] == nil {
			t.Errorf("add %s to the table of responses in this test", o.OperationID)
		}
	}
	for id, others := range statuses {
		for _, status := range slices.Concat(always, others) {
			want = append(want, id+" "+status)
			if bodies[status] != nil {
				want = append(want, id+" "+status+" application/json")
			}
			for _, tt := range bodies[status] {
				want = append(want, id+" "+status+".body "+tt)
			}
		}
		for status, response := range operationOf(t, doc, id).Responses.Map() {
			got = append(got, id+" "+status)
			if bodies[status] != nil {
				got = append(got, contentFacts(t, id+" "+status, response.Value.Content)...)
			}
		}
	}
	compare(t, got, want)
}

func isValid(t *testing.T) {
	doc := contract(t)
	headers := maps.Clone(doc.Components.Headers)
	for _, o := range operations(t, doc) {
		for status, response := range o.Responses.Map() {
			for name, header := range response.Value.Headers {
				if header.Ref == "" {
					headers[o.OperationID+" "+status+" "+name] = header
				}
			}
		}
	}
	for name, header := range headers { // the one thing whose example kin-openapi does not look at
		h := header.Value
		if err := h.Schema.Value.VisitJSON(h.Example, openapi3.DisableSchemaErrorDetails()); err != nil && h.Example != nil {
			t.Errorf("openapi.yaml: example of the header %s: %v", name, err)
		}
	}
}

func namesOperations(t *testing.T) {
	for _, o := range operations(t, contract(t)) {
		if o.OperationID == "" {
			t.Errorf("%s %s has no operationId", o.method, o.path)
		}
	}
}

func namesPermissions(t *testing.T) {
	for _, o := range operations(t, contract(t)) {
		got, want := o.Extensions["x-required-permission"], []any{"providers:read", "providers:write"}
		if !slices.Contains(want, got) {
			t.Errorf("%s %s: x-required-permission: got %v, want one of %v", o.method, o.path, got, want)
		}
	}
}

// isNotAboutGo: what Go needs to know beyond the contract is in overlay.yaml.
func isNotAboutGo(t *testing.T) {
	number := 0
	for line := range strings.Lines(string(providerapi.Contract)) {
		number++
		name := regexp.MustCompile(`\bx-[a-z0-9-]+["']?\s*:`).FindString(line)
		if name != "" && name != "x-required-permission:" {
			t.Errorf("openapi.yaml:%d: got %s, want no extension but x-required-permission; gen/overlay.yaml is the place of what Go needs", number, name)
		}
	}
}

// operation is an operation of the contract and where it is.
type operation struct {
	*openapi3.Operation
	path, method string
	item         *openapi3.PathItem
}

func (o operation) parameters() []*openapi3.Parameter {
	var all []*openapi3.Parameter
	for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
		all = append(all, p.Value)
	}
	return all
}

func contract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := gen.ReadContract(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func operations(t *testing.T, doc *openapi3.T) []operation {
	t.Helper()
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			all = append(all, operation{o, path, method, item})
		}
	}
	if len(all) == 0 {
		t.Fatal("the contract has no operations")
	}
	return all
}

// updateOperation returns the page's operation, which has a body and a 200.
func updateOperation(t *testing.T, doc *openapi3.T) operation {
	t.Helper()
	o := operationOf(t, doc, "updateCustomerProvider")
	if o.RequestBody == nil || o.Responses.Value("200") == nil {
		t.Fatal("updateCustomerProvider lacks its body or its 200")
	}
	return o
}

func operationOf(t *testing.T, doc *openapi3.T, id string) operation {
	t.Helper()
	for _, o := range operations(t, doc) {
		if o.OperationID == id {
			return o
		}
	}
	t.Fatalf("the contract lacks %s", id)
	return operation{}
}

func securityFacts(s *openapi3.SecurityScheme, required bool) []string {
	name := s.In + " " + s.Name
	tt := name + " " + s.Type
	if s.Type == "apiKey" {
		tt = name + " string" // what a key is, by definition
	}
	if required {
		tt += " required"
	}
	facts := []string{tt}
	if strings.Contains(s.Description, "Keys begin with `cc_`") {
		facts = append(facts, name+" begins with cc_")
	}
	if strings.Contains(s.Description, "Developer Dashboard") {
		facts = append(facts, name+" comes from the Developer Dashboard")
	}
	return facts
}

func contentFacts(t *testing.T, place string, content openapi3.Content) []string {
	t.Helper()
	var facts []string
	for contentType, media := range content {
		facts = append(facts, place+" "+contentType)
		if media.Schema != nil {
			facts = append(facts, schemaFacts(t, place+".body", media.Schema.Value, false)...)
		}
	}
	return facts
}

// schemaFacts has a line for the schema and one for everything within it. What limits an object has lines of its own.
func schemaFacts(t *testing.T, place string, s *openapi3.Schema, required bool) []string {
	t.Helper()
	if !s.Type.Is("object") {
		facts := []string{place + " " + describe(t, s, required)}
		if s.Items != nil {
			facts = append(facts, schemaFacts(t, place+"[]", s.Items.Value, false)...)
		}
		return facts
	}
	tt := place + " object"
	if s.Nullable {
		tt += " nullable"
	}
	if required {
		tt += " required"
	}
	facts := []string{tt}
	for _, limit := range limits(t, s) {
		facts = append(facts, place+" "+limit)
	}
	for name, property := range s.Properties {
		facts = append(facts, schemaFacts(t, place+" "+name, property.Value, slices.Contains(s.Required, name))...)
	}
	return facts
}

// describe says all that a schema asks of a value, whatever keyword says it.
func describe(t *testing.T, s *openapi3.Schema, required bool) string {
	t.Helper()
	words := slices.Clone(s.Type.Slice())
	if s.Nullable {
		words = append(words, "nullable")
	}
	words = append(words, limits(t, s)...)
	if required {
		words = append(words, "required")
	}
	return strings.Join(words, " ")
}

// limits returns a schema's keywords but for those that describe and schemaFacts write in words of their own.
func limits(t *testing.T, s *openapi3.Schema) []string {
	t.Helper()
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var keywords map[string]json.RawMessage
	if err := json.Unmarshal(data, &keywords); err != nil {
		t.Fatal(err)
	}
	if s.Pattern == withoutNUL { // stated for every text: see forms_test.go
		delete(keywords, "pattern")
	}
	for _, written := range []string{"type", "nullable", "description", "example", "items", "properties", "required"} {
		delete(keywords, written)
	}
	var limits []string
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		limits = append(limits, keyword+"="+string(keywords[keyword]))
	}
	return limits
}

// lines returns the lines of a table that are not empty.
func lines(table string) []string {
	return slices.DeleteFunc(strings.Split(table, "\n"), func(line string) bool { return line == "" })
}

// TestReadContract expects one line for each error in a document, with its place.
func TestReadContract(t *testing.T) {
	const document = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
paths:
  /notes:
    get:
      operationId: listNotes
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 100}, example: 50}
      responses:
        '200':
          description: The notes.
          content:
            application/json:
              schema:
                $ref: '#/components/schemas/Note'
              example: {text: Hello}
components:
  schemas:
    Note: {type: object, required: [text], properties: {text: {type: string, maxLength: 5}}}
`
	for _, tt := range []struct{ old, new, want string }{
		{"", "", ""},
		{"paths:", "paths: all:", "openapi.yaml:3: mapping values are not allowed in this context"},
		{"schemas/Note'", "schemas/Notes'", `openapi.yaml:15: failed to resolve "Notes" in fragment in URI: "#/components/schemas/Notes": map key "Notes" not found`},
		{"{text: Hello}", "{}", `openapi.yaml:13: invalid path /notes: invalid operation GET: invalid example: Error at "/text": property "text" is missing`},
		{"Hello", "Hello all", `openapi.yaml:13: invalid path /notes: invalid operation GET: invalid example: Error at "/text": maximum string length is 5`},
		{"example: 50", "example: 500", "openapi.yaml:8: invalid path /notes: invalid operation GET: invalid example: number must be at most 100"},
		{"type: string", "type: text", `openapi.yaml:19: invalid components: schema "Note": unsupported 'type' value "text"`},
		{document, "", "openapi.yaml: value of openapi must be a non-empty string"},
	} {
		got := ""
		if _, err := gen.ReadContract([]byte(strings.Replace(document, tt.old, tt.new, 1))); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s instead of %s:\ngot  %s\nwant %s", tt.new, tt.old, got, tt.want)
		}
	}
}

// compare reports the facts that are in one set only, side by side where they are about the same thing.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	var differences []string
	for _, tt := range want {
		if !slices.Contains(got, tt) {
			differences = append(differences, tt+"\x00want")
		}
	}
	for _, tt := range got {
		if !slices.Contains(want, tt) {
			differences = append(differences, tt+"\x00got")
		}
	}
	slices.Sort(differences)
	var report []string
	for _, d := range slices.Compact(differences) {
		tt, side, _ := strings.Cut(d, "\x00")
		report = append(report, fmt.Sprintf("%4s: %s", side, tt))
	}
	if len(report) > 0 {
		t.Errorf("openapi.yaml:\n%s", shorten(report))
	}
}

// shorten returns the first lines of a report that would fill the screen.
func shorten(lines []string) string {
	const most = 10
	if len(lines) > most {
		lines = append(slices.Clone(lines[:most]), fmt.Sprintf("… and %d more lines", len(lines)-most))
	}
	return strings.Join(lines, "\n")
}
