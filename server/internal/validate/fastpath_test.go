package validate

import (
	"maps"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
)

func contractSchema(t testing.TB, name string) *Schema {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSchema(doc.Components.Schemas[name].Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The fast path must accept what callers usually send.
func TestFastPathAccepts(t *testing.T) {
	s := contractSchema(t, "ProviderUpdate")
	for _, body := range []string{
		`{}`,
		" {\n} \r\n",
		`{"phone": "+1 555 0100", "city": null}`,
		`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","isActive":true,"isPrimaryProvider":false}`,
		`{"notes":"Ça va? 😀 \"quoted\"\n"}`,
	} {
		if _, ok := s.fast.accepts([]byte(body)); !ok {
			t.Errorf("%s: not accepted", body)
		}
	}
}

// The fast path must not decide on a schema that has a rule it does not know.
func TestFastPathUnknownRules(t *testing.T) {
	closed := openapi3.AdditionalProperties{Has: new(false)}
	text := func() *openapi3.Schema { return openapi3.NewStringSchema() }
	object := func(property *openapi3.Schema) *openapi3.Schema {
		o := openapi3.NewObjectSchema().WithProperty("x", property)
		o.AdditionalProperties = closed
		return o
	}
	required := object(text())
	required.Required = []string{"y"}
	escaped := openapi3.NewObjectSchema().WithProperty(`a\nb`, text())
	escaped.AdditionalProperties = closed
	open := openapi3.NewObjectSchema().WithProperty("x", text())
	for name, schema := range map[string]*openapi3.Schema{
		"a pattern":                object(text().WithPattern("^a")),
		"a shortest length":        object(text().WithMinLength(1)),
		"another format":           object(text().WithFormat("date")),
		"a number":                 object(openapi3.NewIntegerSchema()),
		"a list":                   object(openapi3.NewArraySchema()),
		"an object":                object(openapi3.NewObjectSchema()),
		"either of two":            object(openapi3.NewOneOfSchema(text(), openapi3.NewBoolSchema())),
		"a property required only": required,
		"unlisted properties":      open,
		"an enum and a length":     object(text().WithEnum("long").WithMaxLength(1)),
		"an enum of UUIDs":         object(openapi3.NewUUIDSchema().WithEnum("x")),
		"an escaped word":          object(text().WithEnum(`a\nb`)),
		"a word with a quote":      object(text().WithEnum(`"`)),
		"an escaped name":          escaped,
		"a number in the enum":     object(openapi3.NewStringSchema().WithEnum("a", 1)),
	} {
		if newFastPath(schema) != nil {
			t.Errorf("%s: the fast path decides on it", name)
		}
	}
	if newFastPath(object(text())) == nil {
		t.Error("the fast path does not decide on plain text")
	}
	status := text().WithEnum("active", nil)
	status.Nullable = true
	q := newFastPath(object(status))
	for body, want := range map[string]bool{`{"x":"active"}`: true, `{"x":null}`: true, `{"x":"null"}`: false, `{"x":"retired"}`: false} {
		if _, ok := q.accepts([]byte(body)); ok != want {
			t.Errorf("a nullable enum: %s is accepted: %v", body, ok)
		}
	}
}

// A creation must have a provider type.
func TestFastPathRequired(t *testing.T) {
	s := contractSchema(t, "ProviderCreate")
	for body, want := range map[string]bool{`{"providerType":"Hospital","city":null}`: true, `{"city":"Bern"}`: false, `{}`: false} {
		if _, ok := s.fast.accepts([]byte(body)); ok != want {
			t.Errorf("%s is accepted: %v", body, ok)
		}
	}
}

// The largest body that the contract allows, with every character escaped, is not too large to be read.
func TestMaxBody(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil {
				continue
			}
			largest := 0
			for name, p := range operation.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
				longest := 40 // a UUID, a boolean or an enum's
				if p.Value.MaxLength != nil {
					longest = 12 * int(*p.Value.MaxLength) // \ud83d\ude00 is one code point
				}
				largest += 12*len(name) + longest + len(`"":"",`)
			}
			if largest > MaxBody {
				t.Errorf("%s %s allows a body of %d bytes, and MaxBody is %d; raise it, and what the contract says with 413", method, path, largest, MaxBody)
			}
		}
	}
}

