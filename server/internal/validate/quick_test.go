package validate

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

func contractSchema(t testing.TB, name string) *Schema {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	return newSchema(doc.Components.Schemas[name].Value)
}

// What callers usually send must take the quick way, or every request pays for the long one.
func TestQuickAcceptsTheUsual(t *testing.T) {
	s := contractSchema(t, "ProviderUpdate")
	for _, body := range []string{
		`{}`,
		" {\n} \r\n",
		`{"phone": "+1 555 0100", "fax": null}`,
		`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","isActive":true,"isPrimaryProvider":false}`,
		`{"notes":"Ça va? 😀 \"quoted\"\n"}`,
	} {
		if _, ok := s.quick.accepts([]byte(body)); !ok {
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
		if newQuick(schema) != nil {
			t.Errorf("%s: quick decides on it", name)
		}
	}
	if newQuick(object(text())) == nil {
		t.Error("quick does not decide on plain text")
	}
}

// A creation is as usual as a change; it must have its type.
func TestQuickKnowsWhatIsRequired(t *testing.T) {
	s := contractSchema(t, "ProviderCreate")
	for body, want := range map[string]bool{`{"providerType":"Hospital","city":null}`: true, `{"city":"Bern"}`: false, `{}`: false} {
		if _, ok := s.quick.accepts([]byte(body)); ok != want {
			t.Errorf("%s is accepted: %v", body, ok)
		}
	}
}

// FuzzQuick holds quick against kin-openapi, of which it must accept nothing that is refused, and what Decode makes of
// the members that it found against the decoder.
func FuzzQuick(f *testing.F) {
	update, create := contractSchema(f, "ProviderUpdate"), contractSchema(f, "ProviderCreate")
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		f.Fatal(err)
	}
	line, record, err := ImportLine(doc)
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
		hold(t, update, text, new(gen.ProviderUpdate), new(gen.ProviderUpdate))
		hold(t, create, text, new(gen.ProviderCreate), new(gen.ProviderCreate))
		hold(t, line, text, new(wire.ImportLine), new(wire.ImportLine))
		hold(t, record, text, new(wire.ImportLine), new(wire.ImportLine))
	})
}

func hold(t *testing.T, s *Schema, text []byte, got, want any) {
	t.Helper()
	members, ok := s.quick.accepts(text)
	if !ok {
		return
	}
	if err := s.check(text); err != nil {
		t.Errorf("quick accepts %q, kin-openapi does not: %v", text, err)
	}
	if err := json.Unmarshal(text, want); err != nil {
		t.Errorf("the decoder refuses %q: %v", text, err)
	}
	bytes := slices.Clone(text)
	if !(Text{bytes, s.quick, members}).assign(reflect.ValueOf(got).Elem()) {
		t.Errorf("%q is left to the decoder", text)
	}
	clear(bytes) // as the next request does
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q is %+v; the decoder has %+v", text, got, want)
	}
}

type (
	ownDecoder struct{ phone string }
	One        struct {
		Phone string `json:"phone"`
	}
	Other     One
	shadowing struct {
		Tel string `json:"phone"`
		Other
	}
	named struct {
		gen.ProviderUpdate `json:"update"`
	}
	pointing struct{ *gen.ProviderUpdate }
)

func (o *ownDecoder) UnmarshalJSON([]byte) error {
	o.phone = "mine"
	return nil
}

// Whatever the decoder makes of a type, Decode makes of it too.
func TestDecodeFollowsTheDecoder(t *testing.T) {
	s := contractSchema(t, "ProviderUpdate")
	ambiguous := reflect.New(reflect.StructOf([]reflect.StructField{ // in the source, vet would refuse it
		{Name: "One", Type: reflect.TypeFor[One](), Anonymous: true}, {Name: "Other", Type: reflect.TypeFor[Other](), Anonymous: true},
	})).Interface()
	for _, body := range []string{`{"phone":"1","fax":null,"isActive":true}`, `{"phone":"1"}`, `{}`} {
		for _, target := range []any{
			new(any), new(map[string]any), new(ownDecoder), ambiguous, new(shadowing), new(named), new(pointing), new([]string), new(One),
		} {
			text, err := s.Check([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			want := reflect.New(reflect.TypeOf(target).Elem()).Interface()
			gotErr, wantErr := text.Decode(target), json.Unmarshal([]byte(body), want)
			if (gotErr == nil) != (wantErr == nil) || wantErr == nil && !reflect.DeepEqual(target, want) {
				t.Errorf("%s into %T: got %+v, %v; want %+v, %v", body, target, target, gotErr, want, wantErr)
			}
			reflect.ValueOf(target).Elem().SetZero()
		}
	}
}

// A type that decodes itself, or is no text and no truth value, is the decoder's.
func TestDecodeLeavesTheUnusualToTheDecoder(t *testing.T) {
	s := contractSchema(t, "ProviderUpdate")
	text, err := s.Check([]byte(`{"phone":"secret","isActive":true}`))
	if err != nil || text.quick == nil {
		t.Fatalf("got %v, %v", text, err)
	}
	var own struct {
		Phone    reversed `json:"phone"`
		IsActive any      `json:"isActive"`
	}
	if err := text.Decode(&own); err != nil || own.Phone != "terces" || own.IsActive != true {
		t.Errorf("got %+v, %v", own, err)
	}
	for _, other := range []any{new(struct {
		Phone bool `json:"phone"`
	}), new(struct {
		IsActive string `json:"isActive"`
	}), new(struct {
		Phone *gen.Field[bool] `json:"phone"`
	}), new(struct {
		Phone uuid.UUID `json:"phone"`
	})} {
		if err := text.Decode(other); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%T: got %+v, %v", other, other, err)
		}
	}
}

type reversed string

func (r *reversed) UnmarshalText(text []byte) error {
	slices.Reverse(text)
	*r = reversed(text)
	return nil
}

// BenchmarkCheck checks a body of all 17 properties and decodes it, the quick way and kin-openapi's.
func BenchmarkCheck(b *testing.B) {
	body := []byte(`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Primary Care","specialty":"Internal medicine",
"providerName":"Dr. Ada Example","practiceName":"Example Family Practice","npi":"1234567893","phone":"+1 555 0100","fax":"+1 555 0101",
"email":"office@example.org","address":"1 Main Street","address2":"Suite 200","city":"Springfield","state":"IL","postalCode":"62701",
"isPrimaryProvider":true,"isActive":true,"notes":"Prefers to be called in the morning."}`)
	s := contractSchema(b, "ProviderUpdate")
	for name, schema := range map[string]*Schema{"quick": s, "kin-openapi": {schema: s.schema}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text, err := schema.Check(body)
				var update gen.ProviderUpdate
				if err == nil {
					err = text.Decode(&update)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
