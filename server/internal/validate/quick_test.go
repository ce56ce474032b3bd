package validate

import (
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/getkin/kin-openapi/openapi3"
)

func updateSchema(t testing.TB) *Schema {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	return newSchema(doc.Components.Schemas["ProviderUpdate"].Value)
}

// What callers usually send must take the quick way, or every request pays for the long one.
func TestQuickAcceptsTheUsual(t *testing.T) {
	s := updateSchema(t)
	for _, body := range []string{
		`{}`,
		" {\n} \r\n",
		`{"phone": "+1 555 0100", "fax": null}`,
		`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","isActive":true,"isPrimaryProvider":false}`,
		`{"notes":"Ça va? 😀 \"quoted\"\n"}`,
	} {
		if !s.quick.accepts([]byte(body)) {
			t.Errorf("%s takes the long way", body)
		}
	}
}

// A schema that says more than quick knows must not be decided by it.
func TestQuickKnowsItsLimits(t *testing.T) {
	closed := openapi3.AdditionalProperties{Has: new(false)}
	text := func() *openapi3.Schema { return openapi3.NewStringSchema() }
	object := func(property *openapi3.Schema) *openapi3.Schema {
		o := openapi3.NewObjectSchema().WithProperty("x", property)
		o.AdditionalProperties = closed
		return o
	}
	required := object(text())
	required.Required = []string{"x"}
	open := openapi3.NewObjectSchema().WithProperty("x", text())
	for name, schema := range map[string]*openapi3.Schema{
		"a pattern":            object(text().WithPattern("^a")),
		"a shortest length":    object(text().WithMinLength(1)),
		"another format":       object(text().WithFormat("date")),
		"a number":             object(openapi3.NewIntegerSchema()),
		"a list":               object(openapi3.NewArraySchema()),
		"an object":            object(openapi3.NewObjectSchema()),
		"either of two":        object(openapi3.NewOneOfSchema(text(), openapi3.NewBoolSchema())),
		"a required property":  required,
		"unlisted properties":  open,
		"a number in the enum": object(openapi3.NewStringSchema().WithEnum("a", 1)),
	} {
		if newQuick(schema) != nil {
			t.Errorf("%s: quick decides on it", name)
		}
	}
	if newQuick(object(text())) == nil {
		t.Error("quick does not decide on plain text")
	}
}

// FuzzQuick holds quick against kin-openapi: it must accept nothing that kin-openapi refuses.
func FuzzQuick(f *testing.F) {
	s := updateSchema(f)
	for _, seed := range []string{
		`{}`, `{"phone":"+1"}`, `{"phone":null,"phone":"1"}`, `{"PHONE":"1"}`, `{"npi":"123456789012345678901234567890123456789012345678901"}`,
		`{"npi":"1234567890123456789012345678901234567890123456789é"}`, `{"notes":"\u0000"}`, "{\"notes\":\"\x00\"}", "{\"notes\":\"\xff\"}", `{"notes":"\ud800"}`,
		`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a"}`, `{"customerId":"urn:uuid:3c90c3cc-0d44-4b50-8888-8dd25736052a"}`,
		`{"customerId":"3c90c3cc-0d44-9b50-8888-8dd25736052a"}`, `{"customerId":null}`, `{"providerType":"Primary Care"}`, `{"providerType":null}`,
		`{"isActive":"true"}`, `{"isActive":1}`, `{"isActive":true}{}`, `[]`, `null`, ``, `{"phone":"1",}`, `{"ph\u006fne":"1"}`, "\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !s.quick.accepts(text) {
			return
		}
		if err := s.check(text); err != nil {
			t.Errorf("quick accepts %q, kin-openapi does not: %v", text, err)
		}
	})
}

// BenchmarkCheck checks a body of all 17 properties, the quick way and kin-openapi's.
func BenchmarkCheck(b *testing.B) {
	body := []byte(`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","specialty":"Internal medicine",
"providerName":"Dr. Ada Example","practiceName":"Example Family Practice","npi":"1234567893","phone":"+1 555 0100","fax":"+1 555 0101",
"email":"office@example.org","address":"1 Main Street","address2":"Suite 200","city":"Springfield","state":"IL","postalCode":"62701",
"isPrimaryProvider":true,"isActive":true,"notes":"Prefers to be called in the morning."}`)
	s := updateSchema(b)
	for name, check := range map[string]func([]byte) error{"quick": s.Check, "kin-openapi": s.check} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := check(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
