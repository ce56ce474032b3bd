package changes_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/changes"
	"github.com/carecycle/provider-api/server/internal/provider"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "") }))
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOf(rapid.Custom(func(r *rapid.T) provider.Change {
			return provider.Change{Field: rapid.StringMatching("[a-zA-Z0-9]+").Draw(r, "field"), From: value.Draw(r, "from"), To: value.Draw(r, "to")}
		})).Draw(r, "list")
		text, err := changes.Append(nil, list)
		if err != nil || !json.Valid(text) {
			r.Fatalf("%v is written as %s, %v", list, text, err)
		}
		got, err := changes.Parse(text)
		if err != nil || len(got) != len(list) || len(list) > 0 && !reflect.DeepEqual(got, list) {
			r.Errorf("%s is read as %v, %v; want %v", text, got, err, list)
		}
	})
}

func TestForm(t *testing.T) {
	t.Parallel()
	text, err := changes.Append([]byte("so far: "), []provider.Change{{Field: "city", To: "Zürich <1>\n"}, {Field: "isActive", From: true, To: false}})
	const want = `so far: [{"field":"city","from":null,"to":"Zürich <1>\n"},{"field":"isActive","from":true,"to":false}]`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}

func TestErrorsHoldNoValue(t *testing.T) {
	t.Parallel()
	_, badText := changes.Append(nil, []provider.Change{{Field: "city", To: "secret\xff"}})
	_, badValue := changes.Append(nil, []provider.Change{{Field: "city", To: 4711}})
	_, badList := changes.Parse([]byte(`[{"field": 4711, "from": "secret"}]`))
	for _, err := range []error{badText, badValue, badList} {
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4711") {
			t.Errorf("got %v", err)
		}
	}
}
