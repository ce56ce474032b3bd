package property_test

import (
	"slices"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// The table says of each property what the contract says, in the order in which a response requires them.
func TestTable(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	response, create := doc.Components.Schemas["Provider"].Value, doc.Components.Schemas["ProviderCreate"].Value
	var want []property.Description
	for _, name := range response.Required {
		ref := create.Properties[name]
		if ref == nil {
			continue // a key or a time
		}
		d := property.Description{Name: name, Nullable: ref.Value.Nullable}
		if ref.Value.Type.Is("boolean") {
			d.Kind = property.BooleanKind
		}
		if ref.Value.MaxLength != nil {
			d.MaxLength = int(*ref.Value.MaxLength)
		}
		for _, word := range ref.Value.Enum {
			if word != nil {
				d.Enum = append(d.Enum, word.(string))
			}
		}
		want = append(want, d)
	}
	if len(want) != len(create.Properties) {
		t.Errorf("the schema Provider requires %d of the %d properties of ProviderCreate", len(want), len(create.Properties))
	}
	if diff := cmp.Diff(want, property.Table[:]); diff != "" {
		t.Errorf("the table differs from the contract (-want +got):\n%s", diff)
	}
}

func TestByName(t *testing.T) {
	for id, p := range property.Table {
		if got, found := property.ByName(p.Name); !found || got != property.ID(id) {
			t.Errorf("%s: %d, %t; want %d", p.Name, got, found, id)
		}
	}
	if _, found := property.ByName("postal_code"); found {
		t.Error("a column is taken for a name")
	}
}

// A value is in exactly one state, and the empty text is not null.
func TestValue(t *testing.T) {
	type states struct{ absent, null, text, boolean bool }
	for name, test := range map[string]struct {
		value property.Value
		want  states
	}{
		"absent":     {property.Value{}, states{absent: true}},
		"null":       {property.Null, states{null: true}},
		"empty text": {property.Text(""), states{text: true}},
		"text":       {property.Text("false"), states{text: true}},
		"false":      {property.Boolean(false), states{boolean: true}},
		"true":       {property.Boolean(true), states{boolean: true}},
	} {
		text, isText := test.value.Text()
		flag, isBoolean := test.value.Boolean()
		got := states{test.value.IsAbsent(), test.value.IsNull(), isText, isBoolean}
		if got != test.want || flag != (name == "true") || (text == "false") != (name == "text") {
			t.Errorf("%s: %+v, text %q, boolean %t", name, got, text, flag)
		}
	}
	if nulls := property.Nulls(); slices.ContainsFunc(nulls[:], func(v property.Value) bool { return !v.IsNull() }) {
		t.Errorf("Nulls has other values: %v", nulls)
	}
}

func TestLen(t *testing.T) {
	patch := property.Patch{Values: property.Values{property.City: property.Null, property.Notes: property.Text("")}}
	if n := patch.Len(); n != 2 {
		t.Errorf("two properties: %d", n)
	}
	patch.CustomerID = new(uuid.UUID)
	if n := patch.Len(); n != 3 {
		t.Errorf("and a customer: %d", n)
	}
	if n := (&property.Patch{}).Len(); n != 0 {
		t.Errorf("none: %d", n)
	}
}