// FuzzFastPath compares the fast path with kin-openapi: it must accept nothing that kin-openapi rejects. It also compares the
// members that the fast path and the reader find with those of a decoder.
func FuzzFastPath(f *testing.F) {
	update, create := contractSchema(f, "ProviderUpdate"), contractSchema(f, "ProviderCreate")
	withID := *update.schema
	withID.Properties = maps.Clone(withID.Properties)
	withID.Properties["id"] = openapi3.NewSchemaRef("", openapi3.NewUUIDSchema())
	withID.Required = []string{"customerId", "providerType"}
	record, err := NewSchema(&withID)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{}`, `{"phone":"+1"}`, `{"phone":null,"phone":"1"}`, `{"PHONE":"1"}`, `{"npi":"123456789012345678901234567890123456789012345678901"}`,
		`{"npi":"1234567890123456789012345678901234567890123456789é"}`, `{"notes":"\u0000"}`, "{\"notes\":\"\x00\"}", "{\"notes\":\"\xff\"}", `{"notes":"\ud800"}`,
		`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a"}`, `{"customerId":"urn:uuid:3c90c3cc-0d44-4b50-8888-8dd25736052a"}`,
		`{"customerId":"3c90c3cc-0d44-9b50-8888-8dd25736052a"}`, `{"customerId":null}`, `{"providerType":"Primary Care"}`, `{"providerType":null}`,
		`{"isActive":"true"}`, `{"isActive":1}`, `{"isActive":true}{}`, `[]`, `null`, ``, `{"phone":"1",}`, `{"ph\u006fne":"1"}`, "\ufeff{}",
		`{"providerType":"Hospital","isActive":false,"isPrimaryProvider":null,"city":"","state":null,"notes":" \"\\\n\/é😀"}`, ` { "fax" : "null" } `,
		`{"id":"3c90c3cc-0d44-4b50-8888-8dd25736052a","customerId":"3C90C3CC-0D44-4B50-8888-8DD25736052A","providerType":"Hospital"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, schema := range []*Schema{update, create, record} {
			compareWithDecoder(t, schema, text)
		}
	})
}

func compareWithDecoder(t *testing.T, s *Schema, text []byte) {
	t.Helper()
	members, accepted := s.fast.accepts(text)
	checked, err := s.check(text)
	if accepted && err != nil {
		t.Errorf("the fast path accepts %q, kin-openapi does not: %v", text, err)
	}
	var want map[string]any
	decodeErr := json.Unmarshal(text, &want)
	if err != nil {
		return
	}
	if decodeErr != nil {
		t.Fatalf("the decoder rejects %q: %v", text, decodeErr)
	}
	compareMembers(t, checked, want)
	if accepted {
		compareMembers(t, Checked{text, members}, want)
	}
}

func compareMembers(t *testing.T, object Checked, want map[string]any) {
	t.Helper()
	got := map[string]any{}
	for name, text := range object.All() {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Errorf("%s has a value that is not JSON: %q", name, text)
		}
		got[name] = value
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// The values of an object stay valid when the next request reuses the bytes that were checked.
func TestValuesAreCopies(t *testing.T) {
	for _, text := range []string{`{"phone":"1"}`, `{"ph\u006fne":"1"}`} {
		bytes := []byte(text)
		object, err := contractSchema(t, "ProviderUpdate").Check(bytes)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range object.All() {
			clear(bytes)
			if name != "phone" || value != `"1"` {
				t.Errorf("%s: got %s: %s", text, name, value)
			}
		}
	}
}

// BenchmarkCheck checks a body of all properties and reads its members, on the fast path and with kin-openapi.
func BenchmarkCheck(b *testing.B) {
	body := []byte(storetest.Body(""))
	s := contractSchema(b, "ProviderUpdate")
	for name, schema := range map[string]*Schema{"fast path": s, "kin-openapi": {schema: s.schema, properties: s.properties}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				object, err := schema.Check(body)
				if err != nil {
					b.Fatal(err)
				}
				for range object.All() {
				}
			}
		})
	}
}
