package client_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyProvider draws a record, each property of which is one of few values, so that two records have some in common.
func anyProvider(t *rapid.T, name string) (p client.Provider) {
	fields := reflect.ValueOf(&p).Elem()
	for i := range fields.NumField() {
		n := rapid.IntRange(0, 2).Draw(t, name+" "+fields.Type().Field(i).Name)
		switch field := fields.Field(i).Addr().Interface().(type) {
		case *client.ProviderID: // of the record, which no update changes
		case *client.CustomerID:
			field[0] = byte(n)
		case *client.ProviderType:
			*field = []client.ProviderType{client.ProviderTypeHospital, client.ProviderTypePharmacy, client.ProviderTypeSpecialist}[n]
		case **string:
			*field = []*string{nil, new(""), new("a")}[n]
		case **bool:
			*field = []*bool{nil, new(false), new(true)}[n]
		default:
			t.Fatalf("a property of type %T", field)
		}
	}
	p.CreatedAt, p.UpdatedAt = nil, nil
	return p
}

// after returns the record after the update, by the rules of a merge patch.
func after(t *rapid.T, p client.Provider, u client.ProviderUpdate) (changed client.Provider) {
	properties := asMap(t, p)
	maps.Copy(properties, asMap(t, u))
	body, err := json.Marshal(properties)
	if err == nil {
		err = json.Unmarshal(body, &changed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func asMap(t *rapid.T, value any) (properties map[string]any) {
	body, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(body, &properties)
	}
	if err != nil {
		t.Fatal(err)
	}
	return properties
}

func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := anyProvider(t, "from"), anyProvider(t, "to")
		update := client.Diff(from, to)
		if diff := cmp.Diff(to, after(t, from, update)); diff != "" {
			t.Errorf("after the update (-want +got):\n%s", diff)
		}
		before, wanted := asMap(t, from), asMap(t, to)
		for name := range asMap(t, update) {
			if before[name] == wanted[name] {
				t.Errorf("%s does not differ, and is sent", name)
			}
		}
		if same := client.Diff(from, from); same != (client.ProviderUpdate{}) {
			t.Errorf("between equal records: %v", asMap(t, same))
		}
		if diff := cmp.Diff(to, after(t, from, client.UpdateFrom(to))); diff != "" {
			t.Errorf("after UpdateFrom (-want +got):\n%s", diff)
		}
		created := asMap(t, client.CreateFrom(to))
		for name, value := range wanted {
			if _, ok := created[name]; ok && created[name] != value || !ok && value != nil && name != "id" && name != "customerId" {
				t.Errorf("CreateFrom has %v for %s, want %v", created[name], name, value)
			}
		}
	})
}

func TestFieldCanBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		field          client.Field[string]
		zero, null, ok bool
		value          string
	}{
		"zero":          {client.Field[string]{}, true, false, false, ""},
		"a value":       {client.Set("a"), false, false, true, "a"},
		"empty text":    {client.Set(""), false, false, true, ""},
		"null":          {client.Clear[string](), false, true, false, ""},
		"of a pointer":  {client.FieldOf(new("a")), false, false, true, "a"},
		"of no pointer": {client.FieldOf[string](nil), false, true, false, ""},
	} {
		value, ok := test.field.Get()
		if test.field.IsZero() != test.zero || test.field.IsNull() != test.null || ok != test.ok || value != test.value {
			t.Errorf("%s: zero %t, null %t, %q %t", name, test.field.IsZero(), test.field.IsNull(), value, ok)
		}
	}
}
